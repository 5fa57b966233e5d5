/**
 * Sequence: runs the steps of one carp interface strictly one after the other. A step runs at once while no
 * step before it waits for the kernel, so that an advertisement of a quiet interface leaves without delay.
 * Uses no promises, so that the simulator can run it in simulated time.
 */

/** A step that takes time. It calls `done` exactly once, before it returns or later. */
export type SlowStep = (done: () => void) => void;

export class Sequence {
  /** Runs the steps after a slow one that finished later; nothing else may run meanwhile. */
  readonly #enter: (work: () => void) => void;
  readonly #waiting: { readonly step: SlowStep; readonly isSlow: boolean }[] = [];
  #isBusy = false;
  #idle: (() => void)[] = [];

  constructor(enter: (work: () => void) => void) {
    this.#enter = enter;
  }

  get isIdle(): boolean {
    return !this.#isBusy;
  }

  /** Adds a step that is done when it returns. */
  push(step: () => void): void {
    if (this.#isBusy) this.#waiting.push({ step, isSlow: false });
    else step();
  }

  /** Adds a step that the following ones wait for until it calls `done`. */
  pushSlow(step: SlowStep): void {
    this.#waiting.push({ step, isSlow: true });
    if (!this.#isBusy) this.#proceed();
  }

  /** Calls back when every step pushed so far is done, and every step that those push. */
  whenIdle(callback: () => void): void {
    if (this.#isBusy) this.#idle.push(callback);
    else callback();
  }

  #proceed(): void {
    this.#isBusy = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (!next.isSlow) next.step(() => {});
      else if (!this.#finishesNow(next.step)) return;
    }
    this.#isBusy = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const callback of idle) callback();
  }

  /**
   * Runs a slow step.
   *
   * @returns whether it called `done` already; if not, the sequence goes on when it does
   */
  #finishesNow(step: SlowStep): boolean {
    let isFinished = false;
    let hasReturned = false;
    step(() => {
      if (isFinished) throw new Error("a step finished twice");
      isFinished = true;
      if (hasReturned) this.#enter(() => this.#proceed());
    });
    hasReturned = true;
    return isFinished;
  }
}
