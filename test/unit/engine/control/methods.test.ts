/** Every method of the control protocol, called over a socket of an engine without a kernel. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { type Connection, ControlError, connect } from "../../../../src/control/client.ts";
import {
  ErrorCode,
  type EventNotification,
  methods,
  type Packets,
} from "../../../../src/control/messages.ts";
import type { Command } from "../../../../src/core/command.ts";
import { Host, type Outcome } from "../../../../src/core/host.ts";
import type { Peer } from "../../../../src/engine/control/authorisation.ts";
import { ControlSockets } from "../../../../src/engine/control/control-sockets.ts";
import { Feed } from "../../../../src/engine/control/feed.ts";
import { createMethods, type Served } from "../../../../src/engine/control/methods.ts";
import { ControlServer } from "../../../../src/engine/control/server.ts";
import { History } from "../../../../src/engine/history/history.ts";
import { Delays } from "../../../../src/engine/metrics/delays.ts";
import type { Evaluation } from "../../../../src/engine/scripts/service-checks.ts";

const ROOT: Peer = { uid: 0, gid: 0, groups: [] };
const GROUP = 999;
const MEMBER: Peer = { uid: 1000, gid: 1000, groups: [GROUP] };
const NOW = { us: 42_000_000, epochUs: 1_700_000_000_000_000 };
const PACKETS: Packets = {
  interface: "carp0",
  nodes: [{ vhid: 1, accepted: 7, droppedByHash: 0 }],
  droppedByLease: 0,
  malformed: 0,
  withheld: 0,
};
const FAILED = {
  name: "web",
  path: "/x/web",
  outcome: "failed",
  why: "exit status 1",
  output: "secret",
  count: 2,
  demotes: true,
  timeout: 10,
  fall: 1,
  rise: 1,
  demote: 50,
} as const;

let directory: string;
let peer: Peer;
let host: Host;
let commands: Command[];
let logged: string[];
/** The log's lines about changes. */
let changes: string[];
let feed: Feed;
let history: History;
let evaluation: Evaluation;
let ready: Promise<void>;
let maintenance: boolean[];
let server: ControlServer;
let engine: Connection;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-methods-"));
  peer = ROOT;
  host = new Host({ balancing: true });
  commands = [];
  logged = [];
  changes = [];
  maintenance = [];
  feed = new Feed(() => 1000);
  history = new History({
    directory,
    bootId: "0123456789",
    now: () => NOW,
    complain: (text) => logged.push(text),
  });
  evaluation = { demoted: true, checks: [FAILED] };
  ready = Promise.resolve();
  const served: Served = {
    version: "1.2.3",
    host,
    get ready() {
      return ready;
    },
    catchUp: () => {},
    now: () => NOW,
    command: async (command) => {
      commands.push(command);
      return host.command(command, NOW);
    },
    replace: async (replacements, turn) => {
      const outcomes: Outcome[] = [];
      for (const each of replacements) {
        commands.push(each);
        outcomes.push(host.command(each, NOW));
        await turn();
      }
      return outcomes;
    },
    startedUs: 0,
    delays: new Delays(),
    packetCounts: () => undefined,
    leaseUntilUs: () => 0,
    packets: () => [PACKETS],
    overruled: () => ({ before: [], xdp: 0 }),
    carriers: () => () => [],
    feed,
    history,
    dataPathObstacle: undefined,
    scriptsDoNotRun: false,
    unreached: () => undefined,
    runDir: directory,
    setUnit: async (command) => host.command(command, NOW),
    maintenance: async (on) => {
      maintenance.push(on);
      return on ? { effects: [] } : { error: "the disk is full" };
    },
    serviceStatus: async () => evaluation,
    checks: [{ ...FAILED, file: "/x/web", counts: { passed: 0, failed: 2, refused: 0 } }],
    log: (priority, text) => void (priority === 5 ? changes : logged).push(text),
  };
  server = new ControlServer(new ControlSockets({ runDir: directory }), {
    rpc: createMethods(served, () => GROUP),
    identify: () => peer,
    carpGroup: () => GROUP,
    report: (error) => logged.push(String(error)),
  });
  engine = await connect(directory);
});

