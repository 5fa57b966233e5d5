/**
 * Trace: the steps, events and effects of a run as lines for a person. Keeps the last lines only.
 */

import type { Effect } from "../../src/core/effect.ts";
import type { Timer } from "../../src/core/event.ts";
import type { Micros } from "../../src/core/model.ts";
import { reasonText } from "../../src/core/reason.ts";
import type { Cause } from "./engine.ts";
import { judge } from "./hearing.ts";
import type { Step } from "./plan.ts";
import type { Station } from "./station.ts";

export class Trace {
  readonly #lines: string[] = [];
  /** Advertise timers that did nothing but advertise since the last line, and how often. */
  readonly #goingOn = new Map<string, number>();
  readonly #keep: number;

  constructor(keep: number) {
    this.#keep = keep;
  }

  get lines(): readonly string[] {
    return [...this.#lines, ...this.#meanwhile()].slice(-this.#keep);
  }

  step(us: Micros, step: Step): void {
    this.#add(us, `--- ${describe(step)}`);
  }

  ended(us: Micros, step: Step): void {
    this.#add(us, `--- ends: ${describe(step)}`);
  }

  /** Adds a line when a lease is granted or taken away; renewals show as advertisements. */
  lease(us: Micros, station: Station, key: string, untilUs: Micros): void {
    const isHeld = station.leaseUntilUs(...keyOf(key)) > station.us;
    if (untilUs > 0 ? isHeld : !isHeld) return;
    const left = untilUs === 0 ? "none" : `${seconds(untilUs - station.us)} s`;
    this.#add(us, `${station.name} ${key} lease: ${left}`);
  }

  handled(us: Micros, station: Station, cause: Cause, effects: readonly Effect[]): void {
    const did = effects.flatMap((effect) => told(effect) ?? []);
    if (did.length === 0 && cause.kind !== "command") return;
    if (cause.kind === "timer" && did.every((each) => each.startsWith(ADVERTISES))) {
      const who = `${station.name} ${timerName(cause.timer)}`;
      this.#goingOn.set(who, (this.#goingOn.get(who) ?? 0) + 1);
      return;
    }
    this.#add(us, `${station.name} ${why(station, cause, effects)}: ${did.join("; ")}`);
  }

  #add(us: Micros, what: string): void {
    this.#lines.push(...this.#meanwhile(), `${seconds(us).padStart(12)} ${what}`);
    this.#goingOn.clear();
    if (this.#lines.length > 2 * this.#keep) this.#lines.splice(0, this.#keep);
  }

  #meanwhile(): string[] {
    const told = [...this.#goingOn].map(([who, times]) => `${who} ${times} x`);
    return told.length === 0 ? [] : [`${" ".repeat(12)} (meanwhile ${told.join(", ")})`];
  }
}

function keyOf(key: string): [string, number] {
  const [name = "", vhid] = key.split("/");
  return [name, Number(vhid)];
}

/** The beginning of the text of an advertisement. */
const ADVERTISES = "advertises vhid ";

/** The text of a step. */
export function describe({ atUs: _, kind, forUs, ...rest }: Step): string {
  const lasts = forUs > 0 ? ` for ${seconds(forUs)} s` : "";
  return `${kind}${lasts} ${JSON.stringify(rest)}`;
}

function timerName(timer: Timer): string {
  if (timer.kind === "retry") return timer.kind;
  return timer.kind === "grace"
    ? `${timer.interface}/${timer.kind}`
    : `${timer.interface}/${timer.vhid}/${timer.kind}`;
}

function seconds(us: Micros): string {
  return (us / 1e6).toFixed(6);
}

function why(station: Station, cause: Cause, effects: readonly Effect[]): string {
  switch (cause.kind) {
    case "frame": {
      const discarded = effects.some(({ kind }) => kind === "discarded");
      const heard = judge(station, cause, discarded).accepted;
      if (heard === undefined) return "hears something not acceptable";
      const { advbase, advskew, demote, source } = heard;
      return `hears ${source} advbase ${advbase} advskew ${advskew} demote ${demote}`;
    }
    case "timer":
      return `timer ${timerName(cause.timer)}`;
    case "command":
      return `command ${JSON.stringify(cause.command)}`;
    case "event":
      return cause.event.kind === "performed"
        ? `outcome of ${cause.event.part.kind}: ${cause.event.errors.join(", ") || "in place"}`
        : cause.event.kind;
    default:
      return cause.kind;
  }
}

function told(effect: Effect): string | undefined {
  switch (effect.kind) {
    case "transition":
      return `vhid ${effect.vhid} ${effect.from} -> ${effect.to} (${reasonText(effect.reason)})`;
    case "advertise":
      return `${ADVERTISES}${effect.vhid}`;
    case "device":
    case "left":
      return effect.kind;
    case "discarded":
      return `discards it: ${effect.text}`;
    default:
      return undefined;
  }
}
