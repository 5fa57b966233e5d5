/**
 * Saver: when the state that has to outlive the process is saved without a command: every so often, for the counters that
 * advertisements have reached, and soon after the core has asked for it.
 */

import { SAVE_EVERY_MS } from "./counter-floor.ts";

/** The least time between two saves that the core asks for, and how many times longer it is than the last one took. */
const APART_MS = 50;
const APART_TIMES = 25;

export class Saver {
  readonly #save: () => Promise<unknown>;
  #periodic: NodeJS.Timeout | undefined;
  /** Runs for a while after a save that the core asked for; the next one waits. */
  #apart: NodeJS.Timeout | undefined;
  #again = false;
  #isStopped = false;

  /** @param save saves the state as it is, and never rejects */
  constructor(save: () => Promise<unknown>) {
    this.#save = save;
  }

  start(): void {
    this.#periodic = setInterval(() => void this.#save(), SAVE_EVERY_MS).unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#periodic);
    clearTimeout(this.#apart);
  }

  /**
   * Saves at once, or a while after the last such save: each goes through all interfaces, while hundreds of
   * them may be taking over.
   */
  soon(): void {
    if (this.#isStopped) return;
    if (this.#apart !== undefined) {
      this.#again = true;
      return;
    }
    this.#again = false;
    const beganMs = performance.now();
    void this.#save();
    const tookMs = performance.now() - beganMs;
    this.#apart = setTimeout(
      () => {
        this.#apart = undefined;
        if (this.#again) this.soon();
      },
      Math.max(APART_MS, APART_TIMES * tookMs),
    );
  }
}
