/**
 * Service checks that say how they are run, through a real engine: by themselves, with patience, for a group, as a user;
 * and what is wrong with their heads.
 */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import { processesWith } from "../hosts/processes.ts";

const NOBODY = 65534;

let lan: Network;
let a: Host;
let b: Host;
let checks: string;
let notes: string;

const start = () => a.startEngine({ environment: { CARP_SERVICE_STATUS_PATH: checks } });

before(async () => {
  lan = await createNetwork();
  [a, b] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("b", { addresses: ["10.0.0.3/24"] }),
  ]);
  checks = join(a.etcDirectory, "carp/service_status.d");
  notes = join(a.etcDirectory, "notes");
  mkdirSync(checks, { recursive: true, mode: 0o755 });
  await Promise.all([b.startEngine(), start()]);
  for (const [host, advskew] of [
    [a, "0"],
    [b, "100"],
  ] as const) {
    await host.carpctl("sysctl", "net.inet.carp.preempt=1");
    for (const [n, group] of ["web", "mail"].entries())
      await host.carpctl(
        ...[`carp${n}`, `10.0.0.${n + 10}/24`, "carpdev", "eth0", "vhid", `${n + 1}`, "pass", "sesame"],
        ...["advbase", "1", "advskew", advskew, "group", group],
      );
  }
  await atHome();
});
after(() => lan.destroy());

beforeEach(async () => {
  for (const directory of [checks, notes]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o755 });
  }
  chmodSync(notes, 0o1777);
});

/** Resolves when a is MASTER of both, and b knows. */
async function atHome(): Promise<void> {
  for (const [host, state] of [
    [a, "MASTER"],
    [b, "BACKUP"],
  ] as const)
    await Promise.all(["carp0", "carp1"].map((name) => host.waitForState(name, state)));
}

const note = (name: string) => join(notes, name);

/** Writes a service check. @returns its path */
function check(name: string, head: string, script: string): string {
  const path = join(checks, name);
  writeFileSync(`${path}.new`, `#!/bin/sh\n# carp: ${head}\n${script}\n`, { mode: 0o644 });
  rmSync(path, { force: true });
  writeFileSync(path, readFileSync(`${path}.new`));
  rmSync(`${path}.new`);
  chmodSync(path, 0o755);
  return path;
}

interface Known {
  readonly name: string;
  readonly outcome: string;
  readonly why: string | null;
  readonly output: string;
  readonly count: number;
  readonly durationSeconds: number | null;
  readonly demotes: boolean;
}

async function known(): Promise<Known[]> {
  return JSON.parse((await a.carpctl("status", "--json")).stdout).checks;
}
const counts = async () => {
  const { groups } = JSON.parse((await a.carpctl("status", "--json")).stdout);
  return Object.fromEntries(
    groups.map((group: { name: string; carpDemoteCount: number }) => [group.name, group.carpDemoteCount]),
  );
};
const counter = async () => Number((await a.carpctl("sysctl", "-n", "net.inet.carp.demotion")).stdout);

test("a group's check moves that group alone, after as many failures and passes as it says; also over a new engine", async () => {
  const begin = a.engine.log.length;
  check("web", "every 1 fall 2 rise 2 demote 50 group web", `echo down; [ ! -e ${note("down")} ]`);
  await eventually(known, ([web]) => web?.outcome === "passed");
  writeFileSync(note("down"), "");
  await b.waitForState("carp0", "MASTER");
  await a.waitForState("carp0", "BACKUP");
  await a.waitForState("carp1", "MASTER");
  assert.deepEqual(await counts(), { carp: 0, web: 50, mail: 0 });
  assert.equal(await counter(), 0);
  for (const line of [
    /<4>service check web failed, 1 of 2 failures: exit status 1: down$/,
    /<3>service-status demoted group web by 50 to 50 \(services: web\)$/,
  ])
    await a.engine.waitForLog(line, { from: begin });
  const [web] = await known();
  assert.deepEqual(
    [web?.outcome, web?.why, web?.output, web?.demotes],
    ["failed", "exit status 1", "down\n", true],
  );
  assert.ok(web !== undefined && web.count >= 2 && (web.durationSeconds ?? -1) >= 0);
  assert.match(
    (await a.carpctl("status")).stdout,
    /^check web: failed \(exit status 1\), \d+ times, in [\d.]+ s, \d+ s ago, every 1 s,\s+demotes group web by 50\n\tdown$/m,
  );
  const wire = await lan.capture("proto 112");
  for (const signal of ["SIGKILL", "SIGUSR2"] as const) {
    await a.engine.kill(signal);
    await start();
    assert.equal((await counts()).web, 50);
    await eventually(known, ([again]) => (again?.count ?? 0) > 0);
  }
  const undemoted = (await wire.stop()).filter(
    ({ ipv4, carp }) => ipv4?.source === "10.0.0.2" && carp?.vhid === 1 && carp.demote !== 50,
  );
  assert.deepEqual(undemoted, []);
  rmSync(note("down"));
  await a.waitForState("carp0", "MASTER");
  const [back] = await known();
  assert.deepEqual([back?.outcome, back?.demotes], ["passed", false]);
  assert.ok(back !== undefined && back.count >= 2);
});

