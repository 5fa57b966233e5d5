/**
 * Shortens what a failed test or check prints to what a person can read at once, and keeps the whole of it in
 * a file that the short form names. The files outlive the run; without a failure there are none.
 */

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";

export const LINE_LIMIT = 60;
/** In characters; a longer line loses its middle. */
export const WIDTH_LIMIT = 400;
const CONTEXT_LINES = 3;
const FRAME_LIMIT = 5;

interface TestFailure {
  readonly name: string;
  readonly details: { readonly error: Error };
}

export class FailureReport {
  readonly #parent: string;
  #directory: string | undefined;
  #files = 0;

  /** @param parent directory for a directory with the whole texts */
  constructor(parent: string) {
    this.#parent = parent;
  }

  /** Replaces the error of a failed test by one that a reporter prints in at most LINE_LIMIT lines. */
  shorten<T extends TestFailure>(data: T): T {
    const { error } = data.details;
    // A test file's process hands the test's own error over as a cause.
    const { cause = error, failureType } = error as Error & { failureType?: string };
    if (failureType === "subtestsFailed") return data;
    const whole = inspect(cause, {
      depth: 20,
      maxArrayLength: null,
      maxStringLength: null,
      breakLength: 110,
    });
    const text = this.#short(data.name, cause instanceof Error ? summaryOf(cause) : whole.split("\n"), whole);
    const short = { [inspect.custom]: () => text };
    return {
      ...data,
      details: { ...data.details, error: Object.assign(new Error(text), { ...error, cause: short }) },
    };
  }

  /** The output of a failed check in at most LINE_LIMIT lines. */
  shortenOutput(name: string, output: string): string {
    return this.#short(name, output.trimEnd().split("\n"), output);
  }

  #short(name: string, lines: readonly string[], whole: string): string {
    const all = whole.split("\n");
    if (all.length <= LINE_LIMIT && all.every((line) => line.length <= WIDTH_LIMIT)) return whole;
    const short = excerpt(lines, LINE_LIMIT - 1).map(clipped);
    return [...short, `The whole text: ${this.#keep(name, whole)}`].join("\n");
  }

  #keep(name: string, whole: string): string {
    this.#directory ??= mkdtempSync(join(this.#parent, "carpctl-test-failures-"));
    this.#files += 1;
    const words = name.replaceAll(/[^A-Za-z0-9]+/g, "-").slice(0, 60);
    const path = join(this.#directory, `${this.#files}-${words}.txt`);
    writeFileSync(path, `${name}\n\n${whole}\n`);
    return path;
  }
}

/** The message, and where in this tree it was thrown. */
function summaryOf(error: Error): string[] {
  const { name, message, stack = "" } = error;
  const frames = stack.split("\n").filter((line) => /^ +at /.test(line) && !line.includes("node:"));
  const [first = "", ...rest] = `${name}: ${message}`.split("\n");
  const lines = [first, ...(differenceOf(error) ?? rest)];
  return [...excerpt(lines, LINE_LIMIT - 1 - FRAME_LIMIT), ...frames.slice(0, FRAME_LIMIT)];
}

/** The first difference of two long texts, of which Node prints only the beginnings. */
function differenceOf(error: Error): string[] | undefined {
  const { actual, expected } = error as Error & { actual?: unknown; expected?: unknown };
  if (typeof actual !== "string" || typeof expected !== "string" || actual === expected) return undefined;
  if (actual.length + expected.length <= WIDTH_LIMIT) return undefined;
  let at = 0;
  while (actual[at] === expected[at]) at += 1;
  const line = actual.slice(0, at).split("\n").length;
  const around = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 60), at + 120));
  return [
    `the first difference is in line ${line}, after ${at} characters:`,
    `+ ${around(actual)}`,
    `- ${around(expected)}`,
  ];
}

function clipped(line: string): string {
  if (line.length <= WIDTH_LIMIT) return line;
  const half = WIDTH_LIMIT / 2 - 20;
  return `${line.slice(0, half)}... ${line.length - 2 * half} characters ...${line.slice(-half)}`;
}

/**
 * Shortens a text: of a long comparison it keeps the lines that differ and their neighbours, of other texts
 * the beginning and the end.
 */
function excerpt(lines: readonly string[], limit: number): string[] {
  if (lines.length <= limit) return [...lines];
  const differing = lines.flatMap((line, n) => (/^\s*[+-] /.test(line) ? [n] : []));
  const wanted = differing.length > 0 ? around(differing) : () => true;
  const head = differing.length > 0 ? limit : Math.floor(limit / 3);
  const tail = lines.length - (limit - head);
  const result: string[] = [];
  let skipped = 0;
  const mark = () => {
    if (skipped > 0) result.push(`... ${skipped} lines`);
    skipped = 0;
  };
  for (const [n, line] of lines.entries()) {
    // Room for this line, a mark before it and a mark after it.
    if ((wanted(n) && result.length < head - 2) || n > tail) {
      mark();
      result.push(line);
    } else skipped += 1;
  }
  mark();
  return result;
}

function around(numbers: readonly number[]): (n: number) => boolean {
  const near = new Set(
    numbers.flatMap((n) => Array.from({ length: 2 * CONTEXT_LINES + 1 }, (_, i) => n + i - CONTEXT_LINES)),
  );
  return (n) => n === 0 || near.has(n);
}
