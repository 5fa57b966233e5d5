/** What is said about one configuration file while it is read and applied, and what came of it. */

import type { Complaint } from "../../control/files/lines.ts";
import { escaped } from "../../control/shown.ts";
import type { Setting } from "../setting.ts";

export class Report {
  readonly path: string;
  /** Whether it made a difference. */
  changed = false;
  readonly errors: Complaint[] = [];
  readonly #complain: Setting["complain"];

  constructor(path: string, setting: Pick<Setting, "complain">) {
    this.path = path;
    this.#complain = setting.complain;
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

  /** `FILE:LINE: MESSAGE`, as compilers say it. */
  #say({ line, message }: Complaint, kind: string): void {
    this.#complain(escaped(`${this.path}${line === undefined ? "" : `:${line}`}: ${kind}${message}`));
  }
}
