/**
 * Slices: handles things in the order they came, a few milliseconds of them in a turn of the event loop, so that
 * thousands at once keep it neither from timers nor from packets.
 */

/** The longest slice, but for the last thing handled in it. */
const SLICE_MS = 2;

export class Slices<T> {
  readonly #handle: (each: T) => void;
  readonly #start: (first: () => void) => void;
  readonly #waiting = new Set<T>();
  #isStarted = false;

  /** @param start calls back for the first slice: in this turn (queueMicrotask) or in the next one (setImmediate) */
  constructor(handle: (each: T) => void, start: (first: () => void) => void) {
    this.#handle = handle;
    this.#start = start;
  }

  /** What waits already keeps its place. */
  add(each: T): void {
    this.#waiting.add(each);
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#start(() => this.#slice());
  }

  delete(each: T): void {
    this.#waiting.delete(each);
  }

  clear(): void {
    this.#waiting.clear();
  }

  #slice(): void {
    const untilMs = performance.now() + SLICE_MS;
    for (const each of this.#waiting) {
      this.#waiting.delete(each);
      this.#handle(each);
      if (performance.now() >= untilMs) break;
    }
    this.#isStarted = this.#waiting.size > 0;
    if (this.#isStarted) setImmediate(() => this.#slice());
  }
}
