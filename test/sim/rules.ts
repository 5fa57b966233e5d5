/**
 * Rules: checks "cause" and "no effect". For each transition the core names the rule that it followed; this
 * file checks that rule's conditions against the frame, the clock, the command and the lease in the kernel,
 * and that a frame which is not acceptable has no effect.
 */

import type { Effect, Transition } from "../../src/core/effect.ts";
import type { Performed, Repeated } from "../../src/core/event.ts";
import type { Micros, VirtualHostState } from "../../src/core/model.ts";
import type { TransitionReason } from "../../src/core/reason.ts";
import { comparePrecedence } from "../../src/protocol/address.ts";
import type { Cause } from "./engine.ts";
import { type Heard, isBowOut, judge } from "./hearing.ts";
import type { Received } from "./kernel.ts";
import { remember } from "./replays.ts";
import type { Settings } from "./settings.ts";
import type { Station } from "./station.ts";
import { Violation } from "./violation.ts";
import { keyOf } from "./virtual-hosts.ts";

/** States while an event is handled, when it changes none. */
const NONE = new Map<string, VirtualHostState>();

interface Situation {
  readonly station: Station;
  readonly key: string;
  readonly cause: Cause;
  readonly own: Settings;
  /** The advertisement heard, when that is the cause. */
  readonly other: Heard | undefined;
  readonly silentSinceUs: Micros;
  /** Whether it has been back for long enough to preempt a healthy master. */
  readonly mayPreempt: boolean;
}

/** The state that an advertisement demands. */
interface Due {
  /** undefined: it depends on more than the advertisement. */
  readonly state: VirtualHostState | undefined;
  readonly was: VirtualHostState;
  readonly key: string;
  readonly own: Settings;
  readonly other: Heard;
}

interface Rule {
  readonly from: VirtualHostState;
  readonly to: VirtualHostState;
  readonly holds: (situation: Situation) => boolean;
}

/**
 * The effects that an unacceptable packet may have; further ones when its digest is valid but not new, as it takes the
 * advertisements back that were made ahead; and further ones of a MASTER that answers.
 */
const IN_ANY_CASE: readonly Effect["kind"][] = ["log", "discarded", "explain-digest"];
const REFUSED_IN_ANY_CASE: readonly Effect["kind"][] = [...IN_ANY_CASE, "recall", "arm"];
const ANSWER_IN_ANY_CASE: readonly Effect["kind"][] = [
  ...REFUSED_IN_ANY_CASE,
  ...(["advertise", "announce", "arm", "save", "contested"] as const),
];
const NOTHING_HEARD: readonly Heard[] = [];
const NOTHING_DUE: readonly Due[] = [];

/** Precision of the simulated clocks. */
const ROUNDING_US = 1;

/** The rule for each reason of the core. The other reasons are checked by `forced` and `stops`. */
const RULES: Readonly<Partial<Record<TransitionReason["kind"], Rule>>> = {
  "interface-runs": { from: "INIT", to: "BACKUP", holds: ({ cause }) => cause.kind !== "frame" },
  "lease-in-force": {
    from: "INIT",
    to: "MASTER",
    holds: ({ cause, station, key }) =>
      cause.kind === "restore" && (station.leases.get(key) ?? 0) > station.us,
  },
  "master-silent": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ cause, station, own, silentSinceUs }) =>
      cause.kind === "timer" && station.us - silentSinceUs >= 3 * own.intervalUs - ROUNDING_US,
  },
  "preempts-slower": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ mayPreempt, own, other }) =>
      other !== undefined && mayPreempt && own.intervalUs < other.intervalUs && other.demote >= own.demote,
  },
  "master-demoted": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ own, other }) => other !== undefined && other.demote > own.demote,
  },
  "master-left": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ other }) => other !== undefined && isBowOut(other),
  },
  "master-too-slow": {
    from: "BACKUP",
    to: "MASTER",
    holds: ({ own, other }) => other !== undefined && own.advbase > 0 && other.intervalUs > 3e6 * own.advbase,
  },
  "other-less-demoted": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ own, other }) => other !== undefined && other.demote < own.demote,
  },
  "other-more-frequent": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ own, other }) =>
      other !== undefined && other.intervalUs < own.intervalUs && other.demote <= own.demote,
  },
  "other-has-precedence": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ own, other }) =>
      other !== undefined && other.intervalUs === own.intervalUs && other.demote === own.demote,
  },
  "lease-expired": {
    from: "MASTER",
    to: "BACKUP",
    holds: ({ station, key }) => (station.leases.get(key) ?? 0) <= station.us,
  },
};