afterEach(async () => {
  engine.close();
  server.close();
  rmSync(directory, { recursive: true });
  assert.deepEqual(logged, []);
});

/** Another connection, from this peer. */
async function as(user: Peer): Promise<Connection> {
  peer = user;
  engine.close();
  engine = await connect(directory);
  await engine.call("hello", {});
  return engine;
}

const refused = (code: number, message: string) => (error: unknown) => {
  assert.ok(error instanceof ControlError);
  assert.deepEqual([error.code, error.message], [code, message]);
  return true;
};

const HELLO = { version: "1.2.3", pid: process.pid, nowUs: NOW.us };

test("hello: version, process id and the time of the views", async () =>
  assert.deepEqual(await engine.call("hello", {}), HELLO));

test("monitor: events follow the answer, each as a notification", async () => {
  const { promise, resolve } = Promise.withResolvers<EventNotification>();
  const follower = await connect(directory, { onEvent: resolve });
  assert.deepEqual(await follower.call("monitor", {}), HELLO);
  feed.tell({ kind: "created", interface: "carp9" });
  assert.deepEqual(await promise, { atMs: 1000, times: 1, event: { kind: "created", interface: "carp9" } });
  follower.close();
});

test("history: what its files do not have yet; accepted changes are part of it", async () => {
  await engine.call("create", { name: "carp9" });
  await engine.call("change", { name: "carp9", change: { pass: "sesame" } });
  const { records, ...others } = await engine.call("history", {});
  assert.deepEqual(others, { directory, boot: "01234567", nowUs: NOW.us });
  assert.deepEqual(
    records.map(({ event }) => event),
    [
      { kind: "changed", interface: "carp9", text: "carp9: created by root" },
      { kind: "changed", interface: "carp9", text: "carp9: changed by root: pass" },
    ],
  );
  assert.deepEqual(
    records.map(({ seq, boot, atMs, times }) => [seq, boot, atMs, times]),
    [
      [1, "01234567", NOW.epochUs / 1000, 1],
      [2, "01234567", NOW.epochUs / 1000, 1],
    ],
  );
});

test("create, interfaces, destroy: the next free name, in numeric order", async () => {
  for (const name of ["carp10", "carp2"]) assert.deepEqual(await engine.call("create", { name }), { name });
  assert.deepEqual(await engine.call("create", {}), { name: "carp0" });
  const { interfaces, nowUs } = await engine.call("interfaces", {});
  assert.deepEqual(
    interfaces.map(({ name }) => name),
    ["carp0", "carp2", "carp10"],
  );
  assert.equal(nowUs, NOW.us);
  assert.deepEqual(await engine.call("destroy", { name: "carp2" }), {});
  await assert.rejects(
    engine.call("destroy", { name: "carp7" }),
    refused(ErrorCode.refused, "carp7: no such interface"),
  );
});

test("change and replace: one is added to what is set, the other stands for all of it", async () => {
  assert.deepEqual(await engine.call("change", { name: "carp0", change: { vhid: 1, advskew: 100 } }), {});
  assert.deepEqual(await engine.call("change", { name: "carp0", change: { mtu: 1400 } }), {});
  const change = { vhid: 1 };
  const dryRun = await engine.call("replace", { name: "carp0", change, dryRun: true });
  assert.deepEqual(dryRun, { changed: true });
  assert.equal(host.configuration.interfaces[0]?.mtu, 1400);
  assert.deepEqual(await engine.call("replace", { name: "carp0", change }), { changed: true });
  assert.equal(host.configuration.interfaces[0]?.mtu, undefined);
  assert.deepEqual(await engine.call("replace", { name: "carp0", change }), { changed: false });
});

