/**
 * Draws a plan from a seed: a plausible cluster, and episodes of faults with time to recover in between.
 * Decides nothing about the invariants, which hold for every plan.
 */

import type { Command } from "../../src/core/command.ts";
import type { InterfaceChange } from "../../src/core/interface/configuration.ts";
import type { Micros } from "../../src/core/model.ts";
import { isLinkLocal } from "../../src/protocol/address.ts";
import type { HostPlan, Kind, Plan, Service, Step } from "./plan.ts";
import { Random } from "./random.ts";
import type { Weather } from "./segment.ts";
import { configured } from "./setup.ts";

const SECOND: Micros = 1_000_000;

export interface Extent {
  /** Number of episodes of faults in the plan. */
  readonly episodes: number;
  /** Seconds of advbase, for all services; absent: drawn. */
  readonly advbase?: number | undefined;
  /** Absent: drawn. */
  readonly hosts?: number | undefined;
  /** No host runs another implementation; absent: drawn. */
  readonly isOurs?: boolean | undefined;
  /** Factor on the quiet time between episodes. */
  readonly quiet?: number | undefined;
}

/** The cluster that steps are drawn for. */
interface Cluster {
  readonly random: Random;
  readonly services: readonly Service[];
  readonly hosts: readonly HostPlan[];
  /** The unit of durations: longer than the slowest interval. */
  readonly unitUs: Micros;
}

export function generate(seed: number, extent: Extent): Plan {
  const random = new Random(seed);
  const hasForeign = random.chance(0.2) && !extent.isOurs;
  const count = extent.hosts ?? (random.chance(0.02) ? 16 : random.pick(2, 2, 2, 3, 3, 4, 6));
  const segments = Array.from({ length: random.pick(1, 1, 2) }, () => fairWeather(random));
  const advbase = extent.advbase ?? drawAdvbase(random);
  const services = segments.flatMap((_, segment) =>
    Array.from({ length: random.pick(1, 1, 2) }, (_, i) => ({ segment, number: 2 * segment + i })),
  );
  const drawn = services.map((where) => drawService(random, where, { hasForeign, count, advbase }));
  const hosts = withFolding(
    drawHosts(random, drawn, { hasForeign, count, advbase }),
    new Random(seed + 0xf01d),
  );
  const shared = withLinkLocals(drawn, hosts, new Random(seed + 0x11ca1));
  const cluster = { random, services: shared, hosts, unitUs: (advbase + 1) * SECOND };
  const { steps, durationUs } = drawEpisodes(cluster, extent);
  return { seed, durationUs, segments, services: shared, hosts, steps };
}

/** Has all hosts fold, as engines do; or some; or none, so that the core is asked about every frame. */
function withFolding(hosts: readonly HostPlan[], random: Random): HostPlan[] {
  const chance = random.pick(1, 1, 1, 1, 1, 1, 1, 0.5, 0);
  return hosts.map((host) => ({ ...host, folds: host.kind === "carpctl" && random.chance(chance) }));
}

/** Adds link-local addresses beside BSDs of one kind: those of two kinds do not agree about them. */
function withLinkLocals(services: readonly Service[], hosts: readonly HostPlan[], random: Random): Service[] {
  const kinds = new Set(hosts.map(({ kind }) => kind).filter((kind) => kind !== "carpctl"));
  if (kinds.size !== 1 || kinds.has("ucarp") || random.chance(0.5)) return [...services];
  return services.map((service, i) => ({
    ...service,
    addresses: [...service.addresses, `fe80::fa:${i + 1}`],
  }));
}

/** Draws an advbase: mostly 0 and 1, where the timing is tightest, and all others at a falling rate. */
function drawAdvbase(random: Random): number {
  if (random.chance(0.55)) return random.pick(0, 0, 1, 1, 1, 1, 1, 2);
  return Math.floor(3 * (255 / 3) ** random.next());
}

interface ClusterOptions {
  readonly hasForeign: boolean;
  readonly count: number;
  readonly advbase: number;
}

