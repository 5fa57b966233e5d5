/**
 * Every change of state of a virtual host has a cause. The core says which rule it followed; here each rule's
 * conditions are looked up in what really happened: the frame, the clock, the command, the lease in the kernel.
 */

import type { Effect, Transition, VirtualHostState } from "../../src/core/effect.ts";
import type { Micros } from "../../src/core/event.ts";
import { comparePrecedence } from "../../src/protocol/address.ts";
import type { Cause } from "./engine.ts";
import { acceptable, type Heard, isBowOut, isStaleFromElsewhere, remember } from "./hearing.ts";
import type { Settings } from "./settings.ts";
import type { Station } from "./station.ts";
import { Violation } from "./violation.ts";

interface Situation {
  readonly station: Station;
  readonly key: string;
  readonly cause: Cause;
  readonly own: Settings;
  /** What was heard, when that is the cause. */
  readonly his: Heard | undefined;
  readonly silentSinceUs: Micros;
}

interface Rule {
  readonly from: VirtualHostState;
  readonly to: VirtualHostState;
  readonly holds: (situation: Situation) => boolean;
}

/** What a packet that is not acceptable may do, and what it may do besides when it is signed and not new. */
const IN_ANY_CASE: readonly Effect["kind"][] = ["log", "discarded"];
const ANSWER: readonly Effect["kind"][] = ["advertise", "announce", "arm", "save-counters"];

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

function told(own: Settings, his: Heard | undefined): string {
  return JSON.stringify({ own, his: his && { ...his, digest: undefined, counter: `${his.counter}` } });
}

/** It does not run any more: it was told so, its carpdev was lost, or, when it leaves, its successor is there. */
function stops({ cause, his, station, key }: Situation, reason: string): boolean {
  if (reason === "a successor is heard") return his !== undefined && station.isLeaving(key);
  if (cause.kind === "frame") return his !== undefined && station.isLeaving(key);
  if (cause.kind === "timer") return cause.timer.endsWith("/leave") && station.isLeaving(key);
  if (cause.kind !== "event") return cause.kind === "command" || cause.kind === "shutdown";
  return cause.event.kind === "link" && !(cause.event.link.up && cause.event.link.carrier);
}

export class Rules {
  /** When each virtual host that is BACKUP last heard an advertisement, or began to wait for one. */
  readonly #silentSinceUs = new WeakMap<Station, Map<string, Micros>>();
  /** Told of a frame that a host has to take note of. */
  readonly #heard: (station: Station, heard: Heard) => void;
  /** Told of a change of state that has a cause. */
  readonly #changed: (station: Station, transition: Transition, own: Settings) => void;

  constructor(events: {
    readonly heard: (station: Station, heard: Heard) => void;
    readonly changed: (station: Station, transition: Transition, own: Settings) => void;
  }) {
    this.#heard = events.heard;
    this.#changed = events.changed;
  }

  check(station: Station, cause: Cause, effects: readonly Effect[]): void {
    const his = cause.kind === "frame" ? acceptable(station, cause) : undefined;
    if (cause.kind === "frame" && his === undefined) {
      const allowed = isStaleFromElsewhere(station, cause) ? [...IN_ANY_CASE, ...ANSWER] : IN_ANY_CASE;
      const done = effects.find(({ kind }) => !allowed.includes(kind));
      if (done !== undefined)
        throw new Violation("no effect", `${station.name}: a packet that is not acceptable: ${done.kind}`);
      return;
    }
    if (his !== undefined) {
      if (station.strictReplay) remember(station, his);
      this.#heard(station, his);
      if (!isBowOut(his)) this.#wasQuietUntil(station, his.key, his.receivedUs);
    }
    const states = new Map<string, VirtualHostState>();
    const due = his && this.#due(station, cause, his);
    for (const effect of effects)
      if (effect.kind === "transition") this.#checkTransition(station, cause, his, effect, states);
    if (due !== undefined && due.state !== (states.get(due.key) ?? due.was))
      throw new Violation(
        "cause",
        `${station.name} ${due.key}: ${states.get(due.key) ?? due.was}, but what it hears makes it ${due.state}: ${told(due.own, his)}`,
      );
  }

  #due(station: Station, cause: Cause, his: Heard) {
    const { key } = his;
    const was = station.states.get(key) ?? "INIT";
    const own = station.settings(key);
    const situation = { station, key, cause, own, his, silentSinceUs: 0 };
    const state = dueState(situation, was);
    return state && { state, was, key, own };
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
    const own = station.settings(key);
    const silentSinceUs = this.#silentSinceUs.get(station)?.get(key) ?? Number.NEGATIVE_INFINITY;
    const situation = { station, key, cause, own, his, silentSinceUs };
    const rule =
      to === "INIT"
        ? { from: was, to, holds: () => stops({ ...situation, his: heard }, reason) }
        : reason === "forced"
          ? forced(to)
          : RULES[reason];
    const what = `${station.name} ${key}: ${from} -> ${to} (${reason}), caused by ${cause.kind}`;
    if (from !== was) throw new Violation("cause", `${what}: it was ${was}`);
    if (rule === undefined || rule.from !== from || rule.to !== to || !rule.holds(situation))
      throw new Violation("cause", `${what}: ${told(own, his)}`);
    // Who yields to a master has heard it.
    if (to === "BACKUP") this.#wasQuietUntil(station, key, his?.receivedUs ?? station.now.us);
    this.#changed(station, transition, own);
  }

  #wasQuietUntil(station: Station, key: string, us: Micros): void {
    const since = this.#silentSinceUs.get(station) ?? new Map<string, Micros>();
    this.#silentSinceUs.set(station, since.set(key, Math.max(us, since.get(key) ?? us)));
  }
}

/**
 * What a virtual host has to do when it hears that, by the protocol's rules as they are written down, without a look at
 * what it does. Undefined: that depends on more than what it hears.
 */
function dueState(
  { station, key, own, his }: Situation,
  was: VirtualHostState,
): VirtualHostState | undefined {
  if (his === undefined || was === "INIT") return undefined;
  if (was === "BACKUP") {
    // A bow-out comes over each family, and the second one is about a master that has left already.
    if (isBowOut(his)) return undefined;
    const takesOver =
      (station.preempts && own.intervalUs < his.intervalUs && his.demote >= own.demote) ||
      his.demote > own.demote ||
      (own.advbase > 0 && his.intervalUs > 3e6 * own.advbase);
    return takesOver ? "MASTER" : "BACKUP";
  }
  // One that leaves goes when it hears anybody; one without a lease (any more, or yet) has more to go by.
  if (station.isLeaving(key)) return "INIT";
  if ((station.leases.get(key) ?? 0) <= station.now.us) return undefined;
  if (isBowOut(his)) return "MASTER";
  if (his.intervalUs !== own.intervalUs || his.demote !== own.demote)
    return his.demote < own.demote || (his.demote === own.demote && his.intervalUs < own.intervalUs)
      ? "BACKUP"
      : "MASTER";
  const source = station.sourceOf(key, his.source);
  if (his.source.includes(":") || source === undefined || source === his.source) return undefined;
  return comparePrecedence(source, his.source) < 0 ? "MASTER" : "BACKUP";
}
