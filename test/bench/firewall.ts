/**
 * A pair of firewalls with conntrackd, nftables and NAT: at each failover, how long a transfer stalls and echo requests
 * are not answered, and how many states the next master has, beside the same pair with keepalived. Both advertise every
 * 200 ms. Echo requests need no state of the former master, a transfer does.
 * Words: the runs, of four failovers each (default: `5x`), and `carp` to leave out keepalived.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { createFirewalls, type Firewall, type Firewalls, SERVER } from "../net/firewalls.ts";
import { serve, Transfer } from "../net/transfers.ts";
import { CarpFailovers, type Failovers, KeepalivedFailovers } from "./firewall-failovers.ts";
import type { Line } from "./line.ts";
import { Probe } from "./probe.ts";
import { median, samples, withSpread } from "./samples.ts";

/** Connections without a packet, whose states have to move as well. */
const QUIET = 500;
/** What comes after the first packets may stall once more, by TCP's backoff. */
const SETTLED_MS = 1500;

/** Opens quiet connections; on SIGUSR1 it waits for a word on each, and tells how many had one. */
const CONNECTIONS = `
import signal, socket, sys
target, count = sys.argv[1], int(sys.argv[2])
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
all = [socket.create_connection((target, 7000)) for _ in range(count)]
for each in all:
    each.sendall(b"quiet\\n")
    each.recv(100)
print("open", flush=True)
while not told: signal.pause()
alive = 0
for each in all:
    each.settimeout(5)
    try: alive += each.recv(100) == b"later\\n"
    except OSError: pass
print("alive", alive, flush=True)
`;

/** Each happens to the pair that the one before has left. */
const FAILOVERS = [
  { what: "the master dies", isPlanned: false, happen: (pair: Failovers) => pair.die() },
  { what: "it comes back", isPlanned: true, happen: (pair: Failovers) => pair.comeBack() },
  { what: "it gives way", isPlanned: true, happen: (pair: Failovers) => pair.giveWay() },
  { what: "the other dies", isPlanned: false, happen: (pair: Failovers) => pair.otherDies() },
] as const;

/** As long as keepalived's, but for the steps of TCP's backoff. */
const LONGEST_RATIO = 1.25;
/** The hook's part, and the 200 ms after which TCP tries again. */
const LONGEST_PLANNED_MS = 500;

interface Measured {
  readonly tcpMs: number[];
  readonly echoMs: number[];
  /** Shares of the states of the former master that the next one has. */
  readonly carried: number[];
}

interface Outcome {
  readonly failovers: readonly Measured[];
  readonly alive: number;
  readonly broke: boolean;
}

/** States of connections to the server in the kernel. */
async function statesOf({ host }: Firewall): Promise<number> {
  const { stdout } = await host.exec("conntrack", ["-L", "-p", "tcp", "--orig-port-dst", "7000"]);
  return stdout.split("\n").filter((line) => line.includes("ESTABLISHED")).length;
}

async function longest(transfer: Transfer): Promise<number> {
  const { stallMs } = await transfer.goesOn();
  await sleep(SETTLED_MS);
  return Math.max(stallMs, (await transfer.goesOn()).stallMs);
}

