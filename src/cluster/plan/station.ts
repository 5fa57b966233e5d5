/**
 * One host of a simulated cluster: the core that the engine runs, with a kernel that does what it is told at once. Knows
 * no rule of CARP.
 */

import type { Command } from "../../core/command.ts";
import type { Effect } from "../../core/effect.ts";
import type { Event, Repeated, Timer } from "../../core/event.ts";
import { Host } from "../../core/host.ts";
import type { Instant, Link, Micros } from "../../core/model.ts";
import { quickDigest } from "./digest.ts";
import { Folding } from "./folding.ts";
import type { Holding } from "./holding.ts";
import type { Plugged, Segment, World } from "./world.ts";

const EPOCH_AT_BOOT_US = 1_700_000_000_000_000;
const NEVER_US = Number.POSITIVE_INFINITY;

/** A timer that was armed, and when it fires; NEVER_US: it fired, or was cancelled. */
interface Armed {
  readonly timer: Timer;
  atUs: Micros;
}

/** What a host is configured with each time it starts. */
export interface Setup {
  readonly name: string;
  readonly links: readonly Link[];
  readonly commands: readonly Command[];
}

export class Station implements Plugged {
  readonly setup: Setup;
  readonly wires = new Map<string, Segment<Station>>();
  /** Its last advertisement that left. */
  advertised: { readonly atUs: Micros; readonly interface: string; readonly vhid: number } | undefined;
  readonly #world: World;
  readonly #holding: Holding;
  readonly #epochOffsetUs: Micros;
  readonly #links = new Map<string, Link>();
  readonly #timers = new Map<Timer, Armed>();
  /** The same ones: a list is gone through in a fraction of the time. */
  #armed: Armed[] = [];
  readonly #listening = new Set<string>();
  readonly #reported: Event[] = [];
  readonly #folding = new Folding();
  #host: Host | undefined;
  /** No timer is due before: a timer that is put off again and again costs nothing until then. */
  #nextTimerUs: Micros = NEVER_US;

  constructor(setup: Setup, world: World, holding: Holding) {
    this.setup = setup;
    this.#world = world;
    this.#holding = holding;
    // The clocks of two hosts never agree exactly.
    this.#epochOffsetUs = EPOCH_AT_BOOT_US + 17 * world.add(this);
  }

  get #now(): Instant {
    return { us: this.#world.us, epochUs: this.#world.us + this.#epochOffsetUs };
  }

  start(): void {
    this.#host = new Host({ balancing: true, hmac: quickDigest });
    for (const each of this.setup.links) this.changeLink(each);
    for (const each of this.setup.commands) this.command(each);
  }

  /** It loses power: nothing is sent, received or answered. */
  die(): void {
    this.#host = undefined;
    this.#timers.clear();
    this.#armed = [];
    this.#folding.end();
    this.#nextTimerUs = NEVER_US;
    this.#listening.clear();
    this.#links.clear();
    this.#holding.lost(this.setup.name);
  }

  hasCarrier(carpdev: string): boolean {
    return this.#host !== undefined && this.#links.get(carpdev)?.carrier === true;
  }

  hasAddress(carpdev: string, address: string): boolean {
    return this.#links.get(carpdev)?.addresses.some((each) => each.address === address) === true;
  }

  setCarrier(carpdev: string, carrier: boolean): void {
    const link = this.#links.get(carpdev);
    if (link !== undefined) this.changeLink({ ...link, carrier });
  }

  changeLink(link: Link): void {
    this.#catchUp();
    this.#links.set(link.name, link);
    if (!link.carrier) this.#holding.unplugged(this.setup.name, link.name);
    this.#handle({ kind: "link", link });
  }

  /** @throws Error when it is refused: the files have been checked */
  command(command: Command): void {
    this.#catchUp();
    const outcome = this.#host?.command(command, this.#now);
    if (outcome === undefined) return;
    if ("error" in outcome) throw new Error(`${this.setup.name}: ${outcome.error}`);
    this.#perform(outcome.effects);
  }

