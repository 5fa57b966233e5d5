/**
 * Runs a plan: builds its hosts and segments, performs its steps, and checks the invariants. A run is a
 * function of its plan: the same plan ends the same way, to the microsecond.
 */

import "./digests.ts";
import type { Command } from "../../src/core/command.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Micros } from "../../src/core/model.ts";
import { Attacker } from "./attacker.ts";
import type { Cause } from "./engine.ts";
import { Foreign } from "./foreign.ts";
import { Leases } from "./leases.ts";
import { checkBalancing, checkMasters, groupsOf, quietSinceUs, settlesWithinUs } from "./masters.ts";
import type { Plan, Step } from "./plan.ts";
import { Random } from "./random.ts";
import { Rules } from "./rules.ts";
import { Segment } from "./segment.ts";
import { Serving } from "./serving.ts";
import { configured } from "./setup.ts";
import { Station, type Witness } from "./station.ts";
import type { Trace } from "./trace.ts";
import { type Invariant, Violation } from "./violation.ts";
import { keyOf } from "./virtual-hosts.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly violation:
    | { readonly invariant: Invariant; readonly what: string; readonly atUs: Micros }
    | undefined;
  /** Simulated time, summed over all hosts. */
  readonly hostUs: Micros;
  readonly checks: number;
}

/** Random streams that belong to no host. */
const WAY_STREAM = 1_000_000;
const ATTACK_STREAM = 2_000_000;

export function simulate(plan: Plan, trace?: Trace): Outcome {
  const simulation = new Simulation(plan, trace);
  try {
    simulation.run();
    return { violation: undefined, hostUs: plan.hosts.length * plan.durationUs, checks: simulation.checks };
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    const { invariant, message: what } = error;
    const atUs = simulation.world.us;
    return {
      violation: { invariant, what, atUs },
      hostUs: plan.hosts.length * atUs,
      checks: simulation.checks,
    };
  }
}

