/**
 * Benchmark under floods of hostile packets and clients: how late a MASTER's advertisements are and how much
 * memory its engine takes, compared with quiet times of the same run. Words: the seconds of each flood
 * (default 10). Fails when an advertisement is later than a tenth of its interval, when the BACKUP takes
 * over, when memory grows over its limit, when the log accounts for fewer frames than were discarded or has
 * too many lines, or when the flood was too slow.
 */

import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createNetwork, type Frame, forge, type Host, macBytes } from "../hosts/index.ts";
import { residentMb } from "./processes.ts";
import { figures } from "./samples.ts";

const INTERVAL_US = 1_000_000;
const LATE_LIMIT_US = INTERVAL_US / 10;
const MEMORY_LIMIT_MB = 160;
const PASS = "sesame";
const SHARED = "10.0.0.1";
const CONNECTIONS = 1000;
const SENDERS = 2;
/**
 * The limit of log lines a second about hostile packets, with the two lines about lines that were left out.
 */
const LINES_A_SECOND = 52;
/** Least part of the rate that has to be reached: sender and hosts share the processors of one machine. */
const REACHED = 0.5;

const seconds = Number(process.argv[2] ?? 10);
if (!(seconds >= 3)) {
  console.error("flood: how many seconds each flood lasts must be a number from 3");
  process.exit(2);
}

interface Measured {
  readonly name: string;
  readonly sent: string;
  readonly latestUs: number;
  readonly megabytes: number;
}

const lan = await createNetwork();
try {
  const [a, b, attacker] = await Promise.all(
    [2, 3, 66].map((n) => lan.host(`h${n}`, { addresses: [`10.0.0.${n}/24`] })),
  );
  if (!a || !b || !attacker) throw new Error("no hosts");
  for (const host of [a, b]) {
    await host.startEngine({ logLevel: null });
    await host.carpctl("carp0", `${SHARED}/24`, "carpdev", "eth0", "vhid", "1", "pass", PASS);
    if (host === a) await host.carpctl("carp0", "state", "master");
    else await host.carpctl("carp0", "advskew", "100");
  }
  const wire = await lan.capture("proto 112 and ether src 00:00:5e:00:01:01");
  const isOwn = (frame: Frame) => frame.ipv4?.source === "10.0.0.2";
  const recorded = await wire.waitFor(isOwn);
  const forged = forge.ipv4Frame({
    source: "10.0.0.66",
    payload: forge.advertisement({ vhid: 1, pass: "wrong", addresses: [SHARED], counter: 1n }),
  });
  // From another MAC than the MASTER's, for the switch and the capture.
  const replayed = Buffer.from(recorded.bytes);
  replayed.set(macBytes("02:00:00:00:66:66"), 6);

  const measured: Measured[] = [];
  const measure = async (name: string, flood: () => Promise<string>) => {
    const from = wire.frames.length;
    const sent = await flood();
    await wire.waitFor(isOwn, { from: wire.frames.length });
    const times = wire.frames
      .slice(from)
      .filter(isOwn)
      .map(({ timeUs }) => timeUs);
    const intervals = times.slice(1).map((time, n) => time - (times[n] ?? 0));
    const latestUs = Math.max(...intervals) - INTERVAL_US;
    measured.push({
      name,
      sent,
      latestUs,
      megabytes: Math.max(residentMb(a.engine.pid), residentMb(b.engine.pid)),
    });
    for (const [host, state] of [
      [a, "MASTER"],
      [b, "BACKUP"],
    ] as const) {
      if ((await host.engine.state("carp0")) === state) continue;
      fails(`${name}: ${host.name} is not ${state} any more`);
    }
  };
  const fails = (why: string) => {
    console.log(why);
    process.exitCode = 1;
  };
  const frames = (frame: Uint8Array, rate: number) => async () => {
    // The sender's processor carries each frame to all hosts: one sender is too slow.
    const senders = Array.from({ length: SENDERS }, () => sendAtRate(attacker, frame, rate / SENDERS));
    const results = (await Promise.all(senders)).map((output) => output.split(" ").map(Number));
    const sent = results.reduce((sum, [each = 0]) => sum + each, 0);
    const reached = Math.round(results.reduce((sum, [each = 0, took = seconds]) => sum + each / took, 0));
    if (reached < REACHED * rate) fails(`only ${reached} of ${rate} frames a second were sent`);
    return `${sent} frames, ${reached}/s`;
  };

  await measure("quiet", async () => {
    await sleep(seconds * 1000);
    return "-";
  });
  await measure("forged, 100,000 a second", frames(forged, 100_000));
  for (const host of [a, b]) await host.carpctl("sysctl", "net.inet.carp.strict_replay=1");
  await measure("replayed, 50,000 a second", frames(replayed, 50_000));
  for (const host of [a, b]) await host.carpctl("sysctl", "net.inet.carp.log=7");
  const logs = await Promise.all([a, b].map(logOf));
  await measure("forged, everything logged", frames(forged, 20_000));
  for (const log of logs) for (const why of await log.faults()) fails(why);
  for (const host of [a, b]) await host.carpctl("sysctl", "net.inet.carp.log=2");
  await measure(`${CONNECTIONS} control connections`, () => connections(a));

  const rows = measured.map(({ name, sent, latestUs, megabytes }) => [
    name,
    sent,
    `${(latestUs / 1000).toFixed(1)} ms`,
    `${megabytes.toFixed(1)} MB`,
  ]);
  console.log(figures([["flood", "sent", "latest advertisement", "engine"], ...rows]));
  const over = measured.filter(
    ({ latestUs, megabytes }) => latestUs > LATE_LIMIT_US || megabytes > MEMORY_LIMIT_MB,
  );
  for (const { name } of over) fails(`${name}: over the limit`);
  await Promise.all([a, b].map((host) => host.engine.stop()));
} finally {
  lan.destroy();
}

