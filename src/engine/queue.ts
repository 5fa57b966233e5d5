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
    this.#take(event);
  }

  /** Runs the work in its place among the events. */
  run(work: () => void): void {
    this.#take(work);
  }

  #take(next: E | (() => void)): void {
    // Most come alone, and the array would take memory anew for each of them.
    const isAlone = !this.#isBusy && this.#waiting.length === 0;
    if (!isAlone) this.#waiting.push(next);
    if (this.#isBusy) return;
    this.#isBusy = true;
    let taken = 0;
    try {
      if (isAlone) this.#do(next);
      while (taken < this.#waiting.length) this.#do(this.#waiting[taken++] as E | (() => void));
    } finally {
      // When one of them throws, the others are handled with the next event. To set the length of an array takes longer than
      // to take the few that there are from its end.
      if (taken < this.#waiting.length) this.#waiting.splice(0, taken);
      else while (this.#waiting.length > 0) this.#waiting.pop();
      this.#isBusy = false;
    }
  }

  #do(next: E | (() => void)): void {
    if (typeof next === "function") next();
    else this.#handle(next);
  }
}
