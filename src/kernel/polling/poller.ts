/**
 * Poller: tells of changes that the kernel does not notify of. A thread of the addon looks for them, so that nothing of
 * JavaScript runs while there are none: an engine that wakes up finds its memory cold, which costs more than most of
 * what it does then.
 */

import type { Polling, Watch } from "../kernel.ts";
import { KINDS, type NativePoller, nativePoller } from "./native-poller.ts";

/** The time from one look to the next. */
const PERIOD_MS = 3000;

export class Poller implements Polling {
  readonly #native: NativePoller;
  /** By the number of the group. */
  readonly #changed: ((keys: readonly string[]) => void)[] = [];

  constructor(periodMs = PERIOD_MS) {
    this.#native = new nativePoller.Poller(periodMs, (changed) => this.#deliver(changed));
  }

  watch(
    kind: (typeof KINDS)[number],
    atOnce: number,
    changed: (keys: readonly string[]) => void,
  ): Watch<string | number> {
    const group = this.#native.group(KINDS.indexOf(kind), atOnce);
    this.#changed[group] = changed;
    return {
      add: (key) => this.#native.add(group, String(key)),
      remove: (key) => this.#native.remove(group, String(key)),
      doubt: (key) => this.#native.doubt(group, String(key)),
    };
  }

  know(body: Uint8Array): void {
    this.#native.know(body);
  }

  close(): void {
    this.#native.close();
  }

  #deliver(changed: readonly (number | string)[]): void {
    const keys = new Map<number, string[]>();
    for (let at = 0; at < changed.length; at += 2) {
      const group = Number(changed[at]);
      const key = String(changed[at + 1]);
      const known = keys.get(group);
      if (known === undefined) keys.set(group, [key]);
      else known.push(key);
    }
    for (const [group, each] of keys) this.#changed[group]?.(each);
  }
}
