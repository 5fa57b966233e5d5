/** Service checks through a real engine: results, rights, and that no check delays an advertisement. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import { childrenOf, commandOf, descendantsOf, processesWith } from "../hosts/processes.ts";
import { CARPCTL } from "../hosts/program.ts";

const NOBODY = 65534;
const DEMOTED = /<2>carp demoted by 1048576 due to service disruption \(services: (.*)\)$/;
const PROMOTED = /<2>carp promoted by 1048576 due to service recovery$/;

let lan: Network;
let a: Host;
let b: Host;
let checks: string;
let others: string;
let notes: string;

const start = () => a.startEngine({ environment: { CARP_SERVICE_STATUS_PATH: `${checks}:${others}` } });

before(async () => {
  lan = await createNetwork();
  [a, b] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("b", { addresses: ["10.0.0.3/24"] }),
  ]);
  await b.startEngine();
  checks = join(a.etcDirectory, "carp/service_status.d");
  others = join(a.etcDirectory, "others.d");
  notes = join(a.etcDirectory, "notes");
  await start();
});
after(() => lan.destroy());

beforeEach(() => {
  for (const directory of [checks, others, notes]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o755 });
  }
});

const counter = async () => Number((await a.carpctl("sysctl", "-n", "net.inet.carp.demotion")).stdout);
const note = (name: string) => join(notes, name);

/** Writes a service check. @returns its path */
function check(name: string, script: string, directory = checks): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

async function serviceStatus(status: 0 | 1) {
  const { exitCode, stdout, stderr } = await a.tryCarpctl("service-status");
  assert.deepEqual([exitCode, stderr], [status, ""], stdout);
  return stdout;
}

function runner(): number {
  const [found] = descendantsOf(a.engine.pid).filter((pid) => commandOf(pid).endsWith(" runner"));
  assert.ok(found !== undefined, "no runner");
  return found;
}

test("failed checks demote once and are named; the demotion ends when all succeed", async () => {
  const begin = a.engine.log.length;
  assert.equal(await serviceStatus(0), "");
  check("good", "exit 0");
  assert.equal(await serviceStatus(0), "");
  check("web", "echo port 80: connection refused; exit 3");
  check("dns", "kill -SEGV $$", others);
  writeFileSync(join(checks, "README"), "no check");
  check(".web.swp", "exit 1");
  assert.equal(
    await serviceStatus(1),
    "dns: failed (killed by SIGSEGV)\nweb: failed (exit status 3)\n\tport 80: connection refused\n",
  );
  const { text } = await a.engine.waitForLog(DEMOTED, { from: begin });
  assert.equal(DEMOTED.exec(text)?.[1], "dns, web");
  rmSync(join(others, "dns"));
  assert.match(await serviceStatus(1), /^web: /);
  assert.equal(await counter(), 1_048_576);
  assert.match((await a.carpctl("status")).stdout, /^demoted by 1048576: services 1048576$/m);
  check("web", "exit 0");
  assert.equal(await serviceStatus(0), "");
  assert.equal(await serviceStatus(0), "");
  await a.engine.waitForLog(PROMOTED, { from: begin });
  assert.equal(await counter(), 0);
  const told = a.engine.log.lines.slice(begin).filter(({ text }) => /moted/.test(text));
  assert.equal(told.length, 2);
});

test("every user may ask for the results, without the output", async () => {
  check("web", "echo secret; exit 1");
  const capability = "-all,+dac_read_search";
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  const words = [...user, `--inh-caps=${capability}`, `--ambient-caps=${capability}`, "--", CARPCTL];
  const { exitCode, stdout } = await a.exec("setpriv", [...words, "service-status"]);
  assert.deepEqual([exitCode, stdout], [1, "web: failed (exit status 1)\n"]);
  assert.equal(await counter(), 1_048_576);
  const { demoted, checks: known } = JSON.parse((await a.tryCarpctl("service-status", "--json")).stdout);
  const all = known.map(({ durationSeconds, ageSeconds, ...others }: Record<string, unknown>) => {
    assert.ok(Number(durationSeconds) >= 0 && Number(ageSeconds) >= 0);
    return others;
  });
  assert.deepEqual(
    [demoted, all],
    [
      true,
      [
        {
          name: "web",
          path: join(checks, "web"),
          outcome: "failed",
          why: "exit status 1",
          output: "secret\n",
          count: 2,
          demotes: true,
          timeout: 10,
          fall: 1,
          rise: 1,
          demote: 1_048_576,
        },
      ],
    ],
  );
});