async function measure(kind: (pair: Firewalls) => Failovers, runs: number): Promise<Outcome> {
  const failovers = FAILOVERS.map((): Measured => ({ tcpMs: [], echoMs: [], carried: [] }));
  const pair = await createFirewalls();
  try {
    const { client, server } = pair;
    const failing = kind(pair);
    await failing.begin();
    const { tellQuiet } = await serve(server);
    const quiet = client.spawn("/usr/bin/python3", ["-ISc", CONNECTIONS, SERVER[4], String(QUIET)]);
    await quiet.log.waitFor(/^open$/, { timeoutMs: 60_000 });
    const tcp = await Transfer.start(client, { target: SERVER[4] });
    for (let run = 0; run < runs; run++) {
      for (const [n, { happen }] of FAILOVERS.entries()) {
        await sleep(SETTLED_MS * (1 + Math.random()));
        // What the next master has in its kernel from an earlier time is not carried over.
        await failing.next.host.run("conntrack", "-F");
        const before = await statesOf(failing.master);
        const probe = await Probe.start(client, [SERVER[4]]);
        await tcp.goesOn();
        await happen(failing);
        const measured = failovers[n];
        measured?.tcpMs.push(await longest(tcp));
        const [echo] = await probe.stop();
        measured?.echoMs.push(echo?.longestGapMs ?? Number.NaN);
        measured?.carried.push(Math.min(1, (await statesOf(failing.master)) / before));
      }
      await failing.mend();
    }
    tellQuiet();
    quiet.kill("SIGUSR1");
    const { text } = await quiet.log.waitFor(/^alive/, { timeoutMs: 60_000 });
    const { error } = await tcp.stop();
    return {
      failovers,
      alive: Number(text.split(" ")[1]),
      broke: error !== null,
    };
  } finally {
    pair.destroy();
  }
}

/** @param n of the failover; undefined: keepalived was not measured */
function lineOf(n: number, runs: number, ours: Measured, theirs: Measured | undefined): Line {
  const { what, isPlanned } = FAILOVERS[n] ?? FAILOVERS[0];
  const [tcp, echo] = [samples(ours.tcpMs), samples(ours.echoMs)];
  const carried = Math.min(...ours.carried);
  const beside = theirs && { tcp: median(theirs.tcpMs), echo: median(theirs.echoMs) };
  const ratio = beside && tcp.median / beside.tcp;
  const isShort = isPlanned
    ? tcp.median <= LONGEST_PLANNED_MS
    : ratio === undefined || ratio <= LONGEST_RATIO;
  return {
    what: `firewalls, ${what}, ${runs} times`,
    ours: `TCP stalls ${withSpread(tcp)} ms, echo ${echo.median.toFixed(0)} ms; ${percent(carried)} of states`,
    beside: beside
      ? `keepalived TCP ${beside.tcp.toFixed(0)} ms (ratio ${ratio?.toFixed(2)}), echo ${beside.echo.toFixed(0)} ms`
      : "",
    aim: `${isPlanned ? `TCP ${LONGEST_PLANNED_MS} ms` : `TCP ratio ${LONGEST_RATIO}`}, all states`,
    isMet: isShort && carried === 1,
    values: {
      tcpMs: tcp.median,
      longestTcpMs: tcp.highest,
      echoMs: echo.median,
      carriedShare: carried,
      ...(theirs && beside
        ? {
            keepalivedTcpMs: beside.tcp,
            keepalivedEchoMs: beside.echo,
            keepalivedCarriedShare: Math.min(...theirs.carried),
            tcpRatio: tcp.median / beside.tcp,
          }
        : {}),
    },
  };
}

const percent = (share: number) => `${Math.floor(share * 100)} %`;

function ofAll(runs: number, ours: Outcome, theirs: Outcome | undefined): Line {
  const told = ({ alive, broke }: Outcome) =>
    `${alive} of ${QUIET} quiet ones alive, the transfer ${broke ? "broke" : "went on"}`;
  return {
    what: `firewalls, connections after ${runs * FAILOVERS.length} failovers`,
    ours: told(ours),
    beside: theirs ? `keepalived ${told(theirs)}` : "",
    aim: "all alive, it goes on",
    isMet: ours.alive === QUIET && !ours.broke,
    values: { alive: ours.alive, broken: Number(ours.broke), connections: QUIET },
  };
}

export default async function firewall(words: readonly string[]): Promise<Line[]> {
  const runs = Number(words.find((word) => /^\d+x$/.test(word))?.slice(0, -1) ?? 5);
  const ours = await measure((pair) => new CarpFailovers(pair), runs);
  const theirs = words.includes("carp")
    ? undefined
    : await measure((pair) => new KeepalivedFailovers(pair), runs);
  return [
    ...ours.failovers.map((measured, n) => lineOf(n, runs, measured, theirs?.failovers[n])),
    ofAll(runs, ours, theirs),
  ];
}