async function sendAtRate(host: Host, frame: Uint8Array, rate: number): Promise<string> {
  const script = join(import.meta.dirname, "frames-at-rate.py");
  const input = Buffer.from(frame).toString("hex");
  const { stdout } = await host.exec("python3", [script, "eth0", String(rate), String(seconds)], { input });
  return stdout;
}

/** Reads what an engine logs about discarded frames from now on. */
async function logOf(host: Host) {
  const discarded = async () => {
    const { badAuthentication, unexamined } = await host.engine.request("statistics", {});
    return badAuthentication + unexamined;
  };
  const from = host.engine.log.length;
  const before = await discarded();
  const beganMs = performance.now();
  return {
    async faults(): Promise<string[]> {
      // The summary of the flood's last second comes after that second.
      await sleep(1500);
      const lines = host.engine.log.lines
        .slice(from)
        .filter(({ text }) => /incorrect hash|left out|rate limit/.test(text));
      const tells = /(?<left>\d+) more lines like these|rate limit: (?<left>\d+) unauthenticated/;
      const told = lines.reduce((sum, { text }) => sum + Number(tells.exec(text)?.groups?.left ?? 1), 0);
      const count = (await discarded()) - before;
      const most = LINES_A_SECOND * Math.ceil((performance.now() - beganMs) / 1000);
      console.log(`${host.name}: ${count} frames discarded, ${told} told of in ${lines.length} lines`);
      return [
        ...(told === count ? [] : [`${host.name}: ${count} frames were discarded, the log tells of ${told}`]),
        ...(lines.length <= most
          ? []
          : [`${host.name}: ${lines.length} lines, at most ${most} were allowed`]),
      ];
    },
  };
}

/** Half of the clients send nothing, the others send requests again and again and read slowly. */
async function connections(host: Host): Promise<string> {
  const path = join(host.runDirectory, "engine.sock");
  const open = new Set<Socket>();
  let requests = 0;
  let over = false;
  const connectOne = (asks: boolean) => {
    if (over) return;
    const socket = createConnection(path);
    open.add(socket);
    socket.on("error", () => {});
    // The engine closes connections over its limit: the clients connect again.
    socket.on("close", () => {
      open.delete(socket);
      if (!over) setTimeout(() => connectOne(asks), 10);
    });
    if (!asks) return;
    const ask = () => {
      requests += 1;
      socket.write('{"jsonrpc":"2.0","id":1,"method":"interfaces","params":{}}\n');
    };
    socket.on("connect", ask);
    socket.on("data", () => setTimeout(ask, 5));
  };
  for (let n = 0; n < CONNECTIONS; n += 1) connectOne(n % 2 === 0);
  await sleep(seconds * 1000);
  over = true;
  for (const socket of open) socket.destroy();
  return `${requests} requests`;
}