/** The rule for `state master` and `state backup`. */
function forced(to: VirtualHostState): Rule {
  const from = to === "MASTER" ? "BACKUP" : "MASTER";
  return { from, to, holds: to === "MASTER" ? (of) => isForcedMaster(of.cause) : hasGivenWay };
}

function isForcedMaster(cause: Cause): boolean {
  return (
    cause.kind === "command" && cause.command.kind === "change" && cause.command.change.state === "master"
  );
}

/** A host that bowed out is BACKUP when a successor is heard, or none in time; or before it takes over again. */
function hasGivenWay({ cause, other, station, key }: Situation): boolean {
  if (!station.givesWay(key)) return false;
  if (cause.kind === "timer") return cause.timer.kind === "leave";
  return isForcedMaster(cause) || (other !== undefined && !isBowOut(other));
}

function allowedFor(refused: Heard | undefined, mayAnswer: boolean): readonly Effect["kind"][] {
  if (mayAnswer) return ANSWER_IN_ANY_CASE;
  return refused === undefined ? IN_ANY_CASE : REFUSED_IN_ANY_CASE;
}

/** The frames that were folded, in the order of their arrival, each with the place of its virtual host among all. */
function copiesIn(all: readonly Repeated[]) {
  const found: { readonly of: number; readonly received: Received }[] = [];
  for (const [of, { copies }] of all.entries())
    for (const copy of copies) found.push({ of, received: copy as Repeated["copies"][number] & Received });
  // Those of one virtual host and family are in that order.
  return all.length === 1
    ? found
    : found.sort((one, other) => one.received.receivedUs - other.received.receivedUs);
}

function isDiscarded({ kind }: Effect): boolean {
  return kind === "discarded";
}

/** Checks that a packet which is not acceptable had no other effects than these. */
function checkNoEffect(
  station: Station,
  effects: readonly Effect[],
  allowed: readonly Effect["kind"][],
  refused?: Heard,
): void {
  const done = effects.find(({ kind }) => !allowed.includes(kind));
  if (done !== undefined)
    throw new Violation(
      "no effect",
      `${station.name}: a packet that is not acceptable: ${done.kind}: ${told(refused)}`,
    );
}

function told(other: Heard | undefined, own?: Settings): string {
  const { said, origin: _, us: __, ...rest } = other ?? {};
  const heard = other && { ...said, ...rest, digest: undefined, counter: `${other.counter}` };
  return JSON.stringify({ own, other: heard });
}

/** Whether a part of the interface, without which it cannot serve, is not in place. */
function lacks({ part, errors, harm = "all" }: Performed, key: string): boolean {
  const isItsOwn = "interface" in part ? key.startsWith(`${part.interface}/`) : part.kind === "listening";
  return isItsOwn && errors.length > 0 && harm === "all";
}

/**
 * Whether a transition to INIT has a cause: a command, a lost carpdev, a part not in place, or, while leaving, a
 * successor.
 */
