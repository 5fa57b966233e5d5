/** `sysctl`: reads and sets the engine's variables, several in one call, all of them or none. */

import { readSysctlWord, type SysctlWord } from "../../config/sysctl-word.ts";
import type { Connection } from "../../control/client.ts";
import type { Sysctl, SysctlChange } from "../../control/messages.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { done, isRefusal, json, type Outcome, refused } from "../outcome.ts";

export interface SysctlOptions {
  readonly all: boolean;
  /** `-n`: values without names. */
  readonly bare: boolean;
  /** `-q`: no output for variables that were set. */
  readonly quiet: boolean;
}

type Step = SysctlWord;
type Answer = Sysctl | SysctlChange;

export function runSysctl(
  words: readonly string[],
  options: SysctlOptions,
  context: CommandContext,
): Promise<Outcome> {
  return options.all ? runSteps([{ name: "net" }], options, context) : runWords(words, options, context);
}

async function runWords(
  words: readonly string[],
  options: SysctlOptions,
  context: CommandContext,
): Promise<Outcome> {
  const steps: Step[] = [];
  for (const word of words) {
    const step = readSysctlWord(word);
    if (isRefusal(step)) return refused(step.refusal);
    steps.push(step);
  }
  return runSteps(steps, options, context);
}

function runSteps(steps: readonly Step[], options: SysctlOptions, context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    const answers = await answersTo(engine, steps);
    if (context.options.json) return json(answers);
    return done(answers.map((answer) => answerText(answer, options)).join(""));
  });
}

/**
 * An unknown name is refused before anything is set. A name behind a NAME=VALUE is read after that is set.
 */
async function answersTo(engine: Connection, steps: readonly Step[]): Promise<Answer[]> {
  const read = ({ name }: Step) => engine.call("sysctl-get", { names: [name] });
  const before: (readonly Answer[])[] = [];
  for (const step of steps) before.push(await read(step));
  const writes = steps.flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value }]));
  if (writes.length === 0) return before.flat();
  const changes = await engine.call("sysctl-set", { writes });
  const firstWrite = steps.findIndex(({ value }) => value !== undefined);
  const answers: Answer[] = [];
  let written = 0;
  for (const [at, step] of steps.entries()) {
    if (at < firstWrite) answers.push(...(before[at] ?? []));
    else if (step.value === undefined) answers.push(...(await read(step)));
    else answers.push(...changes.slice(written, ++written));
  }
  return answers;
}

function answerText(answer: Answer, { bare, quiet }: SysctlOptions): string {
  if ("value" in answer) return bare ? `${answer.value}\n` : `${answer.name}=${answer.value}\n`;
  if (quiet) return "";
  const change = `${answer.from} -> ${answer.to}\n`;
  return bare ? change : `${answer.name}: ${change}`;
}
