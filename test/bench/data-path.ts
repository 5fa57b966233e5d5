/**
 * What the data path costs: nanoseconds a packet in its program, and UDP packets a second that reach a program on one
 * balanced host, against the same host without it and against xt_cluster. Only figures of one run may be compared:
 * the variants take turns in short rounds, all on one processor. Words: `--json`. Fails below a target.
 */

import { execaSync } from "execa";
import { enterNamespace } from "../unit/kernel/namespace.ts";
import { BalancedHost, DEVICE_MAC, type Flow, MULTICAST_MAC } from "./balanced-host.ts";
import { programCosts } from "./program-cost.ts";
import { figures, median, type Samples, samples, withSpread } from "./samples.ts";

const ROUNDS = 16;
const ROUND_SECONDS = 0.2;
const FLOWS = 256;
const ANOTHER_MAC = "00:00:5e:00:01:7f";

/** By name: nanoseconds a packet, the median of each round. */
const variants = {
  sending: "sent, and received by nobody",
  none: "no data path",
  hook: "a program that has nothing to do",
  "ip-unicast": "balancing ip-unicast",
  ip: "balancing ip",
  cluster: "xt_cluster",
} as const;
type Variant = keyof typeof variants;
type Rounds = Readonly<Record<Variant, number[]>>;

/** What the kernel takes to run any program at all is not ours to save: it is told apart. */
const targets = [
  { of: "ip-unicast", against: "none", target: 0.97 },
  { of: "hook", against: "none", target: undefined },
  { of: "ip-unicast", against: "hook", target: undefined },
  { of: "ip", against: "cluster", target: 1 },
] as const;

interface Comparison {
  readonly of: Variant;
  readonly against: Variant;
  readonly target: number | undefined;
  /** Packets a second, each round by itself. */
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
const rounds = await receiveInTurns();
const comparisons = targets.map((each): Comparison => ({ ...each, ...compare(rounds, each) }));
const udp = Object.entries(variants).map(([variant, name]) => {
  const ns = samples(rounds[variant as Variant]);
  return { variant, name, ns, packetsPerSecond: Math.round(1e9 / ns.median) };
});
if (words.includes("--json")) console.log(JSON.stringify({ programs, udp, comparisons }, undefined, 2));
else report();
if (comparisons.some(isMissed)) process.exitCode = 1;

function refuse(why: string): never {
  console.error(`data-path: ${why}`);
  process.exit(2);
}

async function receiveInTurns(): Promise<Rounds> {
  const carp = await BalancedHost.withCarp();
  const cluster = await BalancedHost.withCluster();
  const taken: Rounds = { sending: [], none: [], hook: [], "ip-unicast": [], ip: [], cluster: [] };
  try {
    const flows = await flowsOfBoth(carp, cluster);
    const measure: Readonly<Record<Variant, () => Promise<number[]>>> = {
      sending: () => carp.sendNowhere(flows, ROUND_SECONDS),
      none: async () => {
        await carp.leaveAlone();
        return carp.receive({ flows, toMac: DEVICE_MAC }, ROUND_SECONDS);
      },
      hook: async () => {
        await carp.balance("ip-unicast", ANOTHER_MAC);
        return carp.receive({ flows, toMac: DEVICE_MAC }, ROUND_SECONDS);
      },
      "ip-unicast": async () => {
        await carp.balance("ip-unicast");
        return carp.receive({ flows, toMac: DEVICE_MAC }, ROUND_SECONDS);
      },
      ip: async () => {
        await carp.balance("ip");
        return carp.receive({ flows, toMac: MULTICAST_MAC }, ROUND_SECONDS);
      },
      cluster: () => cluster.receive({ flows, toMac: MULTICAST_MAC }, ROUND_SECONDS),
    };
    const order = Object.keys(measure) as Variant[];
    for (let round = 0; round < ROUNDS; round++) {
      // There and back, so that what slowly changes on the machine favours nobody.
      for (const variant of round % 2 === 0 ? order : order.toReversed())
        taken[variant].push(median(await measure[variant]()));
    }
  } finally {
    carp.destroy();
    cluster.destroy();
  }
  return taken;
}

/** Of many clients, those whose packets both hosts accept: everybody gets the very same packets. */
async function flowsOfBoth(carp: BalancedHost, cluster: BalancedHost): Promise<Flow[]> {
  const clients = Array.from(
    { length: 6 * FLOWS },
    (_, n): Flow => [`198.18.${n >> 8}.${n & 255}`, 1024 + n],
  );
  await carp.balance("ip");
  const ours = new Set(await carp.accepted({ flows: clients, toMac: MULTICAST_MAC }));
  const theirs = new Set(await cluster.accepted({ flows: clients, toMac: MULTICAST_MAC }));
  for (const [who, { size }] of [["the data path", ours] as const, ["xt_cluster", theirs] as const]) {
    if (Math.abs(size / clients.length - 0.5) > 0.1)
      throw new Error(
        `${who} accepts ${size} of ${clients.length} clients, which is not the half of one of two`,
      );
  }
  const flows = clients.filter(([source]) => ours.has(source) && theirs.has(source)).slice(0, FLOWS);
  if (flows.length < FLOWS) throw new Error(`only ${flows.length} clients are accepted by both`);
  return flows;
}

function compare(
  { sending, ...all }: Rounds,
  { of, against }: { of: Exclude<Variant, "sending">; against: Exclude<Variant, "sending"> },
): Pick<Comparison, "ratio" | "ratioOfReceiving"> {
  const each = (ratio: (mine: number, his: number, common: number) => number) =>
    samples(all[of].map((mine, n) => ratio(mine, all[against][n] ?? 0, sending[n] ?? 0)));
  return {
    ratio: each((mine, his) => his / mine),
    ratioOfReceiving: each((mine, his, common) => (his - common) / (mine - common)),
  };
}

function isMissed({ ratio, target }: Comparison): boolean {
  return target !== undefined && ratio.median < target;
}

function report(): void {
  console.log("The program on a carpdev, for one packet over and over (median, lowest..highest):\n");
  console.log(figures([["", "ns"], ...programs.map(({ packet, ns }) => [packet, withSpread(ns)])]));
  console.log(
    `UDP packets of ${FLOWS} flows from a client through a switch to a program on one of two hosts: everything on\n` +
      `one processor, ${ROUNDS} rounds in turns, ${ROUND_SECONDS} s each (median of rounds, lowest..highest):\n`,
  );
  const rows = udp.map(({ name, ns, packetsPerSecond }) => [name, String(packetsPerSecond), withSpread(ns)]);
  console.log(figures([["", "packets/s", "ns a packet"], ...rows]));
  console.log("Packets/s against each other, within each round:\n");
  console.log(
    figures([
      ["", "ratio", "target", "without sending"],
      ...comparisons.map(({ of, against, ratio, target, ratioOfReceiving }) => [
        `${variants[of]} : ${variants[against]}`,
        withSpread(ratio, 3),
        target?.toFixed(2) ?? "",
        withSpread(ratioOfReceiving, 3),
      ]),
    ]),
  );
  for (const each of comparisons)
    if (isMissed(each)) console.log(`${variants[each.of]} is below its target.`);
}
