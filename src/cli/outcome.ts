/**
 * What a command comes to, as a value: the text it prints, or why it did not do what it was asked. Only program.ts
 * turns it into output and an exit status.
 */

export { isRefusal, type Refusal, refuse } from "../control/refusal.ts";

export type Outcome =
  | { readonly kind: "done"; readonly output: string; readonly warnings?: readonly string[] | undefined }
  /** The engine ran in this process and has ended. */
  | { readonly kind: "exited"; readonly status: number }
  /** Exit status 1: some of it was done, or what was found is bad, and all about it has been said. */
  | { readonly kind: "failed"; readonly output: string }
  /** Exit status 1, `carpctl: MESSAGE`. */
  | { readonly kind: "refused"; readonly message: string }
  /** Exit status 2: the words make no command. `usage` is one line, without `usage: `. */
  | { readonly kind: "misused"; readonly usage: string; readonly message?: string | undefined };

export function done(output = "", warnings: readonly string[] = []): Outcome {
  return { kind: "done", output, warnings };
}

/** What `--json` prints: indented, one document. */
export function json(value: unknown): Outcome {
  return done(`${JSON.stringify(value, undefined, 2)}\n`);
}

export function refused(message: string): Outcome {
  return { kind: "refused", message };
}

export function misused(usage: string, message?: string): Outcome {
  return { kind: "misused", usage, message };
}
