/**
 * Command lines, one NUL behind each word as in /proc/PID/cmdline: every one is a command or is refused in one line,
 * nothing throws, and a change that the engine's schema takes is taken or refused by the engine itself in words.
 */

import assert from "node:assert/strict";
import { isIP } from "node:net";
import fc from "fast-check";
import { readForm } from "../../../src/cli/grammar/ifconfig/forms.ts";
import { everyWord } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import { defaultOptions, GLOBAL_OPTIONS, takeGlobalOptions } from "../../../src/cli/grammar/options.ts";
import { NAMES } from "../../../src/cli/grammar/program-names.ts";
import { readVerb } from "../../../src/cli/grammar/verb-parser.ts";
import { VERB_NAMES, VERBS, type Verb } from "../../../src/cli/grammar/verbs.ts";
import { isRefusal } from "../../../src/cli/outcome.ts";
import { checkParams, type InterfaceChange } from "../../../src/control/messages.ts";
import { link, PLAIN, Station, World } from "../../unit/core/driver.ts";
import type { Target, Trial } from "../target.ts";
import { assertWithinBounds } from "./bounds.ts";
import { assertRefusal, LOOKED_UP, lookups, word } from "./words.ts";

/** yargs takes seconds for an option of many thousand letters, which harms only the user who typed it. */
const MOST_BYTES = 4096;

const known = { device: (name: string) => name === "eth0", group: async (name: string) => name === "carp" };

async function feed(input: Uint8Array): Promise<void> {
  const words = Buffer.from(input.subarray(0, MOST_BYTES)).toString("utf8").split("\0");
  await parts(words);
  const taken = takeGlobalOptions(defaultOptions({}), words);
  if (isRefusal(taken)) return assertRefusal(taken.refusal);
  const [first = "", ...others] = taken.words;
  const verb = VERBS.find(({ names }) => names.includes(first));
  if (verb !== undefined) await readsVerb(verb, others);
  else await readsForm(taken.words);
}

async function readsVerb(verb: Verb, words: readonly string[]): Promise<void> {
  const chosen = await readVerb(verb, words, defaultOptions({}));
  if (!("kind" in chosen)) return;
  if (chosen.kind === "misused") assertRefusal(chosen.message ?? chosen.usage ?? "");
  else assert.equal(chosen.kind, "done");
}

async function readsForm(words: readonly string[]): Promise<void> {
  const read = await readForm(words, defaultOptions({}), lookups);
  if (isRefusal(read)) return assertRefusal(read.refusal);
  const { form } = read;
  if (form.kind !== "change") return;
  const checked = checkParams("change", { name: form.name, change: form.change });
  if ("refusal" in checked) return assertRefusal(checked.refusal);
  assertSaid(checked.params.change, words);
  const station = new Station(new World(), { links: [link("eth0"), link("eth1")] });
  station.set("carp0", PLAIN);
  const before = JSON.stringify(station.host.configuration);
  const outcome = station.command({ kind: "change", ...checked.params });
  if (!("error" in outcome)) {
    assertWithinBounds(station.host.configuration);
    return;
  }
  assertRefusal(outcome.error);
  assert.equal(JSON.stringify(station.host.configuration), before);
}

/** Every value of a change stands among the words: a number as typed, a text as a word of its own. */
function assertSaid(change: InterfaceChange, words: readonly string[]): void {
  const { vhid, advbase, advskew, mtu, carpnodes } = change;
  const numbers = [vhid, advbase, advskew, mtu].filter((each) => each !== undefined);
  for (const each of numbers)
    assert.ok(
      words.some((typed) => typed === String(each) || (/^\+?\d+$/.test(typed) && Number(typed) === each)),
      `${each} was not said`,
    );
  for (const each of carpnodes ?? [])
    assert.ok(
      words.some((typed) => typed.split(",").some((node) => node.split(":").map(Number)[0] === each.vhid)),
      `node ${each.vhid} was not said`,
    );
  const passfiles = words.includes("passfile");
  for (const text of [change.carpdev, change.balancing, passfiles ? undefined : change.pass])
    assert.ok(text === undefined || words.includes(text), `${text} was not said`);
  for (const { address } of change.addAddresses ?? [])
    assert.ok(
      LOOKED_UP.includes(address) || words.some((typed) => isIP(typed.split("/")[0] ?? "") !== 0),
      `${address} was not said`,
    );
}

/** Between our program and the system's of the same name no word is lost, and none made up. */
async function parts(words: readonly string[]): Promise<void> {
  for (const [name, { parts: partsOf }] of NAMES) {
    const found = await partsOf?.(words, known);
    if (found === undefined) continue;
    assert.ok(found.length > 0, name);
    for (const word of words.filter((each) => !each.startsWith("-")))
      assert.ok(
        found.some((part) => part.words.includes(word)),
        `${name}: ${word} is lost`,
      );
  }
}

const beginning = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("carp0", "carp1", "carp77") },
  { weight: 2, arbitrary: fc.constantFrom("create", "destroy", "-g", "-a", "-C", "eth0") },
  { weight: 1, arbitrary: fc.constantFrom(...VERB_NAMES) },
);

export const commandLines: Target = {
  name: "command-lines",
  sensible: fc
    .tuple(beginning, fc.array(word, { maxLength: 10 }))
    .map(([first, rest]) => Buffer.from([first, ...rest].join("\0"))),
  tokens: [
    "\0",
    ...everyWord().map((keyword) => `\0${keyword}\0`),
    ...GLOBAL_OPTIONS.map(({ name }) => `\0--${name}\0`),
    ...VERB_NAMES,
    ...[
      "/",
      ":",
      ",",
      "=",
      "-",
      "--",
      "\n",
      "99999999999999999999",
      "1e3",
      "0x",
      "::",
      "%",
      "\u{1f600}",
      "__proto__",
    ],
  ],
  tries: 700,
  open: (): Trial => ({ feed }),
};
