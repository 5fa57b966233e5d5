/**
 * A BSD as the other host, as far as the digest of its advertisements goes; see bsd.py.
 */

import { join } from "node:path";
import type { Host } from "./host.ts";
import type { Spawned } from "./spawned.ts";

export interface BsdOptions {
  readonly source: string;
  /** FreeBSD and NetBSD cover link-local addresses, OpenBSD leaves them out. */
  readonly linkLocals: "covered" | "left-out";
  readonly pass: string;
  readonly vhid: number;
  readonly advskew: number;
  readonly addresses: readonly string[];
}

export class Bsd {
  readonly #process: Spawned;

  constructor(host: Host, options: BsdOptions) {
    const { source, linkLocals, pass, vhid, advskew, addresses } = options;
    const words = ["eth0", source, linkLocals, pass, String(vhid), String(advskew), ...addresses];
    this.#process = host.spawn("/usr/bin/python3", [join(import.meta.dirname, "bsd.py"), ...words]);
  }

  /** The states that it has entered, in order. */
  get states(): string[] {
    return this.#process.log.lines.map(({ text }) => text);
  }

  /** Resolves when it has entered the state; it begins as MASTER. */
  async waitForState(state: "MASTER" | "BACKUP"): Promise<void> {
    await this.#process.log.waitFor(new RegExp(`^${state}$`));
  }
}