function stops({ cause, other, station, key }: Situation, reason: TransitionReason): boolean {
  if (reason.kind === "successor-heard") return other !== undefined && station.isLeaving(key);
  if (cause.kind === "frame") return other !== undefined && station.isLeaving(key);
  if (cause.kind === "timer") return cause.timer.kind === "leave" && station.isLeaving(key);
  if (cause.kind !== "event") return cause.kind === "command" || cause.kind === "shutdown";
  if (cause.event.kind === "link-gone") return true;
  if (cause.event.kind === "performed") return lacks(cause.event, key);
  return cause.event.kind === "link" && !(cause.event.link.up && cause.event.link.carrier);
}

export class Rules {
  /** When each BACKUP last heard an advertisement, or began to wait for one; by the host's id. */
  readonly #silentSinceUs: (Map<string, Micros> | undefined)[] = [];
  /** Since when each virtual host has been back, and the demotion that it had then or since; by the host's id. */
  readonly #back: (Map<string, { readonly sinceUs: Micros; readonly demote: number }> | undefined)[] = [];
  /** The change of each host's settings that was looked at last, by its id. */
  readonly #followed: number[] = [];
  /** Called with each advertisement that a host has to accept. */
  readonly #heard: (station: Station, heard: Heard) => void;
  /** Called with each transition that has a cause. */
  readonly #changed: (station: Station, transition: Transition, own: Settings) => void;

  constructor(events: {
    readonly heard: (station: Station, heard: Heard) => void;
    readonly changed: (station: Station, transition: Transition, own: Settings) => void;
  }) {
    this.#heard = events.heard;
    this.#changed = events.changed;
  }

  check(station: Station, cause: Cause, effects: readonly Effect[]): void {
    this.#followDemotion(station);
    let heard: readonly Heard[] = NOTHING_HEARD;
    if (cause.kind === "frame") {
      const other = this.#hearFrame(station, cause, effects);
      if (other === undefined) return;
      heard = [other];
    } else if (cause.kind === "repeated") heard = this.#hearRepeated(station, cause, effects);
    // Where a demotion ends with one of several, those before it were heard with the demotion.
    const isEither = heard.length > 1 && effects.some(({ kind }) => kind === "demotion");
    const dues = isEither ? [] : this.#dues(station, cause, heard);
    let states = NONE;
    for (const effect of effects)
      if (effect.kind === "transition") {
        if (states === NONE) states = new Map();
        this.#checkTransition(station, cause, heard, effect, states);
      }
    for (const { key, state, was, own, other } of dues)
      if (state !== undefined && state !== (states.get(key) ?? was))
        throw new Violation(
          "cause",
          `${station.name} ${key}: ${states.get(key) ?? was}, but the advertisement heard demands ${state}: ${told(other, own)}`,
        );
  }

