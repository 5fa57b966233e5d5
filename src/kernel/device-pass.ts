/**
 * One pass of making a device as a carp interface wants it: a macvlan of its own, or addresses on the carpdev itself.
 * A pass always starts from what is there, so running it again is harmless. When to run one is not decided here.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Device } from "../core/effect.ts";
import {
  type AddressStep,
  addressSteps,
  builtFor,
  creation,
  foreignChanges,
  macvlanSteps,
  removal,
  removedAddresses,
  type Standing,
  type Step,
  takesLong,
  wantedAddresses,
} from "./device-plan.ts";
import type { LinkEvents } from "./kernel.ts";
import { addressKey, type Observed } from "./observed.ts";
import type { PlacedAddresses } from "./placed-addresses.ts";
import { LOST } from "./rtnetlink.ts";
import { IFF_UP, type KernelLink, linkQuery, type Request, samePrefix } from "./rtnetlink-messages.ts";

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
      return true;
    }
    if (!(await carryOut(context, kept, steps))) return false;
  }
  return false;
}

/** Whether the device differs from what is wanted, and how, where somebody else did it. */
export function difference(context: PassContext, kept: Kept): { needed: boolean; what: string[] } {
  const device = kept.desired;
  if (device === null) return { needed: false, what: [] };
  const carpdev = context.observed.byName(device.carpdev);
  if (device.realMac) {
    if (carpdev === undefined) return { needed: false, what: [] };
    const keys = context.placed.get(kept.name)?.keys ?? new Set();
    const looked = wantedOn(context, device, carpdev);
    const what = removedAddresses(carpdev.index, looked, context.observed, keys, kept.refused);
    const { removals, additions } = carpdevSteps(context, kept, device, carpdev);
    return { needed: removals.length + additions.length > 0, what };
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
  return { needed: macvlanSteps(device, standing).length > 0, what: foreignChanges(device, standing) };
}

export const isOurs = (context: PassContext, kept: Kept, link: KernelLink): boolean =>
  link.index === kept.index || link.alias === context.alias;

const isUp = (link: KernelLink): boolean => (link.flags & IFF_UP) !== 0;

const standingOf = (context: PassContext, kept: Kept, link: KernelLink, carpdev: KernelLink): Standing => ({
  link,
  carpdev,
  observed: context.observed,
  placed: kept.placed,
  refused: kept.refused,
  alias: context.alias,
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
  return macvlanSteps(device, standingOf(context, kept, link, carpdev));
}

/** A device just made, or one left by an engine that was killed: every address on it is ours. */
function adopt(context: PassContext, kept: Kept, link: KernelLink): void {
  kept.index = link.index;
  kept.complaints.delete("device");
  kept.placed = new Set(context.observed.addresses(link.index).map(addressKey));
  const ipv4 = `/proc/sys/net/ipv4/conf/${link.name}`;
  setting(`${ipv4}/arp_ignore`, 1);
  setting(`${ipv4}/arp_announce`, 2);
  // The route back to the subnet is the carpdev's: strict reverse-path filtering would drop all that arrives here.
  setting(`${ipv4}/rp_filter`, 2);
  // Without it, taking away one address of a subnet takes away those that were added after it.
  setting(`${ipv4}/promote_secondaries`, 1);
  const ipv6 = `/proc/sys/net/ipv6/conf/${link.name}`;
  // IN6_ADDR_GEN_MODE_NONE
  setting(`${ipv6}/addr_gen_mode`, 1);
  setting(`${ipv6}/accept_ra`, 0);
  setting(`${ipv6}/accept_dad`, 0);
  setting(`${ipv6}/autoconf`, 0);
  context.events.device(kept.name, link.index);

  function setting(path: string, value: number): void {
    if (!existsSync(path)) return;
    try {
      writeFileSync(path, `${value}\n`);
      kept.complaints.delete(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      if (code !== "ENOENT") complain(context, kept, path, `${path} cannot be set to ${value} (${code})`);
    }
  }
}

/** @returns whether there is a point in looking again. */
async function carryOut(context: PassContext, kept: Kept, steps: readonly Step[]): Promise<boolean> {
  const departures = (step: Step) =>
    step.kind === "add-address" ? context.observed.departures(step.address.index) : 0;
  const before = steps.map(departures);
  const results = await context.perform(steps.map(({ request }) => request));
  kept.creating = false;
  let sensible = true;
  let lost = false;
  const told: Promise<void>[] = [];
  for (const [at, step] of steps.entries()) {
    const error = results[at];
    if (error === LOST) lost = true;
    if (error === "ECANCELED") sensible = false;
    if (step.kind === "add-address") {
      const { address, key } = step;
      if (address.family === 6 && error === undefined && !context.observed.has(address.index, key))
        told.push(context.told(address.index, key));
      additionAnswered(context, kept, step, { error, departed: departures(step) !== before[at] });
    } else if (step.kind === "remove-address") {
      if (error === undefined || ABSENT.has(error)) kept.placed.delete(step.key);
    } else if (error === undefined || (step.kind === "route" && error === "EEXIST")) {
      kept.complaints.delete(step.kind);
    } else if (step.kind === "route") {
      // Where IPv6 is disabled the addresses have said so.
      if (!GONE.has(error) && error !== "EACCES" && error !== "ENETDOWN")
        complain(context, kept, "route", `no route to link-local addresses can be made (${error})`);
    } else if (step.kind !== "remove" && step.kind !== "read" && error !== LOST) {
      sensible = false;
      // A carpdev that is down is told of by its link; nothing can be up on it.
      const expected =
        GONE.has(error) || error === "ENETDOWN" || (step.kind === "create" && error === "EEXIST");
      if (!expected && step.kind !== "mark")
        complain(context, kept, step.kind, failure(step.kind, kept, error));
    }
  }
  if (lost) await context.reread();
  await received(context, told);
  return sensible;
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

const othersOn = (context: PassContext, carpdev: KernelLink) => {
  const ours = context.placed.on(carpdev.name);
  return context.observed.addresses(carpdev.index).filter((address) => !ours.has(addressKey(address)));
};

function wanted(context: PassContext, device: Device) {
  const carpdev = context.observed.byName(device.carpdev);
  if (carpdev === undefined) return wantedAddresses(device, []);
  return wantedAddresses(device, othersOn(context, carpdev));
}

function carpdevSteps(context: PassContext, kept: Kept, device: Device, carpdev: KernelLink) {
  const ours = context.placed.get(kept.name)?.keys ?? new Set();
  const present = context.observed.addresses(carpdev.index);
  return addressSteps(carpdev.index, wantedOn(context, device, carpdev), present, ours, kept.refused);
}

/** A carpdev that is down keeps no IPv6 address: it comes back with the link. */
const wantedOn = (context: PassContext, device: Device, carpdev: KernelLink) =>
  wanted(context, device).filter(({ address }) => address.family === 4 || isUp(carpdev));

/** Owned before it is there: see placed-addresses.ts. What is on the carpdev already stays its owner's. */
async function placeOnCarpdev(
  context: PassContext,
  kept: Kept,
  device: Device,
  carpdev: KernelLink,
): Promise<Step[]> {
  const { removals, additions } = carpdevSteps(context, kept, device, carpdev);
  await removeFrom(context, carpdev, removals);
  const keys = new Set(context.placed.get(kept.name)?.keys);
  for (const key of keys) if (!context.observed.has(carpdev.index, key)) keys.delete(key);
  for (const { key } of additions) keys.add(key);
  context.placed.set(kept.name, carpdev.name, keys);
  return additions;
}

async function leaveCarpdev(context: PassContext, kept: Kept): Promise<void> {
  const placed = context.placed.get(kept.name);
  if (placed === undefined) return;
  await removePlaced(context, placed.carpdev, placed.keys);
  context.placed.set(kept.name, placed.carpdev, new Set());
}

/** Takes off a carpdev those of the addresses that are there. */
export async function removePlaced(
  context: PassContext,
  carpdev: string,
  keys: ReadonlySet<string>,
): Promise<void> {
  const link = context.observed.byName(carpdev);
  if (link === undefined) return;
  const present = context.observed.addresses(link.index);
  await removeFrom(context, link, addressSteps(link.index, [], present, keys, new Set()).removals);
}

/** Linux removes a subnet's later addresses with its first: the carpdev's owner must not lose theirs with ours. */
async function removeFrom(
  context: PassContext,
  carpdev: KernelLink,
  removals: readonly AddressStep[],
): Promise<void> {
  if (removals.length === 0) return;
  const going = new Set(removals.map(({ key }) => key));
  const [leaving, staying] = [true, false].map((goes) =>
    context.observed
      .addresses(carpdev.index)
      .filter((address) => address.family === 4 && going.has(addressKey(address)) === goes),
  );
  const endangered = staying?.some((address) => leaving?.some((other) => samePrefix(address, other)));
  const path = `/proc/sys/net/ipv4/conf/${carpdev.name}/promote_secondaries`;
  const former = endangered ? exchange(path, "1\n") : undefined;
  await context.perform(removals.map(({ request }) => request));
  if (former !== undefined) exchange(path, former);
}

/** @returns what was there; undefined where it could not be changed. */
function exchange(path: string, value: string): string | undefined {
  try {
    const former = readFileSync(path, "utf8");
    writeFileSync(path, value);
    return former;
  } catch {
    return undefined;
  }
}
