/**
 * Commands: carries out a user's command on the host's interfaces, demotion and sysctl variables. A command
 * is refused with nothing changed, or carried out whole.
 */

import type { Carpdevs } from "./carpdevs.ts";
import { type Claim, Claims } from "./claims.ts";
import type { Command, Replacement, SysctlWrite } from "./command.ts";
import type { Demotion } from "./demotion.ts";
import type { Effect } from "./effect.ts";
import { addressing, identity } from "./interface/appearance.ts";
import type { CarpInterface } from "./interface/carp-interface.ts";
import { obstacleTo } from "./interface/condition.ts";
import {
  type InterfaceChange,
  type InterfaceConfiguration,
  MAX_ADDRESSES_OF_HOST,
  MAX_INTERFACES,
} from "./interface/configuration.ts";
import { maskWarning, otherMasks } from "./interface/masks.ts";
import { changeOn, claimOn, interfaceOn, onlyRemoves, takesLastAddress } from "./interface/on-carpdev.ts";
import { applyChange, newInterface, type Surroundings } from "./interface/reconfigure.ts";
import { configuredPeers, ownPeers } from "./interface/unicast-peers.ts";
import type { Interfaces } from "./interfaces.ts";
import type { Instant, Link } from "./model.ts";
import { type Obstacle, obstacleText } from "./reason.ts";
import type { SysctlTree } from "./sysctl.ts";

export interface ValueChange {
  readonly from: number;
  readonly to: number;
}

/** The result of a command that was carried out, besides its effects. */
export interface Done {
  /** The interface that was created, changed or destroyed. */
  readonly name?: string | undefined;
  /** Whether a `change-on` destroyed it. */
  readonly destroyed?: boolean | undefined;
  /** Whether a `replace` changes anything. */
  readonly changed?: boolean | undefined;
  /** The outcome for each interface of a `replace-all`, in the order given. */
  readonly replaced?: readonly ReplacementOutcome[] | undefined;
  /** The value before and after each write to a variable, in the order of the writes. */
  readonly changes?: readonly ValueChange[] | undefined;
  /** What the user should know although the command is carried out, each a line. */
  readonly warnings?: readonly string[] | undefined;
}

/** Whether a replacement changed anything, or why it was refused. */
export type ReplacementOutcome = { readonly name: string } & ({ readonly changed: boolean } | Refused);

export type Refused = { readonly error: string };

/** A change that has been judged. */
interface Plan {
  readonly name: string;
  readonly present: CarpInterface | undefined;
  /** The interface, unless it is being destroyed. */
  readonly known: CarpInterface | undefined;
  readonly before: InterfaceConfiguration;
  readonly after: InterfaceConfiguration;
  readonly warnings: readonly string[];
  readonly changed: boolean;
  readonly state: InterfaceChange["state"];
  readonly endsGrace: boolean;
}

/** How a change is judged. */
interface Judging {
  /** Whether it is one of a new interface, whatever the present one is like. */
  readonly replaces: boolean;
  readonly isFromFile: boolean;
  /** What changes that are made together with it add to the host. */
  readonly added: { readonly interfaces: number; readonly addresses: number };
}

const NOTHING = { interfaces: 0, addresses: 0 };

/** Whether there is anything to do. */
const acts = ({ changed, state, endsGrace }: Plan): boolean => changed || state !== undefined || endsGrace;

/** The parts of the host that commands change. */
export interface CommandTarget {
  readonly interfaces: Interfaces;
  readonly carpdevs: Carpdevs;
  readonly demotion: Demotion;
  readonly sysctl: SysctlTree;
  /** `true`: this host can filter packets for several nodes. Otherwise the reason why not. */
  readonly balancing: true | string;
  /** Advertisements that repeat others are handed over at once again. */
  unfold(): void;
  emit(effect: Effect): void;
}

export class Commands {
  readonly #host: CommandTarget;

  constructor(host: CommandTarget) {
    this.#host = host;
  }