test("replace-each: each is answered for itself, in order, and logged where it changed", async () => {
  const good = { name: "carp0", change: { vhid: 1 } };
  const [bad, nonsense] = [
    { name: "carp1", change: { vhid: 256 } },
    { name: "carp2", dryRun: "no" },
  ];
  const clashing = { name: "carp3", change: { carpdev: "eth9", vhid: 1, state: "master" as const } };
  const replaced = await engine.call("replace-each", { replacements: [good, bad, nonsense, clashing, good] });
  assert.deepEqual(replaced[0], { changed: true, warnings: [] });
  assert.deepEqual(replaced[1], { code: ErrorCode.invalid, refusal: "vhid 256: must be 1..255" });
  assert.equal((replaced[2] as { code: number }).code, ErrorCode.invalid);
  assert.equal((replaced[3] as { code: number }).code, ErrorCode.refused);
  assert.deepEqual(replaced[4], { changed: false, warnings: [] });
  assert.equal(replaced.length, 5);
  assert.deepEqual(
    host.configuration.interfaces.map(({ name }) => name),
    ["carp0"],
  );
  assert.deepEqual(changes, ["carp0: configured anew by root: vhid 1"]);
});

test("replace-each: other clients are answered between two interfaces", async () => {
  const replacements = Array.from({ length: 200 }, (_, n) => ({ name: `carp${n}`, change: {} }));
  const other = await connect(directory);
  const replacing = engine.call("replace-each", { replacements });
  let seen = 0;
  while (seen === 0) seen = (await other.call("interfaces", {})).interfaces.length;
  assert.ok(seen < replacements.length, String(seen));
  assert.equal((await replacing).length, replacements.length);
  other.close();
});

test("configuration: interfaces in numeric order and variables with their defaults; the pass only for root", async () => {
  await engine.call("change", { name: "carp10", change: { pass: "secret" } });
  await engine.call("create", { name: "carp9" });
  await engine.call("sysctl-set", { writes: [{ name: "net.inet.carp.preempt", value: 1 }] });
  const { interfaces, sysctl } = await engine.call("configuration", {});
  assert.deepEqual(
    interfaces.map(({ name, pass }) => [name, pass]),
    [
      ["carp9", ""],
      ["carp10", "secret"],
    ],
  );
  assert.deepEqual(
    sysctl.find(({ name }) => name === "net.inet.carp.preempt"),
    { name: "net.inet.carp.preempt", value: 1, initial: 0 },
  );
  const member = await (await as(MEMBER)).call("configuration", {});
  for (const each of member.interfaces) assert.ok(!("pass" in each));
});

test("sysctl-get: a name or a prefix of names, each variable once; an unknown name is refused", async () => {
  const preempt = { name: "net.inet.carp.preempt", value: 0 };
  assert.deepEqual(await engine.call("sysctl-get", { names: [preempt.name] }), [preempt]);
  const all = await engine.call("sysctl-get", { names: ["net.inet", preempt.name] });
  assert.equal(all.filter(({ name }) => name === preempt.name).length, 1);
  assert.ok(all.length > 3);
  await assert.rejects(
    engine.call("sysctl-get", { names: [preempt.name, "net.inet.x"] }),
    refused(ErrorCode.refused, "net.inet.x: no such variable"),
  );
});

test("sysctl-set: every change in the order of the writes, or none", async () => {
  const writes = [
    { name: "net.inet.carp.preempt", value: 1 },
    { name: "net.inet.carp.log", value: 5 },
  ];
  assert.deepEqual(await engine.call("sysctl-set", { writes }), [
    { name: "net.inet.carp.preempt", from: 0, to: 1 },
    { name: "net.inet.carp.log", from: 2, to: 5 },
  ]);
  await assert.rejects(
    engine.call("sysctl-set", {
      writes: [
        { name: "net.inet.carp.preempt", value: 0 },
        { name: "x", value: 1 },
      ],
    }),
    refused(ErrorCode.refused, "x: no such variable"),
  );
  assert.equal(host.sysctl("net.inet.carp.preempt")[0]?.value, 1);
});

test("statistics: of the host and of an interface", async () => {
  await engine.call("create", { name: "carp0" });
  for (const params of [{}, { name: "carp0" }])
    assert.equal((await engine.call("statistics", params)).receivedIpv4, 0);
  await assert.rejects(
    engine.call("statistics", { name: "carp7" }),
    refused(ErrorCode.refused, "carp7: no such interface"),
  );
});

