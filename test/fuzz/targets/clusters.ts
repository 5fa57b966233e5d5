/**
 * Clusters for `carpctl check` and `plan`: directories and dumps of up to three hosts, of any bytes. Nothing throws,
 * every finding is about a line that its file has, no control character and no pass is told, and two hosts with the
 * same files never differ.
 *
 * A line `=HOST FILE` begins a file; `=HOST dump` makes the host one that dump has printed.
 */

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { report } from "../../../src/cli/commands/check/check.ts";
import { readHostFiles } from "../../../src/cli/commands/check/host-files.ts";
import { defaultOptions } from "../../../src/cli/grammar/options.ts";
import { compareHosts } from "../../../src/cluster/comparison.ts";
import type { Finding } from "../../../src/cluster/finding.ts";
import type { HostFiles } from "../../../src/cluster/host-files.ts";
import { advertisementsOf, plan } from "../../../src/cluster/plan/plan.ts";
import { hasControlCharacter } from "../../../src/control/printable.ts";
import { isRefusal } from "../../../src/control/refusal.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import { CHECK } from "../../../src/topics/check.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import type { Target, Trial } from "../target.ts";
import { lookups, word } from "./words.ts";

const HOSTS = ["a", "b", "c"] as const;
const FILES = [
  "hostname.carp0",
  "hostname.carp1",
  "hostname.carp10",
  "carp/sysctl.conf",
  "carp/pass",
] as const;
const DUMP = "dump";
/** Larger clusters take too long to simulate. */
const MOST_ADVERTISEMENTS = 3_000;
/** Stands for a pass, with a letter behind it. */
const SECRET = /sEcReT-\w/g;

interface Section {
  readonly host: string;
  readonly file: string;
  readonly contents: Buffer;
}

function sectionsIn(input: Buffer): Section[] {
  const parts = input.toString("latin1").split(/^=/m).slice(1);
  return parts.map((part) => {
    const [head = "", ...lines] = part.split("\n");
    const [host = "", file = ""] = head.split(" ");
    return {
      host: HOSTS.find((each) => each === host) ?? "a",
      file: [...FILES, DUMP].find((each) => each === file) ?? FILES[0],
      contents: Buffer.from(lines.join("\n"), "latin1"),
    };
  });
}

function open(): Trial {
  const base = makeDirectory("clusters");

  function make(sections: readonly Section[]): void {
    rmSync(base, { recursive: true });
    for (const host of HOSTS) mkdirSync(join(base, host), { recursive: true });
    for (const { host, file, contents } of sections) {
      const path = join(base, host, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, contents);
    }
  }

  async function read(name: string, sections: readonly Section[], as = name): Promise<HostFiles> {
    const isDump = sections.some(({ host, file }) => host === name && file === DUMP);
    const host = await readHostFiles(as, join(base, name, isDump ? DUMP : ""), lookups.resolve);
    assert.ok(!isRefusal(host), JSON.stringify(host));
    return host;
  }

  return {
    async feed(input) {
      const sections = sectionsIn(Buffer.from(input));
      make(sections);
      const named = HOSTS.filter((name) => sections.some(({ host }) => host === name));
      const hosts = await Promise.all(named.map((name) => read(name, sections)));
      const comparison = compareHosts(hosts);
      comparison.findings.forEach(assertFinding);
      const isError = comparison.findings.some(({ level }) => level === "error");
      for (const json of [false, true]) {
        const options = { ...defaultOptions({}), json };
        const outcome = report(comparison, { options, colour: false, columns: 80 });
        assert.ok("output" in outcome);
        assert.equal(outcome.kind, isError ? "failed" : "done");
        for (const line of outcome.output.split("\n"))
          assert.ok(!hasControlCharacter(line), JSON.stringify(line));
        for (const secret of secretsIn(sections)) assert.ok(!outcome.output.includes(secret), outcome.output);
        if (json) JSON.parse(outcome.output);
      }
      if (!isError && advertisementsOf(comparison) < MOST_ADVERTISEMENTS)
        for (const { changes } of plan(comparison))
          for (const { silentUs, settledUs } of changes) assert.ok(silentUs >= 0 && settledUs >= 0);
      const twice = [await read("a", sections), await read("a", sections, "b")];
      const differing = compareHosts(twice).findings.filter(
        ({ kind }) => kind.endsWith("-differ") || kind.endsWith("-differs") || kind.endsWith("-mixed"),
      );
      assert.deepEqual(differing, []);
    },
    close: () => removeDirectory(base),
  };
}

