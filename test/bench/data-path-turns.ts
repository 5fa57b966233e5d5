/**
 * Measures the data path for data-path.ts, in a namespace of its own: nanoseconds a packet in its program, and UDP
 * packets a second that reach a program on one balanced host, against a host without it and against one with xt_cluster.
 * Only figures of one run may be compared: the hosts take turns burst by burst on one processor, so that disturbances
 * slow all of them down. Prints one JSON object. Word: the number of rounds.
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
import { type ProgramCost, programCosts } from "./program-cost.ts";
import { median, type Samples, samples } from "./samples.ts";

/** Each round makes new hosts: their place in memory makes some faster than others, by chance. */
const rounds = Number(process.argv[2]);
const ROUND_SECONDS = 2;
const FLOWS = 256;

const kinds = Object.keys(deciding) as Deciding[];
/** Nanoseconds a packet. */
type Turn = Readonly<Record<Deciding, number>>;
type Round = readonly Turn[];

/** The cost of running any program, which ours cannot save, is compared separately. */
const compared = [
  { of: "ip-unicast", against: "none" },
  { of: "hook", against: "none" },
  { of: "ip-unicast", against: "hook" },
  { of: "ip", against: "cluster" },
] as const;

export interface Comparison {
  readonly of: Deciding;
  readonly against: Deciding;
  /** Packets a second, each turn by itself: the median of each round. */
  readonly ratio: Samples;
  /** The same without what sending takes, which every variant has in common. */
  readonly ratioOfReceiving: Samples;
}

export interface Measured {
  readonly programs: readonly ProgramCost[];
  readonly udp: readonly { readonly by: Deciding; readonly ns: Samples }[];
  readonly comparisons: readonly Comparison[];
}

for (const command of ["iptables", "arptables"])
  if (execaSync(command, ["--version"], { reject: false }).exitCode !== 0)
    throw new Error(`no ${command}, which sets xt_cluster up: apt-get install iptables`);
enterNamespace(import.meta.url);

const programs = programCosts();
const measured = await measureRounds();
const comparisons = compared.map((each): Comparison => ({ ...each, ...compare(each.of, each.against) }));
const udp = kinds.map((by) => ({ by, ns: overRounds((turn) => turn[by]) }));
console.log(JSON.stringify({ programs, udp, comparisons } satisfies Measured));

async function measureRounds(): Promise<Round[]> {
  const all: Round[] = [];
  let flows: Flow[] | undefined;
  for (let n = 0; n < rounds; n++) {
    // Each kind is the first in some rounds.
    const order = kinds.map((_, i) => kinds[(i + n) % kinds.length] as Deciding);
    const made = order.map(async (kind) => [kind, await BalancedHost.create(kind)] as const);
    const hosts = new Map(await Promise.all(made));
    flows ??= await flowsOfBoth(hosts);
    all.push(await measure(hosts, flows));
    for (const host of hosts.values()) host.destroy();
  }
  return all;
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
  return samples(measured.map((turns) => median(turns.map(value))));
}

function compare(of: Deciding, against: Deciding): Pick<Comparison, "ratio" | "ratioOfReceiving"> {
  return {
    ratio: overRounds((turn) => turn[against] / turn[of]),
    ratioOfReceiving: overRounds((turn) => (turn[against] - turn.sending) / (turn[of] - turn.sending)),
  };
}