test("a check that others can write is not run, and the demotion stays", async () => {
  check("web", "exit 1");
  await serviceStatus(1);
  rmSync(join(checks, "web"));
  const loose = join(a.etcDirectory, "loose");
  mkdirSync(loose, { recursive: true });
  chmodSync(loose, 0o1777);
  for (const name of ["unowned", "group", "all"]) check(name, `touch ${note("ran")}`);
  chownSync(join(checks, "unowned"), NOBODY, 0);
  chmodSync(join(checks, "group"), 0o775);
  chmodSync(join(checks, "all"), 0o757);
  symlinkSync(check("real", `touch ${note("ran")}`, loose), join(checks, "web"));
  assert.equal(
    await serviceStatus(1),
    [
      "all: not run (it can be written by others than root)",
      "group: not run (it can be written by others than root)",
      "unowned: not run (it is not owned by root)",
      `web: not run (directory ${loose} can be written by others than root)`,
      "",
    ].join("\n"),
  );
  for (const name of ["unowned", "group", "all", "web"]) rmSync(join(checks, name));
  check("web", `touch ${note("ran")}`);
  chmodSync(checks, 0o775);
  assert.equal(
    await serviceStatus(1),
    `web: not run (directory ${checks} can be written by others than root)\n`,
  );
  chmodSync(checks, 0o755);
  assert.ok(!existsSync(note("ran")));
  assert.equal(await counter(), 1_048_576);
  await serviceStatus(0);
  assert.ok(existsSync(note("ran")));
  assert.equal(await counter(), 0);
});

test("a check inherits nothing of the engine: environment, priority, files, session", async () => {
  check(
    "self",
    "env | sort; echo nice $(nice); for fd in /proc/$$/fd/*; do readlink $fd; done; pwd; umask; exit 1",
  );
  const [head, ...lines] = (await serviceStatus(1))
    .trimEnd()
    .split("\n")
    .map((line) => line.trim());
  assert.equal(head, "self: failed (exit status 1)");
  const pipes = lines.filter((line) => line.startsWith("socket:"));
  assert.equal(pipes.length, 2, lines.join("\n"));
  assert.deepEqual(
    lines.filter((line) => !line.startsWith("socket:")),
    [
      `CARP_ETC_DIR=${a.etcDirectory}`,
      `CARP_RUN_DIR=${a.runDirectory}`,
      "LANG=C",
      "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
      "PWD=/",
      "nice 0",
      "/dev/null",
      join(checks, "self"),
      "/",
      "0022",
    ],
  );
});

test("requests during a run of the checks share one further run", async () => {
  check(
    "slow",
    `echo >>${note("runs")}; while [ ! -e ${note("go")} ]; do sleep 0.02; done; echo done; exit 1`,
  );
  const runs = async () => (existsSync(note("runs")) ? readFileSync(note("runs"), "utf8").length : 0);
  const ask = () => a.engine.request("service-status", {});
  const first = ask();
  await eventually(runs, (count) => count === 1);
  const others = Array.from({ length: 8 }, ask);
  await Promise.all(Array.from({ length: 8 }, () => a.engine.request("hello", {})));
  writeFileSync(note("go"), "");
  for (const { checks: all } of await Promise.all([first, ...others])) assert.equal(all[0]?.output, "done\n");
  assert.equal(await runs(), 2);
});

test("SIGHUP runs the checks, and logs those that it may not run", async () => {
  const begin = a.engine.log.length;
  check("web", "exit 0");
  a.engine.signal("SIGHUP");
  await a.engine.waitForLog(PROMOTED, { from: begin });
  chmodSync(check("dns", "exit 0"), 0o777);
  a.engine.signal("SIGHUP");
  await a.engine.waitForLog(/<3>service check dns is not run: it can be written/, { from: begin });
});

