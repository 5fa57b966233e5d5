/**
 * One pass of making a device as a carp interface wants it: a macvlan of its own, or addresses on the carpdev itself.
 * A pass always starts from what is there, so running it again is harmless. When to run one is not decided here.
 */

import type { Device } from "../core/effect.ts";
import { IPV6_LEAST_MTU } from "../protocol/ip.ts";
import { carpdevSteps, leaveCarpdev, placeOnCarpdev, wanted, wantedOn } from "./carpdev-addresses.ts";
import {
  type AddressStep,
  builtFor,
  changedAddresses,
  creation,
  foreignChanges,
  macvlanSteps,
  ownRoutes,
  removal,
  type Standing,
  type Step,
  takesLong,
  wantedMtu,
} from "./device-plan.ts";
import type { LinkEvents } from "./kernel.ts";
import {
  changedSettings,
  NEW_DEVICE,
  pathOf,
  readSetting,
  type SettingName,
  writeSetting,
} from "./link-settings.ts";
import type { Request } from "./netlink-bytes.ts";
import { addressKey, type Observed } from "./observed.ts";
import type { PlacedAddresses } from "./placed-addresses.ts";
import { LOST } from "./rtnetlink.ts";
import { type KernelLink, linkQuery } from "./rtnetlink-messages.ts";
import { IPV6_ROUTES } from "./rtnetlink-routes.ts";

/** A device of ours and what is known about it besides what the kernel tells. */
export interface Kept {
  readonly name: string;
  desired: Device | null;
  /** Of our macvlan; 0 while there is none. */
  index: number;
  /** Between asking for the device and learning its index. */
  creating: boolean;
  /** Addresses on our macvlan that are ours to remove. */
  placed: Set<string>;
  /** Addresses the kernel would not take. */
  readonly refused: Set<string>;
  /** Routes of the device's addresses that are gone, or may be; with the table they were in, where it is known. */
  readonly lost: Map<string, number | undefined>;
  /** Those that were asked for and the answer was lost: they are there, or cannot be. */
  readonly asked: Set<string>;
  /** Settings that cannot be written, or that were as they are from the beginning. */
  readonly exempt: Set<SettingName>;
  /** What was lacking though nobody had said so, and is back. */
  restored: string[];
  /** The carpdev's when the device was last as wanted. */
  carpdevMtu: number | undefined;
  /** The last complaint about each thing, so that each is made once. */
  readonly complaints: Map<string, string>;
}

export interface PassContext {
  /** The alias by which a macvlan is known to be ours. */
  readonly alias: string;
  readonly observed: Observed;
  readonly placed: PlacedAddresses;
  readonly events: LinkEvents;
  perform(requests: readonly Request[]): Promise<(string | undefined)[]>;
  /**
   * Resolves once in a turn of the event loop: requests that the kernel takes long over are made one at a time, so
   * that many devices going down together do not keep the engine from the network.
   */
  turn(): Promise<void>;
  /** Resolves when the kernel tells of an address that was just added, or has not for so long that something is amiss. */
  told(index: number, key: string): Promise<void>;
  /** Resolves when everything has been read again after answers were lost. */
  reread(): Promise<void>;
}

/** Removing, creating, configuring, and some for what somebody changed meanwhile; beyond that it is a quarrel. */
const ROUNDS = 6;

/** The device went away, or nobody is there to answer any more. */
const GONE = new Set(["ENODEV", "ECANCELED", LOST]);
/** The address is not there: the kernel took it away itself, with the link going down or with the subnet's first. */
const ABSENT = new Set(["EADDRNOTAVAIL", "ENXIO"]);

/** @returns whether everything is now as wanted; if not, a change on the carpdev may help. Never rejects. */
export async function pass(context: PassContext, kept: Kept): Promise<boolean> {
  let itsTurn = false;
  for (let round = 0; round < ROUNDS; round++) {
    const device = kept.desired;
    const steps = await nextSteps(context, kept, device);
    if (!itsTurn && steps?.some(takesLong)) {
      await context.turn();
      itsTurn = true;
      continue;
    }
    itsTurn = false;
    if (steps === undefined) return false;
    if (steps.length === 0) {
      if (device !== null && !device.realMac)
        kept.placed = new Set(wanted(context, device).map(({ key }) => key));
      asWanted(context, kept);
      return true;
    }
    if (!(await carryOut(context, kept, steps))) return false;
  }
  return false;
}

