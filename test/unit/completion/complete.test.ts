/** Candidates of `carpctl complete`: from the tables that parse commands, the engine and the machine. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { complete } from "../../../src/cli/completion/complete.ts";
import { everyWord, KEYWORDS } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import { defaultOptions } from "../../../src/cli/grammar/options.ts";
import { VERB_NAMES, VERBS } from "../../../src/cli/grammar/verbs.ts";
import { BALANCING_MODES, STATES } from "../../../src/control/messages.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import { DIGESTS } from "../../../src/topics/digests.ts";
import { listening, scriptedEngine, view } from "../cli/scripted-engine.ts";

const etc = mkdtempSync(join(tmpdir(), "carpctl-test-"));
after(() => rmSync(etc, { recursive: true }));
for (const name of ["hostname.carp3", "hostname.carp12", "hostname.eth0", "hosts"])
  writeFileSync(join(etc, name), "");

const ON_LO = { family: 4, address: "10.0.0.77", prefixLength: 24 } as const;
const engine = await scriptedEngine(({ method }) => {
  switch (method) {
    case "interfaces":
      return {
        nowUs: 1,
        interfaces: [view(), view({ name: "carp1", status: "backup", carpdev: "lo", addresses: [ON_LO] })],
      };
    case "groups":
      return [{ name: "carp", carpDemoteCount: 0, interfaces: ["carp0", "carp1"] }];
    case "demotion":
      return { counter: 5, written: 0, reasons: [{ reason: "disk", by: 5 }], faults: [] };
    default:
      return {};
  }
});
after(() => engine.close());

const here = { ...defaultOptions({}), runDir: engine.runDir, etcDir: etc };
const nowhere = { ...here, runDir: "/nonexistent" };

/** The line is split at its blanks: one at its end begins another word. */
async function offered(line: string, options = here): Promise<string[]> {
  const text = await complete(line.split(" "), options);
  return text
    .split("\n")
    .slice(0, -1)
    .map((each) => each.split("\t")[0] ?? "");
}

const devices = readdirSync("/sys/class/net").filter(
  (name) => name !== "lo" && !/^carp\d|bonding/.test(name),
);
const variables = SYSCTL_VARIABLES.map(({ name }) => name);

for (const [line, expected] of [
  ["carp0 balancing ", BALANCING_MODES],
  ["carp0 vhid 1 state ", STATES],
  ["carp0 carpdev ", devices.sort()],
  ["carp0 group ", ["carp"]],
  ["carp0 10.0.0.1/24 -group c", ["carp"]],
  ["carp0 passfile ", [":files"]],
  ["carp0 carppeer ", [":hosts"]],
  ["carp0 vhid ", []],
  ["carp0 description balancing bala", ["balancing"]],
  ["carp0 description carpdev balanc", ["balancing"]],
  ["carp0 mtu 1500 advb", ["advbase"]],
  ["carp0 --js", ["--json"]],
  ["carp7 vh", ["vhid"]],
  ["create carp7 vh", ["vhid"]],
  ["destroy ", ["carp0", "carp1"]],
  ["destroy carp0 ", []],
  ["-g ", ["carp"]],
  ["-g carp ", ["carpdemote", "-carpdemote"]],
  ["-g carp carpdemote ", []],
  ["-a carp", ["carp0", "carp1", "carp"]],
  ["-C ", []],
  ["nosuch0 ", []],
  ["lo vhid ", ["1"]],
  ["lo vhid 1 advs", ["advskew"]],
  ["lo vhid 1 state ", STATES],
  ["sysctl ", variables],
  ["sysctl -n net.inet.carp.log net.pf", ["net.pfsync.carp_demotion_factor"]],
  ["netstat -p ", ["carp"]],
  ["netstat -I ", ["carp0", "carp1"]],
  ["engine --log ", ["syslog", "stderr"]],
  ["engine --metrics ", []],
  ["metrics --text", ["--textfile"]],
  ["doctor --li", ["--listen"]],
  ["history --si", ["--since"]],
  ["history --since ", []],
  ["history --un", ["--until"]],
  ["history --until ", []],
  ["history --since 2h ", ["carp0", "carp1"]],
  ["metrics --textfile ", [":files"]],
  ["check ", [":named-files"]],
  ["check a=/etc b=", [":named-files"]],
  ["plan a=/etc ", [":named-files"]],
  ["plan --svg ", [":files"]],
  ["check --js", ["--json"]],
  ["engine --log=", ["--log=syslog", "--log=stderr"]],
  ["promote ", ["disk"]],
  ["promote disk ", []],
  ["maintenance ", ["on", "off"]],
  ["help net.inet.carp.pre", ["net.inet.carp.preempt", "net.inet.carp.preempt_delay"]],
  ["help no-carr", ["no-carrier"]],
  ["help digest-a", Object.keys(DIGESTS).filter((name) => name.startsWith("digest-a"))],
  ["--run-dir ", [":directories"]],
  [`--json --run-dir ${engine.runDir} carp1 adv`, ["advbase", "advskew"]],
  ["--run-dir /nonexistent destroy ", []],
  [`--run-dir=/nonexistent --run-dir=${engine.runDir} destroy `, ["carp0", "carp1"]],
] as const)
  test(`carpctl ${line}: ${expected.join(" ") || "nothing"}`, async () => {
    assert.deepEqual(await offered(line), expected);
  });

test("the first word: interfaces, groups and every command", async () => {
  assert.deepEqual(await offered(""), ["carp0", "carp1", "carp", "create", "destroy", ...VERB_NAMES]);
  assert.deepEqual((await offered("-")).slice(0, 4), ["-a", "-A", "-C", "-g"]);
});

test("behind an interface: every parameter by each of its names, with what it means", async () => {
  assert.deepEqual((await offered("carp0 ")).sort(), [...everyWord()].sort());
  const text = await complete(["carp0", ""], here);
  for (const { name, help } of KEYWORDS) assert.ok(text.includes(`${name}\t${help}\n`), name);
});

test("the addresses that can be removed are those the interface has", async () => {
  assert.ok((await offered("carp0 -alias ")).includes("10.0.0.1"));
  assert.ok((await offered("carp0 delete 10")).includes("10.0.0.1"));
  assert.deepEqual(await offered("carp5 -alias 10"), []);
  assert.ok((await offered("lo -alias 10")).includes("10.0.0.77"));
});

test("every command has its options and those that all have", async () => {
  for (const { names, usage } of VERBS)
    for (const name of names) {
      const options = await offered(`${name} -`);
      assert.ok(options.includes("--json"), name);
      for (const [option] of usage.matchAll(/(?<=\[)--?[\w-]+/g)) assert.ok(options.includes(option), usage);
    }
});

test("without an engine, or with one that says nothing, the tables still answer", async () => {
  assert.deepEqual(await offered("", nowhere), ["create", "destroy", ...VERB_NAMES]);
  const mute = await listening([], () => {});
  assert.deepEqual(
    await offered("m", { ...here, runDir: mute.runDir }),
    VERB_NAMES.filter((name) => name[0] === "m"),
  );
  await mute.close();
});

test("whatever is typed, nothing is complained of", () => {
  const main = join(import.meta.dirname, "../../../src/main.ts");
  for (const words of [
    [],
    ["--frob", ""],
    ["carp0", "vhid", "999", ""],
    ["-g", "-g", "-g", ""],
    ["", "", ""],
  ]) {
    const { status, stderr } = spawnSync(process.execPath, [main, "complete", ...words], {
      env: { CARP_RUN_DIR: "/nonexistent", NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
      encoding: "utf8",
    });
    assert.deepEqual([status, stderr], [0, ""]);
  }
});
