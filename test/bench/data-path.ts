/**
 * Benchmark of the data path: nanoseconds a packet in its program, and UDP packets a second that reach a
 * program on one balanced host, against a host without it and against one with xt_cluster. Only figures of
 * one run may be compared: the hosts take turns burst by burst on one processor, so that disturbances slow
 * all of them down. Words: `--json`. Fails below a target.
 */

import { execaSync } from "execa";
import { enterNamespace } from "../unit/kernel/namespace.ts";
import {
  accepted,
  BalancedHost,
  burstsInTurns,
  type Deciding,
  deciding,
  type Flow,
} from "./balanced-host.ts";
import { programCosts } from "./program-cost.ts";
import { figures, median, type Samples, samples, withSpread } from "./samples.ts";

/** Each round makes new hosts: their place in memory makes some faster than others, by chance. */
const ROUNDS = 16;
const ROUND_SECONDS = 2;
const FLOWS = 256;

const kinds = Object.keys(deciding) as Deciding[];
/** Nanoseconds a packet. */
type Turn = Readonly<Record<Deciding, number>>;
type Round = readonly Turn[];

/** The cost of running any program, which ours cannot save, is reported separately. */
const targets = [
  { of: "ip-unicast", against: "none", target: 0.97 },
  { of: "hook", against: "none", target: undefined },
  { of: "ip-unicast", against: "hook", target: undefined },
  { of: "ip", against: "cluster", target: 1 },
] as const;

interface Comparison {
  readonly of: Deciding;
  readonly against: Deciding;
  readonly target: number | undefined;
  /** Packets a second, each turn by itself: the median of each round. */
  readonly ratio: Samples;
  /** The same without what sending takes, which every variant has in common. */
  readonly ratioOfReceiving: Samples;
}

const words = process.argv.slice(2);
const unknown = words.find((word) => word !== "--json");
if (unknown !== undefined) refuse(`${unknown}: must be --json`);
if (process.getuid?.() !== 0) refuse("needs root");
for (const command of ["iptables", "arptables"]) {
  if (execaSync(command, ["--version"], { reject: false }).exitCode !== 0)
    refuse(`no ${command}, which sets xt_cluster up: apt-get install iptables`);
}
enterNamespace(import.meta.url);

const programs = programCosts();
const rounds = await measureRounds();
const comparisons = targets.map((each): Comparison => ({ ...each, ...compare(each.of, each.against) }));
const udp = Object.entries(deciding).map(([by, name]) => {
  const ns = overRounds((turn) => turn[by as Deciding]);
  return { by, name, ns, packetsPerSecond: Math.round(1e9 / ns.median) };
});
if (words.includes("--json")) console.log(JSON.stringify({ programs, udp, comparisons }, undefined, 2));
else report();
if (comparisons.some(isMissed)) process.exitCode = 1;

function refuse(why: string): never {
  console.error(`data-path: ${why}`);
  process.exit(2);
}

async function measureRounds(): Promise<Round[]> {
  const measured: Round[] = [];
  let flows: Flow[] | undefined;
  for (let n = 0; n < ROUNDS; n++) {
    // Each kind is the first in some rounds.
    const order = kinds.map((_, i) => kinds[(i + n) % kinds.length] as Deciding);
    const made = order.map(async (kind) => [kind, await BalancedHost.create(kind)] as const);
    const hosts = new Map(await Promise.all(made));
    flows ??= await flowsOfBoth(hosts);
    measured.push(await measure(hosts, flows));
    for (const host of hosts.values()) host.destroy();
  }
  return measured;
}

async function measure(hosts: ReadonlyMap<Deciding, BalancedHost>, flows: readonly Flow[]): Promise<Round> {
  const kinds = [...hosts.keys()];
  const paths = [...hosts.values()].map(({ path }) => path);
  const turns = await burstsInTurns(flows, paths, ROUND_SECONDS);
  return turns.map((turn) => Object.fromEntries(turn.map((ns, n) => [kinds[n], ns])) as Turn);
}

/** The flows that every host accepts: all hosts get the same packets. */
async function flowsOfBoth(hosts: ReadonlyMap<Deciding, BalancedHost>): Promise<Flow[]> {
  const clients = Array.from(
    { length: 6 * FLOWS },
    (_, n): Flow => [`198.18.${n >> 8}.${n & 255}`, 1024 + n],
  );
  const both = (["ip", "cluster"] as const).flatMap((kind) => hosts.get(kind)?.path ?? []);
  const [ours, theirs] = (await accepted(clients, both)).map((sources) => new Set(sources));
  for (const [who, size = 0] of [
    ["the data path", ours?.size] as const,
    ["xt_cluster", theirs?.size] as const,
  ]) {
    if (Math.abs(size / clients.length - 0.5) > 0.1)
      throw new Error(
        `${who} accepts ${size} of ${clients.length} clients, which is not the half of one of two`,
      );
  }
  const flows = clients.filter(([source]) => ours?.has(source) && theirs?.has(source)).slice(0, FLOWS);
  if (flows.length < FLOWS) throw new Error(`only ${flows.length} clients are accepted by both`);
  return flows;
}

/** Samples of the median of each round. */
function overRounds(value: (turn: Turn) => number): Samples {
  return samples(rounds.map((turns) => median(turns.map(value))));
}

function compare(of: Deciding, against: Deciding): Pick<Comparison, "ratio" | "ratioOfReceiving"> {
  return {
    ratio: overRounds((turn) => turn[against] / turn[of]),
    ratioOfReceiving: overRounds((turn) => (turn[against] - turn.sending) / (turn[of] - turn.sending)),
  };
}

function isMissed({ ratio, target }: Comparison): boolean {
  return target !== undefined && ratio.median < target;
}

function report(): void {
  const turns = Math.round(median(rounds.map(({ length }) => length)));
  console.log("The program on a carpdev, for one packet over and over (median, lowest..highest):\n");
  console.log(figures([["", "ns"], ...programs.map(({ packet, ns }) => [packet, withSpread(ns)])]));
  console.log(
    `UDP packets of ${FLOWS} flows from a client through a switch to a program on one of two hosts: everything on\n` +
      `one processor, burst by burst in turns, ${ROUNDS} rounds of ${ROUND_SECONDS} s and ${turns} turns, each with new\n` +
      "hosts (median of the rounds' medians, lowest..highest of them):\n",
  );
  const rows = udp.map(({ name, ns, packetsPerSecond }) => [name, String(packetsPerSecond), withSpread(ns)]);
  console.log(figures([["", "packets/s", "ns a packet"], ...rows]));
  console.log("Packets/s against each other, within each turn:\n");
  console.log(
    figures([
      ["", "ratio", "target", "without sending"],
      ...comparisons.map(({ of, against, ratio, target, ratioOfReceiving }) => [
        `${deciding[of]} : ${deciding[against]}`,
        withSpread(ratio, 3),
        target?.toFixed(2) ?? "",
        withSpread(ratioOfReceiving, 3),
      ]),
    ]),
  );
  for (const each of comparisons)
    if (isMissed(each)) console.log(`${deciding[each.of]} is below its target.`);
}
