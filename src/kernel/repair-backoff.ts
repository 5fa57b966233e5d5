/**
 * RepairBackoff: backoff when another program keeps undoing a repair. The first repairs are allowed at once; after too
 * many in a short time there is one complaint, and they are spaced out until the other program stops. It only allows
 * or delays; it repairs nothing.
 */

const REPAIRS = 5;
const REPAIRS_WITHIN_MS = 10_000;
/** `ip address flush` deletes in rounds until nothing is left: it must not win by that. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = REPAIRS_WITHIN_MS / 2;

export interface RepairBackoffOptions {
  /** The carp interface or carpdev that is repaired. */
  readonly subject: string;
  readonly complain: (text: string) => void;
  /** Called when a repair that was not allowed may be tried again. */
  readonly again: () => void;
}

export class RepairBackoff {
  readonly #options: RepairBackoffOptions;
  /** Times of the latest repairs, in milliseconds of the monotonic clock. */
  #repairs: number[] = [];
  /** The least time between two repairs; 0: repairs are allowed at once. */
  #pauseMs = 0;
  #pause: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #complained = false;

  constructor(options: RepairBackoffOptions) {
    this.#options = options;
  }

  /** Whether a repair is delayed; `again` follows. */
  get waits(): boolean {
    return this.#pause !== undefined;
  }

  /** The least time between two repairs; 0: repairs are allowed at once. */
  get pauseMs(): number {
    return this.#pauseMs;
  }

  /**
   * @param what another program changed, in words; empty when it is not known that one did, as for a device that needs
   * several tries by itself: these are spaced out too, without a complaint
   * @returns whether to repair it now
   */
  allows(what: readonly string[]): boolean {
    if (this.waits) return false;
    const now = performance.now();
    this.#repairs = this.#repairs.filter((at) => now - at < REPAIRS_WITHIN_MS);
    if (this.#pauseMs === 0 && this.#repairs.length >= REPAIRS) {
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#expectQuiet();
    }
    if (this.#pauseMs > 0 && what.length > 0) this.#complainOnce(what);
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

  #complainOnce(what: readonly string[]): void {
    if (this.#complained) return;
    this.#complained = true;
    this.#options.complain(
      `${this.#options.subject}: changed again (${what.join("; ")}) after ${REPAIRS} repairs in ` +
        `${REPAIRS_WITHIN_MS / 1000} s: another program keeps changing it; it is repaired less often from now on`,
    );
  }

  #wait(ms: number): void {
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#options.again();
    }, Math.ceil(ms));
  }

  /** Ends the backoff after a time longer than any pause, in which another program would have changed it again. */
  #expectQuiet(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#repairs = [];
      this.#pauseMs = 0;
      if (!this.#complained) return;
      this.#complained = false;
      this.#options.complain(
        `${this.#options.subject}: left alone for ${REPAIRS_WITHIN_MS / 1000} s:` +
          " changes are undone at once again",
      );
    }, REPAIRS_WITHIN_MS);
    this.#quiet.unref();
  }
}
