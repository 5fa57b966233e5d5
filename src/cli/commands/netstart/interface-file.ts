/**
 * Turns the words of a hostname.carpN file into changes of its interface, by ifconfig's grammar. Every line that
 * cannot be read is reported; nothing is applied here.
 */

import { type FileStep, type ParameterLine, readHostnameFile } from "../../../config/hostname-file.ts";
import type { Complaint } from "../../../config/lines.ts";
import type { InterfaceChange } from "../../../control/messages.ts";
import { append, type ChangeDraft, emptyDraft, finish } from "../../grammar/ifconfig/change-draft.ts";
import { readLine } from "../../grammar/ifconfig/change-words.ts";
import { fileLookups, type Lookups } from "../../grammar/ifconfig/lookups.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";

export type Step =
  /** Lines that follow one another, together: as a change, and as words for ifconfig. */
  | { readonly kind: "parameters"; readonly change: InterfaceChange; readonly words: readonly string[] }
  | Extract<FileStep, { kind: "command" }>;

export interface InterfaceFile {
  readonly steps: readonly Step[];
  /** All parameters of the file together. */
  readonly whole: InterfaceChange;
  /** The words of each line, to find the line that a refusal is about. */
  readonly lines: readonly ParameterLine[];
  readonly warnings: readonly Complaint[];
}

export async function readInterfaceFile(
  bytes: Buffer,
  name: string,
  lookups: Lookups = fileLookups,
): Promise<InterfaceFile | { readonly errors: readonly Complaint[] }> {
  const file = readHostnameFile(bytes, name);
  const warnings = [...file.warnings];
  const errors = [...file.errors];
  const steps: Step[] = [];
  const whole = emptyDraft();
  for (const step of file.steps) {
    if (step.kind === "command") {
      steps.push(step);
      continue;
    }
    const together = emptyDraft();
    for (const { line, words } of step.lines) {
      const draft = await readParameters(name, words, lookups);
      if (isRefusal(draft)) {
        errors.push({ line, message: draft.refusal });
        continue;
      }
      append(together, draft);
      append(whole, draft);
      warnings.push(...draft.warnings.map((message) => ({ line, message })));
    }
    const change = finish(together, name);
    const words = step.lines.flatMap((line) => line.words.filter((word) => word !== "create"));
    if (isRefusal(change)) errors.push({ message: change.refusal });
    else steps.push({ kind: "parameters", change, words });
  }
  const change = finish(whole, name);
  if (errors.length > 0) return { errors: byLine(errors) };
  if (isRefusal(change)) return { errors: [{ message: change.refusal }] };
  const lines = file.steps.flatMap((step) => (step.kind === "parameters" ? step.lines : []));
  return { steps, whole: change, lines, warnings: byLine(warnings) };
}

async function readParameters(
  name: string,
  words: readonly string[],
  lookups: Lookups,
): Promise<ChangeDraft | Refusal> {
  const draft = await readLine(name, words, lookups);
  return !isRefusal(draft) && draft.destroy ? refuse("destroy: not allowed in a file") : draft;
}

function byLine(complaints: readonly Complaint[]): Complaint[] {
  return complaints.toSorted(
    (a, b) => (a.line ?? Number.POSITIVE_INFINITY) - (b.line ?? Number.POSITIVE_INFINITY),
  );
}