function fairWeather(random: Random): Weather {
  const delayUs = random.pick(0, 50, 100, 1_000, 10_000);
  return {
    loss: 0,
    duplication: random.pick(0, 0, 0, 0.01, 0.3),
    delayUs,
    jitterUs: random.pick(0, delayUs, 2 * delayUs),
  };
}

function drawService(
  random: Random,
  { segment, number }: { segment: number; number: number },
  { hasForeign, advbase }: ClusterOptions,
): Service {
  const isBalanced = !hasForeign && random.chance(0.3);
  const unicast = !hasForeign && !isBalanced && random.chance(0.2);
  const ipv4 = `10.${segment}.0.${250 - number}`;
  const ipv6 = `2001:db8:${segment}::${250 - number}`;
  const families = hasForeign || unicast ? [[ipv4]] : [[ipv4], [ipv4, ipv6], [ipv6]];
  const nodes = isBalanced ? random.integer(2, 4) : 1;
  return {
    name: `carp${number}`,
    segment,
    vhids: Array.from({ length: nodes }, (_, i) => number * 8 + i + 1),
    advbase,
    pass: random.pick("", "secret"),
    balancing: isBalanced ? random.pick("ip", "ip-unicast", "ip-stealth") : "none",
    addresses: random.pick(families[0] as string[], ...families.slice(1)),
    unicast,
  };
}

function drawHosts(random: Random, services: readonly Service[], basis: ClusterOptions): HostPlan[] {
  const { hasForeign, count, advbase } = basis;
  const drifts = random.pick(0, 0, 100, 10_000);
  const preempt = random.chance(0.4);
  const isMixed = random.chance(0.2);
  const delaysPreemption = random.chance(0.5);
  const strictReplay = !hasForeign && random.chance(0.2);
  const signing = random.pick(0, 0, 0, 0.5, 1);
  const style = hasForeign ? "ranked" : random.pick("ranked", "equal", "any");
  const foreign = hasForeign ? random.integer(1, count - 1) : 0;
  const hosts = Array.from({ length: count }, (_, id): HostPlan => {
    const kind: Kind = id < foreign ? random.pick("openbsd", "freebsd", "ucarp") : "carpctl";
    return {
      kind,
      driftPpm: random.integer(-drifts, drifts),
      aheadUs: random.integer(-3, 3) * random.pick(17, SECOND, 3_600 * SECOND),
      preempt: isMixed ? random.chance(0.5) : preempt,
      preemptDelayS: delaysPreemption ? random.pick(0, 1, 10, 60) : 0,
      strictReplay,
      signedHeader: random.chance(signing),
      // At advbase 0 the interval is advskew alone, and a low one leaves no time for flights and devices.
      advskews: services.map(({ vhids }, s) =>
        vhids.map((_, v) => {
          const rank = (id + s + v) % count;
          const least = advbase === 0 ? 128 : 0;
          if (style === "ranked") return least + Math.floor((rank * (240 - least)) / count);
          return style === "equal" ? least : random.pick(least, least + 1, 200, 254);
        }),
      ),
    };
  });
  // The first host has the lowest address: it should not always run the same implementation.
  return random.chance(0.5) ? hosts : hosts.reverse();
}

// Episodes and steps.

function drawEpisodes(
  cluster: Cluster,
  { episodes, quiet = 1 }: Extent,
): { steps: Step[]; durationUs: Micros } {
  const { random, unitUs } = cluster;
  const isMixed = cluster.hosts.some(({ kind }) => kind !== "carpctl");
  const steps: Step[] = [];
  let us = unitUs * random.integer(1, 10);
  for (let i = 0; i < episodes; i++) {
    const windowUs = unitUs * random.pick(0.01, 0.1, 1, 3, 10);
    let endUs = us;
    for (let n = random.pick(1, 1, 2, 3, 5); n > 0; n--) {
      for (const step of drawSteps(cluster, us + random.next() * windowUs)) {
        steps.push(step);
        endUs = Math.max(endUs, step.atUs + step.forUs);
      }
    }
    us = endUs + unitUs * (isMixed ? 3 : 1) * quiet * random.pick(0.5, 4, 8, 15, 30);
  }
  return { steps: steps.sort((a, b) => a.atUs - b.atUs), durationUs: Math.ceil(us) };
}

