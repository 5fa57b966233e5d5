/**
 * Takeover of many virtual hosts when their master dies: from the first answer of the other host to the last one, and
 * the longest pause between two advertisements of a virtual host that it is MASTER of all the time. Words: the numbers
 * of virtual hosts (default 250), and the number of takeovers of each (default `3x`).
 */

import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../hosts/index.ts";
import type { Line } from "./line.ts";
import { configure, createPair, mastersOf, virtualHosts } from "./many-virtual-hosts.ts";
import { median } from "./samples.ts";

const LIMIT_MS: Readonly<Record<number, number>> = { 250: 100, 1000: 400 };
const LATE_LIMIT_MS = 50;
const INTERVAL_MS = 1000;
/** Its own virtual host, on the first segment, and the number that no other has. */
const STEADY = { name: "carp9999", vhid: 255, address: "10.0.2.1" };
const WITHIN_MS = 60_000;
/** After so many intervals a master's advertisements leave together, as they do on every host that has run for a while. */
const BEAT_INTERVALS = 17;

interface Takeover {
  readonly spreadMs: number;
  readonly latestMs: number;
}

export default async function takeover(words: readonly string[]): Promise<Line[]> {
  const repeats = Number(words.find((word) => word.endsWith("x"))?.slice(0, -1) ?? 3);
  const counts = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const lines: Line[] = [];
  for (const count of counts.length > 0 ? counts : [250]) {
    const seen: Takeover[] = [];
    for (let n = 0; n < repeats; n++) seen.push(await takeOver(count));
    const spreadMs = median(seen.map((each) => each.spreadMs));
    const latestMs = Math.max(...seen.map((each) => each.latestMs));
    const limit = LIMIT_MS[count] ?? Number.POSITIVE_INFINITY;
    lines.push({
      what: `takeover of ${count}, ${repeats} times`,
      ours: `${spreadMs.toFixed(0)} ms from the first to the last; others ${latestMs.toFixed(1)} ms late`,
      beside: "",
      aim: `${limit} ms; others ${LATE_LIMIT_MS} ms`,
      isMet: spreadMs <= limit && latestMs <= LATE_LIMIT_MS,
      values: { count, spreadMs, latestMs },
    });
  }
  return lines;
}

/** The preferred host dies; its first announcement for each address tells when the other one answers. */
async function takeOver(count: number): Promise<Takeover> {
  const all = virtualHosts(count);
  const pair = await createPair(count);
  const { preferred, other, client } = pair;
  try {
    await configure(preferred, all, 0);
    await mastersOf(preferred, count);
    await configure(other, all, 100);
    const steady = { carpdev: "eth0", vhid: STEADY.vhid, pass: "own" };
    const added = { family: 4, address: STEADY.address, prefixLength: 32, alias: true } as const;
    await other.engine.request("change", { name: STEADY.name, change: { ...steady, addAddresses: [added] } });
    await mastersOf(other, 1);
    await sleep(3 * INTERVAL_MS);
    const devices = [...new Set(all.map(({ carpdev }) => carpdev))];
    const captures = await Promise.all(
      devices.map((device) => client.capture(device, "arp or ip proto 112")),
    );
    await sleep(BEAT_INTERVALS * INTERVAL_MS);
    await preferred.engine.kill("SIGKILL");
    const announced = () => {
      const first = new Map<string, number>();
      for (const { frames } of captures)
        for (const { timeUs, arp } of frames)
          if (arp?.senderAddress !== undefined && arp.senderAddress === arp.targetAddress)
            if (!first.has(arp.senderAddress)) first.set(arp.senderAddress, timeUs);
      first.delete(STEADY.address);
      return first;
    };
    await eventually(
      async () => announced().size,
      (size) => size >= count,
      { timeoutMs: WITHIN_MS },
    );
    const times = [...announced().values()];
    const steadily = (captures[0]?.frames ?? [])
      .filter(({ ethernetSource }) => ethernetSource === `00:00:5e:00:01:${STEADY.vhid.toString(16)}`)
      .filter(({ ipv4 }) => ipv4?.protocol === 112)
      .map(({ timeUs }) => timeUs);
    const pauses = steadily.slice(1).map((time, n) => (time - (steadily[n] ?? 0)) / 1000);
    return {
      spreadMs: (Math.max(...times) - Math.min(...times)) / 1000,
      latestMs: Math.max(0, ...pauses) - INTERVAL_MS,
    };
  } finally {
    pair.destroy();
  }
}
