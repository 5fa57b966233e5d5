/** `help`: everything, or the help of one word, from the same tables as `--help`. */

import { printable } from "../../control/printable.ts";
import { SYSCTL_VARIABLES } from "../../control/variables.ts";
import { TOPICS as FINDINGS, GROUPS, type NamedTopic } from "../../topics/topics.ts";
import { everyWord } from "../grammar/ifconfig/keywords.ts";
import { suggestion } from "../grammar/suggestion.ts";
import { commandsHelp, verbHelp } from "../grammar/verb-parser.ts";
import { VERB_NAMES, VERBS } from "../grammar/verbs.ts";
import { done, type Outcome, refused } from "../outcome.ts";
import { columns, parametersHelp, ROWS } from "../show/parameters-help.ts";
import { wrapped } from "../show/table.ts";
import { variableHelp, variablesHelp } from "../show/variables-help.ts";

const WIDTH = 80;

/** Topics besides the words of the tables. */
const CHAPTERS = {
  ifconfig: ifconfigHelp,
  parameters: ifconfigHelp,
  variables: () => `${variablesHelp()}\n`,
  findings: () => `${findingsHelp()}\n`,
};

export const TOPICS: readonly string[] = [
  ...VERB_NAMES,
  ...Object.keys(CHAPTERS),
  ...everyWord(),
  ...SYSCTL_VARIABLES.map(({ name }) => name),
  ...FINDINGS.keys(),
];

export async function helpOn(topic: string | undefined): Promise<Outcome> {
  if (topic === undefined) return done(await commandsHelp(`${parametersHelp()}\n\n${findingsHelp()}`));
  if (Object.hasOwn(CHAPTERS, topic)) return done(CHAPTERS[topic as keyof typeof CHAPTERS]());
  const finding = FINDINGS.get(topic);
  if (finding !== undefined) return done(findingHelp(finding));
  const verb = VERBS.find(({ names }) => names.includes(topic));
  if (verb !== undefined) return done(verbHelp(verb));
  const lines = [
    ...columns(ROWS.filter(([words]) => words.split(/[^A-Za-z0-9-]+/).includes(topic))),
    ...SYSCTL_VARIABLES.filter(({ name }) => `${name}.`.startsWith(`${topic}.`)).flatMap(variableHelp),
  ];
  if (lines.length > 0) return done(`${lines.join("\n")}\n`);
  // A cause of a wrong digest, as --json has it.
  const cause = FINDINGS.get(`digest-${topic}`);
  if (cause !== undefined) return done(findingHelp(cause));
  return refused(
    `help ${printable(topic)}: no such command, parameter, variable or finding${suggestion(topic, TOPICS)}`,
  );
}

function ifconfigHelp(): string {
  return `usage: carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]\n\n${parametersHelp()}\n`;
}

const LEVELS = { error: "an error of", warning: "a warning of", unknown: "unknown to" } as const;

function findingHelp({ name, level, by, meaning, see, todo }: NamedTopic): string {
  const part = (title: string, text: string) => {
    const [first = "", ...rest] = wrapped(withWholeCommands(text), WIDTH, "     ");
    return [`${title.padEnd(5)}${first.slice(5)}`, ...rest];
  };
  const lines = [
    `${name}: ${LEVELS[level]} ${by}`,
    ...wrapped(withWholeCommands(meaning), WIDTH),
    ...(see === undefined ? [] : part("See:", see)),
    ...part("Do:", todo),
  ];
  return `${lines.join("\n").replaceAll(NO_BREAK, " ")}\n`;
}

const NO_BREAK = "\u00a0";

/** Keeps each command between quotes on one line, where it has room. */
function withWholeCommands(text: string): string {
  return text.replace(/(?<=^|[\s(])'[^']{1,70}'(?=[\s.,;:)]|$)/g, (command) =>
    command.replaceAll(" ", NO_BREAK),
  );
}

/** The names of all findings, below their subjects. */
function findingsHelp(): string {
  return [
    "Findings of doctor and check ('carpctl help NAME' explains one):",
    ...GROUPS.flatMap(({ title, topics }) => [
      `  ${title}:`,
      ...wrapped(Object.keys(topics).join(" "), WIDTH, "    "),
    ]),
  ].join("\n");
}