test("files are taken up as they come, change and go", async () => {
  check("web", "every 1 demote 7", "exit 1");
  await eventually(counter, (count) => count === 7);
  check("web", "every 1 demote 9", "exit 1");
  await eventually(counter, (count) => count === 9);
  check("web", "every 1 demote 9 group mail", "exit 1");
  await eventually(counts, ({ mail }) => mail === 9);
  assert.equal(await counter(), 0);
  rmSync(join(checks, "web"));
  await eventually(counts, ({ mail }) => mail === 0);
  assert.deepEqual(await known(), []);
});

test("a head that is not understood is told of once; the check is not run, and nothing is demoted or promoted", async () => {
  check("web", "every 1 demote 7", "exit 1");
  await eventually(counter, (count) => count === 7);
  const begin = a.engine.log.length;
  const path = check("web", "evry 1 demote 7", `touch ${note("ran")}`);
  const why = `${path}:2: evry: unknown word (every, timeout, fall, rise, demote, group, user)`;
  const { text } = await a.engine.waitForLog(/service check web is not run/, { from: begin });
  assert.equal(text, `<3>service check web is not run: ${why}`);
  const { exitCode, stdout } = await a.tryCarpctl("service-status");
  assert.deepEqual([exitCode, stdout], [1, `web: not run (${why})\n`]);
  const nobody = check("mail", "user no-such-user", "exit 1");
  assert.match(
    (await a.tryCarpctl("service-status")).stdout,
    new RegExp(`^mail: not run \\(${nobody}:2: user no-such-user: no such user\\)$`, "m"),
  );
  await a.engine.waitForLog(/service check mail is not run/, { from: begin });
  assert.equal(await counter(), 7);
  assert.ok(!existsSync(note("ran")));
  assert.equal(a.engine.log.lines.slice(begin).filter(({ text }) => /web is not run/.test(text)).length, 1);
  // Each reason for which a file is refused, and one for which it is passed over.
  chmodSync(check("open", "every 1", "exit 1"), 0o777);
  const passed = check("passed", "every 1", "exit 1");
  chmodSync(passed, 0o644);
  await a.engine.waitForLog(/service check open is not run/, { from: begin });
  const { findings } = JSON.parse((await a.tryCarpctl("doctor", "--json")).stdout);
  const told = findings.flatMap(({ level, kind, subject, text }: Record<string, string | null>) =>
    kind?.startsWith("check-") ? `${level} ${kind} ${subject}: ${text}` : [],
  );
  assert.deepEqual(told, [
    `warning check-refused service check mail: it is not run, and demotes nothing: ${nobody}:2: user no-such-user: no such user`,
    `warning check-refused service check open: it is not run, and demotes nothing: it can be written by others than root`,
    `warning check-refused service check web: it is not run, and demotes until it is: ${why}`,
    `warning check-not-executable service checks: ${passed} is not executable, and not run`,
  ]);
  const { stdout: metrics } = await a.carpctl("metrics");
  for (const name of ["mail", "open", "web"])
    assert.match(metrics, new RegExp(`^carp_service_check_refused\\{check="${name}",.*\\} 1$`, "m"));
  for (const name of ["mail", "open", "passed"]) rmSync(join(checks, name));
  check("web", "every 1 demote 7", "exit 0");
  await eventually(counter, (count) => count === 0);
});