const KERNEL_FAULTS = ["device-fails", "address-refused", "listen-fails", "filter-full"] as const;

/** Draws a step, and with a kernel fault a second one that needs the kernel meanwhile. */
function drawSteps(cluster: Cluster, at: Micros): readonly Step[] {
  const step = drawStep(cluster, at);
  if (step.kind !== "kernel-fault") return [step];
  const { random, services } = cluster;
  const { host } = step;
  const service = random.pick(...(services as [Service, ...Service[]]));
  const atUs = Math.round(step.atUs + random.next() * step.forUs);
  const change = (change: InterfaceChange): Command => ({ kind: "change", name: service.name, change });
  const commanded = { atUs, forUs: Math.round(random.next() * step.forUs), kind: "command", host } as const;
  return [
    step,
    random.pick<Step>(
      { atUs, forUs: 0, kind: "replug", host, segment: service.segment },
      { ...commanded, command: change({ up: false }), undo: change({ up: true }) },
      { ...commanded, command: change({ state: "master" }) },
      { atUs, forUs: 0, kind: "crash", host },
    ),
  ];
}

function drawStep(cluster: Cluster, at: Micros): Step {
  const { random, hosts, services, unitUs } = cluster;
  const host = random.integer(0, hosts.length - 1);
  const segment = random.pick(...(services.map((each) => each.segment) as [number, ...number[]]));
  const atUs = Math.round(at);
  const short = Math.round(10 ** (3 + random.next() * 3.5));
  const forUs = Math.round(random.pick(short, random.next() * unitUs, random.next() * 8 * unitUs));
  const span = { atUs, forUs };
  switch (random.integer(0, 15)) {
    case 0:
    case 1: {
      const all = hosts.map((_, id) => id);
      const one = random.chance(0.5) ? [host] : all.filter(() => random.chance(0.5));
      const others = all.filter((id) => !one.includes(id));
      const both = random.chance(0.5);
      const [from, to] = random.pick([one, others], [others, one], [all, all]);
      return { ...span, kind: "weather", segment, from, to, both, weather: foul(random, unitUs) };
    }
    case 2:
      return { ...span, kind: "no-carrier", host, segment };
    case 3:
      return {
        ...span,
        kind: "sends-fail",
        host,
        error: random.pick("ENOBUFS", "ENETDOWN"),
        chance: random.pick(1, 1, 0.7, 0.2),
      };
    case 4:
    case 5:
      return { ...span, kind: "stall", host, framesFirst: random.chance(0.3) };
    case 6:
      return { ...span, kind: "crash", host };
    case 7:
      return { ...span, kind: "stop", host };
    case 8:
      return random.chance(0.5)
        ? {
            atUs,
            forUs: 0,
            kind: "clock",
            host,
            byUs: random.integer(-2, 2) * random.pick(1, 3_600) * SECOND,
          }
        : { atUs, forUs: 0, kind: "drift", host, ppm: random.integer(-10_000, 10_000) };
    case 9:
      return { ...span, kind: "slow-devices", host, deviceUs: short };
    case 10: {
      const attack = random.pick("garbage", "forge", "replay", "alter", "disguise", "dismiss", "damage");
      return {
        atUs,
        forUs: 0,
        kind: "attack",
        segment,
        attack,
        times: random.integer(1, 20),
        everyUs: short,
      };
    }
    case 11:
    case 12:
      return { ...span, kind: "kernel-fault", host, fault: random.pick(...KERNEL_FAULTS) };
    case 13:
      return { atUs, forUs: 0, kind: "replug", host, segment };
    default:
      return { ...span, kind: "command", host, ...drawCommand(cluster, host) };
  }
}

function foul(random: Random, unitUs: Micros): Weather {
  const fair = { loss: 0, duplication: 0, delayUs: 0, jitterUs: 0 };
  return random.pick(
    { ...fair, loss: 1 },
    { ...fair, loss: 1 },
    { ...fair, loss: random.next() },
    { ...fair, delayUs: random.next() * unitUs, jitterUs: random.next() * unitUs, duplication: 0.3 },
  );
}

