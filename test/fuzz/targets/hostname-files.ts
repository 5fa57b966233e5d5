/**
 * hostname.carpN files, and carp/sysctl.conf by the same bytes: each line is taken or refused in words by its number,
 * nothing throws, and what the engine makes of a file it dumps as a file that changes nothing.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { hostnameLines } from "../../../src/cli/commands/dump.ts";
import { type InterfaceFile, readInterfaceFile } from "../../../src/cli/commands/netstart/interface-file.ts";
import { interfaceCommands } from "../../../src/cli/commands/netstart/listing.ts";
import { everyWord } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import type { Complaint } from "../../../src/config/lines.ts";
import { quotedWords, splitWords } from "../../../src/config/shell-words.ts";
import { lineOf, readSysctlFile, type SysctlSetting } from "../../../src/config/sysctl-file.ts";
import { checkParams } from "../../../src/control/messages.ts";
import { isRefusal } from "../../../src/control/refusal.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import { link, Station, World } from "../../unit/core/driver.ts";
import type { Target, Trial } from "../target.ts";
import { assertWithinBounds } from "./bounds.ts";
import { assertRefusal, lookups, word } from "./words.ts";

const NAME = "carp0";

function open(): Trial {
  return {
    async feed(input) {
      const bytes = Buffer.from(input);
      const lines = bytes.toString("latin1").split("\n").length;
      const settings = readSysctlFile(bytes);
      if ("errors" in settings) assertComplaints(settings.errors, lines);
      else assertVariables(settings.settings);
      const file = await readInterfaceFile(bytes, NAME, lookups);
      if ("errors" in file) assertComplaints(file.errors, lines);
      else await assertTaken(file, lines);
    },
  };
}

function station(): Station {
  return new Station(new World(), { links: [link("eth0"), link("eth1")] });
}

/** All of them are set as the file says, or none. */
function assertVariables(settings: readonly SysctlSetting[]): void {
  const { host, now } = station();
  const before = host.sysctl("net");
  const outcome = host.command({ kind: "set-sysctl", writes: [...settings] }, now);
  if ("error" in outcome) {
    assertRefusal(outcome.error);
    assert.ok(lineOf(outcome.error, settings) !== undefined, outcome.error);
    assert.deepEqual(host.sysctl("net"), before);
    return;
  }
  assertWithinBounds(host.configuration);
  for (const { name, value } of settings) assert.deepEqual(host.sysctl(name), [{ name, value }]);
}

function assertComplaints(complaints: readonly Complaint[], lines: number): void {
  assert.ok(complaints.length > 0);
  for (const { line, message } of complaints) {
    assert.ok(line === undefined || (line >= 1 && line <= lines), `line ${line} of ${lines}`);
    assertRefusal(message);
  }
}

async function assertTaken(file: InterfaceFile, lines: number): Promise<void> {
  if (file.warnings.length > 0) assertComplaints(file.warnings, lines);
  for (const { words } of file.lines) {
    const again = splitWords(quotedWords(words));
    assert.ok(!isRefusal(again));
    assert.deepEqual(again, words);
  }
  interfaceCommands({ name: NAME, file }, true);
  const checked = checkParams("replace", { name: NAME, change: file.whole });
  if ("refusal" in checked) return assertRefusal(checked.refusal);
  const host = station();
  const { params } = checked;
  const outcome = host.command({ kind: "replace", ...params });
  if ("error" in outcome) return assertRefusal(outcome.error);
  assertWithinBounds(host.host.configuration);
  await assertDumped(host);
}

async function assertDumped(host: Station): Promise<void> {
  const [configured] = host.host.configuration.interfaces;
  assert.ok(configured);
  const dumped = await readInterfaceFile(Buffer.from(hostnameLines(configured).join("\n")), NAME, lookups);
  assert.ok(!("errors" in dumped), JSON.stringify(dumped));
  const again = host.command({ kind: "replace", name: NAME, change: dumped.whole, dryRun: true });
  assert.ok(!("error" in again) && again.changed === false, JSON.stringify(again));
}

/** Mostly one that is taken: a file with one line that is not is refused as a whole. */
const good = fc.oneof(
  fc.tuple(fc.constantFrom("advbase", "advskew"), fc.constantFrom(0, 1, 2, 100, 254)),
  fc.tuple(
    fc.constantFrom("inet alias", "inet6"),
    fc.constantFrom("10.0.0.7/24", "2001:db8::7 64", "fe80::7"),
  ),
  fc.tuple(fc.constantFrom("mtu", "group", "balancing"), fc.constantFrom(1400, "www", "none", "ip")),
  fc.constantFrom(
    ["up"],
    ["down"],
    ["-group carp"],
    ["carppeer 10.0.0.9"],
    ["carppeer 10.0.0.9,10.0.0.8"],
    ["lladdr 02:00:00:00:00:77"],
  ),
);
const line = fc.oneof(
  { weight: 1, arbitrary: fc.array(word, { maxLength: 6 }).map((words) => words.join(" ")) },
  { weight: 3, arbitrary: good.map((words) => words.join(" ")) },
);
const quoted = fc
  .tuple(fc.constantFrom("description", "pass", "group"), fc.string({ unit: "binary", maxLength: 20 }))
  .map((words) => quotedWords(words));

/** NAME=VALUE with a little of everything between. */
const blank = fc.constantFrom("", "", " ", "\t", " # why");
const setting = fc
  .tuple(
    blank,
    fc
      .constantFrom(...SYSCTL_VARIABLES)
      .chain(({ name, min, max }) =>
        fc.oneof(fc.constantFrom(min - 1, min, max, max + 1), fc.integer()).map((value) => [name, value]),
      ),
    blank,
  )
  .map(([before, [name, value], after]) => `${before}${name}${before}=${before}${value}${after}`);

export const hostnameFiles: Target = {
  name: "hostname-files",
  sensible: fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .array(fc.oneof(line, quoted), { maxLength: 6 })
        .map((all) => Buffer.from(["carpdev eth0 vhid 1", ...all].join("\n"))),
    },
    {
      weight: 1,
      arbitrary: fc.array(setting, { maxLength: 4 }).map((all) => Buffer.from(all.join("\n"))),
    },
  ),
  tokens: [
    ...everyWord().map((each) => ` ${each} `),
    ...[
      "\n",
      "\r\n",
      "#",
      "!",
      "'",
      '"',
      "$'",
      "\\",
      "\\x",
      "\\$if",
      "\0",
      "\xff",
      "dest ",
      "inet alias ",
      "NONE",
    ],
    ...["net.inet.carp.preempt=1\n", "net.inet.carp.log = 9", " = ", "\ufeff"],
  ],
  tries: 300,
  open,
};