function assertFinding({ kind, level, file, line, text, host, hosts }: Finding): void {
  assert.equal(level, CHECK[kind].level);
  assert.ok(text !== "" && !/undefined|NaN|\[object/.test(text.replaceAll(file, "")), text);
  assert.ok(hosts.includes(host));
  if (line === undefined) return;
  const lines = readFileSync(file).toString("latin1").split("\n").length;
  assert.ok(line >= 1 && line <= lines, `${file}:${line} of ${lines}`);
}

/** Those that are in the place of a pass alone. */
function secretsIn(sections: readonly Section[]): Set<string> {
  const within = (text: string) => new Set([...text.matchAll(SECRET)].map(([secret]) => secret));
  const texts = sections.map(({ file, contents }) => ({ file, text: contents.toString("latin1") }));
  const elsewhere = texts.map(({ file, text }) =>
    file.startsWith("carp/") ? text : text.replace(/^(vhid \d+ )?pass sEcReT-\w$/gm, ""),
  );
  return within(texts.map(({ text }) => text).join("\n")).difference(within(elsewhere.join("\n")));
}

const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...[
        "vhid 1",
        "vhid 2",
        "vhid 1 pass sEcReT-a",
        "pass sEcReT-b",
        "pass sEcReT-c x",
        "passfile /etc/carp/pass",
      ],
      ...[
        "inet 10.0.0.1 255.255.255.0",
        "inet alias 10.0.0.2/16",
        "inet6 fe80::1",
        "inet6 2001:DB8::1",
        "up",
        "down",
      ],
      ...[
        "carpdev eth0",
        "carpdev eth1",
        "advskew 100",
        "advbase 0",
        "advbase 9",
        "-group carp",
        "group www",
      ],
      ...[
        "carpnodes 1:0,2:100",
        "carpnodes 2:0,3:0",
        "balancing ip-stealth",
        "lladdr carpdev",
        "lladdr 2:0:0:0:0:1",
      ],
      ...[
        "carppeer 10.0.0.3,10.0.0.4",
        "carppeer 10.0.0.1",
        "carppeer6 fe80::2",
        "# hostname.carp0",
        "# hostname.carp1",
      ],
      ...["# pass omitted: only root may see it", "!echo ran"],
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(...SYSCTL_VARIABLES)
      .chain(({ name, min, max }) => fc.constantFrom(min - 1, min, max).map((value) => `${name}=${value}`)),
  },
  { weight: 1, arbitrary: fc.array(word, { maxLength: 4 }).map((words) => words.join(" ")) },
);

export const clusters: Target = {
  name: "clusters",
  sensible: fc
    .array(
      fc.record({
        host: fc.constantFrom(...HOSTS),
        file: fc.constantFrom(...FILES, DUMP),
        lines: fc.array(line, { maxLength: 6 }),
      }),
      { minLength: 1, maxLength: 7 },
    )
    .map((files) =>
      Buffer.from(
        files.map(({ host, file, lines }) => [`=${host} ${file}`, ...lines, ""].join("\n")).join(""),
        "latin1",
      ),
    ),
  tokens: [
    ...HOSTS.flatMap((host) => FILES.map((file) => `\n=${host} ${file}\n`)),
    ...["\n=b dump\n", "\n# hostname.carp0\n", "\\\n", "\0", "\xff", "'", "\n!", "\x1b[31m", "\r\n"],
    ...["\npass sEcReT-d\n", "\nnet.inet.carp.preempt=1\n", "%carp0", "/24 "],
  ],
  tries: 100,
  open,
};