  /** Carries out the command, or refuses it and changes nothing. */
  carryOut(command: Command, now: Instant): Done | Refused {
    switch (command.kind) {
      case "create":
        return this.#create(command.name ?? this.#host.interfaces.nextName(), now);
      case "destroy":
        return this.#destroy(command.name, now);
      case "change":
      case "replace":
        return this.#change(command, now);
      case "change-on":
        return this.#changeOn(command.carpdev, command.change, now);
      case "replace-all":
        return this.#replaceAll(command.replacements, now);
      case "demote-group":
        return this.#demoteGroup(command.group, command.by);
      case "set-sysctl":
        return this.#setSysctl(command.writes, now);
      case "demote":
      case "promote":
      case "demote-unit":
      case "promote-unit":
      case "unit-states":
      case "maintenance":
      case "services": {
        const error = this.#host.demotion.carryOut(command);
        return error === undefined ? {} : { error };
      }
    }
  }

  #create(name: string, now: Instant): Done | Refused {
    const { interfaces } = this.#host;
    const known = interfaces.get(name);
    if (known !== undefined && !known.isDestroyed) return { error: `${name}: already exists` };
    if (known === undefined && interfaces.size >= MAX_INTERFACES) return tooMany(name);
    known?.finishLeaving();
    this.#addNew(name, now);
    return { name };
  }

  #addNew(name: string, now: Instant) {
    this.#host.emit({ kind: "created", interface: name });
    return this.#host.interfaces.add(newInterface(name), now);
  }

  #destroy(name: string, now: Instant): Done | Refused {
    const { interfaces } = this.#host;
    if (interfaces.get(name) === undefined) return { error: `${name}: no such interface` };
    interfaces.destroy(name, now);
    return { name };
  }

  #changeOn(carpdev: string, given: InterfaceChange, now: Instant): Done | Refused {
    const { carpdevs, interfaces } = this.#host;
    // One that is being destroyed has the vhid until it has left: it is created anew under its name.
    const found = interfaceOn(carpdev, given, this.#claiming(claimOn(carpdev, given)));
    const present = found && !interfaces.get(found.name)?.isDestroyed ? found : undefined;
    const change = changeOn(carpdev, given, present);
    if ("error" in change) return change;
    if (present === undefined && !carpdevs.links.has(carpdev))
      return { error: `${carpdev}: ${carpdevs.unfit.get(carpdev) ?? "no such device"}` };
    if (present === undefined && onlyRemoves(given)) {
      const what = given.vhid === undefined ? given.removeAddresses?.join(", ") : `vhid ${given.vhid}`;
      return { error: `${what}: no carp interface on ${carpdev} has it` };
    }
    const name = found?.name ?? interfaces.nextName();
    return this.#change({ kind: "change", name, change }, now, given);
  }

  /** The configurations, once they have left, of the interfaces that have this claim. */
  #claiming(claim: Claim | undefined): InterfaceConfiguration[] {
    const { interfaces } = this.#host;
    const names = claim === undefined ? [] : [...interfaces.claiming(claim)];
    return names.flatMap((name) => interfaces.get(name)?.pendingConfiguration ?? []);
  }

  /** @param on the change as it was given, when it names the interface by its carpdev */
  #change(
    command: Extract<Command, { kind: "change" | "replace" }>,
    now: Instant,
    on?: InterfaceChange,
  ): Done | Refused {
    const { name, change } = command;
    const present = this.#host.interfaces.get(name);
    if (command.kind === "change" && command.create && present?.isDestroyed === false)
      return { error: `${name}: already exists` };
    const claimedBy = (claim: Claim) =>
      first(this.#host.interfaces.claiming(claim), (other) => other !== name);
    const replaces = command.kind === "replace";
    const isFromFile = replaces || command.isFromFile === true;
    const plan = this.#plan({ name, change }, claimedBy, { replaces, isFromFile, added: NOTHING });
    if ("error" in plan) return plan;
    const { before, after, changed, known, warnings } = plan;
    if (on !== undefined && known !== undefined && takesLastAddress(change, before, after))
      return { ...this.#destroy(name, now), destroyed: true };
    if (replaces && (command.dryRun || !acts(plan))) return { name, changed, warnings };
    this.#perform(plan, now, on?.vhid);
    return { name, changed, warnings };
  }

  /**
   * Replaces several interfaces together, so that they can exchange vhids and addresses. One that conflicts with the
   * result for the others, or with an interface that stays, is refused and stays as well.
   */
  #replaceAll(replacements: readonly Replacement[], now: Instant): Done {
    const refused = new Map<string, string>();
    const plans = this.#planAll(replacements, refused);
    const acting = plans.filter(acts);
    const takers = new Claims();
    for (const { name, after } of acting) takers.set(name, [after]);
    for (const { name, known, after } of acting)
      known?.release(after, (claim) => first(takers.of(claim), (other) => other !== name) !== undefined, now);
    if (acting.length > 1) this.#host.emit({ kind: "join", interfaces: acting.map(({ name }) => name) });
    for (const plan of acting) this.#perform(plan, now);
    const changed = new Map(plans.map((plan) => [plan.name, plan.changed]));
    return {
      warnings: plans.flatMap(({ warnings }) => warnings),
      replaced: replacements.map(({ name }) => {
        const error = refused.get(name);
        return error === undefined ? { name, changed: changed.get(name) ?? false } : { name, error };
      }),
    };
  }

  /** Plans all that are possible together. @param refused takes the others, with the reason */
  #planAll(replacements: readonly Replacement[], refused: Map<string, string>): Plan[] {
    for (;;) {
      const before = refused.size;
      const replaced = new Set(replacements.map(({ name }) => name).filter((name) => !refused.has(name)));
      const planned = new Claims();
      const plans: Plan[] = [];
      const added = { ...NOTHING };
      for (const each of replacements) {
        if (!replaced.has(each.name)) continue;
        const claimedBy = (claim: Claim) =>
          first(planned.of(claim)) ??
          first(this.#host.interfaces.claiming(claim), (other) => !replaced.has(other));
        const plan = this.#plan(each, claimedBy, { replaces: true, isFromFile: true, added });
        if ("error" in plan) refused.set(each.name, plan.error);
        else {
          plans.push(plan);
          planned.set(plan.name, [plan.after]);
          if (plan.present === undefined) added.interfaces++;
          added.addresses += moreAddresses(plan);
        }
      }
      // One that is refused stays as it is, which may be in the way of others.
      if (refused.size === before) return plans;
    }
  }

  /** Judges a change, or a replacement, beside the other interfaces. Changes nothing. */
  #plan(
    { name, change }: Replacement,
    claimedBy: Surroundings["claimedBy"],
    { replaces, isFromFile, added }: Judging,
  ): Plan | Refused {
    const { balancing, carpdevs, interfaces } = this.#host;
    const present = interfaces.get(name);
    if (present === undefined && interfaces.size + added.interfaces >= MAX_INTERFACES) return tooMany(name);
    const known = present?.isDestroyed ? undefined : present;
    const before = known?.pendingConfiguration ?? newInterface(name);
    const surroundings = { balancing, links: carpdevs.links, unfit: carpdevs.unfit, claimedBy, isFromFile };
    const after = applyChange(before, change, surroundings, replaces ? newInterface(name) : before);
    if ("error" in after) return after;
    const more = moreAddresses({ before, after });
    if (more > 0 && interfaces.addresses + added.addresses + more > MAX_ADDRESSES_OF_HOST)
      return {
        error: `${name}: the carp interfaces of a host have at most ${MAX_ADDRESSES_OF_HOST} addresses`,
      };
    const link = after.carpdev === undefined ? undefined : carpdevs.links.get(after.carpdev);
    const obstacle = obstacleTo(after, link, balancing) ?? notInPlace(known, after);
    if (change.state !== undefined && obstacle !== undefined)
      return { error: `state ${change.state}: ${name} does not run: ${obstacleText(obstacle)}` };
    // A file is right or wrong as a whole; a command is told of the addresses that it gives.
    const isWhole = replaces || after.carpdev !== before.carpdev;
    const unchanged = new Set(isWhole ? [] : before.addresses);
    const given = after.addresses.filter((each) => !unchanged.has(each));
    const masks = otherMasks(given, after.addresses, link?.addresses ?? []);
    const ofMasks = masks.map((mask) => maskWarning(mask, link?.name ?? ""));
    const changed = known === undefined || JSON.stringify(before) !== JSON.stringify(after);
    const warnings = [...ofMasks, ...warningsAbout(before, after, link)];
    const endsGrace = change.grace === "off";
    return { name, present, known, before, after, changed, warnings, state: change.state, endsGrace };
  }

  /** @param vhid of the node that a state is forced on; undefined: every node */
  #perform({ name, present, known, after, state, endsGrace }: Plan, now: Instant, vhid?: number): void {
    present?.finishLeaving();
    const carpInterface = known ?? this.#addNew(name, now);
    carpInterface.reconfigure(after, now);
    if (endsGrace) carpInterface.signing.endGrace();
    this.#host.interfaces.listen();
    if (state !== undefined) carpInterface.force(state, now, vhid);
  }

  #demoteGroup(group: string, by: number): Done | Refused {
    const { demotion, interfaces } = this.#host;
    if (!interfaces.byGroup().has(group)) return { error: `group ${group}: no such group` };
    demotion.adjustGroup(group, by, "carpctl", "carpdemote");
    return {};
  }

  #setSysctl(writes: readonly SysctlWrite[], now: Instant): Done | Refused {
    const error = this.#host.sysctl.refusalOf(writes);
    if (error !== undefined) return { error };
    for (const each of this.#host.interfaces) each.recall(now);
    return { changes: writes.map((write) => this.#write(write)) };
  }

  #write({ name, value: written }: SysctlWrite): ValueChange {
    const { demotion, sysctl } = this.#host;
    const write = sysctl.afterWrite(name, written);
    if ("error" in write) throw new Error(write.error);
    const from = sysctl.get(write.name);
    if (write.name === "net.inet.carp.demotion") demotion.adjustGlobal(written, "sysctl");
    else sysctl.set(write.name, write.value);
    this.#host.unfold();
    return { from, to: write.value };
  }
}

