/**
 * Three hosts share ten addresses, suffer one fault after the other, and a client pings every address all the
 * time. The result is how many requests were answered, and the violations that the judge found.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { createNetwork, type Engine, type Host } from "../hosts/index.ts";
import { limitRunDirectory } from "../hosts/run-directory.ts";
import { Random } from "../sim/random.ts";
import { FAULTS, type Fault } from "./faults.ts";
import { at, Judge } from "./judge.ts";

const VIRTUAL_HOSTS = 10;
const ADVSKEWS = [0, 50, 100];
const INTERVAL_US = 1_000_000 * (1 + Math.max(...ADVSKEWS) / 256);
/** The interval of a host that is demoted because it could not send, or not serve, a short time ago. */
const DEMOTED_INTERVAL_US = 1_000_000 * (1 + 240 / 256);
const ASK_EVERY_MS = 100;
const LOOK_EVERY_MS = 200;
/** Delays that the machine itself may add. */
export interface Slack {
  /** To the time without an answer. */
  readonly silenceUs: number;
  /** To a handover, in which both hosts may answer. */
  readonly handoverUs: number;
}
const IDLE: Slack = { silenceUs: 1_000_000, handoverUs: 300_000 };
/** For a suite of tests that share the processors with other programs. */
export const BUSY: Slack = { silenceUs: 5_000_000, handoverUs: 2_000_000 };
/** Pause between two faults: long enough that the effects of the first are over. */
const REST_MS = 5500;
/** A host whose addresses could not be placed is not trusted with them for 30 s. */
const RECOVERY_MS = 45_000;

export interface SoakReport {
  readonly violations: readonly string[];
  /** For people: the faults and the answers. */
  readonly text: string;
}

/** @param say is called with each fault as it happens, and with the violations and logs that follow it */
export async function soak(
  minutes: number,
  seed: number,
  say: (line: string) => void,
  { slack = IDLE, faults = FAULTS }: { readonly slack?: Slack; readonly faults?: readonly Fault[] } = {},
): Promise<SoakReport> {
  const random = new Random(seed);
  const lan = await createNetwork();
  try {
    await lan.flood();
    const hosts = await Promise.all(
      ["a", "b", "c"].map((name, n) =>
        lan.host(name, { addresses: [`10.0.0.${n + 2}/24`, `2001:db8::${n + 2}/64`] }),
      ),
    );
    const client = await lan.host("client", { addresses: ["10.0.0.99/24", "2001:db8::99/64"] });
    for (const [n, host] of hosts.entries()) {
      await limitRunDirectory(host);
      await host.startEngine({ logLevel: null });
      await configure(host, n);
    }
    const macs = await Promise.all(hosts.map(async (host) => [await host.mac(), host.name] as const));
    const judge = new Judge(new Map(macs), { ...slack, silenceUs: 3 * INTERVAL_US + slack.silenceUs });
    const addresses = Array.from({ length: VIRTUAL_HOSTS }, (_, n) => addressOf(n));
    const pings = addresses.map((address) => client.startPing(address, { intervalMs: ASK_EVERY_MS }));
    await Promise.all(pings.map((ping) => ping.waitForReply()));
    const wire = await client.capture("eth0", "icmp[0] == 0 or (icmp6 and ip6[40] == 129)");
    const look = () => judge.take(wire.frames.splice(0));
    const looking = setInterval(look, LOOK_EVERY_MS);

    const done = new Map<string, number>();
    const endMs = Date.now() + minutes * 60_000;
    // Every fault in turn, each round in another order.
    while (Date.now() < endMs) {
      for (const fault of shuffled(faults, random)) {
        if (Date.now() >= endMs) break;
        const n = random.integer(0, hosts.length - 1);
        const host = hosts[n] as Host;
        const lastsMs = random.integer(fault.shortestMs, fault.longestMs);
        say(
          `${at(Date.now() * 1000)} ${host.name} (engine ${host.engine.pid}): ${fault.name}, ${lastsMs} ms`,
        );
        done.set(fault.name, (done.get(fault.name) ?? 0) + 1);
        const [startMs, known, former] = [Date.now(), judge.violations.length, host.engine];
        const intervalUs = (await areDemoted(hosts.filter((each) => each !== host)))
          ? DEMOTED_INTERVAL_US
          : INTERVAL_US;
        const disturbed = () => judge.disturbed(Date.now() * 1000, 3 * intervalUs + slack.silenceUs);
        disturbed();
        const excused = fault.deaf ? judge.excuse(Date.now() * 1000) : undefined;
        try {
          await fault.begin(host, () => configure(host, n));
          await sleep(lastsMs);
          disturbed();
          await fault.end(host, () => configure(host, n));
        } catch (error) {
          for (const line of loggedBy(new Set([former, host.engine]), startMs)) say(line);
          throw error;
        }
        disturbed();
        excused?.(Date.now() * 1000 + INTERVAL_US + slack.silenceUs);
        await sleep(REST_MS);
        if (judge.violations.length === known) continue;
        for (const violation of judge.violations.slice(known)) say(`violation: ${violation}`);
        const engines = new Set([former, ...hosts.map(({ engine }) => engine)]);
        for (const line of loggedBy(engines, startMs)) say(line);
        for (const line of (await Promise.all(hosts.map(findingsOf))).flat()) say(line);
      }
    }
    // An address without an answer is a violation.
    await Promise.allSettled(pings.map((ping) => ping.waitForReply()));
    const unrecovered = await whatRemains(hosts);
    clearInterval(looking);
    await wire.stop();
    look();
    judge.finish(Date.now() * 1000, addresses);
    await Promise.all(pings.map((ping) => ping.stop()));
    if (unrecovered.length > 0)
      for (const line of loggedBy(new Set(hosts.map(({ engine }) => engine)), 0)) say(line);
    await Promise.all(hosts.map((host) => host.engine.stop()));
    const violations = [...judge.violations, ...unrecovered];
    return { violations, text: textOf(judge, done, violations) };
  } finally {
    lan.destroy();
  }
}

