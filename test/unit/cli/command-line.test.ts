/** Command lines from their words to output and exit status, against an engine that answers as the test says. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { VERBS } from "../../../src/cli/grammar/verbs.ts";
import type { DemotionView } from "../../../src/control/messages.ts";
import { zeroStatistics } from "../../../src/core/statistics.ts";
import { called, MAIN, started } from "./called.ts";
import { type Asked, node, scriptedEngine, view } from "./scripted-engine.ts";

const variables = new Map([
  ["net.inet.carp.allow", 1],
  ["net.inet.carp.preempt", 0],
  ["net.inet.carp.demotion", 0],
]);

const PACKETS = {
  interface: "carp0",
  nodes: [{ vhid: 1, accepted: 7, droppedByHash: 0 }],
  droppedByLease: 0,
  malformed: 0,
  withheld: 0,
};

const CHECK = {
  name: "web",
  path: "/x/web",
  outcome: "passed",
  output: "",
  count: 4,
  durationSeconds: 0.02,
  ageSeconds: 3,
  demotes: false,
  every: 5,
  timeout: 2,
  fall: 3,
  rise: 2,
  demote: 50,
  group: "www",
} as const;
const demotion: DemotionView = {
  counter: 290,
  written: 0,
  reasons: [
    { reason: "backup", by: 50 },
    { reason: "maintenance", by: 240 },
  ],
  units: [],
  faults: [],
};

function answer({ method, params }: Asked): unknown {
  const { name, names, writes } = params as {
    name?: string;
    names?: string[];
    writes?: { name: string; value: number }[];
  };
  switch (method) {
    case "interfaces":
      return {
        nowUs: 5_000_000,
        interfaces: [view(), view({ name: "carp1", groups: ["www"], nodes: [node({ vhid: 2 })] })],
      };
    case "groups":
      return [{ name: "www", carpDemoteCount: 3, interfaces: ["carp1"] }];
    case "demotion":
      return demotion;
    case "checks":
      return [CHECK];
    case "statistics":
      return name === "carp7"
        ? { error: { code: 1, message: "carp7: no such interface" } }
        : { ...zeroStatistics(), sentIpv4: name === undefined ? 9 : 3 };
    case "packets":
      return [PACKETS];
    case "create":
      return { name: name ?? "carp2" };
    case "sysctl-get": {
      const wanted = (key: string) => names?.some((each) => key === each || key.startsWith(`${each}.`));
      const found = [...variables]
        .filter(([key]) => wanted(key))
        .map(([key, now]) => ({ name: key, value: now }));
      return found.length > 0 ? found : { error: { code: 1, message: `${names?.[0]}: no such variable` } };
    }
    case "sysctl-set":
      return writes?.map((write) => ({ name: write.name, from: variables.get(write.name), to: write.value }));
    default:
      return {};
  }
}

async function engineFor(context: TestContext) {
  const engine = await scriptedEngine(answer);
  context.after(() => engine.close());
  const environment = { CARP_RUN_DIR: engine.runDir };
  const carpctl = (...words: string[]) => called(words, environment);
  return { engine, carpctl, start: (...words: string[]) => started(words, environment) };
}

test("no words show every interface, a name shows one, a group its members", async (context) => {
  const { start: carpctl } = await engineFor(context);
  const all = await carpctl();
  assert.deepEqual([all.status, all.err], [0, ""]);
  assert.deepEqual(all.out.match(/^carp\d/gm), ["carp0", "carp1"]);
  assert.deepEqual((await carpctl("carp1")).out.match(/^carp\d/gm), ["carp1"]);
  assert.deepEqual((await carpctl("www")).out.match(/^carp\d/gm), ["carp1"]);
  assert.equal((await carpctl("-g", "www")).out, "www: carp demote count 3\n");
});

test("what does not exist is refused in one line", async (context) => {
  const { start: carpctl } = await engineFor(context);
  assert.deepEqual(await carpctl("carp7"), {
    status: 1,
    out: "",
    err: "carpctl: carp7: no such interface\n",
  });
  assert.deepEqual(await carpctl("-g", "nosuch"), {
    status: 1,
    out: "",
    err: "carpctl: group nosuch: no such group\n",
  });
  const { err } = await carpctl("statsu");
  assert.equal(err, "carpctl: statsu: no such interface (did you mean stats?)\n");
});

test("create prints a name only when it chose it", async (context) => {
  const { engine, start: carpctl } = await engineFor(context);
  assert.equal((await carpctl("create")).out, "carp2\n");
  assert.deepEqual(await carpctl("carp5", "create"), { status: 0, out: "", err: "" });
  assert.deepEqual(engine.asked, [
    { method: "create", params: {} },
    { method: "create", params: { name: "carp5" } },
  ]);
});

test("create with parameters is one request, which the engine judges", async (context) => {
  const { engine, carpctl } = await engineFor(context);
  assert.equal((await carpctl("carp5", "create", "vhid", "1")).status, 0);
  assert.deepEqual(engine.asked, [
    { method: "change", params: { name: "carp5", change: { vhid: 1 }, create: true } },
  ]);
});

test("a pass that is too long is set, with a warning", async (context) => {
  const { engine, start: carpctl } = await engineFor(context);
  const file = join(engine.runDir, "pass");
  await writeFile(file, "12345678901234567890\nsecond line\n");
  const { status, err } = await carpctl("carp0", "passfile", file);
  assert.deepEqual([status, err], [0, "carpctl: warning: pass: only its first 19 bytes are used\n"]);
  assert.deepEqual(engine.asked[0]?.params, { name: "carp0", change: { pass: "12345678901234567890" } });
});

test("a pass file that cannot be read is named", async () => {
  const directory = await mkdtemp(join(tmpdir(), "carpctl-test-"));
  assert.equal(
    (await called(["carp0", "passfile", directory])).err,
    `carpctl: passfile ${directory}: is a directory\n`,
  );
  const latin1 = join(directory, "latin1");
  await writeFile(latin1, Buffer.from([0x70, 0xe4, 0x0a]));
  assert.equal(
    (await called(["carp0", "passfile", latin1])).err,
    `carpctl: passfile ${latin1}: its first line is not UTF-8\n`,
  );
  await rm(directory, { recursive: true });
});

test("sysctl prints and sets as sysctl(8) does", async (context) => {
  const { carpctl } = await engineFor(context);
  assert.equal((await carpctl("sysctl", "net.inet.carp.allow")).out, "net.inet.carp.allow=1\n");
  assert.equal((await carpctl("sysctl", "-n", "net.inet.carp")).out, "1\n0\n0\n");
  assert.equal((await carpctl("sysctl", "-a")).out.split("\n").length, 4);
  assert.equal(
    (await carpctl("sysctl", "-w", "net.inet.carp.preempt=1")).out,
    "net.inet.carp.preempt: 0 -> 1\n",
  );
  assert.equal((await carpctl("sysctl", "-q", "net.inet.carp.preempt=1")).out, "");
  const { err } = await carpctl("sysctl", "net.inet.carp.foo");
  assert.equal(err, "carpctl: net.inet.carp.foo: no such variable\n");
});

test("sysctl sets all of its variables with one message", async (context) => {
  const { engine, carpctl } = await engineFor(context);
  const words = ["net.inet.carp.allow", "net.inet.carp.preempt=1", "net.inet.carp.demotion=-5"];
  const { status, out } = await carpctl("sysctl", ...words);
  assert.deepEqual(
    [status, out],
    [0, "net.inet.carp.allow=1\nnet.inet.carp.preempt: 0 -> 1\nnet.inet.carp.demotion: 0 -> -5\n"],
  );
  const writes = [
    { name: "net.inet.carp.preempt", value: 1 },
    { name: "net.inet.carp.demotion", value: -5 },
  ];
  assert.deepEqual(
    engine.asked.filter(({ method }) => method === "sysctl-set").map(({ params }) => params),
    [{ writes }],
  );
});

test("nothing is set when a value is no number or a name does not exist", async (context) => {
  const { engine, carpctl } = await engineFor(context);
  const typo = await carpctl("sysctl", "net.inet.carp.preempt=1", "net.inet.carp.allow=x");
  assert.equal(typo.err, "carpctl: net.inet.carp.allow=x: not a number\n");
  await carpctl("sysctl", "net.inet.carp.preempt=1", "net.inet.carp.foo=1");
  assert.deepEqual(
    engine.asked.filter(({ method }) => method === "sysctl-set"),
    [],
  );
});

test("netstat and stats print the counters, with or without netstat's own options", async (context) => {
  const { start: carpctl } = await engineFor(context);
  const { out } = await carpctl("netstat", "-s", "-p", "carp");
  assert.match(out, /^carp:\n\t0 packets received/);
  assert.equal((await carpctl("stats")).out, out);
  assert.deepEqual(JSON.parse((await carpctl("netstat", "--json")).out), {
    ...zeroStatistics(),
    sentIpv4: 9,
  });
});

test("netstat -I asks for one interface, and says when there is none of that name", async (context) => {
  const { engine, carpctl } = await engineFor(context);
  const { out } = await carpctl("netstat", "-I", "carp0");
  assert.match(out, /^carp0:\n/);
  assert.match(out, /^\t3 packets sent \(IPv4\)\n/m);
  assert.match(out, /\n\t0 repairs of changes by other programs\n\t7 packets accepted for vhid 1\n/);
  assert.deepEqual(engine.asked[0], { method: "statistics", params: { name: "carp0" } });
  const { interface: _, ...packets } = PACKETS;
  assert.deepEqual(JSON.parse((await carpctl("netstat", "--json", "-I", "carp0")).out), {
    ...zeroStatistics(),
    sentIpv4: 3,
    repairs: 0,
    packets,
  });
  assert.equal(JSON.parse((await carpctl("netstat", "--json", "-I", "carp1")).out).packets, null);
  assert.deepEqual(await carpctl("netstat", "-I", "carp7"), {
    status: 1,
    out: "",
    err: "carpctl: carp7: no such interface\n",
  });
});

test("status as JSON has interfaces, groups and the parts of the demotion counter", async (context) => {
  const { carpctl } = await engineFor(context);
  for (const words of [
    ["status", "--json"],
    ["--json", "status"],
  ]) {
    const { interfaces, groups, ...rest } = JSON.parse((await carpctl(...words)).out);
    assert.deepEqual(rest.demotion, demotion);
    assert.deepEqual(rest.checks, [{ ...CHECK, why: null, user: null }]);
    assert.equal(interfaces[0].nodes[0].ageSeconds, 4);
    assert.deepEqual(groups, [{ name: "www", carpDemoteCount: 3, interfaces: ["carp1"] }]);
  }
});

test("demote, promote and maintenance ask the engine for exactly that", async (context) => {
  const { engine, carpctl } = await engineFor(context);
  for (const words of ["demote backup 50", "promote backup", "maintenance on", "maintenance off"])
    assert.deepEqual(await carpctl(...words.split(" ")), { status: 0, out: "", err: "" }, words);
  assert.deepEqual(engine.asked, [
    { method: "demote", params: { reason: "backup", by: 50 } },
    { method: "promote", params: { reason: "backup" } },
    { method: "maintenance", params: { on: true } },
    { method: "maintenance", params: { on: false } },
  ]);
  assert.equal((await carpctl("maintenance")).out, "on\n");
  assert.deepEqual(JSON.parse((await carpctl("maintenance", "--json")).out), { maintenance: true });
});

test("how much to demote by is a number in range", async (context) => {
  const { engine, carpctl } = await engineFor(context);
  for (const n of ["0", "1048577", "-1", "1e3", "x", "99999999999999999999", ""]) {
    const { status, err } = await carpctl("demote", "backup", n);
    assert.equal(status, 1, n);
    assert.equal(err, `carpctl: demote ${n === "" ? "''" : n}: must be 1..1048576\n`);
  }
  assert.deepEqual(engine.asked, []);
  for (const words of [["demote", "backup"], ["demote"], ["promote"], ["maintenance", "maybe"]]) {
    const { status, err } = await carpctl(...words);
    assert.equal(status, 2, words.join(" "));
    assert.match(
      err,
      /^usage: carpctl (demote REASON N \| --unit UNIT N|promote REASON \| --unit UNIT|maintenance \[on\|off\])$/m,
    );
  }
});

test("the table of status has no colour in a pipe", async (context) => {
  const { start: carpctl } = await engineFor(context);
  const { out } = await carpctl("status");
  assert.match(out, /^NAME /);
  assert.ok(!out.includes("\x1b"));
});

const USAGE = "usage: carpctl [-aAC] [-g GROUP [carpdemote [N]]] [INTERFACE [PARAMETERS...]]\n";

for (const [words, err] of [
  [["sysctl"], "usage: carpctl sysctl [-a] [-n] [-q] NAME[=VALUE]...\n"],
  [["-g"], USAGE],
  [["-x"], `carpctl: -x: unknown option\n${USAGE}`],
  [["--frob"], "carpctl: --frob: unknown option\nusage: carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]\n"],
  [
    ["netstat", "-p", "tcp"],
    'carpctl: p tcp: must be "carp"\nusage: carpctl netstat [-s] [-p carp] [-I INTERFACE]\n',
  ],
  [["status", "now"], "carpctl: now: unknown argument\nusage: carpctl status [--watch]\n"],
  [
    ["engine", "--log"],
    "carpctl: --log: needs a value\nusage: carpctl engine [--log syslog|stderr] [--boot-demotion SECONDS] [--metrics ADDRESS:PORT|unix:PATH]\n",
  ],
] as const) {
  test(`carpctl ${words.join(" ")}: a usage line, exit 2`, async () => {
    assert.deepEqual(await started(words), { status: 2, out: "", err });
  });
}

test("an invalid word is refused before the engine is asked, exit 1", async () => {
  assert.deepEqual(await started(["carp0", "vhid", "256"]), {
    status: 1,
    out: "",
    err: "carpctl: vhid 256: must be 1..255\n",
  });
});

test("without an engine the socket that is missing is named", async () => {
  const { status, err } = await called(["--run-dir", "/nonexistent/other", "carp0"]);
  assert.equal(status, 1);
  assert.match(
    err,
    /^carpctl: the engine is not running \(no \/nonexistent\/other\/engine\.sock\): start it with/,
  );
});

test("control characters in a word reach the terminal escaped, on one line", async () => {
  assert.equal((await started(["carp0", "a\nb\x1b[2J"])).err, "carpctl: a\\nb\\x1b[2J: unknown parameter\n");
});

test("called by another name it is that command", async (context) => {
  const { engine } = await engineFor(context);
  const as = (name: string, ...words: string[]) =>
    started(words, { CARP_RUN_DIR: engine.runDir, CARPCTL_ARGV0: `/usr/local/bin/${name}` });
  assert.equal((await as("sysctl", "-n", "net.inet.carp.allow")).out, "1\n");
  assert.equal((await as("sysctl")).err, "usage: sysctl [-a] [-n] [-q] NAME[=VALUE]...\n");
  assert.equal((await as("ifconfig", "carp7")).err, "ifconfig: carp7: no such interface\n");
  assert.match((await as("ifconfig", "status", "up")).err, /^ifconfig: status: not a carp interface name/);
});

test("help lists the commands and every parameter, in English and without an engine", async () => {
  const { status, out } = await started(["--help"], { LANG: "de_DE.UTF-8", LC_ALL: "de_DE.UTF-8" });
  assert.equal(status, 0);
  for (const word of ["sysctl", "netstat", "status", "vhid N", "-carppeer", "--run-dir"])
    assert.ok(out.includes(word), word);
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
  assert.match((await started(["status", "--help"])).out, /^usage: carpctl status \[--watch\]\n/);
  assert.match((await started(["carp0", "--help"])).out, /^usage: carpctl \[OPTIONS\]/);
});

test("help is the same by either way, and tells of each word it lists", async () => {
  const [whole, byOption] = [await called(["help"]), await called(["--help"])];
  assert.deepEqual(whole, byOption);
  for (const { names } of VERBS)
    for (const name of names)
      if (name !== "help")
        assert.deepEqual(await called(["help", name]), await called([name, "--help"]), name);
  assert.match(
    (await called(["help", "ifconfig"])).out,
    /^usage: carpctl [^\n]*\n\nInterfaces:\n.*\n {2}vhid N/s,
  );
  assert.match(
    (await called(["help", "variables"])).out,
    /^Variables:\n {2}net\.inet\.carp\.allow \(0\.\.1, default 1\)/,
  );
  assert.equal(
    (await called(["help", "vhid"])).out,
    "  vhid N                    virtual host id (1..255)\n",
  );
  assert.match((await called(["help", "carpdemote"])).out, /-g GROUP carpdemote \[N\]\n +add to it/);
  assert.match(
    (await called(["help", "net.inet.carp.log"])).out,
    /^ {2}net\.inet\.carp\.log \(0\.\.7, default 2\)\n/,
  );
});

test("help on what there is none on is refused", async () => {
  const err =
    "carpctl: help balancin: no such command, parameter, variable or finding (did you mean balancing?)\n";
  assert.deepEqual(await called(["help", "balancin"]), { status: 1, out: "", err });
  assert.equal((await called(["help", "no-carier"])).err.includes("(did you mean no-carrier?)"), true);
  assert.equal((await called(["help", "vhid", "pass"])).status, 2);
});

test("the word help at the end of other commands is a word like any other", async () => {
  assert.match((await called(["sysctl", "help"])).err, /the engine is not running/);
});

test("a link's help goes by its name", async () => {
  const as = async (name: string) => (await started(["--help"], { CARPCTL_ARGV0: name })).out;
  assert.match(await as("sysctl"), /^usage: sysctl \[-a\]/);
  assert.match(await as("carpd"), /^usage: carpd \[--log/);
  assert.match(await as("ifconfig"), /^usage: .*\n\nInterfaces:/);
});

test("the version is the package's", async () => {
  assert.match((await started(["--version"])).out, /^carpctl \d+\.\d+\.\d+\n$/);
});

test("a reader that goes away is no failure", async (context) => {
  const interfaces = Array.from({ length: 5000 }, (_, at) => view({ name: `carp${at}` }));
  const engine = await scriptedEngine(() => ({ nowUs: 1, interfaces }));
  context.after(() => engine.close());
  const child = spawn(process.execPath, [MAIN], { env: { CARP_RUN_DIR: engine.runDir } });
  let err = "";
  child.stderr.on("data", (chunk) => (err += chunk));
  child.stdout.once("data", () => child.stdout.destroy());
  const status = await new Promise((resolve) => child.on("close", resolve));
  assert.deepEqual([status, err], [0, ""]);
});

test("it runs where the working directory is gone", async () => {
  const directory = await mkdtemp(join(tmpdir(), "carpctl-test-"));
  const child = spawn("sh", ["-c", 'rmdir "$PWD" && exec "$0" "$@"', process.execPath, MAIN, "--help"], {
    cwd: directory,
  });
  let out = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  const status = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(status, 0);
  assert.match(out, /^usage: carpctl/);
});
