/**
 * Every change of state of a virtual host has a cause. The core says which rule it followed; here each rule's
 * conditions are looked up in what really happened: the frame, the clock, the command, the lease in the kernel.
 */

import type { Effect, Transition, VirtualHostState } from "../../src/core/effect.ts";
import type { Micros } from "../../src/core/event.ts";
import type { NodeView } from "../../src/core/view.ts";
import type { Cause } from "./engine.ts";
import { acceptable, type Heard, intervalOf, isBowOut } from "./hearing.ts";
import type { Station } from "./station.ts";
import { Violation } from "./violation.ts";

interface Situation {
  readonly station: Station;
  readonly key: string;
  readonly cause: Cause;
  readonly own: { readonly advbase: number; readonly intervalUs: Micros; readonly demote: number };
  /** What was heard, when that is the cause. */
  readonly his: Heard | undefined;
  readonly silentSinceUs: Micros;
}

interface Rule {
  readonly from: VirtualHostState;
  readonly to: VirtualHostState;
  readonly holds: (situation: Situation) => boolean;
}

/** Clocks are no exacter than this in here. */
const ROUNDING_US = 1;

/** By the reason that the core gives. */
const RULES: Readonly<Record<string, Rule>> = {
  "the interface runs": { from: "INIT", to: "BACKUP", holds: ({ cause }) => cause.kind !== "frame" },
  "its lease is in force": {
    from: "INIT",
    to: "MASTER",
    holds: ({ cause, station, key }) =>
      cause.kind === "restore" && (station.leases.get(key) ?? 0) > station.now.us,
  },
  "the master is silent": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ cause, station, own, silentSinceUs }) =>
      cause.kind === "timer" && station.now.us - silentSinceUs >= 3 * own.intervalUs - ROUNDING_US,
  },
  "preempting a slower master": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ station, own, his }) =>
      his !== undefined && station.preempts && own.intervalUs < his.intervalUs && his.demote >= own.demote,
  },
  "the master is demoted": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ own, his }) => his !== undefined && his.demote > own.demote,
  },
  "the master left": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ his }) => his !== undefined && isBowOut(his),
  },
  "the master is too slow": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ own, his }) => his !== undefined && own.advbase > 0 && his.intervalUs > 3e6 * own.advbase,
  },
  "a master is less demoted": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ own, his }) => his !== undefined && his.demote < own.demote,
  },
  "a master advertises more often": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ own, his }) => his !== undefined && his.intervalUs < own.intervalUs && his.demote <= own.demote,
  },
  "an equal master has precedence": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ own, his }) =>
      his !== undefined && his.intervalUs === own.intervalUs && his.demote === own.demote,
  },
  "no advertisement has left in time": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ station, key }) => (station.leases.get(key) ?? 0) <= station.now.us,
  },
};

/** `state master`, `state backup`. */
function forced(to: VirtualHostState): Rule {
  const holds = ({ cause }: Situation) =>
    cause.kind === "command" &&
    cause.command.kind === "change" &&
    cause.command.change.state !== undefined &&
    (cause.command.change.state === "master") === (to === "MASTER");
  return { from: to === "MASTER" ? "BACKUP" : "MASTER", to, holds };
}

/** It does not run any more: it was told so, its carpdev was lost, or its successor is there. */
function stops({ cause, his }: Situation): boolean {
  if (cause.kind === "frame") return his !== undefined;
  return cause.kind !== "timer" || cause.timer.endsWith("/leave");
}

export class Rules {
  /** When each virtual host that is BACKUP last heard an advertisement, or began to wait for one. */
  readonly #silentSinceUs = new WeakMap<Station, Map<string, Micros>>();
  /** Told of a frame that a host has to take note of. */
  readonly #heard: (station: Station, heard: Heard) => void;
  /** Told of a change of state that has a cause. */
  readonly #changed: (station: Station, transition: Transition, own: Situation["own"]) => void;

  constructor(events: {
    readonly heard: (station: Station, heard: Heard) => void;
    readonly changed: (station: Station, transition: Transition, own: Situation["own"]) => void;
  }) {
    this.#heard = events.heard;
    this.#changed = events.changed;
  }

  check(station: Station, cause: Cause, effects: readonly Effect[]): void {
    const his = cause.kind === "frame" ? acceptable(station, cause) : undefined;
    if (cause.kind === "frame" && his === undefined) {
      const done = effects.find(({ kind }) => kind !== "log" && kind !== "discarded");
      if (done !== undefined)
        throw new Violation("no effect", `${station.name}: a packet that is not acceptable: ${done.kind}`);
      return;
    }
    if (his !== undefined) {
      if (station.strictReplay) station.latestCounters.set(`${his.key} ${his.source}`, his.counter);
      this.#heard(station, his);
      if (!isBowOut(his)) this.#wasQuietUntil(station, his.key, his.receivedUs);
    }
    const states = new Map<string, VirtualHostState>();
    for (const effect of effects)
      if (effect.kind === "transition") this.#checkTransition(station, cause, his, effect, states);
  }

  #checkTransition(
    station: Station,
    cause: Cause,
    heard: Heard | undefined,
    transition: Transition,
    states: Map<string, VirtualHostState>,
  ): void {
    const { interface: name, vhid, from, to, reason } = transition;
    const key = `${name}/${vhid}`;
    const was = states.get(key) ?? station.states.get(key) ?? "INIT";
    states.set(key, to);
    const his = heard?.key === key ? heard : undefined;
    const own = ownSettings(station, name, vhid);
    const silentSinceUs = this.#silentSinceUs.get(station)?.get(key) ?? Number.NEGATIVE_INFINITY;
    const situation = { station, key, cause, own, his, silentSinceUs };
    const rule =
      to === "INIT"
        ? { from: was, to, holds: () => stops({ ...situation, his: heard }) }
        : reason === "forced"
          ? forced(to)
          : RULES[reason];
    const told = `${station.name} ${key}: ${from} -> ${to} (${reason}), caused by ${cause.kind}`;
    if (from !== was) throw new Violation("cause", `${told}: it was ${was}`);
    if (rule === undefined || rule.from !== from || rule.to !== to || !rule.holds(situation))
      throw new Violation("cause", `${told}: ${JSON.stringify({ own, his: his && { ...his, counter: 0 } })}`);
    // Who yields to a master has heard it.
    if (to === "BACKUP") this.#wasQuietUntil(station, key, his?.receivedUs ?? station.now.us);
    this.#changed(station, transition, own);
  }

  #wasQuietUntil(station: Station, key: string, us: Micros): void {
    const since = this.#silentSinceUs.get(station) ?? new Map<string, Micros>();
    this.#silentSinceUs.set(station, since.set(key, Math.max(us, since.get(key) ?? us)));
  }
}

/** Effective, as advertised. */
export function ownSettings(station: Station, name: string, vhid: number): Situation["own"] {
  const view = station.engine?.host.interfaces().find((each) => each.name === name);
  const node: NodeView | undefined = view?.nodes.find((each) => each.vhid === vhid);
  const advbase = view?.advbase ?? 0;
  return { advbase, intervalUs: intervalOf(advbase, node?.effectiveAdvskew ?? 0), demote: node?.demote ?? 0 };
}
