/** `help`: everything, or the help of one word, from the same tables as `--help`. */

import { printable } from "../../control/printable.ts";
import { SYSCTL_VARIABLES } from "../../control/variables.ts";
import { TOPICS as FINDINGS, type FoundTopic } from "../../topics/topics.ts";
import { everyWord } from "../grammar/ifconfig/keywords.ts";
import { suggestion } from "../grammar/suggestion.ts";
import { commandsHelp, verbHelp } from "../grammar/verb-parser.ts";
import { VERB_NAMES, VERBS } from "../grammar/verbs.ts";
import { done, type Outcome, refused } from "../outcome.ts";
import { columns, parametersHelp, ROWS } from "../show/parameters-help.ts";
import { wrapped } from "../show/table.ts";
import { variableHelp, variablesHelp } from "../show/variables-help.ts";

/** Topics besides the words of the tables. */
const CHAPTERS = {
  ifconfig: ifconfigHelp,
  parameters: ifconfigHelp,
  variables: () => `${variablesHelp()}\n`,
};

export const TOPICS: readonly string[] = [
  ...VERB_NAMES,
  ...Object.keys(CHAPTERS),
  ...everyWord(),
  ...SYSCTL_VARIABLES.map(({ name }) => name),
  ...FINDINGS.keys(),
];

export async function helpOn(topic: string | undefined): Promise<Outcome> {
  if (topic === undefined) return done(await commandsHelp(parametersHelp()));
  if (Object.hasOwn(CHAPTERS, topic)) return done(CHAPTERS[topic as keyof typeof CHAPTERS]());
  const finding = FINDINGS.get(topic);
  if (finding !== undefined) return done(findingHelp(topic, finding));
  const verb = VERBS.find(({ names }) => names.includes(topic));
  if (verb !== undefined) return done(verbHelp(verb));
  const lines = [
    ...columns(ROWS.filter(([words]) => words.split(/[^A-Za-z0-9-]+/).includes(topic))),
    ...SYSCTL_VARIABLES.filter(({ name }) => `${name}.`.startsWith(`${topic}.`)).flatMap(variableHelp),
  ];
  if (lines.length > 0) return done(`${lines.join("\n")}\n`);
  return refused(
    `help ${printable(topic)}: no such command, parameter, variable or finding${suggestion(topic, TOPICS)}`,
  );
}

function ifconfigHelp(): string {
  return `usage: carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]\n\n${parametersHelp()}\n`;
}

const LEVELS = { error: "an error", warning: "a warning", unknown: "not known" } as const;

function findingHelp(name: string, { level, by, meaning }: FoundTopic): string {
  return `${[`${name}: ${LEVELS[level]}, in ${by}`, ...wrapped(meaning, 80)].join("\n")}\n`;
}
