/**
 * Ahead: the thread of a simulated engine that sends advertisements which were made ahead, each at its time. What one of
 * them meets (it is too late, it does not leave, another master is heard) ends those behind it.
 */

import type { AdvertisementAhead } from "../../src/core/effect.ts";
import type { Micros } from "../../src/core/model.ts";
import type { AheadEnded, AheadOf } from "../../src/kernel/kernel.ts";
import { keyOf } from "./virtual-hosts.ts";

interface Plan {
  readonly of: AheadOf;
  readonly waiting: AdvertisementAhead[];
}

const NONE: readonly AheadEnded[] = [];

export class Ahead {
  readonly #plans = new Map<string, Plan>();
  #ended: AheadEnded[] = [];
  readonly #send: (of: AheadOf, advertisement: AdvertisementAhead) => number;

  /** @param send @returns how many of its frames left: none behind one that did not */
  constructor(send: (of: AheadOf, advertisement: AdvertisementAhead) => number) {
    this.#send = send;
  }

  add(of: AheadOf, advertisements: readonly AdvertisementAhead[]): void {
    const key = keyOf(of.interface, of.vhid);
    const waiting = this.#plans.get(key)?.waiting ?? [];
    waiting.push(...advertisements);
    this.#plans.set(key, { of, waiting });
  }

  /** None leaves any more, nor is an end told. */
  recall(interfaceName: string, vhid: number): void {
    this.#plans.delete(keyOf(interfaceName, vhid));
    if (this.#ended.length === 0) return;
    this.#ended = this.#ended.filter((each) => each.interface !== interfaceName || each.vhid !== vhid);
  }

  /** Another master's advertisement was read. */
  heard(carpdev: string, vhid: number): void {
    for (const plan of this.#plans.values())
      if (plan.of.carpdev === carpdev && plan.of.vhid === vhid) this.#end(plan);
  }

  get isEmpty(): boolean {
    return this.#plans.size === 0;
  }

  /** When the next one is due; undefined: none waits. */
  get nextUs(): Micros | undefined {
    let nextUs: Micros | undefined;
    for (const { waiting } of this.#plans.values()) {
      const atUs = waiting[0]?.atUs;
      if (atUs !== undefined && (nextUs === undefined || atUs < nextUs)) nextUs = atUs;
    }
    return nextUs;
  }

  sendDue(us: Micros): void {
    for (const plan of this.#plans.values())
      for (let next = plan.waiting[0]; next !== undefined && next.atUs <= us; next = plan.waiting[0]) {
        const left = us > next.untilUs ? 0 : this.#send(plan.of, next);
        if (left < next.frames.length) {
          this.#end(plan, left > 0);
          break;
        }
        plan.waiting.shift();
        if (plan.waiting.length === 0) this.recall(plan.of.interface, plan.of.vhid);
      }
  }

  get hasEnded(): boolean {
    return this.#ended.length > 0;
  }

  takeEnded(): readonly AheadEnded[] {
    if (this.#ended.length === 0) return NONE;
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  #end({ of: { interface: name, vhid }, waiting: [first] }: Plan, inPart = false): void {
    this.recall(name, vhid);
    if (first !== undefined)
      this.#ended.push({ kind: "ahead-ended", interface: name, vhid, atUs: first.atUs, inPart });
  }
}
