/**
 * How often one thing is put right that somebody else keeps changing: at once, until that has been so often in so short
 * a time that another program must be behind it; then less and less often, with one complaint, until it is left alone.
 * Whoever puts things right asks here first; nothing here changes anything.
 */

const REPAIRS = 5;
const REPAIRS_WITHIN_MS = 10_000;
/** `ip address flush` deletes in rounds until nothing is left: it must not win by that. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = REPAIRS_WITHIN_MS / 2;

export interface QuarrelOptions {
  /** What is being changed: a carp interface, a carpdev. */
  readonly subject: string;
  readonly complain: (text: string) => void;
  /** Called when what was not allowed may be tried again. */
  readonly again: () => void;
}

export class Quarrel {
  readonly #options: QuarrelOptions;
  /** In milliseconds of the monotonic clock. */
  #repairs: number[] = [];
  /** What passes between two repairs at least; 0: there is no quarrel. */
  #pauseMs = 0;
  #pause: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;

  constructor(options: QuarrelOptions) {
    this.#options = options;
  }

  /** Nothing is put right before `again` is called. */
  get waits(): boolean {
    return this.#pause !== undefined;
  }

  /** @param what somebody else did, in words; may be empty. @returns whether to put it right now */
  allows(what: readonly string[]): boolean {
    if (this.waits) return false;
    const now = performance.now();
    this.#repairs = this.#repairs.filter((at) => now - at < REPAIRS_WITHIN_MS);
    if (this.#pauseMs === 0 && this.#repairs.length >= REPAIRS) this.#begin(what);
    const dueMs = (this.#repairs.at(-1) ?? 0) + this.#pauseMs;
    if (this.#pauseMs > 0 && now < dueMs) {
      this.#wait(dueMs - now);
      return false;
    }
    this.#repairs.push(now);
    if (this.#pauseMs > 0) {
      this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
      this.#expectQuiet();
    }
    return true;
  }

  close(): void {
    clearTimeout(this.#pause);
    clearTimeout(this.#quiet);
  }

  #begin(what: readonly string[]): void {
    const last = what.length > 0 ? ` (${what.join("; ")})` : "";
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#expectQuiet();
    this.#options.complain(
      `${this.#options.subject}: changed again${last} after ${REPAIRS} repairs in ${REPAIRS_WITHIN_MS / 1000} s:` +
        " somebody else keeps changing it; it is put right less often from now on",
    );
  }

  #wait(ms: number): void {
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#options.again();
    }, Math.ceil(ms));
  }

  /** Longer than any pause: by then somebody would have changed it again. */
  #expectQuiet(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#repairs = [];
      this.#pauseMs = 0;
      this.#options.complain(
        `${this.#options.subject}: left alone for ${REPAIRS_WITHIN_MS / 1000} s:` +
          " what somebody changes is put right at once again",
      );
    }, REPAIRS_WITHIN_MS);
    this.#quiet.unref();
  }
}
