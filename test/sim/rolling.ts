/**
 * Draws a plan in which pass and addresses are changed host by host within the grace, under the faults of any other
 * plan: all hosts of a segment hear each other throughout.
 */

import type { Command } from "../../src/core/command.ts";
import type { InterfaceChange } from "../../src/core/interface/configuration.ts";
import type { Micros } from "../../src/core/model.ts";
import { type Extent, generate } from "./generate.ts";
import type { Plan, Service, Step } from "./plan.ts";
import { Random } from "./random.ts";

/** Of the grace, the time in which a change reaches all hosts; clocks drift, and a stalled host is late. */
const ROLLS_WITHIN = 0.5;
/** Faults that leave the secrets and the hosts' engines alone. */
const HARMLESS = new Set<Step["kind"]>([
  "weather",
  "no-carrier",
  "sends-fail",
  "replug",
  "clock",
  "drift",
  "slow-devices",
  "attack",
]);

export function generateRolling(seed: number, extent: Extent): Plan {
  const drawn = generate(seed, { ...extent, isOurs: true });
  const random = new Random(seed + 0x6ace);
  const services = drawn.services.map((service) => ({ ...service, pass: "secret" }));
  const graceS = random.pick(20, 60, 300);
  const rolls = drawRolls(
    random,
    services,
    { hosts: drawn.hosts.length, graceUs: graceS * 1e6 },
    drawn.durationUs,
  );
  const crashes = drawn.steps.filter(
    (step) =>
      (step.kind === "crash" || step.kind === "stall") &&
      !rolls.some(({ host, atUs }) => host === step.host && touches(step, atUs)),
  );
  const harmless = drawn.steps.filter(({ kind }) => HARMLESS.has(kind));
  const steps = [...harmless, ...crashes, ...rolls].sort((a, b) => a.atUs - b.atUs);
  return { ...drawn, services, graceS, steps };
}

/** Whether the host may not take a command at this time for the step. */
function touches(step: Step, atUs: Micros): boolean {
  return atUs >= step.atUs && atUs <= step.atUs + step.forUs + 1e6;
}

type Commanded = Extract<Step, { kind: "command" }>;

function drawRolls(
  random: Random,
  services: readonly Service[],
  { hosts, graceUs }: { readonly hosts: number; readonly graceUs: Micros },
  durationUs: Micros,
): Commanded[] {
  const steps: Commanded[] = [];
  for (const service of services) {
    let hasMore = false;
    for (let us = 5e6, n = 0; us < durationUs; n++) {
      const change = random.chance(0.5)
        ? { pass: `secret ${n}` }
        : hasMore
          ? { removeAddresses: [more(service)] }
          : { addAddresses: [{ family: 4 as const, address: more(service), prefixLength: 24, alias: true }] };
      if (!("pass" in change)) hasMore = !hasMore;
      const order = shuffled(random, hosts);
      const gapUs = (random.next() * ROLLS_WITHIN * graceUs) / hosts;
      for (const [i, host] of order.entries())
        steps.push({
          atUs: Math.round(us + i * gapUs),
          forUs: 0,
          kind: "command",
          host,
          command: command(service, change),
        });
      us += hosts * gapUs + random.pick(0.1, 1, 3) * graceUs;
    }
  }
  return steps;
}

function command({ name }: Service, change: InterfaceChange): Command {
  return { kind: "change", name, change };
}

/** The address that comes and goes. */
function more({ segment, vhids }: Service): string {
  return `10.${segment}.0.${100 + (vhids[0] ?? 0)}`;
}

function shuffled(random: Random, count: number): number[] {
  const left = Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: count }, () => left.splice(random.integer(0, left.length - 1), 1)[0] as number);
}