/** The first of these for which the condition holds. */
function first<T>(of: Iterable<T>, holds: (each: T) => boolean = () => true): T | undefined {
  for (const each of of) if (holds(each)) return each;
  return undefined;
}

const tooMany = (name: string): Refused => ({
  error: `${name}: a host has at most ${MAX_INTERFACES} carp interfaces`,
});

/** How many addresses a change adds; below 0: takes. */
const moreAddresses = ({ before, after }: Pick<Plan, "before" | "after">) =>
  after.addresses.length - before.addresses.length;

/** The part not in place that keeps an interface from running, and will after a change that leaves its device alone. */
function notInPlace(known: CarpInterface | undefined, after: InterfaceConfiguration): Obstacle | undefined {
  const obstacle = known?.obstacle;
  if (obstacle?.kind !== "not-in-place" || known === undefined) return undefined;
  const { configuration } = known;
  const isSame =
    identity(configuration) === identity(after) && addressing(configuration) === addressing(after);
  return isSame ? obstacle : undefined;
}

/** What a person should know about a new configuration, where the change brought it about. */
function warningsAbout(
  before: InterfaceConfiguration,
  after: InterfaceConfiguration,
  link: Link | undefined,
): string[] {
  return ([4, 6] as const).flatMap((family) => {
    const keyword = family === 4 ? "carppeer" : "carppeer6";
    const peers = configuredPeers(family, after);
    const isNew =
      before.carpdev !== after.carpdev || String(configuredPeers(family, before)) !== String(peers);
    if (!isNew || peers === undefined) return [];
    const own = ownPeers(family, after, link);
    const alone = own.length === peers.length ? ", and there is no other peer" : "";
    return own.map((address) => `${keyword} ${address}: skipped, it is this host (${link?.name})${alone}`);
  });
}