class Simulation implements Witness {
  readonly world = new World();
  checks = 0;
  readonly #plan: Plan;
  readonly #longestAdvbase: number;
  readonly #trace: Trace | undefined;
  readonly #segments: readonly Segment[];
  readonly #hosts: readonly (Station | Foreign)[];
  readonly #attackers: readonly Attacker[];
  readonly #leases = new Leases();
  readonly #serving = new Serving();
  #isWatching = false;
  readonly #rules = new Rules({
    heard: (station, heard) => this.#leases.heard(station, heard),
    changed: (station, transition, own) => this.#leases.changed(station, transition, own),
  });

  constructor(plan: Plan, trace: Trace | undefined) {
    this.#plan = plan;
    this.#longestAdvbase = Math.max(1, ...plan.services.map(({ advbase }) => advbase));
    this.#trace = trace;
    const way = (segment: number) => (from: number, to: number) =>
      new Random(plan.seed, WAY_STREAM + (segment * 1000 + from) * 1000 + to);
    this.#segments = plan.segments.map((fair, i) => new Segment(this.world, i, fair, way(i)));
    this.#hosts = plan.hosts.map((_, i) => this.#host(i));
    for (const host of this.#hosts) for (const segment of this.#segments) host.plug(segment);
    this.#attackers = this.#segments.map(
      (segment, i) => new Attacker(this.world, segment, new Random(plan.seed, ATTACK_STREAM + i)),
    );
  }

  run(): void {
    for (const host of this.#hosts) host.start();
    for (const step of this.#plan.steps) this.world.at(step.atUs, () => this.#begin(step));
    for (const segment of this.#segments) this.#lookAfter(segment);
    this.world.run(this.#plan.durationUs);
  }

  #host(id: number): Station | Foreign {
    const { hosts, services, seed, graceS = 0 } = this.#plan;
    const plan = hosts[id];
    if (plan === undefined) throw new RangeError(`no host ${id}`);
    const random = new Random(seed, id + 1);
    const { kind, driftPpm, aheadUs, folds = false, preempt, advskews } = plan;
    if (kind !== "carpctl")
      return new Foreign(this.world, { id, kind, random, driftPpm, preempts: preempt, services, advskews });
    const setting = (name: string, value: boolean) => ({
      name: `net.inet.carp.${name}`,
      value: value ? 1 : 0,
    });
    const settings = [
      setting("preempt", preempt),
      { name: "net.inet.carp.preempt_delay", value: plan.preemptDelayS ?? 0 },
      setting("strict_replay", plan.strictReplay),
      setting("signed_header", plan.signedHeader === true),
      { name: "net.inet.carp.grace", value: graceS },
    ];
    const setup: Command[] = [
      { kind: "set-sysctl", writes: settings },
      ...services.map((service, i) => configured(service, id, advskews[i] ?? [], hosts.length)),
    ];
    return new Station(this.world, { id, random, witness: this, driftPpm, aheadUs, folds, setup });
  }

  // Steps.

  #begin(step: Step): void {
    this.#trace?.step(this.world.us, step);
    const end = this.#apply(step);
    if (end === undefined) return;
    this.world.at(this.world.us + step.forUs, () => {
      this.#trace?.ended(this.world.us, step);
      end();
    });
  }

  /** Applies a step. @returns a function that ends it, if it lasts */
  #apply(step: Step): (() => void) | undefined {
    if (step.kind === "weather") return this.#weather(step);
    if (step.kind === "attack") {
      this.#attackers[step.segment]?.attack(step);
      return undefined;
    }
    const host = this.#hosts[step.host];
    if (host instanceof Foreign) {
      return this.#applyToForeign(host, step);
    }
    return host === undefined ? undefined : this.#applyTo(host, step);
  }

  #applyToForeign(host: Foreign, step: Step): (() => void) | undefined {
    if (step.kind === "command") {
      host.command(step.command);
      const { undo } = step;
      return undo && (() => host.command(undo));
    }
    if (step.kind !== "crash" && step.kind !== "stop") return undefined;
    host.stop(step.kind === "crash");
    return () => host.start();
  }

  #applyTo(station: Station, step: Step): (() => void) | undefined {
    switch (step.kind) {
      case "no-carrier": {
        const carpdev = `eth${step.segment}`;
        station.setCarrier(carpdev, false);
        return () => station.setCarrier(carpdev, true);
      }
      case "sends-fail":
        station.setSendFault({ error: step.error, chance: step.chance ?? 1 });
        return () => station.setSendFault(undefined);
      case "kernel-fault":
        return station.setFault(step.fault);
      case "replug":
        station.replug(`eth${step.segment}`);
        return undefined;
      case "stall":
        station.stall();
        return () => station.resume(step.framesFirst);
      case "crash":
        station.crash();
        return () => {
          if (station.engine === undefined) station.start();
        };
      case "stop": {
        const backAtUs = this.world.us + step.forUs;
        station.stop(() =>
          this.world.at(backAtUs, () => {
            if (station.engine === undefined) station.start();
          }),
        );
        return undefined;
      }
      case "command": {
        station.command(step.command);
        const { undo } = step;
        return undo === undefined ? undefined : () => station.command(undo);
      }
      case "clock":
        // Without an engine a clock that is set back goes unnoticed, and counters begin with it: not
        // simulated.
        if (station.engine !== undefined) station.clock.setTimeOfDay(step.byUs);
        return undefined;
      case "drift":
        station.clock.drift(step.ppm);
        return undefined;
      case "slow-devices":
        station.slowDeviceUs = step.deviceUs;
        station.disturbed();
        return () => {
          station.slowDeviceUs = 0;
          station.disturbed();
        };
      default:
        return undefined;
    }
  }

  #weather({ segment: index, from, to, both, weather }: Extract<Step, { kind: "weather" }>): () => void {
    const segment = this.#segments[index];
    if (segment === undefined) return () => {};
    const ends = from.flatMap((a) =>
      to.flatMap((b) => {
        const [sender, receiver] = [this.#hosts[a], this.#hosts[b]];
        if (a === b || sender === undefined || receiver === undefined) return [];
        const there = segment.fault(sender, receiver, weather);
        return both === true ? [there, segment.fault(receiver, sender, weather)] : [there];
      }),
    );
    return () => {
      for (const end of ends) end();
    };
  }

  // Checks.

  /** Checks a segment's masters when it has had time to settle, and at intervals as long as it is quiet. */
  #lookAfter(segment: Segment): void {
    const longestAdvbase = this.#longestAdvbase;
    let againUs = this.world.us + 2e6 * longestAdvbase;
    checkBalancing(segment);
    const quietUs = quietSinceUs(segment);
    const groups = quietUs === undefined ? undefined : groupsOf(segment);
    const settlesUs = groups && settlesWithinUs(segment, groups);
    if (quietUs !== undefined && groups !== undefined && settlesUs !== undefined) {
      const settledUs = quietUs + settlesUs;
      if (settledUs <= this.world.us) {
        checkMasters(segment, groups);
        this.checks++;
        againUs = this.world.us + 20e6 * longestAdvbase;
      } else againUs = settledUs;
    }
    this.world.at(againUs, () => this.#lookAfter(segment));
  }

  /** Looks after every segment at intervals, as long as a host lacks a part. */
  #watchServing(): void {
    if (this.#isWatching || this.#segments.every((segment) => this.#serving.isIdle(segment))) return;
    this.#isWatching = true;
    const everyUs = 1e5 * (this.#longestAdvbase + 1);
    this.world.at((Math.floor(this.world.us / everyUs) + 1) * everyUs, () => {
      this.#isWatching = false;
      for (const segment of this.#segments) this.#serving.check(segment);
      this.#watchServing();
    });
  }

  lacks(): void {
    this.#watchServing();
  }

  handled(station: Station, cause: Cause, effects: readonly Effect[]): void {
    this.#trace?.handled(this.world.us, station, cause, effects);
    this.#rules.check(station, cause, effects);
  }

  done(station: Station): void {
    this.#leases.done(station);
  }

  leaseChanges(station: Station, name: string, vhid: number, untilUs: Micros): void {
    this.#trace?.lease(this.world.us, station, keyOf(name, vhid), untilUs);
    this.#leases.leaseChanges(station, name, vhid, untilUs);
  }

  crashed(station: Station, cause: Cause, error: unknown): void {
    const what = error instanceof Error ? error.stack : String(error);
    throw new Violation("no effect", `${station.name}: the core failed on ${cause.kind}: ${what}`);
  }
}