test("a check and a hook run as the user that they name, with no group but that user's", async () => {
  const own = "echo $(id -u) $(id -g) $(id -G) nice $(nice)";
  check(
    "who",
    "every 1 user nobody demote 1 group db",
    `${own}; kill -0 $PPID 2>/dev/null && echo may signal the runner; exit 1`,
  );
  const [who] = await eventually(known, ([each]) => each?.outcome === "failed");
  const gid = readFileSync("/etc/passwd", "utf8").match(/^nobody:[^:]*:\d+:(\d+):/m)?.[1];
  assert.equal(who?.output, `${NOBODY} ${gid} ${gid} nice 0\n`);
  const hooks = join(a.etcDirectory, "carp/hooks.d");
  mkdirSync(hooks, { recursive: true });
  writeFileSync(join(hooks, "who"), `#!/bin/sh\n# carp: user nobody\n${own} >${note("hook")}\n`);
  writeFileSync(join(hooks, "wrong"), `#!/bin/sh\n# carp: every 5\ntouch ${note("wrong")}\n`);
  for (const name of ["who", "wrong"]) chmodSync(join(hooks, name), 0o755);
  const begin = a.engine.log.length;
  await a.carpctl("carp1", "state", "backup");
  await eventually(async () => existsSync(note("hook")) && readFileSync(note("hook"), "utf8"), Boolean);
  assert.equal(readFileSync(note("hook"), "utf8"), `${NOBODY} ${gid} ${gid} nice 0\n`);
  await a.engine.waitForLog(/hook wrong is not run: .*\/wrong:2: every: unknown word \(user\)$/, {
    from: begin,
  });
  rmSync(hooks, { recursive: true });
  await atHome();
});

test("checks that hang, flood or are slow delay neither another check nor an advertisement, and are told of once", async () => {
  await atHome();
  const begin = a.engine.log.length;
  const wire = await lan.capture("proto 112");
  check("hang", "every 1 timeout 2 demote 1 group db", "trap '' TERM; sleep 4567891 & sleep 4567891");
  check("flood", "every 1 timeout 20 demote 1 group db", "while :; do echo more and more; done");
  check("quick", "every 1", `echo >>${note("quick")}`);
  const results = async () => Object.fromEntries((await known()).map((each) => [each.name, each]));
  const all = await eventually(
    results,
    ({ hang, flood }) => (hang?.count ?? 0) >= 2 && (flood?.count ?? 0) >= 2,
  );
  assert.deepEqual(
    [all.hang?.why, all.flood?.why],
    ["did not end within 2 seconds", "wrote more than 1048576 bytes"],
  );
  assert.ok((all.flood?.output.length ?? 0) <= 4096);
  assert.ok(readFileSync(note("quick"), "utf8").length > (all.hang?.count ?? 0));
  const told = (name: string) =>
    a.engine.log.lines.slice(begin).filter(({ text }) => text.includes(`service check ${name} `));
  assert.match(
    told("hang")
      .map(({ text }) => text)
      .join("\n"),
    /^.*failed: did not end.*\n.*takes longer than the 1 s.*$/,
  );
  assert.match(
    told("flood")
      .map(({ text }) => text)
      .join("\n"),
    /^.*failed: wrote more than [^\n]*(\n.*takes longer[^\n]*)?$/,
  );
  // On a busy machine it may take longer than a second.
  assert.ok(told("quick").every(({ text }) => text.includes("takes longer")));
  const frames = (await wire.stop()).filter(({ carp }) => carp !== undefined);
  const masters = frames.filter(({ ethernetDestination }) => ethernetDestination.startsWith("01:00:5e"));
  assert.deepEqual([...new Set(masters.map(({ ipv4 }) => ipv4?.source))], ["10.0.0.2"]);
  rmSync(checks, { recursive: true });
  await eventually(
    async () => processesWith("sleep 4567891"),
    (pids) => pids.length === 0,
  );
});
