/** carpctl(8) compared with the tables that drive the commands: every entry of a table is in the page, and no other. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { diagnostics } from "../../bin/diagnostics.ts";
import { KEYWORDS } from "../../src/cli/grammar/ifconfig/keywords.ts";
import { GLOBAL_OPTIONS } from "../../src/cli/grammar/options.ts";
import { optionsOf } from "../../src/cli/grammar/verb-parser.ts";
import { VERB_NAMES, VERBS } from "../../src/cli/grammar/verbs.ts";
import { BALANCING_MODES, LIMITS, STATES } from "../../src/control/messages.ts";
import { SYSCTL_VARIABLES } from "../../src/core/sysctl.ts";
import { TOPICS } from "../../src/topics/topics.ts";
import { readPage, section } from "./mdoc.ts";

const page = readPage("carpctl.8");

/** The entries of a section's lists that begin with a macro, by name: the words after the name, and the text. */
function entries(
  title: string,
  macro: string,
): Map<string, { readonly words: string; readonly text: string }> {
  const found = section(page, title)
    .split(/^\.It /m)
    .slice(1)
    .flatMap((entry) => {
      const [head = "", ...lines] = (entry.split(/^\.El$/m)[0] ?? "").split("\n");
      const [first, name = "", ...words] = head.split(" ");
      return first === macro ? [[name, { words: words.join(" "), text: lines.join("\n") }] as const] : [];
    });
  assert.equal(
    new Set(found.map(([name]) => name)).size,
    found.length,
    `${title}: two entries have the same name`,
  );
  return new Map(found);
}

const names = (of: ReadonlyMap<string, unknown>) => [...of.keys()].sort();

test("every parameter of ifconfig has an entry, with its argument and its other names", () => {
  const parameters = entries("PARAMETERS", "Cm");
  assert.deepEqual(names(parameters), KEYWORDS.map(({ name }) => name).sort());
  for (const { name, argument, synonyms = [] } of KEYWORDS) {
    const { words = "", text = "" } = parameters.get(name) ?? {};
    assert.equal(words.startsWith("Ar "), argument !== undefined, name);
    const [, list = ""] = /^Also written\n((?:(?:\.Cm .*|and)\n)+)/m.exec(text) ?? [];
    const alsoWritten = [...list.matchAll(/^\.Cm (\S+)/gm)].map(([, synonym]) => synonym);
    assert.deepEqual(alsoWritten, synonyms, name);
  }
});

/** The sections of the numbers that are no parameters of an interface. */
const SECTION_OF_NUMBER: Readonly<Record<string, string>> = {
  demote: "DEMOTION",
  "boot-demotion": "DEMOTION",
  listen: "STATISTICS AND STATUS",
};

test("numbers have their range, and words their choices", () => {
  const parameters = entries("PARAMETERS", "Cm");
  for (const [name, [min, max]] of Object.entries(LIMITS)) {
    const text = parameters.get(name)?.text ?? section(page, SECTION_OF_NUMBER[name] ?? "INTERFACES");
    assert.match(text, new RegExp(`from ${min} to ${max}\\b`), name);
  }
  for (const [name, choices] of [
    ["balancing", BALANCING_MODES],
    ["state", STATES],
  ] as const) {
    const said = [...(parameters.get(name)?.text ?? "").matchAll(/^\.Cm (\S+)/gm)].map(([, word]) => word);
    assert.deepEqual([...new Set(said)].sort(), [...choices].sort(), name);
  }
});

test("every sysctl variable has an entry, with its range and its default", () => {
  const variables = entries("VARIABLES", "Va");
  assert.deepEqual(names(variables), SYSCTL_VARIABLES.map(({ name }) => name).sort());
  for (const { name, initial, min, max } of SYSCTL_VARIABLES) {
    const text = (variables.get(name)?.text ?? "").replaceAll("\n", " ");
    assert.match(text, new RegExp(`Default: ${initial}\\. $`), name);
    if (name === "net.inet.carp.demotion") continue;
    assert.match(text, new RegExp(max === 1 ? ", 0 or 1\\." : `\\b[Ff]rom ${min} to ${max}\\b`), name);
  }
});

test("every option that all commands take has an entry", () => {
  const options = entries("Options", "Fl");
  assert.deepEqual(names(options), GLOBAL_OPTIONS.map(({ name }) => `-${name}`).sort());
  for (const { name, argument } of GLOBAL_OPTIONS)
    assert.equal(options.get(`-${name}`)?.words, argument === undefined ? "" : "Ar dir", name);
});

test("DIAGNOSTICS is what bin/diagnostics.ts makes of the topics", () => {
  const [, text] = page.split(".Sh DIAGNOSTICS\n");
  assert.equal(text?.split(/^(?=\.Sh )/m)[0], diagnostics());
  for (const name of TOPICS.keys()) assert.ok(page.includes(`\n.It Li ${name} Pq `), name);
});

test("every command is in the page by each of its names", () => {
  for (const name of VERB_NAMES) assert.match(page, new RegExp(`^\\.(Nm )?Cm ${name}\\b`, "m"), name);
});

/** The section that describes the options of a command. */
const SECTION_OF: Readonly<Record<string, string>> = {
  engine: "ENGINE",
  demote: "DEMOTION",
  promote: "DEMOTION",
  sysctl: "VARIABLES",
  netstart: "CONFIGURATION FILES",
  dump: "CONFIGURATION FILES",
  ifstated: "LINKS AND TESTS",
  netstat: "STATISTICS AND STATUS",
  status: "STATISTICS AND STATUS",
  metrics: "STATISTICS AND STATUS",
  history: "STATISTICS AND STATUS",
  doctor: "STATISTICS AND STATUS",
  plan: "SIMULATING FAILURES",
};

/** The options in some text, each with its dashes: `Fl anq` are three. */
function optionsIn(text: string): string[] {
  return [...text.matchAll(/\bFl (-?)([A-Za-z-]+)/g)].flatMap(([, dash, name = ""]) =>
    dash ? [`--${name}`] : [...name].map((letter) => `-${letter}`),
  );
}

test("every command has a synopsis, with its options and no others", () => {
  const forms = section(page, "SYNOPSIS").split(/^\.Nm\n/m);
  for (const verb of VERBS) {
    const [name = ""] = verb.names;
    const form = forms.find((each) => new RegExp(`^\\.Cm ${name}\\b`, "m").test(each));
    const options = optionsOf(verb).map(({ word }) => word);
    assert.deepEqual(optionsIn(form ?? "").sort(), options.sort(), name);
    assert.ok(form !== undefined, `${name} has no synopsis`);
  }
});

test("every option of a command is in the section about the command", () => {
  for (const verb of VERBS)
    for (const { word } of optionsOf(verb)) {
      const [name = ""] = verb.names;
      const text = section(page, SECTION_OF[name] ?? `of ${name}`);
      assert.ok(optionsIn(text).includes(word), `${name} ${word}`);
    }
});
