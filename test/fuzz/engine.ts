/**
 * Fuzzes the control socket of a real engine in a network namespace: `[--minutes N] [--seed N]`. Processes of root, of
 * group carp and of other users lead conversations with it at once, in rounds: with and without users that may change
 * anything. The engine lives, root is answered all the time, what a reader may not change stays as it was, and the
 * engine's log, memory and descriptors are bounded. A finding is printed, and fails the run.
 */

import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ADMIN_SOCKET_NAME, ControlError, connect, SOCKET_NAME } from "../../src/control/client.ts";
import type { Method, Params, Results } from "../../src/control/messages.ts";
import { CARP_GID, withEngineUser } from "../hosts/engine-user.ts";
import { createNetwork, type Host } from "../hosts/index.ts";
import type { Task } from "./engine-client.ts";
import { inTime } from "./targets/in-time.ts";

const CLIENT = join(import.meta.dirname, "engine-client.ts");
/** The sockets that the clients connect to. */
const SOCKETS = { readers: SOCKET_NAME, members: ADMIN_SOCKET_NAME } as const;
const PASS = "only root's to know";
const ROUND_MS = 15_000;
/** Between two questions of root's during a round. */
const ASKED_EVERY_MS = 250;

const MOST_GROWTH_BYTES = 192 * 1024 * 1024;
/** The server's connections and some files. */
const MOST_MORE_FILES = 300;
/** The log of a round of readers, and of one in which all kinds of users take part. */
const MOST_LOG_BYTES = { readers: 10_000, all: 4_000_000 } as const;

type User = Pick<Task, "uid" | "gid" | "groups">;
const READERS: readonly User[] = [
  { uid: 65534, gid: 65534, groups: [] },
  { uid: 1002, gid: 100, groups: [] },
  { uid: 1003, gid: 100, groups: [4, 24] },
];
const ALL: readonly User[] = [
  ...READERS.slice(0, 2),
  { uid: 0, gid: 0, groups: [] },
  { uid: 1000, gid: 1000, groups: [CARP_GID] },
  { uid: 1001, gid: CARP_GID, groups: [] },
];

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Math.trunc(Math.random() * 0x7fff_ffff)) },
  },
});
const untilMs = performance.now() + Number(values.minutes) * 60_000;
const seed = Number(values.seed);
assert.ok(Number.isInteger(seed) && untilMs > 0, "--minutes and --seed are numbers");

const lan = await createNetwork();
try {
  const host = await lan.host("a", { addresses: ["10.0.0.2/24"] });
  await lan.attach(host);
  // The engine's user has to reach its run directory.
  chmodSync(dirname(host.runDirectory), 0o755);
  await host.startEngine({ logLevel: null, through: withEngineUser(host.etcDirectory) });
  await begin(host);
  const files = filesOf(host);
  const bytes = memoryOf(host);
  let conversations = 0;
  let slowestMs = 0;
  let most = { bytes, files };
  for (let n = 0; performance.now() < untilMs; n++) {
    const users = n % 2 === 0 ? READERS : ALL;
    const round = await fuzz(host, users, seed + n * 1_000_000);
    conversations += round.conversations;
    slowestMs = Math.max(slowestMs, round.slowestMs);
    most = { bytes: Math.max(most.bytes, memoryOf(host)), files: Math.max(most.files, filesOf(host)) };
    assert.ok(most.bytes < bytes + MOST_GROWTH_BYTES, `${most.bytes} bytes of memory, from ${bytes}`);
    assert.ok(most.files < files + MOST_MORE_FILES, `${most.files} files, from ${files}`);
    if (users === ALL) await begin(host);
  }
  const mebibytes = (all: number) => `${Math.round(all / 1024 / 1024)} MiB`;
  console.log(
    `${conversations} conversations, first seed ${seed}; root waited ${Math.round(slowestMs)} ms at most;`,
    `memory ${mebibytes(bytes)}, then ${mebibytes(most.bytes)} at most; log ${logBytes(host)} bytes`,
  );
} finally {
  lan.destroy();
}

/** As root, in the way that a command takes. */
async function request<M extends Method>(host: Host, method: M, params: Params<M>): Promise<Results[M]> {
  const connection = await connect(host.runDirectory);
  try {
    return await connection.call(method, params);
  } finally {
    connection.close();
  }
}

/** The configuration that every round begins with. */
async function begin(host: Host): Promise<void> {
  const { interfaces, sysctl } = await request(host, "configuration", {});
  for (const { name } of interfaces) await request(host, "destroy", { name });
  const writes = sysctl.map(({ name, initial }) => ({ name, value: initial }));
  for (const write of writes) await request(host, "sysctl-set", { writes: [write] }).catch(() => {});
  const address = { family: 4, address: "10.0.0.1", prefixLength: 24, alias: false } as const;
  const change = { carpdev: "eth0", vhid: 1, pass: PASS, addAddresses: [address] };
  await request(host, "replace", { name: "carp0", change });
}

async function fuzz(host: Host, users: readonly User[], first: number) {
  const { engine } = host;
  const before = { configuration: await request(host, "configuration", {}), log: logBytes(host) };
  const clients = users.map((user, n) => {
    const runDirectory = host.runDirectory;
    const task: Task = {
      ...user,
      runDirectory,
      keepsPlaces: !isMember(user),
      socket: user.uid === 0 || isMember(user) ? SOCKETS.members : SOCKETS.readers,
      pass: PASS,
      seed: first + n * 10_000,
      ms: ROUND_MS,
    };
    return host.spawn(process.execPath, [CLIENT, JSON.stringify(task)]);
  });
  let running = true;
  const ended = Promise.all(clients.map(({ exited }) => exited)).finally(() => {
    running = false;
  });
  const hasEnded = engine.exited.then(() => assert.fail(`the engine ended\n${tail(host)}`));
  hasEnded.catch(() => {});
  let slowestMs = 0;
  while (running) {
    const askedMs = performance.now();
    const hello = request(host, "hello", {}).catch((error: unknown) => {
      // Root's connections may be dropped for others of root's.
      if (!(error instanceof ControlError) || !users.some(({ uid }) => uid === 0)) throw error;
    });
    await inTime(Promise.race([hello, hasEnded]));
    slowestMs = Math.max(slowestMs, performance.now() - askedMs);
    await Promise.race([sleep(ASKED_EVERY_MS), ended]);
  }
  for (const [n, { code }] of (await ended).entries())
    assert.equal(code, 0, `${clients[n]?.log}\n${tail(host)}`);
  const kind = users === READERS ? "readers" : "all";
  if (kind === "readers") assert.deepEqual(await request(host, "configuration", {}), before.configuration);
  const logged = logBytes(host) - before.log;
  assert.ok(logged < MOST_LOG_BYTES[kind], `${logged} bytes of log\n${tail(host)}`);
  const conversations = clients.reduce((sum, { log }) => sum + Number(log.lines.at(-1)?.text), 0);
  return { conversations, slowestMs };
}

function isMember({ gid, groups }: User): boolean {
  return gid === CARP_GID || groups.includes(CARP_GID);
}

function logBytes({ engine }: Host): number {
  return engine.log.lines.reduce((sum, { text }) => sum + text.length + 1, 0);
}

function tail({ engine }: Host): string {
  return engine.log.lines
    .slice(-40)
    .map(({ text }) => text)
    .join("\n");
}

function filesOf({ engine }: Host): number {
  return readdirSync(`/proc/${engine.pid}/fd`).length;
}

function memoryOf({ engine }: Host): number {
  const [, kilobytes = "0"] =
    /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${engine.pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}
