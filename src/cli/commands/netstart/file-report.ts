/**
 * The complaints about one configuration file, printed while it is read and applied, and whether it changed
 * anything.
 */

import type { Complaint } from "../../../config/lines.ts";
import { escapeControls } from "../../../control/printable.ts";
import type { CommandContext } from "../../context.ts";

export class FileReport {
  readonly path: string;
  /** Whether applying it changed anything. */
  changed = false;
  readonly errors: Complaint[] = [];
  readonly #complain: CommandContext["complain"];

  constructor(path: string, context: Pick<CommandContext, "complain">) {
    this.path = path;
    this.#complain = context.complain;
  }

  fail(...errors: readonly Complaint[]): void {
    this.errors.push(...errors);
    for (const error of errors) this.#say(error, "");
  }

  warn(...warnings: readonly Complaint[]): void {
    for (const warning of warnings) this.#say(warning, "warning: ");
  }

  toJSON(): unknown {
    const errors = this.errors.map(({ line = null, message }) => ({ line, message }));
    return { file: this.path, changed: this.changed, errors };
  }

  /** `FILE:LINE: MESSAGE`, as compilers print it. */
  #say({ line, message }: Complaint, kind: string): void {
    this.#complain(escapeControls(`${this.path}${line === undefined ? "" : `:${line}`}: ${kind}${message}`));
  }
}
