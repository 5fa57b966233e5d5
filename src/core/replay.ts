/**
 * net.inet.carp.strict_replay: where every host draws its counters from a clock, a counter that does not increase
 * is a recorded advertisement. Kept for a bounded number of sources.
 */

const MAX_SOURCES = 256;

export class ReplayWindow {
  readonly #latest = new Map<string, bigint>();

  /** Remembers the counter if it is greater than every one this source sent before; if not, it is a replay. */
  isReplay(source: string, counter: bigint): boolean {
    const latest = this.#latest.get(source);
    if (latest !== undefined && counter <= latest) return true;
    this.#latest.delete(source);
    this.#latest.set(source, counter);
    if (this.#latest.size > MAX_SOURCES) {
      for (const oldest of this.#latest.keys()) {
        this.#latest.delete(oldest);
        break;
      }
    }
    return false;
  }
}
