/**
 * EventQueue: the engine's one queue. An event or command is handled only when the effects of the one before
 * it are performed; events reported meanwhile wait here. Nothing re-enters the core or the performer.
 */

export class EventQueue<E extends object> {
  readonly #handle: (event: E) => void;
  readonly #waiting: (E | (() => void))[] = [];
  #isBusy = false;

  /** @param handle handles an event and performs its effects */
  constructor(handle: (event: E) => void) {
    this.#handle = handle;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Handles the event now, or after the one that is being handled. */
  push(event: E): void {
    this.#waiting.push(event);
    if (!this.#isBusy) this.#drain();
  }

  /** Runs the work in its place among the events. */
  run(work: () => void): void {
    this.#waiting.push(work);
    if (!this.#isBusy) this.#drain();
  }

  #drain(): void {
    this.#isBusy = true;
    let taken = 0;
    try {
      for (; taken < this.#waiting.length; ) {
        const next = this.#waiting[taken++] as E | (() => void);
        if (typeof next === "function") next();
        else this.#handle(next);
      }
    } finally {
      // When one of them throws, the others are handled with the next event.
      if (taken === this.#waiting.length) this.#waiting.length = 0;
      else this.#waiting.splice(0, taken);
      this.#isBusy = false;
    }
  }
}
