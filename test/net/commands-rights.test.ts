/**
 * Rights, with the real program and a real engine: every local user may read, root and group `carp` may
 * change, only root may set a pass or see it. Group `carp` exists only in the engine's own mount namespace.
 */

import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { VERB_NAMES } from "../../src/cli/grammar/verbs.ts";
import { Engine } from "../hosts/engine.ts";
import { createNetwork, type Host, type Network, type Output, wholeState } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

const NOBODY = 65534;
const CARP_GROUP = 54321;
const PASS = "open-sesame-please";
const ADDED_PASS = "not-for-your-eyes";

/** Commands that only read. */
const READS = [
  "",
  "carp0",
  "-a",
  "-A",
  "-C",
  "carp",
  "-g carp",
  "status",
  "status --json",
  "carp0 --json",
  "netstat",
  "netstat --json",
  "metrics",
  "history",
  "history --json carp0 --since 1h",
  "netstat -I carp0",
  "sysctl -a",
  "sysctl net.inet.carp.demotion",
  "maintenance",
  "doctor",
  "help",
  "help vhid",
];

/**
 * Commands with tests of their own, below or in the tests of service checks, monitor, booted, units, ifstated,
 * check and plan, which need no engine.
 */
const ELSEWHERE = [
  "engine",
  "netstart",
  "dump",
  "service-status",
  "monitor",
  "booted",
  "units",
  "ifstated",
  "check",
  "plan",
];

/** Commands that change something, and the name of it in a denial. */
const CHANGES: readonly (readonly [words: string, changed: string])[] = [
  ["create", "carp interfaces"],
  ["carp7 create", "carp7"],
  ["create carp7", "carp7"],
  ["carp0 destroy", "carp0"],
  ["carp7 destroy", "carp7"],
  ["carp0 down", "carp0"],
  ["carp0 up", "carp0"],
  ["carp0 advskew 9", "carp0"],
  ["carp0 10.0.0.9/24", "carp0"],
  ["carp0 state backup", "carp0"],
  ["carp7 10.0.0.9/24 vhid 7", "carp7"],
  ["-g carp carpdemote", "group carp"],
  ["-g nosuch carpdemote", "group nosuch"],
  ["sysctl net.inet.carp.preempt=1", "net.inet.carp.preempt"],
  ["sysctl net.inet.carp.demotion=0", "net.inet.carp.demotion"],
  ["demote backup 5", "this host's demotion"],
  ["promote backup", "this host's demotion"],
  ["promote --unit db", "this host's demotion"],
  ["maintenance on", "this host's demotion"],
];

interface User {
  readonly uid: number;
  readonly groups?: readonly number[];
}

/**
 * Runs a command as another user, who keeps the capability to read directories, because only root may be able
 * to read the tree; it opens no socket and changes nothing.
 */
function as(host: Host, user: User, command: string, ...words: string[]): Promise<Output> {
  const groups = user.groups?.length ? [`--groups=${user.groups.join()}`] : ["--clear-groups"];
  const capability = "-all,+dac_read_search";
  const options = [
    `--reuid=${user.uid}`,
    `--regid=${user.uid}`,
    ...groups,
    `--inh-caps=${capability}`,
    `--ambient-caps=${capability}`,
  ];
  return host.exec("setpriv", [...options, "--", command, ...words]);
}

const split = (words: string) => words.split(" ").filter(Boolean);
const configuration = `carp0 10.0.0.1/24 vhid 1 carpdev eth0 pass ${PASS}`;

/** MASTER with its address in place: nothing changes by itself from now on. */
async function becomeMaster(host: Host, engine = host.engine): Promise<void> {
  await host.carpctl(...split(configuration));
  await host.carpctl("carp0", "state", "master");
  await engine.waitForState("carp0", "MASTER");
  await host.waitForAddresses("carp0", ["10.0.0.1/24"]);
}

