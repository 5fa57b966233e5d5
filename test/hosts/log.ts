/**
 * Log: the lines that a process writes, and waiting for one that matches a pattern. Waiting never polls.
 */

export interface LogLine {
  readonly text: string;
  /** performance.now() when the line was read. */
  readonly atMs: number;
}

export interface WaitOptions {
  /** Number of the first line that counts. 0: also lines from before the call. */
  readonly from?: number;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A machine that is emulated takes several times as long: the variable tells how many. */
export const DEFAULT_TIMEOUT_MS = 60_000 * Number(process.env.CARPCTL_TEST_PATIENCE ?? 1);

export class Log {
  readonly lines: LogLine[] = [];
  readonly #name: string;
  readonly #waiting = new Set<() => void>();
  /** The beginning of a line that is not complete, of each stream: none ends another one's. */
  readonly #partial = { stdout: "", stderr: "" };
  #ended = false;

  constructor(name: string) {
    this.#name = name;
  }

  /** The number of lines: as `from` it waits for a line that comes after now. */
  get length(): number {
    return this.lines.length;
  }

  append(chunk: string, stream: "stdout" | "stderr" = "stdout"): void {
    const pieces = (this.#partial[stream] + chunk).split("\n");
    this.#partial[stream] = pieces.pop() ?? "";
    for (const text of pieces) this.lines.push({ text, atMs: performance.now() });
    this.#wake();
  }

  /** The process has closed its output: waits for further lines fail. */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const)
      if (this.#partial[stream] !== "") this.append("\n", stream);
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