  /** @returns the advertisement that a host has to accept; undefined: the frame has no more effect than it may have */
  #hearFrame(station: Station, received: Received, effects: readonly Effect[]): Heard | undefined {
    const discarded = effects.some(isDiscarded);
    const { accepted, refused, conceded, mayAnswer } = judge(station, received, discarded);
    if (conceded !== undefined) remember(station, conceded);
    if (accepted === undefined) checkNoEffect(station, effects, allowedFor(refused, mayAnswer), refused);
    else {
      if (discarded)
        throw new Violation("cause", `${station.name} ${accepted.key}: refuses ${told(accepted)}`);
      this.#accepted(station, accepted);
    }
    return accepted;
  }

  /** @returns the last advertisement that a host has to accept of each virtual host and family, which stands for all */
  #hearRepeated(
    station: Station,
    cause: Extract<Cause, { kind: "repeated" }>,
    effects: readonly Effect[],
  ): readonly Heard[] {
    const discards = effects.filter(isDiscarded).length;
    const lasts: (Heard | undefined)[] = [];
    const refused: Heard[] = [];
    /** Copies that a host may refuse: where one was discarded, each of them may be that one. */
    let open = 0;
    for (const { of, received } of copiesIn(cause.all)) {
      const verdict = judge(station, received, false);
      if (verdict.refused !== undefined) refused.push(verdict.refused);
      if (verdict.accepted === undefined) continue;
      if (discards > 0 && judge(station, received, true).accepted === undefined) open++;
      else {
        this.#accepted(station, verdict.accepted);
        this.#checkWait(station, cause, verdict.accepted);
        lasts[of] = verdict.accepted;
      }
    }
    if (refused.length > discards)
      throw new Violation(
        "no effect",
        `${station.name}: one of these is not refused: ${refused.map((each) => told(each))}`,
      );
    const last = lasts.filter((heard) => heard !== undefined);
    if (discards > refused.length + open)
      throw new Violation(
        "cause",
        `${station.name}: refuses one of those that end in ${last.map((each) => told(each))}`,
      );
    if (last.length === 0 && open === 0) checkNoEffect(station, effects, IN_ANY_CASE);
    return last;
  }

  #accepted(station: Station, heard: Heard): void {
    remember(station, heard);
    this.#heard(station, heard);
    if (!isBowOut(heard)) this.#wasQuietUntil(station, heard.key, heard.receivedUs);
  }

  /** Checks that an advertisement which waited demanded nothing when it arrived. */
  #checkWait(station: Station, cause: Cause, other: Heard): void {
    if (other.receivedUs <= station.changedUs) return;
    const { state, was, key, own } = this.#due(station, cause, other, { atUs: other.receivedUs });
    if (state !== undefined && state !== was)
      throw new Violation(
        "cause",
        `${station.name} ${key}: ${was}, and an advertisement waited that demands ${state}: ${told(other, own)}`,
      );
  }

  /**
   * What the advertisements of an event demand, by virtual host: they are heard one after the other, so that each finds the
   * state that those before it have left. Where one leaves it open, those after it do too.
   */
  #dues(station: Station, cause: Cause, heard: readonly Heard[]): readonly Due[] {
    const [first] = heard;
    if (first === undefined) return NOTHING_DUE;
    if (heard.length === 1) return [this.#due(station, cause, first)];
    const dues: Due[] = [];
    for (const other of heard) {
      const at = dues.findIndex(({ key }) => key === other.key);
      const before = at < 0 ? undefined : dues[at];
      if (before !== undefined && before.state === undefined) continue;
      const due = this.#due(station, cause, other, { before });
      if (at < 0) dues.push(due);
      else dues[at] = due;
    }
    return dues;
  }

  /**
   * The state that an advertisement demands, if it alone decides.
   *
   * @param before what those before it demand that were heard in the same event
   */
  #due(
    station: Station,
    cause: Cause,
    other: Heard,
    { atUs = station.us, before }: { readonly atUs?: Micros; readonly before?: Due | undefined } = {},
  ): Due {
    const { key } = other;
    const was = station.states.get(key) ?? "INIT";
    const own = station.settings(key);
    const mayPreempt = this.#mayPreempt(station, key, atUs);
    const situation = { station, key, cause, own, other, silentSinceUs: 0, mayPreempt };
    const state = before?.state ?? was;
    const tookOver = state === "MASTER" && was !== "MASTER";
    const hasLease = tookOver || (station.leases.get(key) ?? 0) > station.us;
    return { state: dueState(situation, state, hasLease), was, key, own, other };
  }

  #checkTransition(
    station: Station,
    cause: Cause,
    heard: readonly Heard[],
    transition: Transition,
    states: Map<string, VirtualHostState>,
  ): void {
    const { interface: name, vhid, from, to, reason } = transition;
    const key = keyOf(name, vhid);
    const was = states.get(key) ?? station.states.get(key) ?? "INIT";
    states.set(key, to);
    const others = heard.filter((each) => each.key === key);
    const own = station.settings(key);
    const silentSinceUs = this.#silentSinceUs[station.id]?.get(key) ?? Number.NEGATIVE_INFINITY;
    const mayPreempt = this.#mayPreempt(station, key);
    const situation = { station, key, cause, own, other: undefined, silentSinceUs, mayPreempt };
    const rule: Rule | undefined =
      to === "INIT"
        ? { from: was, to, holds: () => stops({ ...situation, other: heard[0] }, reason) }
        : reason.kind === "forced"
          ? forced(to)
          : RULES[reason.kind];
    const what = `${station.name} ${key}: ${from} -> ${to} (${reason.kind}), caused by ${cause.kind}`;
    if (from !== was) throw new Violation("cause", `${what}: it was ${was}`);
    const situations = others.length > 0 ? others.map((other) => ({ ...situation, other })) : [situation];
    if (rule === undefined || rule.from !== from || rule.to !== to || !situations.some(rule.holds))
      throw new Violation("cause", `${what}: ${told(others.at(-1), own)}`);
    if (from === "INIT" || reason.kind === "lease-expired") this.#isBack(station, key);
    // A host that gives way has heard the master it gives way to.
    if (to === "BACKUP") this.#wasQuietUntil(station, key, others.at(-1)?.receivedUs ?? station.us);
    this.#changed(station, transition, own);
  }

  #followDemotion(station: Station): void {
    if (this.#followed[station.id] === station.settingsChanges) return;
    this.#followed[station.id] = station.settingsChanges;
    const back = this.#back[station.id];
    for (const [key, { demote: before, sinceUs }] of back ?? []) {
      const { demote } = station.settings(key);
      if (demote < before) this.#isBack(station, key);
      else if (demote > before) back?.set(key, { sinceUs, demote });
    }
  }

  #isBack(station: Station, key: string): void {
    this.#back[station.id] ??= new Map();
    this.#back[station.id]?.set(key, { sinceUs: station.us, demote: station.settings(key).demote });
  }

  #mayPreempt(station: Station, key: string, atUs = station.us): boolean {
    if (!station.preempts) return false;
    const sinceUs = this.#back[station.id]?.get(key)?.sinceUs ?? Number.NEGATIVE_INFINITY;
    return atUs - sinceUs >= station.preemptDelayUs(key) - ROUNDING_US;
  }

  #wasQuietUntil(station: Station, key: string, us: Micros): void {
    this.#silentSinceUs[station.id] ??= new Map();
    const since = this.#silentSinceUs[station.id];
    since?.set(key, Math.max(us, since.get(key) ?? us));
  }
}