describe("rights without a group carp", () => {
  let lan: Network;
  let a: Host;
  /** The output of all commands. */
  let said = "";

  const asNobody = async (words: string) => {
    const output = await as(a, { uid: NOBODY }, CARPCTL, ...split(words));
    said += output.stdout + output.stderr;
    return output;
  };

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    await a.startEngine();
    await becomeMaster(a);
  });
  after(() => lan.destroy());

  for (const words of READS)
    test(`every user may: carpctl ${words}`, async () => {
      const { exitCode, stderr, stdout } = await asNobody(words);
      assert.deepEqual([exitCode, stderr], [0, ""]);
      assert.notEqual(stdout, "");
    });

  for (const [words, changed] of CHANGES)
    test(`only root may: carpctl ${words}`, async () => {
      const untouched = await wholeState(a);
      const stderr = `carpctl: permission denied: changing ${changed} needs root\n`;
      assert.deepEqual(await asNobody(words), { stdout: "", stderr, exitCode: 1 });
      assert.deepEqual(await wholeState(a), untouched);
    });

  test("the tables hold every command", () => {
    const words = [...READS, ...CHANGES.map(([each]) => each)].map((each) => each.split(" ")[0] ?? "");
    const untried = VERB_NAMES.filter((name) => ![...words, ...ELSEWHERE, "stats"].includes(name));
    assert.deepEqual(untried, []);
  });

  test("only root may set a pass", async () => {
    const untouched = await wholeState(a);
    const stderr = "carpctl: permission denied: changing the pass of carp0 needs root\n";
    for (const words of [`carp0 pass ${ADDED_PASS}`, `carp0 up pass ${ADDED_PASS}`])
      assert.deepEqual(await asNobody(words), { stdout: "", stderr, exitCode: 1 });
    assert.deepEqual(await wholeState(a), untouched);
  });

  test("dump leaves the pass out for all but root", async () => {
    const { stdout } = await asNobody("dump carp0");
    assert.match(stdout, /^# pass omitted: only root may see it\ncarpdev eth0 vhid 1\n/);
    const [carp0] = JSON.parse((await asNobody("dump --json")).stdout).interfaces;
    assert.deepEqual([carp0.name, "pass" in carp0], ["carp0", false]);
    assert.match((await a.carpctl("dump")).stdout, new RegExp(`^carpdev eth0 vhid 1 pass ${PASS}$`, "m"));
  });

  test("only root may apply a file", async () => {
    const path = join(a.etcDirectory, "hostname.carp0");
    writeFileSync(path, "inet 10.0.0.1/24 vhid 1 carpdev eth0\n", { mode: 0o600 });
    const untouched = await wholeState(a);
    const stderr = `${path}: permission denied: replacing carp0 and its pass needs root\n`;
    assert.deepEqual(await asNobody("netstart"), { stdout: "", stderr, exitCode: 1 });
    assert.deepEqual(await wholeState(a), untouched);
  });

  test("every user may compare what dump printed, without an engine; the pass is compared if it is there", async () => {
    const paths = ["root", "nobody", "other"].map((name) => join(a.etcDirectory, name));
    const [full = "", omitted = "", other = ""] = paths;
    const { stdout } = await a.carpctl("dump");
    writeFileSync(full, stdout);
    writeFileSync(omitted, (await asNobody("dump")).stdout);
    writeFileSync(other, stdout.replace(PASS, `${ADDED_PASS}\nadvskew 100`));
    const check = (path: string) => asNobody(`--run-dir /nonexistent check a=${full} b=${path}`);
    const differs = await check(other);
    assert.deepEqual([differs.exitCode, differs.stderr], [1, ""]);
    assert.match(differs.stdout, /^\S+\/other:2: error: the pass .* \[pass-differs\]$/m);
    const unknown = await check(omitted);
    assert.deepEqual([unknown.exitCode, unknown.stderr], [0, ""]);
    assert.match(unknown.stdout, /\[pass-unknown\]$/m);
  });

  test("a user named in a message grants nothing: only the kernel's credentials of the peer count", async () => {
    const script = `import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode() + b"\\n")
print(s.makefile().readline(), end="")`;
    const untouched = await wholeState(a);
    const change = { name: "carp0", change: { up: false } };
    for (const [request, code] of [
      [{ method: "change", params: change }, 2],
      [{ method: "change", params: change, uid: 0, peer: { uid: 0 } }, 2],
      [{ method: "change", params: { ...change, uid: 0 } }, -32602],
      [{ method: "destroy", params: { name: "carp0" } }, 2],
    ] as const) {
      const message = JSON.stringify({ jsonrpc: "2.0", id: 1, ...request });
      const words = ["-ISc", script, join(a.runDirectory, "engine.sock"), message];
      const { stdout } = await as(a, { uid: NOBODY }, "/usr/bin/python3", ...words);
      assert.equal(JSON.parse(stdout).error.code, code, message);
    }
    assert.deepEqual(await wholeState(a), untouched);
  });

  test("only root can run an engine: one line, exit 1", async () => {
    assert.deepEqual(await asNobody("engine"), {
      stdout: "",
      stderr: "carpctl: permission denied: the engine needs root\n",
      exitCode: 1,
    });
  });

  test("every user may list the run directory and connect to its socket; only root may read the saved state", () => {
    const mode = (path: string) => (statSync(join(a.runDirectory, path)).mode & 0o7777).toString(8);
    assert.equal(mode("."), "755");
    assert.equal(mode("engine.sock"), "666");
    assert.equal(mode("state.json"), "600");
  });

  test("the pass is in the saved state and nowhere else", async () => {
    for (const words of [...READS, "-x", `carp0 vhid 256 pass ${PASS}`, `carp9 pass ${PASS} advskew 1`]) {
      const { stdout, stderr } = await a.tryCarpctl(...split(words));
      said += stdout + stderr;
    }
    for (const method of ["hello", "interfaces", "groups", "statistics"] as const)
      said += JSON.stringify(await a.engine.request(method, {}));
    said += `${a.engine.log}\n${await a.run("ip", "-details", "address")}`;
    said += readFileSync(`/proc/${a.engine.pid}/cmdline`, "utf8");
    assert.ok(readFileSync(join(a.runDirectory, "state.json"), "utf8").includes(PASS));
    for (const secret of [PASS, PASS.slice(0, 10), Buffer.from(PASS).toString("hex"), ADDED_PASS])
      assert.ok(!said.includes(secret), secret);
  });
});