/** What engines have logged since a time of day, in order. */
function loggedBy(engines: ReadonlySet<Engine>, sinceMs: number): string[] {
  return [...engines]
    .flatMap((engine) =>
      engine.log.lines.map(({ text, atMs }) => ({
        atMs: atMs + performance.timeOrigin,
        text: `engine ${engine.pid}: ${text}`,
      })),
    )
    .filter(({ atMs }) => atMs >= sinceMs)
    .sort((one, other) => one.atMs - other.atMs)
    .map(({ atMs, text }) => `${at(atMs * 1000)} ${text}`);
}

/** What the hosts have not recovered from some time after the last fault. */
async function whatRemains(hosts: readonly Host[]): Promise<string[]> {
  const deadlineMs = Date.now() + RECOVERY_MS;
  for (;;) {
    const found = (await Promise.all(hosts.map(amiss))).flat();
    if (found.length === 0 || Date.now() > deadlineMs) return found;
    await sleep(1000);
  }
}

/** Where the host is INIT though it is preferred (send errors leave a BACKUP demoted); else what its doctor complains of. */
async function amiss(host: Host, number: number): Promise<string[]> {
  const { interfaces } = await host.engine.request("interfaces", {});
  const preferred = interfaces.filter((_, n) => advskewOf(n, number) === Math.min(...ADVSKEWS));
  const idle = preferred.flatMap(({ name, nodes }) =>
    nodes
      .filter(({ state }) => state !== "MASTER")
      .map(({ state }) => `${host.name}: ${name} remains ${state}`),
  );
  if (idle.length > 0) return idle;
  const findings = await host.engine.request("doctor", {});
  return findings.filter(({ level }) => level === "error").map(({ text }) => `${host.name}: doctor: ${text}`);
}

/** Whether each of the hosts is demoted: the protocol has them wait longer. */
async function areDemoted(hosts: readonly Host[]): Promise<boolean> {
  const views = await Promise.all(hosts.map(({ engine }) => engine.request("interfaces", {})));
  return views.every(({ interfaces }) =>
    interfaces.some(({ nodes }) => nodes.some(({ demote }) => demote > 0)),
  );
}

/** What a host's doctor finds; why there is no answer, if there is none. */
async function findingsOf({ name, engine }: Host): Promise<string[]> {
  const findings = await engine
    .request("doctor", {})
    .catch((error: Error) => [{ level: "error", subject: "engine", text: error.message }]);
  return findings
    .filter(({ level }) => level !== "info")
    .map(({ level, subject, text }) => `${name}: doctor: ${level}: ${subject}: ${text}`);
}

const advskewOf = (virtualHost: number, host: number) => ADVSKEWS[(virtualHost + host) % ADVSKEWS.length];

function textOf(judge: Judge, done: ReadonlyMap<string, number>, violations: readonly string[]): string {
  return [
    ...[...done].map(([name, times]) => `${String(times).padStart(6)}  ${name}`),
    `${judge.answers} answers, ${judge.handovers} handovers`,
    `${judge.answeredTwice} requests answered twice, in handovers and while hosts could not hear each other`,
    `longest silence of an address ${(judge.longestSilenceUs / 1e6).toFixed(2)} s`,
    `${violations.length} violations`,
    ...violations,
  ].join("\n");
}

/** The shared addresses, half of them IPv6. */
function addressOf(n: number): string {
  return n % 2 === 0 ? `10.0.0.${101 + n}` : `2001:db8::${101 + n}`;
}

/** Configures a host as the preferred MASTER of a third of the addresses. */
async function configure(host: Host, number: number): Promise<void> {
  const { engine } = host;
  const writes = [
    { name: "net.inet.carp.preempt", value: 1 },
    // With the transitions from and to INIT.
    { name: "net.inet.carp.log", value: 4 },
  ];
  await engine.request("sysctl-set", { writes });
  for (let n = 0; n < VIRTUAL_HOSTS; n += 1) {
    const address = addressOf(n);
    const added = address.includes(":")
      ? ({ family: 6, address, prefixLength: 64, alias: true } as const)
      : ({ family: 4, address, prefixLength: 24, alias: true } as const);
    const advskew = advskewOf(n, number);
    // A carpdev that is not there yet is waited for.
    const change = { carpdev: "eth0", vhid: n + 1, pass: "sesame", advskew, addAddresses: [added] };
    await engine.request("change", { name: `carp${n}`, change, isFromFile: true });
  }
}

function shuffled<T>(all: readonly T[], random: Random): T[] {
  const rest = [...all];
  return all.flatMap(() => rest.splice(random.integer(0, rest.length - 1), 1));
}
