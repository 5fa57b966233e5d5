/** `sysctl`: reading and setting the engine's variables, several in one call, all of them or none. */

import type { Connection } from "../control/client.ts";
import type { Sysctl, SysctlChange } from "../control/messages.ts";
import { readSysctlWord, type SysctlWord } from "../control/sysctl-word.ts";
import { done, isRefusal, json, type Outcome, refused } from "./outcome.ts";
import { type Setting, withEngine } from "./setting.ts";

export interface SysctlOptions {
  readonly all: boolean;
  /** `-n`: values without names. */
  readonly bare: boolean;
  /** `-q`: nothing about what was set. */
  readonly quiet: boolean;
}

type Step = SysctlWord;
type Answer = Sysctl | SysctlChange;

export function runSysctl(
  words: readonly string[],
  options: SysctlOptions,
  setting: Setting,
): Promise<Outcome> {
  return options.all ? runSteps([{ name: "net" }], options, setting) : runWords(words, options, setting);
}

async function runWords(
  words: readonly string[],
  options: SysctlOptions,
  setting: Setting,
): Promise<Outcome> {
  const steps: Step[] = [];
  for (const word of words) {
    const step = readSysctlWord(word);
    if (isRefusal(step)) return refused(step.refusal);
    steps.push(step);
  }
  return runSteps(steps, options, setting);
}

function runSteps(steps: readonly Step[], options: SysctlOptions, setting: Setting): Promise<Outcome> {
  return withEngine(setting, async (engine) => {
    const answers = await answersTo(engine, steps);
    if (setting.options.json) return json(answers);
    return done(answers.map((answer) => answerText(answer, options)).join(""));
  });
}

/** A name that does not exist is refused before anything is set. What stands behind a value is read after it is set. */
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
