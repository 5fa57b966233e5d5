/**
 * Namespace: a network namespace of this run, in which commands run.
 */

import { execFile } from "node:child_process";
import { execaSync } from "execa";
import { ownNamespace, removeNamespace, uniqueName } from "./resources.ts";
import { type Spawned, type SpawnOptions, spawn } from "./spawned.ts";

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export class Namespace {
  readonly name: string;

  private constructor(what: string) {
    this.name = uniqueName(what);
  }

  /** Synchronous, so that no signal handler removes the namespace before it exists. */
  static create(what: string): Namespace {
    const namespace = new Namespace(what);
    ownNamespace(namespace.name);
    execaSync("ip", ["netns", "add", namespace.name]);
    return namespace;
  }

  /** Starts a command that runs beside the test. */
  spawn(command: string, words: readonly string[], options: SpawnOptions): Spawned {
    return spawn("nsenter", this.#enter(command, words), options);
  }

  /**
   * Runs a command to its end; never rejects. Not by execa, which takes twice as long: a run of the tests has
   * thousands of commands.
   */
  execute(
    command: string,
    words: readonly string[],
    { input = "", environment = {} }: { input?: string; environment?: Readonly<Record<string, string>> } = {},
  ): Promise<Output> {
    const options = { env: { ...process.env, ...environment }, maxBuffer: Number.POSITIVE_INFINITY };
    return new Promise((resolve) => {
      const child = execFile("nsenter", this.#enter(command, words), options, (error, stdout, stderr) => {
        const status = error === null ? 0 : error.code;
        resolve({ stdout, stderr, exitCode: typeof status === "number" ? status : -1 });
      });
      // A command may end without reading its input.
      child.stdin?.on("error", () => {}).end(input);
    });
  }

  /** Runs `ip -batch` on many lines. */
  async ip(lines: readonly string[]): Promise<void> {
    const { stderr, exitCode } = await this.execute("ip", ["-batch", "-"], { input: lines.join("\n") });
    if (exitCode !== 0) throw new Error(`ip in ${this.name}:\n${lines.join("\n")}\n${stderr}`);
  }

  /** Sets values by their path below /proc/sys/net. */
  async sysctl(values: Readonly<Record<string, number>>): Promise<void> {
    const script = Object.entries(values).map(([path, value]) => `echo ${value} >/proc/sys/net/${path}`);
    const { stderr, exitCode } = await this.execute("sh", ["-ec", script.join("\n")]);
    if (exitCode !== 0) throw new Error(`sysctl in ${this.name}: ${stderr}`);
  }

  /** Kills the processes in it and removes it. */
  destroy(): void {
    removeNamespace(this.name);
  }

  /** Enters with nsenter, which executes the command: `ip netns exec` would hide /sys/fs/bpf and later mounts. */
  #enter(command: string, words: readonly string[]): string[] {
    return [`--net=/run/netns/${this.name}`, "--", command, ...words];
  }
}