test("packets: the counts of the data path", async () =>
  assert.deepEqual(await engine.call("packets", {}), [PACKETS]));

test("groups and demote-group: the count grows and never falls below 0", async () => {
  await engine.call("create", { name: "carp0" });
  const count = async () => (await engine.call("groups", {})).find(({ name }) => name === "carp");
  assert.deepEqual(await engine.call("demote-group", { group: "carp", by: 3 }), {});
  assert.deepEqual(await count(), { name: "carp", carpDemoteCount: 3, interfaces: ["carp0"] });
  assert.deepEqual(await engine.call("demote-group", { group: "carp", by: -5 }), {});
  assert.equal((await count())?.carpDemoteCount, 0);
});

test("demote, demotion and promote: a part of the counter under a name", async () => {
  assert.deepEqual(await engine.call("demote", { reason: "disk", by: 5 }), {});
  const { counter, reasons } = await engine.call("demotion", {});
  assert.deepEqual({ counter, reasons }, { counter: 5, reasons: [{ reason: "disk", by: 5 }] });
  assert.deepEqual(await engine.call("promote", { reason: "disk" }), {});
  await assert.rejects(engine.call("promote", { reason: "disk" }), ControlError);
});

test("demote-unit, unit-states and promote-unit: a part of the counter while a unit is not active", async () => {
  const counter = async () => (await engine.call("demotion", {})).counter;
  const unit = "nginx.service";
  assert.deepEqual(await engine.call("demote-unit", { unit, by: 5, active: true }), {});
  assert.equal(await counter(), 0);
  assert.deepEqual(await engine.call("unit-states", { states: [{ unit, active: false }] }), {});
  assert.equal(await counter(), 5);
  assert.deepEqual(await engine.call("promote-unit", { unit }), {});
  assert.equal(await counter(), 0);
  await assert.rejects(engine.call("promote-unit", { unit }), ControlError);
});

test("maintenance: the engine decides, and its refusal is told", async () => {
  assert.deepEqual(await engine.call("maintenance", { on: true }), {});
  await assert.rejects(
    engine.call("maintenance", { on: false }),
    refused(ErrorCode.refused, "the disk is full"),
  );
  assert.deepEqual(maintenance, [true, false]);
});

test("service-status: the checks; their output only for root", async () => {
  assert.deepEqual(await engine.call("service-status", {}), evaluation);
  const { checks } = await (await as(MEMBER)).call("service-status", {});
  assert.deepEqual(checks, [{ ...FAILED, output: "" }]);
  evaluation = { error: "the checks did not run" };
  await assert.rejects(
    engine.call("service-status", {}),
    refused(ErrorCode.refused, "the checks did not run"),
  );
});

test("checks: the last results; their output only for root", async () => {
  assert.deepEqual(await engine.call("checks", {}), [FAILED]);
  assert.deepEqual(await (await as(MEMBER)).call("checks", {}), [{ ...FAILED, output: "" }]);
});

test("parameters that do not fit are refused by every method, before anything is done", async () => {
  for (const method of Object.keys(methods) as (keyof typeof methods)[])
    await assert.rejects(engine.call(method, { surplus: 1 } as never), (error) => {
      assert.ok(error instanceof ControlError);
      assert.equal(error.code, ErrorCode.invalid, method);
      return true;
    });
  assert.deepEqual(commands, []);
});

test("a user who may not change anything is refused, and nothing is done", async () => {
  const other = await as({ uid: 1002, gid: 1002, groups: [] });
  await assert.rejects(
    other.call("create", { name: "carp0" }),
    refused(ErrorCode.permission, "permission denied: changing carp0 needs root or group carp"),
  );
  assert.deepEqual(commands, []);
});

test("an unknown method is refused", async () =>
  await assert.rejects(engine.call("nonsense" as never, {} as never), ControlError));

test("a method waits until the engine is ready", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  ready = promise;
  let answered = false;
  const hello = engine.call("hello", {}).then(() => {
    answered = true;
  });
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
  assert.equal(answered, false);
  resolve();
  await hello;
});