/**
 * The state that the protocol demands after an advertisement is heard, computed from the rules alone.
 * Undefined: it depends on more than the advertisement.
 */
function dueState(
  { station, key, own, other, mayPreempt }: Situation,
  was: VirtualHostState,
  hasLease: boolean,
): VirtualHostState | undefined {
  if (other === undefined || was === "INIT") return undefined;
  if (was === "BACKUP") {
    // A bow-out comes over each family, and the second copy is from a master that has left already.
    if (isBowOut(other)) return undefined;
    const takesOver =
      (mayPreempt && own.intervalUs < other.intervalUs && other.demote >= own.demote) ||
      other.demote > own.demote ||
      (own.advbase > 0 && other.intervalUs > 3e6 * own.advbase);
    return takesOver ? "MASTER" : "BACKUP";
  }
  // A host that leaves stops when it hears a successor; without a lease the state depends on more than this.
  if (station.isLeaving(key)) return "INIT";
  if (station.givesWay(key)) return isBowOut(other) ? "MASTER" : "BACKUP";
  if (!hasLease) return undefined;
  if (isBowOut(other)) return "MASTER";
  if (other.intervalUs !== own.intervalUs || other.demote !== own.demote)
    return other.demote < own.demote || (other.demote === own.demote && other.intervalUs < own.intervalUs)
      ? "BACKUP"
      : "MASTER";
  const source = station.sourceOf(key, other.source);
  if (other.source.includes(":") || source === undefined || source === other.source) return undefined;
  return comparePrecedence(source, other.source) < 0 ? "MASTER" : "BACKUP";
}
