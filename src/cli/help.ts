/** `help`: everything, or what is known of one word. It says the same as `--help`, from the same tables. */

import { shown } from "../control/shown.ts";
import { SYSCTL_VARIABLES } from "../control/variables.ts";
import { commandsHelp, verbHelp } from "./arguments.ts";
import { columns, parametersHelp, ROWS } from "./ifconfig/help.ts";
import { everyWord } from "./ifconfig/keywords.ts";
import { suggestion } from "./nearest.ts";
import { done, type Outcome, refused } from "./outcome.ts";
import { variableHelp, variablesHelp } from "./variables.ts";
import { VERB_NAMES, VERBS } from "./verbs.ts";

/** What is no word of the tables. */
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
];

export async function helpOn(topic: string | undefined): Promise<Outcome> {
  if (topic === undefined) return done(await commandsHelp(parametersHelp()));
  if (Object.hasOwn(CHAPTERS, topic)) return done(CHAPTERS[topic as keyof typeof CHAPTERS]());
  const verb = VERBS.find(({ names }) => names.includes(topic));
  if (verb !== undefined) return done(verbHelp(verb));
  const lines = [
    ...columns(ROWS.filter(([words]) => words.split(/[^A-Za-z0-9-]+/).includes(topic))),
    ...SYSCTL_VARIABLES.filter(({ name }) => `${name}.`.startsWith(`${topic}.`)).flatMap(variableHelp),
  ];
  if (lines.length > 0) return done(`${lines.join("\n")}\n`);
  return refused(`help ${shown(topic)}: no such command, parameter or variable${suggestion(topic, TOPICS)}`);
}

function ifconfigHelp(): string {
  return `usage: carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]\n\n${parametersHelp()}\n`;
}