test("checks that hang, flood or fork delay no advertisement, and end at their limit", async () => {
  const words = ["carpdev", "eth0", "pass", "sesame", "advbase", "1"];
  for (const [host, advskews] of [
    [a, [20, 100]],
    [b, [100, 20]],
  ] as const) {
    await host.carpctl("sysctl", "net.inet.carp.preempt=1");
    for (const n of [0, 1])
      await host.carpctl(
        `carp${n}`,
        `10.0.0.${n + 10}/24`,
        ...words,
        "vhid",
        `${n + 1}`,
        "advskew",
        `${advskews[n]}`,
      );
  }
  await Promise.all([a.waitForState("carp0", "MASTER"), b.waitForState("carp1", "MASTER")]);
  check("fork", "setsid sh -c 'sleep 60 & exec sleep 61' & exit 1");
  check("flood", "while :; do echo some more of the same, again and again; done");
  check("hang", "trap '' TERM HUP; sleep 1234567 & sleep 1234567; sleep 1234567");
  const wire = await lan.capture("proto 112");
  const asked = a.engine.request("service-status", {});
  const { demoted, checks: all } = await asked;
  // Until the failed checks demote it, a is MASTER throughout.
  const everything = await wire.stop();
  const end = everything.findIndex(({ ipv4, carp }) => ipv4?.source === "10.0.0.2" && carp?.demote !== 0);
  const frames = everything.slice(0, end === -1 ? undefined : end);
  assert.equal(demoted, true);
  assert.deepEqual(
    all.map(({ name, why }) => [name, why]),
    [
      ["flood", "wrote more than 1048576 bytes"],
      ["fork", "exit status 1"],
      ["hang", "did not end within 10 seconds"],
    ],
  );
  for (const { output } of all) assert.ok(output.length <= 4096);
  assert.deepEqual(processesWith("sleep 1234567"), []);
  const sent = (source: string, vhid: number) =>
    frames.filter(({ ipv4, carp }) => ipv4?.source === source && carp?.vhid === vhid).length;
  const [disturbed, undisturbed] = [sent("10.0.0.2", 1), sent("10.0.0.3", 2)];
  assert.ok(disturbed >= 6 && disturbed >= undisturbed - 2, `${disturbed} of ${undisturbed}`);
  assert.equal(sent("10.0.0.3", 1), 0, "the other host took over");
  // Demoted, it gives way.
  await b.waitForState("carp0", "MASTER");
  rmSync(checks, { recursive: true });
  await serviceStatus(0);
  await a.waitForState("carp0", "MASTER");
});

test("a killed runner ends its checks and is started again", async () => {
  check("hang", `touch ${note("hangs")}; exec sleep 2345678`);
  const begin = a.engine.log.length;
  const asked = assert.rejects(
    a.engine.request("service-status", {}),
    /the service checks did not run to their end: the runner ended \(SIGKILL\)/,
  );
  await eventually(async () => existsSync(note("hangs")), Boolean);
  process.kill(runner(), "SIGKILL");
  await asked;
  await a.engine.waitForLog(/<3>the runner .* ended \(SIGKILL\), starting it again$/, { from: begin });
  await eventually(
    async () => processesWith("sleep 2345678"),
    (pids) => pids.length === 0,
  );
  check("hang", "exit 0");
  await serviceStatus(0);
});

test("an engine whose runner cannot be started any more says so, and goes on", async () => {
  check("web", "exit 0");
  await serviceStatus(0);
  const begin = a.engine.log.length;
  const [shell] = childrenOf(a.engine.pid).filter((pid) => commandOf(pid).includes("carp-runner"));
  assert.ok(shell !== undefined);
  process.kill(shell, "SIGKILL");
  await a.engine.waitForLog(/<3>the runner .* is given up: what starts it ended$/, { from: begin });
  await a.engine.waitForLog(/<4>hooks and service checks do not run until the engine is started anew$/, {
    from: begin,
  });
  assert.match((await a.tryCarpctl("service-status")).stderr, /no runner can be started/);
  const { findings } = JSON.parse((await a.tryCarpctl("doctor", "--json")).stdout);
  const [hooks] = findings.filter(({ subject }: { subject: string }) => subject === "hooks");
  assert.equal(hooks?.level, "warning");
  await a.engine.kill("SIGUSR2");
  await start();
  await serviceStatus(0);
});

test("a killed engine leaves no runner and no check; the next engine keeps the demotion", async () => {
  check("web", "exit 1");
  await serviceStatus(1);
  check("hang", `touch ${note("hangs")}; exec sleep 3456789`);
  const asked = a.engine.request("service-status", {}).catch(() => undefined);
  await eventually(async () => existsSync(note("hangs")), Boolean);
  const pid = runner();
  await a.engine.kill("SIGKILL");
  await asked;
  await eventually(
    async () => [commandOf(pid), ...processesWith("sleep 3456789")],
    ([command, ...pids]) => command === "" && pids.length === 0,
  );
  await start();
  assert.equal(await counter(), 1_048_576);
  for (const name of ["web", "hang"]) rmSync(join(checks, name));
  const begin = a.engine.log.length;
  await serviceStatus(0);
  await a.engine.waitForLog(PROMOTED, { from: begin });
  const last = runner();
  await a.engine.stop();
  assert.equal(commandOf(last), "");
});
