/**
 * Clusters drawn for both `carpctl plan` and the simulator: the same hosts as hostname.carpN files and as a plan of the
 * simulator, without faults. No two hosts have the same rank for a virtual host: who wins a tie is up to chance.
 */

import type { Failure } from "../../src/cluster/plan/failures.ts";
import type { Micros } from "../../src/core/model.ts";
import type { Plan, Service, Step } from "./plan.ts";
import { Random } from "./random.ts";
import { ownAddress } from "./station.ts";

const FAIR = { loss: 0, duplication: 0, delayUs: 100, jitterUs: 0 };
const LOST = { ...FAIR, loss: 1 };

export type Cluster = Omit<Plan, "durationUs" | "steps">;

export function drawCluster(seed: number): Cluster {
  const random = new Random(seed, 0xc1);
  const count = random.pick(2, 2, 3, 3, 4);
  const segments = Array.from({ length: random.pick(1, 1, 2) }, () => FAIR);
  const advbase = random.pick(0, 1, 1, 1, 2);
  const services = segments.flatMap((_, segment) =>
    Array.from({ length: random.pick(1, 1, 2) }, (_each, i) =>
      drawService(random, segment, 2 * segment + i, advbase),
    ),
  );
  const preempt = random.chance(0.6);
  const preemptDelayS = random.pick(0, 0, 3);
  // Mostly the same host is preferred everywhere, as for firewalls.
  const firsts = services.map(() => (random.chance(0.6) ? 0 : random.integer(1, count - 1)));
  const least = advbase === 0 ? 128 : 0;
  const hosts = Array.from({ length: count }, (_, id) => ({
    kind: "carpctl" as const,
    driftPpm: 0,
    aheadUs: 17 * id,
    preempt,
    preemptDelayS,
    strictReplay: false,
    advskews: services.map(({ vhids }, s) =>
      vhids.map((_vhid, v) => {
        const rank = (id + v + (firsts[s] ?? 0)) % count;
        return least + Math.floor((rank * (240 - least)) / count);
      }),
    ),
  }));
  return { seed, segments, services, hosts };
}

function drawService(random: Random, segment: number, number: number, advbase: number): Service {
  const nodes = random.pick(1, 1, 2, 3);
  const unicast = nodes === 1 && random.chance(0.25);
  const ipv4 = `10.${segment}.0.${250 - number}`;
  const ipv6 = `2001:db8:${segment}::${250 - number}`;
  return {
    name: `carp${number}`,
    segment,
    vhids: Array.from({ length: nodes }, (_, i) => number * 8 + i + 1),
    advbase,
    pass: "secret",
    balancing: nodes > 1 ? random.pick("ip", "ip-unicast", "ip-stealth") : "none",
    addresses: unicast ? [ipv4] : random.pick([ipv4], [ipv4, ipv6], [ipv6]),
    unicast,
  };
}

/** The files of each host below /etc. */
export function filesOf({ hosts, services }: Cluster): Record<string, Record<string, string>> {
  return Object.fromEntries(
    hosts.map(({ preempt, preemptDelayS, advskews }, id) => [
      `host${id}`,
      {
        "carp/sysctl.conf": `net.inet.carp.preempt=${Number(preempt)}\nnet.inet.carp.preempt_delay=${preemptDelayS}\n`,
        ...Object.fromEntries(
          services.map((service, at) => [
            `hostname.${service.name}`,
            fileOf(service, advskews[at] ?? [], hosts.length),
          ]),
        ),
      },
    ]),
  );
}

function fileOf(service: Service, advskews: readonly number[], hosts: number): string {
  const { segment, vhids, advbase, pass, balancing, addresses, unicast } = service;
  const nodes = vhids.map((vhid, at) => `${vhid}:${advskews[at]}`).join();
  const peers = Array.from({ length: hosts }, (_, host) => ownAddress(segment, host)).join();
  return [
    `carpdev eth${segment} carpnodes ${nodes} advbase ${advbase} pass ${pass} balancing ${balancing}`,
    ...(unicast ? [`carppeer ${peers}`] : []),
    ...addresses.map((address) =>
      address.includes(":") ? `inet6 ${address}` : `inet ${address} 255.255.255.0`,
    ),
    "",
  ].join("\n");
}

/** The failure as a step of the simulator. */
export function stepOf(failure: Failure, span: { readonly atUs: Micros; readonly forUs: Micros }): Step {
  const numberOf = (name: string) => Number(name.slice("host".length));
  switch (failure.kind) {
    case "dies":
      return { ...span, kind: "crash", host: numberOf(failure.host) };
    case "loses":
      return {
        ...span,
        kind: "no-carrier",
        host: numberOf(failure.host),
        segment: segmentOf(failure.carpdev),
      };
    case "demoted": {
      const command = { kind: "demote", reason: "plan", by: 1 } as const;
      const undo = { kind: "promote", reason: "plan" } as const;
      return { ...span, kind: "command", host: numberOf(failure.host), command, undo };
    }
    case "maintained": {
      const maintenance = (on: boolean) => ({ kind: "maintenance", on }) as const;
      const host = numberOf(failure.host);
      return { ...span, kind: "command", host, command: maintenance(true), undo: maintenance(false) };
    }
    case "split": {
      const [from, to] = failure.parts.map((hosts) => hosts.map(numberOf)) as [number[], number[]];
      const segment = segmentOf(failure.carpdev);
      return { ...span, kind: "weather", segment, from, to, both: true, weather: LOST };
    }
  }
}

export function segmentOf(carpdev: string): number {
  return Number(carpdev.slice("eth".length));
}