describe("rights with a group carp", () => {
  let lan: Network;
  let a: Host;
  let engine: Engine;
  const member = { uid: NOBODY, groups: [CARP_GROUP] };

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    const groups = join(a.etcDirectory, "group");
    writeFileSync(groups, `${readFileSync("/etc/group", "utf8")}carp:x:${CARP_GROUP}:\n`);
    const script = 'mount --bind "$0" /etc/group && exec "$@"';
    const words = ["sh", "-ec", script, groups, CARPCTL, "engine", "--log", "stderr"];
    const process = a.spawn("unshare", ["--mount", "--propagation", "private", ...words]);
    engine = await Engine.attach(process, a.runDirectory, a.name);
    await becomeMaster(a, engine);
  });
  after(() => lan.destroy());

  test("a member may not set the variables that decide what is defended and logged", async () => {
    for (const name of [
      "net.inet.carp.allow",
      "net.inet.carp.log",
      "net.inet.carp.strict_replay",
      "net.inet.carp.signed_header",
    ]) {
      const { stderr, exitCode } = await as(
        a,
        member,
        CARPCTL,
        "sysctl",
        "net.inet.carp.preempt=0",
        `${name}=0`,
      );
      assert.deepEqual([exitCode, stderr], [1, `carpctl: permission denied: changing ${name} needs root\n`]);
    }
  });

  test("a member may change everything else", async () => {
    for (const words of [
      "carp0 advskew 9",
      "-g carp carpdemote",
      "-g carp -carpdemote",
      "sysctl -q net.inet.carp.preempt=1",
      "carp7 create",
      "carp7 destroy",
    ])
      assert.deepEqual(await as(a, member, CARPCTL, ...split(words)), {
        stdout: "",
        stderr: "",
        exitCode: 0,
      });
    const { stdout } = await as(a, member, CARPCTL, "carp0");
    assert.match(stdout, / advskew 9$/m);
  });

  test("a member whose primary group is carp may change as well", async () => {
    const words = [`--reuid=${NOBODY}`, `--regid=${CARP_GROUP}`, "--clear-groups"];
    const capability = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"];
    const { exitCode } = await a.exec("setpriv", [...words, ...capability, "--", CARPCTL, "carp0", "up"]);
    assert.equal(exitCode, 0);
  });

  test("a member may not set the pass", async () => {
    const before = await engine.request("configuration", {});
    writeFileSync(join(a.etcDirectory, "hostname.carp0"), "vhid 1\n", { mode: 0o600 });
    assert.deepEqual(await as(a, member, CARPCTL, "carp0", "advskew", "3", "pass", ADDED_PASS), {
      stdout: "",
      stderr: "carpctl: permission denied: changing the pass of carp0 needs root\n",
      exitCode: 1,
    });
    const replace = await as(a, member, CARPCTL, "netstart");
    assert.match(
      replace.stderr,
      /hostname\.carp0: permission denied: replacing carp0 and its pass needs root\n$/,
    );
    assert.deepEqual(await engine.request("configuration", {}), before);
    assert.ok(!readFileSync(join(a.runDirectory, "state.json"), "utf8").includes(ADDED_PASS));
  });

  test("others may not, and are told of the group", async () => {
    const { stderr, exitCode } = await as(
      a,
      { uid: NOBODY, groups: [CARP_GROUP + 1] },
      CARPCTL,
      "carp0",
      "down",
    );
    assert.deepEqual(
      [exitCode, stderr],
      [1, "carpctl: permission denied: changing carp0 needs root or group carp\n"],
    );
  });

  test("root may, the pass included", async () => {
    assert.deepEqual(await a.carpctl("carp0", "pass", "another"), { stdout: "", stderr: "", exitCode: 0 });
  });
});