function drawCommand(
  cluster: Cluster,
  host: number,
): { readonly command: Command; readonly undo?: Command | undefined } {
  const { random, services, hosts } = cluster;
  const at = random.integer(0, services.length - 1);
  const service = services[at] as Service;
  const { name, vhids, advbase, addresses } = service;
  const change = (change: InterfaceChange): Command => ({ kind: "change", name, change });
  const sysctl = (variable: string, value: number): Command => ({
    kind: "set-sysctl",
    writes: [{ name: `net.inet.carp.${variable}`, value }],
  });
  const nodes = (advskew: (i: number) => number) =>
    change({ carpnodes: vhids.map((vhid, i) => ({ vhid, advskew: advskew(i) })) });
  const balanced = vhids.map((vhid, i) => ({ vhid, advskew: hosts[host]?.advskews[at]?.[i] ?? 0 }));
  const known = change({ carpnodes: balanced });
  const by = random.pick(1, 1, 50, 240);
  const least = advbase === 0 ? 128 : 0;
  switch (random.integer(0, 15)) {
    case 0:
      return {
        command: nodes(() => random.integer(least, 254)),
        undo: random.chance(0.7) ? known : undefined,
      };
    case 1:
      return { command: change({ advbase: advbase + 1 }), undo: change({ advbase }) };
    case 2:
      return { command: change({ pass: "another" }), undo: change({ pass: service.pass }) };
    case 3:
    case 4:
      return { command: change({ state: random.pick("master", "backup") }) };
    case 5:
      return { command: change({ up: false }), undo: change({ up: true }) };
    case 6:
      if (random.chance(0.2)) {
        const seconds = random.pick(0, 1, 10, 60);
        return random.chance(0.5)
          ? { command: sysctl("preempt_delay", seconds) }
          : { command: change({ preemptdelay: seconds }), undo: change({ preemptdelay: null }) };
      }
      return {
        command: sysctl(random.pick("preempt", "preempt", "signed_header"), random.integer(0, 1)),
      };
    case 7:
      return { command: sysctl("demotion", by), undo: sysctl("demotion", -by) };
    case 8: {
      const demote = (by: number): Command => ({ kind: "demote-group", group: "carp", by });
      return { command: demote(by), undo: demote(-by) };
    }
    case 9:
      return { command: sysctl("allow", 0), undo: sysctl("allow", 1) };
    case 10: {
      const address = `10.${service.segment}.0.99`;
      const added = { family: 4 as const, address, prefixLength: 24, alias: true };
      return { command: change({ addAddresses: [added] }), undo: change({ removeAddresses: [address] }) };
    }
    case 11:
      return vhids.length > 1
        ? { command: nodes((i) => (i === 0 ? 254 : least)), undo: known }
        : { command: change({ carpnodes: [{ vhid: 200 + at, advskew: 0 }] }), undo: known };
    case 12:
      return vhids.length > 1
        ? { command: change({ carpnodes: balanced.slice(0, -1) }), undo: known }
        : { command: change({ carpnodes: [...balanced, { vhid: 210 + at, advskew: least }] }), undo: known };
    case 13:
      return { command: change({ balancing: "ip-unicast" }), undo: change({ balancing: service.balancing }) };
    case 14: {
      return {
        command: { kind: "destroy", name },
        undo: configured(service, host, hosts[host]?.advskews[at] ?? [], hosts.length),
      };
    }
    default:
      // Without link-local addresses it would no longer understand FreeBSD.
      return addresses.length > 1 && !addresses.some(isLinkLocal)
        ? { command: change({ removeFamilies: [6] }), undo: change({ addAddresses: [ipv6Of(service)] }) }
        : {
            command: change({ carpnodes: [...vhids].reverse().map((vhid) => ({ vhid, advskew: 100 })) }),
            undo: known,
          };
  }
}

function ipv6Of({ addresses }: Service) {
  const address = addresses.find((each) => each.includes(":")) ?? "";
  return { family: 6 as const, address, prefixLength: 64, alias: true };
}
