/**
 * Debian's ucarp as the other host: an independent implementation of CARP.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LogLine, WaitOptions } from "./log.ts";
import type { Namespace } from "./namespace.ts";
import type { Exit, Spawned } from "./spawned.ts";

export interface UcarpOptions {
  readonly vhid: number;
  readonly pass: string;
  /** The virtual address. */
  readonly address: string;
  /** The host's own address. */
  readonly source: string;
  readonly interface?: string;
  readonly advbase?: number;
  readonly advskew?: number;
  readonly preempt?: boolean;
  readonly deadRatio?: number;
}

export class Ucarp {
  readonly #process: Spawned;

  /** @param directory for the up and down scripts */
  constructor(namespace: Namespace, directory: string, name: string, options: UcarpOptions) {
    const { vhid, pass, address, source, advbase = 1, advskew = 0, preempt = false, deadRatio } = options;
    const script = (verb: "add" | "del") => {
      const path = join(directory, `ucarp-${vhid}-${verb}`);
      writeFileSync(path, `#!/bin/sh\nexec ip address ${verb} "$2/32" dev "$1"\n`, { mode: 0o700 });
      return path;
    };
    const words = [`--interface=${options.interface ?? "eth0"}`, `--srcip=${source}`, `--vhid=${vhid}`];
    words.push(`--pass=${pass}`, `--addr=${address}`, `--advbase=${advbase}`, `--advskew=${advskew}`);
    words.push(`--upscript=${script("add")}`, `--downscript=${script("del")}`, "--shutdown", "--neutral");
    if (preempt) words.push("--preempt");
    if (deadRatio !== undefined) words.push(`--deadratio=${deadRatio}`);
    this.#process = namespace.spawn("/usr/sbin/ucarp", words, { name: `ucarp on ${name}` });
  }

  get pid(): number {
    return this.#process.pid;
  }

  get log() {
    return this.#process.log;
  }

  /** The state in the last log line about it; ucarp begins as BACKUP. */
  get state(): "MASTER" | "BACKUP" {
    const last = this.log.lines.findLast(({ text }) => text.includes("Switching to state"));
    return last?.text.endsWith("MASTER") ? "MASTER" : "BACKUP";
  }

  /** Resolves at once when it is in that state already. */
  waitForState(
    state: "MASTER" | "BACKUP",
    options: Omit<WaitOptions, "from"> = {},
  ): Promise<LogLine | undefined> {
    if (this.log.length > 0 && this.state === state) return Promise.resolve(undefined);
    const from = this.log.length;
    return this.log.waitFor(new RegExp(`Switching to state: ${state}`), { ...options, from });
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  stop(): Promise<Exit> {
    this.#process.kill("SIGTERM");
    return this.#process.exited;
  }
}