  receive(carpdev: string, bytes: Uint8Array): void {
    if (!this.hasCarrier(carpdev) || !this.#listening.has(carpdev)) return;
    const receivedUs = this.#world.us;
    const before = this.#folding.take(carpdev, bytes, { receivedUs });
    if (before === undefined) return;
    this.#repeated(before);
    this.#handle({ kind: "frame", carpdev, bytes, receivedUs });
  }

  /** Handles the advertisements that wait. @returns whether there were any */
  #catchUp(): boolean {
    const all = this.#folding.flush();
    this.#repeated(all);
    return all.length > 0;
  }

  #repeated(all: readonly Repeated[]): void {
    if (all.length > 0) this.#handle({ kind: "repeated", all });
  }

  get nextTimerUs(): Micros {
    return this.#nextTimerUs;
  }

  fire(): void {
    let due: Armed | undefined;
    let [firstUs, nextUs] = [NEVER_US, NEVER_US];
    for (const armed of this.#armed)
      if (armed.atUs < firstUs) {
        nextUs = firstUs;
        firstUs = armed.atUs;
        due = armed;
      } else if (armed.atUs < nextUs) nextUs = armed.atUs;
    if (due === undefined || firstUs > this.#world.us) {
      this.#nextTimerUs = firstUs;
      return;
    }
    // Before it declares a master down it hears of what has arrived, and looks again.
    if (due.timer.kind === "master-down" && this.#catchUp()) return;
    due.atUs = NEVER_US;
    this.#nextTimerUs = nextUs;
    this.#handle({ kind: "timer", timer: due.timer });
  }

  #arm(timer: Timer, atUs: Micros): void {
    const known = this.#timers.get(timer);
    if (known === undefined) {
      const armed = { timer, atUs };
      this.#timers.set(timer, armed);
      this.#armed.push(armed);
    } else known.atUs = atUs;
    if (atUs < this.#nextTimerUs) this.#nextTimerUs = atUs;
  }

  #cancel(timer: Timer): void {
    const known = this.#timers.get(timer);
    if (known !== undefined) known.atUs = NEVER_US;
  }

  #handle(event: Event): void {
    if (this.#host !== undefined) this.#perform(this.#host.handle(event, this.#now));
  }

  /** What effects report is handled when all of them are done. */
  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#performOne(effect);
    for (let next = this.#reported.shift(); next !== undefined; next = this.#reported.shift())
      for (const effect of this.#host?.handle(next, this.#now) ?? []) this.#performOne(effect);
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case "arm":
        this.#arm(effect.timer, effect.atUs);
        break;
      case "cancel":
        this.#cancel(effect.timer);
        break;
      case "listen":
        this.#listening.add(effect.carpdev);
        break;
      case "ignore":
        this.#listening.delete(effect.carpdev);
        break;
      case "fold":
        this.#folding.fold(effect.carpdev, effect.frame);
        break;
      case "unfold": {
        const all = this.#folding.end();
        if (all.length > 0) this.#reported.push({ kind: "repeated", all });
        break;
      }
      case "lease":
        this.#holding.lease(this.setup.name, effect.interface, effect.vhid, effect.untilUs);
        break;
      case "transition":
        this.#holding.transition(this.setup.name, effect);
        break;
      case "advertise":
        this.#advertise(effect);
        break;
      default:
        break;
    }
  }

  #advertise({
    carpdev,
    interface: name,
    vhid,
    transmissions,
  }: Extract<Effect, { kind: "advertise" }>): void {
    const hasLeft = this.hasCarrier(carpdev);
    if (hasLeft) for (const each of transmissions) this.wires.get(carpdev)?.carry(this, each);
    const leftUs = this.#world.us;
    if (hasLeft) this.advertised = { atUs: leftUs, interface: name, vhid };
    const left = hasLeft ? transmissions.map(({ family }) => family) : [];
    const error = hasLeft ? undefined : "ENETDOWN";
    this.#reported.push({ kind: "advertised", interface: name, vhid, leftUs, left, error });
  }
}
