/**
 * Situations for `doctor`: what is wrong on a pair of hosts, and what the first finding of one of them has to say. Each
 * is set up on a sound pair, of which neither host may complain before.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Finding } from "../../src/control/messages.ts";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";

/** A pair that shares 10.0.0.1 on a device of its own: a (10.0.0.2) is MASTER, b (10.0.0.3) BACKUP; both preempt. */
export interface Pair {
  readonly lan: Network;
  readonly a: Host;
  readonly b: Host;
  /** The carpdev of both. */
  readonly dev: string;
  /** Hosts that are unplugged after the situation. */
  readonly others: Host[];
}

export interface Situation {
  readonly title: string;
  /** Who asks about it: a public report. */
  readonly report: string;
  /** More words for carp0 on both hosts. */
  readonly words?: string;
  readonly breaks: (pair: Pair) => Promise<unknown>;
  /** The host whose doctor is asked. */
  readonly at: "a" | "b";
  /** The first finding, as `level subject: text -> todo`. */
  readonly first: RegExp;
  /** Undoes what outlasts the carp interfaces and their device. */
  readonly mends?: (pair: Pair) => Promise<unknown>;
}

const WORDS = "10.0.0.1/24 vhid 1 pass sesame".split(" ");

/** Tries the situations one after the other on each of so many pairs, which run at the same time. */
export function trySituations(title: string, situations: readonly Situation[], pairs: number): void {
  describe(title, { concurrency: true }, () => {
    for (let n = 0; n < pairs; n++)
      describe(`pair ${n + 1}`, { concurrency: 1 }, () => {
        tryOnPair(situations.filter((_, at) => at % pairs === n));
      });
  });
}

function tryOnPair(situations: readonly Situation[]): void {
  let lan: Network;
  let a: Host;
  let b: Host;
  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([lan.host("a"), lan.host("b")]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    // A second device on the segment would answer for the shared addresses too.
    for (const host of [a, b]) await host.namespace.ip(["link set eth0 down"]);
    for (const host of [a, b])
      await host.command("sysctl", "net.inet.carp.preempt=1", "net.inet.carp.grace=0");
  });
  after(() => lan.destroy());

  for (const { title, words = "", breaks, at, first, mends } of situations)
    test(title, async () => {
      const dev = await lan.attach(a, { addresses: ["10.0.0.2/24", "2001:db8::2/64"] });
      await lan.attach(b, { interface: dev, addresses: ["10.0.0.3/24", "2001:db8::3/64"] });
      const pair: Pair = { lan, a, b, dev, others: [] };
      const more = [...words.split(" ").filter(Boolean), "carpdev", dev];
      await a.command("carp0", ...WORDS, ...more, "state", "master");
      await a.waitForState("carp0", "MASTER");
      await b.command("carp0", ...WORDS, ...more, "advskew", "100");
      await b.waitForState("carp0", "BACKUP");
      await eventually(
        () => lines(b),
        (found) => found.some((line) => /^ok carp0 vhid 1: BACKUP, \S+ heard/.test(line)),
      );
      const complaints = (await Promise.all([a, b].map(lines))).flat();
      assert.deepEqual(
        complaints.filter((line) => !line.startsWith("ok ")),
        [],
      );
      try {
        await breaks(pair);
        const asked = pair[at];
        await eventually(
          () => lines(asked),
          ([line = ""]) => first.test(line),
        );
      } finally {
        await mends?.(pair);
        await Promise.all(pair.others.map((host) => host.pullCable()));
        await Promise.all(
          [a, b].map(async (host) => {
            await host.tryCommand("carp0", "destroy");
            await host.exec("ip", ["link", "delete", dev]);
          }),
        );
      }
    });
}

/** The findings, as `level subject: text -> todo`. */
export async function lines(host: Host): Promise<string[]> {
  const { stdout } = await host.tryCommand("doctor", "--json");
  const { findings }: { findings: Finding[] } = JSON.parse(stdout);
  return findings.map(({ level, subject, text, todo }) => `${level} ${subject}: ${text} -> ${todo}`);
}