/** Nothing is to be done: what comes from here on is new. */
export function asWanted(context: PassContext, kept: Kept): void {
  kept.lost.clear();
  kept.asked.clear();
  const carpdev = context.observed.byName(kept.desired?.carpdev ?? "");
  kept.carpdevMtu = carpdev?.mtu;
  if (carpdev !== undefined && kept.desired !== null) tellOfMtu(context, kept, kept.desired, carpdev);
}

/** Whatever may have happened to the routes was not told. */
export function doubtRoutes(context: PassContext, kept: Kept): void {
  const { desired, index } = kept;
  if (desired === null || !desired.active || (context.observed.links.get(index)?.masterIndex ?? 0) !== 0)
    return;
  for (const { key } of [...IPV6_ROUTES, ...wanted(context, desired).flatMap(ownRoutes)])
    if (!kept.asked.has(key)) kept.lost.set(key, undefined);
}

/** Whether the device differs from what is wanted, and how, where somebody else did it. */
export function difference(context: PassContext, kept: Kept): { needed: boolean; what: string[] } {
  const device = kept.desired;
  if (device === null) return { needed: false, what: [] };
  const carpdev = context.observed.byName(device.carpdev);
  if (device.realMac) {
    if (carpdev === undefined) return { needed: false, what: [] };
    const placed = context.placed.get(kept.name)?.keys ?? new Set<string>();
    const standing = { observed: context.observed, placed, refused: kept.refused, lost: kept.lost };
    const what = changedAddresses(carpdev.index, wantedOn(context, device, carpdev), standing);
    const { removals, additions, routes } = carpdevSteps(context, kept, device, carpdev);
    return { needed: removals.length + additions.length + routes.length > 0, what };
  }
  const link = context.observed.byName(kept.name);
  if (link === undefined) {
    // With its carpdev: there is nothing to build it on, and nobody to tell of.
    if (carpdev === undefined) return { needed: false, what: [] };
    const renamed = context.observed.links.get(kept.index);
    return { needed: true, what: [renamed ? `device was renamed to ${renamed.name}` : "device was deleted"] };
  }
  if (!isOurs(context, kept, link)) return { needed: true, what: ["device was replaced"] };
  if (carpdev === undefined) return { needed: true, what: [] };
  if (!builtFor(link, carpdev)) return { needed: true, what: ["device was replaced"] };
  const standing = standingOf(context, kept, link, carpdev);
  const settings = changedSettings(link, kept.exempt);
  return {
    needed: settings.length > 0 || macvlanSteps(device, standing).length > 0,
    what: [
      ...foreignChanges(device, standing),
      ...settings.map(({ name, to }) => `${name} was changed to ${to}`),
    ],
  };
}

export const isOurs = (context: PassContext, kept: Kept, link: KernelLink): boolean =>
  link.index === kept.index || link.alias === context.alias;

const standingOf = (context: PassContext, kept: Kept, link: KernelLink, carpdev: KernelLink): Standing => ({
  link,
  carpdev,
  observed: context.observed,
  placed: kept.placed,
  refused: kept.refused,
  lost: kept.lost,
  alias: context.alias,
  carpdevMtu: kept.carpdevMtu,
});

/** Once for each subject, until it succeeds. */
function complain(context: PassContext, kept: Kept, subject: string, text: string): void {
  if (kept.complaints.get(subject) === text) return;
  kept.complaints.set(subject, text);
  context.events.complaint(`${kept.name}: ${text}`);
}

