/**
 * Schedule: runs each of several things by itself, so many milliseconds after its last start, or when it has ended
 * where that takes longer. No run waits for that of another.
 */

interface Entry {
  everyMs: number;
  /** undefined: it has not been run yet. */
  startedMs?: number;
  timer?: NodeJS.Timeout | undefined;
  running?: Promise<void> | undefined;
  hasEnded: boolean;
  isSlow: boolean;
}

export class Schedule {
  readonly #run: (name: string) => Promise<void>;
  readonly #entries = new Map<string, Entry>();

  constructor(run: (name: string) => Promise<void>) {
    this.#run = run;
  }

  /** These are run, and no others; what is new is run at once. */
  set(all: readonly { readonly file: string; readonly everyMs: number }[]): void {
    const files = new Set(all.map(({ file }) => file));
    for (const file of this.#entries.keys()) if (!files.has(file)) this.remove(file);
    for (const { file, everyMs } of all) this.change(file, everyMs);
  }

  change(file: string, everyMs: number): void {
    const known = this.#entries.get(file);
    if (known === undefined) {
      const entry: Entry = { everyMs, hasEnded: false, isSlow: false };
      this.#entries.set(file, entry);
      this.#start(file, entry);
    } else if (known.everyMs !== everyMs) {
      known.everyMs = everyMs;
      known.isSlow = false;
      if (known.running === undefined) this.#wait(file, known);
    }
  }

  remove(file: string): void {
    clearTimeout(this.#entries.get(file)?.timer);
    this.#entries.delete(file);
  }

  stop(): void {
    for (const file of [...this.#entries.keys()]) this.remove(file);
  }

  /** Resolves when each has been run once. */
  async firstRuns(): Promise<void> {
    const first = [...this.#entries.values()].filter(({ hasEnded }) => !hasEnded);
    await Promise.all(first.map(({ running }) => running));
  }

  /** Notes that it takes longer than its interval. @returns whether that is new */
  noteSlow(file: string): boolean {
    const entry = this.#entries.get(file);
    if (entry === undefined || entry.isSlow) return false;
    entry.isSlow = true;
    return true;
  }

  #start(file: string, entry: Entry): void {
    entry.startedMs = performance.now();
    entry.timer = undefined;
    entry.running = this.#run(file).finally(() => {
      entry.running = undefined;
      entry.hasEnded = true;
      if (this.#entries.get(file) === entry) this.#wait(file, entry);
    });
  }

  #wait(file: string, entry: Entry): void {
    clearTimeout(entry.timer);
    const delayMs = Math.max(0, (entry.startedMs ?? 0) + entry.everyMs - performance.now());
    entry.timer = setTimeout(() => this.#start(file, entry), delayMs).unref();
  }
}
