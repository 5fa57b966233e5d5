/**
 * A network namespace of this run, and running things in it.
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

  /** Synchronous, so that no signal handler runs, and removes it, before it is there. */
  static create(what: string): Namespace {
    const namespace = new Namespace(what);
    ownNamespace(namespace.name);
    execaSync("ip", ["netns", "add", namespace.name]);
    return namespace;
  }

  /** Runs beside the test, with a pid of its own. */
  spawn(command: string, words: readonly string[], options: SpawnOptions): Spawned {
    return spawn("nsenter", this.#enter(command, words), options);
  }

  /** Runs to its end, which is never an exception. Thousands do in a run of the tests: not by execa, which takes twice as long. */
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
      // A command that ends without reading its input is no failure.
      child.stdin?.on("error", () => {}).end(input);
    });
  }

  /** Runs `ip` once with many lines. */
  async ip(lines: readonly string[]): Promise<void> {
    const { stderr, exitCode } = await this.execute("ip", ["-batch", "-"], { input: lines.join("\n") });
    if (exitCode !== 0) throw new Error(`ip in ${this.name}:\n${lines.join("\n")}\n${stderr}`);
  }

  /** Values of /proc/sys/net, by path below it. */
  async sysctl(values: Readonly<Record<string, number>>): Promise<void> {
    const script = Object.entries(values).map(([path, value]) => `echo ${value} >/proc/sys/net/${path}`);
    const { stderr, exitCode } = await this.execute("sh", ["-ec", script.join("\n")]);
    if (exitCode !== 0) throw new Error(`sysctl in ${this.name}: ${stderr}`);
  }

  /** Kills what runs in it. */
  destroy(): void {
    removeNamespace(this.name);
  }

  /** nsenter becomes the command: `ip netns exec` would also hide /sys/fs/bpf and the mounts made meanwhile. */
  #enter(command: string, words: readonly string[]): string[] {
    return [`--net=/run/netns/${this.name}`, "--", command, ...words];
  }
}