/** @returns none: all is well. undefined: nothing more can be done now. */
async function nextSteps(
  context: PassContext,
  kept: Kept,
  device: Device | null,
): Promise<Step[] | undefined> {
  const elsewhere = context.placed.get(kept.name);
  if (elsewhere !== undefined && !(device?.realMac && device.carpdev === elsewhere.carpdev)) {
    await leaveCarpdev(context, kept);
  }
  const link = context.observed.byName(kept.name);
  const ours = link !== undefined && isOurs(context, kept, link);
  const renamed = context.observed.links.get(kept.index);
  if (renamed !== undefined && renamed.name !== kept.name) return [removal(kept.index)];
  if (device === null) return ours ? [removal(link.index)] : [];
  const carpdev = context.observed.byName(device.carpdev);
  if (device.realMac) {
    if (ours) return [removal(link.index)];
    return carpdev && placeOnCarpdev(context, kept, device, carpdev);
  }
  if (link !== undefined && !ours) {
    complain(context, kept, "device", "a device of this name exists that is not ours: it is left alone");
    return undefined;
  }
  if (link !== undefined && (carpdev === undefined || !builtFor(link, carpdev))) return [removal(link.index)];
  if (carpdev === undefined) return undefined;
  if (link === undefined) {
    kept.creating = true;
    return creation(device, carpdev, context.alias);
  }
  if (link.index !== kept.index) adopt(context, kept, link);
  else for (const { name, needed } of changedSettings(link, kept.exempt)) set(context, kept, name, needed);
  const steps = macvlanSteps(device, standingOf(context, kept, link, carpdev));
  if (steps.some((step) => step.kind === "add-address" && step.address.family === 6))
    allowIPv6(context, kept);
  return steps;
}

function tellOfMtu(context: PassContext, kept: Kept, device: Device, carpdev: KernelLink): void {
  const mtu = wantedMtu(device, carpdev);
  const hasIPv6 = device.addresses.some(({ family }) => family === 6);
  if (!hasIPv6 || mtu >= IPV6_LEAST_MTU) kept.complaints.delete("mtu");
  else complain(context, kept, "mtu", `an mtu of ${mtu} carries no IPv6: it is without its IPv6 addresses`);
}

/** A device just made, or one left by an engine that was killed: every address on it is ours. */
function adopt(context: PassContext, kept: Kept, link: KernelLink): void {
  kept.index = link.index;
  kept.complaints.delete("device");
  kept.placed = new Set(context.observed.addresses(link.index).map(addressKey));
  kept.lost.clear();
  kept.exempt.clear();
  for (const { name, needed } of NEW_DEVICE) set(context, kept, name, needed);
  // As it is on this host: whoever wants it otherwise on new devices means this one too.
  if (readSetting(link.name, "disable_ipv6") !== 0) kept.exempt.add("disable_ipv6");
  context.events.device(kept.name, link.index);
}

/** The kernel tells that an address is gone, and not that it was because of this. */
function allowIPv6(context: PassContext, kept: Kept): void {
  const settings = { disable_ipv6: readSetting(kept.name, "disable_ipv6") ?? 0 };
  for (const { name, needed } of changedSettings({ name: kept.name, settings }, kept.exempt))
    set(context, kept, name, needed);
}

function set(context: PassContext, kept: Kept, name: SettingName, value: number): void {
  const error = writeSetting(kept.name, name, value);
  const path = pathOf(kept.name, name);
  if (error === undefined) {
    context.observed.noteSetting(kept.name, name, value);
    kept.complaints.delete(path);
    return;
  }
  kept.exempt.add(name);
  complain(context, kept, path, `${path} cannot be set to ${value} (${error})`);
}

