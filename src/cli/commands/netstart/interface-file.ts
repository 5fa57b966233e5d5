/**
 * Turns the words of a hostname.carpN file into changes of its interface, by ifconfig's grammar. Every line that
 * cannot be read is reported; nothing is applied here.
 */

import { type FileStep, type ParameterLine, readHostnameFile } from "../../../config/hostname-file.ts";
import type { Complaint } from "../../../config/lines.ts";
import type { InterfaceChange } from "../../../control/messages.ts";
import { append, emptyDraft, finish } from "../../grammar/ifconfig/change-draft.ts";
import { type Entry, entriesOf, readLine } from "../../grammar/ifconfig/change-words.ts";
import { keywordOf } from "../../grammar/ifconfig/keywords.ts";
import { fileLookups, type Lookups } from "../../grammar/ifconfig/lookups.ts";
import { isRefusal, refuse } from "../../outcome.ts";

export type Step =
  /** Lines that follow one another, together: as a change, and as words for ifconfig, without `create`. */
  | { readonly kind: "parameters"; readonly change: InterfaceChange; readonly entries: readonly Entry[] }
  | Extract<FileStep, { kind: "command" }>;

export interface InterfaceFile {
  readonly steps: readonly Step[];
  /** All parameters of the file together. */
  readonly whole: InterfaceChange;
  /** The words of each line without the values of keywords, to find the line that a refusal is about. */
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
  const lines: ParameterLine[] = [];
  for (const step of file.steps) {
    if (step.kind === "command") {
      steps.push(step);
      continue;
    }
    const together = emptyDraft();
    const entries: Entry[] = [];
    for (const each of step.lines) {
      const isBeginning = steps.length === 0 && entries.length === 0;
      const line = isBeginning ? withoutBeginning(each) : each;
      const draft = await readParameters(name, line.words, lookups);
      if (isRefusal(draft)) {
        errors.push({ line: line.lines[draft.at ?? 0], message: draft.refusal });
        continue;
      }
      append(together, draft);
      append(whole, draft);
      const own = entriesOf(line.words);
      entries.push(...own.filter(({ keyword }) => keyword?.name !== "create"));
      lines.push({
        words: own.map(({ words: [word = ""] }) => word),
        lines: own.map(({ at }) => line.lines[at] ?? 0),
      });
      warnings.push(...draft.warnings.map((message) => ({ line: line.lines[0], message })));
    }
    const change = finish(together, name);
    if (isRefusal(change)) errors.push({ message: change.refusal });
    else steps.push({ kind: "parameters", change, entries });
  }
  const change = finish(whole, name);
  if (errors.length > 0) return { errors: byLine(errors) };
  if (isRefusal(change)) return { errors: [{ message: change.refusal }] };
  return { steps, whole: change, lines, warnings: byLine(warnings) };
}

/**
 * A file that begins with `destroy` and `create` stands for a new interface, and every file does: without a change of
 * identity the interface may go on as it is.
 */
function withoutBeginning({ words, lines }: ParameterLine): ParameterLine {
  const begin = words.findIndex((word) => word !== "destroy" && word !== "create");
  const from = begin < 0 ? words.length : begin;
  return { words: words.slice(from), lines: lines.slice(from) };
}

/** The rest of a pass that was not quoted must not be in a message. */
const BEHIND_PASS = "a word behind the pass is no parameter (a pass with blanks is quoted)";

function mayBeOfPass(words: readonly string[], at: number | undefined): boolean {
  const before = entriesOf(words).filter((each) => at !== undefined && each.at < at);
  const isParameter = at !== undefined && keywordOf(words[at] ?? "") !== undefined;
  return !isParameter && before.some(({ keyword }) => keyword?.name === "pass");
}

type ReadParameters = Awaited<ReturnType<typeof readLine>>;

async function readParameters(
  name: string,
  words: readonly string[],
  lookups: Lookups,
): Promise<ReadParameters> {
  const draft = await readLine(name, words, lookups);
  if (isRefusal(draft)) return mayBeOfPass(words, draft.at) ? { ...draft, ...refuse(BEHIND_PASS) } : draft;
  if (!draft.destroy) return draft;
  const at = entriesOf(words).find(({ keyword }) => keyword?.name === "destroy")?.at;
  return { ...refuse("destroy: only at the beginning of a file"), ...(at !== undefined && { at }) };
}

function byLine(complaints: readonly Complaint[]): Complaint[] {
  return complaints.toSorted(
    (a, b) => (a.line ?? Number.POSITIVE_INFINITY) - (b.line ?? Number.POSITIVE_INFINITY),
  );
}
