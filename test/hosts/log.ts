/**
 * The lines a process writes, as they come, and waiting for one of them. Waiting never polls and never sleeps.
 */

export interface LogLine {
  readonly text: string;
  /** performance.now() when it was read. */
  readonly atMs: number;
}

export interface WaitOptions {
  /** Lines before this one do not count. 0: also what was written before the call. */
  readonly from?: number;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export const DEFAULT_TIMEOUT_MS = 30_000;

export class Log {
  readonly lines: LogLine[] = [];
  readonly #name: string;
  readonly #waiting = new Set<() => void>();
  #partial = "";
  #ended = false;

  constructor(name: string) {
    this.#name = name;
  }

  /** What to pass as `from` to wait for what comes after now. */
  get length(): number {
    return this.lines.length;
  }

  append(chunk: string): void {
    const pieces = (this.#partial + chunk).split("\n");
    this.#partial = pieces.pop() ?? "";
    for (const text of pieces) this.lines.push({ text, atMs: performance.now() });
    this.#wake();
  }

  /** The process closed it: whoever waits for a line that has not come by now waits in vain. */
  end(): void {
    if (this.#partial !== "") this.append("\n");
    this.#ended = true;
    this.#wake();
  }

  waitFor(
    pattern: RegExp,
    { from = 0, timeoutMs = DEFAULT_TIMEOUT_MS, signal }: WaitOptions = {},
  ): Promise<LogLine> {
    let next = from;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle();
      };
      const fail = (why: string) =>
        finish(() => reject(new Error(`${this.#name}: ${why} ${pattern}\n${this}`)));
      const look = () => {
        for (; next < this.lines.length; next += 1) {
          const line = this.lines[next] as LogLine;
          if (pattern.test(line.text)) return finish(() => resolve(line));
        }
        if (this.#ended) fail("ended without");
      };
      const timer = setTimeout(() => fail(`not within ${timeoutMs} ms:`), timeoutMs);
      signal?.addEventListener("abort", () => finish(() => reject(signal.reason)), { once: true });
      this.#waiting.add(look);
      look();
    });
  }

  toString(): string {
    const lines = this.lines.map(({ text, atMs }) => `  ${(atMs / 1000).toFixed(3)} ${text}`);
    return [`--- ${this.#name}, ${lines.length} lines:`, ...lines].join("\n");
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}