/** @returns whether there is a point in looking again. */
async function carryOut(context: PassContext, kept: Kept, steps: readonly Step[]): Promise<boolean> {
  const departures = (step: Step) =>
    step.kind === "add-address" ? context.observed.departures(step.address.index) : 0;
  const before = steps.map(departures);
  // Before it is asked for: what is told from now on may be that it is gone once more.
  const lost = steps.map((step) => step.kind === "route" && kept.lost.delete(step.route.key));
  const results = await context.perform(steps.map(({ request }) => request));
  kept.creating = false;
  let sensible = true;
  let overrun = false;
  const told: Promise<void>[] = [];
  for (const [at, step] of steps.entries()) {
    const error = results[at];
    if (error === LOST) overrun = true;
    if (error === "ECANCELED") sensible = false;
    if (step.kind === "add-address") {
      const { address, key } = step;
      if (address.family === 6 && error === undefined && !context.observed.has(address.index, key))
        told.push(context.told(address.index, key));
      additionAnswered(context, kept, step, { error, departed: departures(step) !== before[at] });
    } else if (step.kind === "remove-address") {
      if (error === undefined || ABSENT.has(error)) kept.placed.delete(step.key);
    } else if (step.kind === "route") {
      const { key, what } = step.route;
      if (error === LOST) kept.asked.add(key);
      if (error === undefined && lost[at]) kept.restored.push(`route ${what} was removed`);
      // Where IPv6 is disabled the addresses have said so.
      if (error === undefined || error === "EEXIST") kept.complaints.delete(step.kind);
      else if (!GONE.has(error) && error !== "EACCES" && error !== "ENETDOWN")
        complain(context, kept, "route", `no route ${what} can be made (${error})`);
    } else if (error === undefined) {
      kept.complaints.delete(step.kind);
    } else if (step.kind !== "remove" && step.kind !== "read" && error !== LOST) {
      sensible = false;
      // A carpdev that is down is told of by its link; nothing can be up on it.
      const expected =
        GONE.has(error) || error === "ENETDOWN" || (step.kind === "create" && error === "EEXIST");
      if (!expected && step.kind !== "mark" && !isOvertaken(context, kept, step, error))
        complain(context, kept, step.kind, failure(step.kind, kept, error));
    }
  }
  if (overrun) await context.reread();
  await received(context, told);
  return sensible;
}

/** The carpdev's mtu was lowered meanwhile, and the device's with it: by now that has been told. */
function isOvertaken(context: PassContext, kept: Kept, { kind }: Step, error: string): boolean {
  if (kind !== "change" || error !== "EINVAL") return false;
  const carpdev = context.observed.byName(kept.desired?.carpdev ?? "");
  return carpdev !== undefined && carpdev.mtu < (kept.carpdevMtu ?? 0);
}

/**
 * The kernel acknowledges an IPv6 address first and receives for it later, from a worker of its own, which tells of
 * the address just before. Whoever is told to send here must not be told before that.
 */
async function received(context: PassContext, told: readonly Promise<void>[]): Promise<void> {
  if (told.length === 0) return;
  await Promise.all(told);
  // Answered only after the worker is through: both need the same lock.
  await context.perform([linkQuery("lo")]);
}

function failure(kind: Step["kind"], kept: Kept, error: string): string {
  const on = kept.desired?.carpdev ?? "its carpdev";
  if (kind !== "create")
    return `the device cannot be ${kind === "change" ? "changed" : `set ${kind}`} (${error})`;
  const why: Record<string, string> = {
    EBUSY: `${on} belongs to a bridge or a bond, or its macvlans do not allow another`,
    EOPNOTSUPP: "this kernel has no macvlan",
    EINVAL: `${on} takes no macvlan with this MAC or mtu`,
    EPERM: "the engine may not make network devices",
  };
  return `no device can be made on ${on} (${error}${why[error] ? `: ${why[error]}` : ""})`;
}

function additionAnswered(
  context: PassContext,
  kept: Kept,
  step: AddressStep,
  { error, departed }: { readonly error: string | undefined; readonly departed: boolean },
): void {
  const { key, address } = step;
  const { observed } = context;
  const otherLength = observed.addresses(address.index).find((other) => other.address === address.address);
  if (
    error === undefined ||
    (error === "EEXIST" && (otherLength === undefined || observed.has(address.index, key)))
  ) {
    // The kernel tells of a new IPv6 address only some time after it has acknowledged it. It may have told of its
    // removal before that: then it is asked for again, and if it is there all the same the kernel says so.
    if (!observed.has(address.index, key) && !(departed && error === undefined))
      observed.take({ kind: "address", gone: false, address });
    if (!kept.desired?.realMac) kept.placed.add(key);
    kept.complaints.delete(key);
    return;
  }
  if (GONE.has(error)) return;
  kept.refused.add(key);
  const forbidden = address.family === 6 && (error === "EACCES" || error === "EPERM");
  const why = forbidden ? `${error}: IPv6 is disabled on this host` : error;
  complain(context, kept, key, `address ${key} cannot be added (${why})`);
}
