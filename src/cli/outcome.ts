/**
 * The outcome of a command as a value: the text to print, or why the command was refused. Only command-line.ts
 * turns it into output and an exit status.
 */

import { escapeControlsInJson } from "../control/printable.ts";

export { isRefusal, type Refusal, refuse } from "../control/refusal.ts";

export type Outcome =
  | { readonly kind: "done"; readonly output: string; readonly warnings?: readonly string[] | undefined }
  /** The engine ran in this process and has ended. */
  | { readonly kind: "exited"; readonly status: number }
  /** Exit status 1: done in part, or with bad findings, all of which have been printed. */
  | { readonly kind: "failed"; readonly output: string }
  /** Exit status 1, `carpctl: MESSAGE`. */
  | { readonly kind: "refused"; readonly message: string }
  /** Exit status 2: the words are not a command. `usage` is one line, without `usage: `. */
  | { readonly kind: "misused"; readonly usage: string; readonly message?: string | undefined };

export function done(output = "", warnings: readonly string[] = []): Outcome {
  return { kind: "done", output, warnings };
}

/** The output of `--json`: one indented document. */
export function jsonText(value: unknown): string {
  return `${escapeControlsInJson(JSON.stringify(value, undefined, 2))}\n`;
}

export function json(value: unknown): Outcome {
  return done(jsonText(value));
}

export function refused(message: string): Outcome {
  return { kind: "refused", message };
}

export function misused(usage: string, message?: string): Outcome {
  return { kind: "misused", usage, message };
}
