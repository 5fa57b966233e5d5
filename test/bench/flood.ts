/**
 * Floods of hostile packets and clients beside 250 virtual hosts, while every processor is busy: how late the latest
 * advertisement of any of them is, whether any changes its state, and how much memory the engines take. The attacker
 * reaches its rate or the benchmark fails. Words: the seconds of each flood (`10s`), and the number of virtual hosts
 * (default 250).
 */

import { createConnection, type Socket } from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { forge, type Host, macBytes } from "../hosts/index.ts";
import type { Line } from "./line.ts";
import { configure, createPair, mastersOf, type Pair, virtualHosts } from "./many-virtual-hosts.ts";
import { residentMb } from "./processes.ts";
import { reportOf, start } from "./program.ts";

const INTERVAL_MS = 1000;
const LATE_LIMIT_PERCENT = 10;
const MEMORY_LIMIT_MB = 160;
const CONNECTIONS = 1000;
/** The limit of log lines a second about hostile packets, with the two lines about lines that were left out. */
const LINES_A_SECOND = 52;
/** The attacker's timer may end a measurement within the last few frames. */
const REACHED = 0.99;
const SETTLING_MS = 5000;

/** What a flood was like, and what was wrong with the hosts beside what is measured. */
interface Flooded {
  readonly sent: string;
  readonly faults: readonly string[];
}

export default async function flood(words: readonly string[]): Promise<Line[]> {
  const seconds = Number(words.find((word) => /^\d+s$/.test(word))?.slice(0, -1) ?? 10);
  const count = Number(words.find((word) => /^\d+$/.test(word)) ?? 250);
  const pair = await createPair(count);
  const { preferred, other, client } = pair;
  const hosts = [preferred, other];
  try {
    const all = virtualHosts(count);
    await configure(preferred, all, 0);
    await mastersOf(preferred, count);
    await configure(other, all, 100);
    const load = await Promise.all(
      cpus().map((_, processor) => start(client, "busy", [String(processor), "100"])),
    );
    await sleep(SETTLING_MS);

    const lines: Line[] = [];
    const measure = async (what: string, happens: () => Promise<Flooded>) =>
      lines.push(await measured(pair, count, what, happens));
    const frames = (frame: Uint8Array, rate: number) => () => sendAtRate(client, frame, rate, seconds);
    const set = (name: string, value: number) =>
      Promise.all(hosts.map(({ engine }) => engine.request("sysctl-set", { writes: [{ name, value }] })));

    await measure("no flood", async () => {
      await sleep(seconds * 1000);
      return { sent: "", faults: [] };
    });
    const forged = forge.advertisement({ vhid: 1, pass: "wrong", addresses: ["10.0.1.1"], counter: 1n });
    const forgedFrame = forge.ipv4Frame({ source: "10.0.0.66", payload: forged });
    await measure("forged, 100,000 a second", frames(forgedFrame, 100_000));
    const replayed = await recorded(client);
    await set("net.inet.carp.strict_replay", 1);
    await measure("replayed, 50,000 a second", frames(replayed, 50_000));
    await set("net.inet.carp.log", 7);
    await measure("forged, everything logged, 20,000 a second", async () => {
      const logs = await Promise.all(hosts.map(logOf));
      const { sent, faults } = await sendAtRate(client, forgedFrame, 20_000, seconds);
      return { sent, faults: [faults, ...(await Promise.all(logs.map((log) => log.faults())))].flat() };
    });
    await set("net.inet.carp.log", 2);
    await measure(`${CONNECTIONS} control connections`, () => connections(preferred, seconds));
    for (const each of load) each.kill("SIGKILL");
    return lines;
  } finally {
    pair.destroy();
  }
}

async function measured(
  { preferred, other, client }: Pair,
  count: number,
  what: string,
  happens: () => Promise<Flooded>,
): Promise<Line> {
  const engines = [preferred.engine, other.engine];
  const states = () => engines.reduce((sum, { transitions }) => sum + transitions.length, 0);
  const before = states();
  const heard = await start(client, "advertisements", ["eth0"]);
  const { sent, faults } = await happens();
  // The last one that was due during the flood.
  await sleep(INTERVAL_MS);
  const advertised = (await reportOf(heard)).filter(([source]) => source === "10.0.0.1");
  const transitions = states() - before;
  for (const fault of faults) console.error(`${what}: ${fault}`);
  if (advertised.length < count && transitions === 0)
    throw new Error(`${what}: only ${advertised.length} virtual hosts advertised`);
  const longestMs = Math.max(...advertised.map(([, , , , longestUs]) => Number(longestUs) / 1000));
  const latePercent = (100 * (longestMs - INTERVAL_MS)) / INTERVAL_MS;
  const megabytes = Math.max(...engines.map(({ pid }) => residentMb(pid)));
  return {
    what: `${count} virtual hosts, ${what}`,
    ours: `latest ${latePercent.toFixed(1)} % of an interval, ${transitions} transitions, ${megabytes.toFixed(0)} MB`,
    beside: sent,
    aim: `${LATE_LIMIT_PERCENT} %, 0 transitions, ${MEMORY_LIMIT_MB} MB`,
    isMet:
      latePercent <= LATE_LIMIT_PERCENT &&
      transitions === 0 &&
      megabytes <= MEMORY_LIMIT_MB &&
      faults.length === 0,
    values: { count, latePercent, transitions, megabytes },
  };
}

/** An advertisement of the first virtual host, from another MAC than the MASTER's: switch and tools tell them apart. */
async function recorded(client: Host): Promise<Uint8Array> {
  const capture = await client.capture("eth0", "ip proto 112 and ether src 00:00:5e:00:01:01");
  const frame = Buffer.from((await capture.waitFor(({ ipv4 }) => ipv4?.source === "10.0.0.1")).bytes);
  await capture.stop();
  frame.set(macBytes("02:00:00:00:66:66"), 6);
  return frame;
}

async function sendAtRate(
  attacker: Host,
  frame: Uint8Array,
  rate: number,
  seconds: number,
): Promise<Flooded> {
  const hex = Buffer.from(frame).toString("hex");
  const sender = await start(attacker, "flood", ["eth0", String(rate), hex]);
  await sleep(seconds * 1000);
  const [[, count, tookUs] = []] = await reportOf(sender);
  const reached = (Number(count) * 1e6) / Number(tookUs);
  return {
    sent: `sent ${reached.toFixed(0)}/s`,
    faults:
      reached >= REACHED * rate ? [] : [`only ${reached.toFixed(0)} of ${rate} frames a second were sent`],
  };
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
async function connections(host: Host, seconds: number): Promise<Flooded> {
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
  return { sent: `${requests} requests`, faults: [] };
}
