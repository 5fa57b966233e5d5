/**
 * From what the kernel has and what a carp interface wants: the requests that lead from one to the other, and, where
 * somebody else caused the difference, what they did, in words. Pure: nothing here asks the kernel anything.
 */

import type { Device } from "../core/effect.ts";
import type { InterfaceAddress } from "../core/event.ts";
import { isLinkLocal } from "../protocol/address.ts";
import { addressKey, type Observed } from "./observed.ts";
import {
  addressAddition,
  addressRemoval,
  canonical,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFF_UP,
  type KernelAddress,
  type KernelLink,
  linkChange,
  linkLocalRoute,
  linkQuery,
  linkRemoval,
  macvlanCreation,
  type Request,
  samePrefix,
} from "./rtnetlink-messages.ts";

/** What a request is about, so that its failure can be judged and told. */
export type Step =
  | {
      readonly kind: "create" | "mark" | "remove" | "change" | "up" | "down" | "read" | "route";
      readonly request: Request;
    }
  | AddressStep;

export interface AddressStep {
  readonly kind: "add-address" | "remove-address";
  readonly key: string;
  readonly address: KernelAddress;
  readonly request: Request;
}

export interface WantedAddress {
  readonly key: string;
  readonly address: InterfaceAddress;
  readonly flags: number;
}

export const normal = (address: InterfaceAddress): InterfaceAddress => ({
  ...address,
  address: canonical(address.address),
});

/**
 * Two connected routes to one subnet compete, so an address brings its own only where the carpdev has none; a single
 * host's address has no subnet to route to. Link-local subnets are each device's own.
 */
export function wantedAddresses(device: Device, neighbours: readonly InterfaceAddress[]): WantedAddress[] {
  if (!device.active) return [];
  return device.addresses.map((given) => {
    const address = normal(given);
    const alone = address.prefixLength === (address.family === 4 ? 32 : 128);
    const routed =
      !alone && (isLinkLocal(address.address) || !neighbours.some((other) => samePrefix(other, address)));
    const noDad = address.family === 6 ? IFA_F_NODAD : 0;
    return { key: addressKey(address), address, flags: noDad | (routed ? 0 : IFA_F_NOPREFIXROUTE) };
  });
}

/** A macvlan on a macvlan is really one on the device below both. */
export const parentOf = (carpdev: KernelLink): number =>
  carpdev.kind === "macvlan" ? carpdev.parentIndex : carpdev.index;

export const builtFor = (link: KernelLink, carpdev: KernelLink): boolean =>
  link.kind === "macvlan" && link.bridgeMode && link.parentIndex === parentOf(carpdev);

const wantedMtu = (device: Device, carpdev: KernelLink): number | undefined =>
  device.mtu === undefined ? undefined : Math.min(device.mtu, carpdev.mtu);

/** The kernel takes the mark in a request of its own; both go in one datagram, so a kill cannot part them. */
export function creation(device: Device, carpdev: KernelLink, alias: string): Step[] {
  const { name, mac } = device;
  const request = macvlanCreation({ name, mac, parentIndex: carpdev.index, mtu: wantedMtu(device, carpdev) });
  return [
    { kind: "create", request },
    { kind: "mark", request: linkChange(name, { alias, protoDown: true }) },
    reading(name),
  ];
}

const reading = (name: string): Step => ({ kind: "read", request: linkQuery(name) });

/** What the kernel does at length, in the foreground, waiting for every CPU. */
export const takesLong = (step: Step): boolean => step.kind === "down" || step.kind === "remove";

export const removal = (index: number): Step => ({ kind: "remove", request: linkRemoval(index) });

export interface Standing {
  readonly link: KernelLink;
  readonly carpdev: KernelLink;
  readonly observed: Observed;
  /** Keys of the addresses on the device that are ours to remove. */
  readonly placed: ReadonlySet<string>;
  /** Keys of addresses the kernel would not take. */
  readonly refused: ReadonlySet<string>;
  readonly alias: string;
}

/**
 * Addresses leave first: from then on the host answers for them no more. They come last, on a link that is up.
 * Setting a link down is a step of its own, because the kernel takes its time over it.
 */
export function macvlanSteps(device: Device, standing: Standing): Step[] {
  const { link, carpdev, observed, placed, refused } = standing;
  const wanted = wantedAddresses(device, observed.addresses(carpdev.index));
  const addresses = addressSteps(link.index, wanted, observed.addresses(link.index), placed, refused);
  const steps: Step[] = [...addresses.removals];
  const up = (link.flags & IFF_UP) !== 0;
  const mtu = wantedMtu(device, carpdev);
  const change = {
    mac: link.mac === device.mac ? undefined : device.mac,
    mtu: mtu === undefined || link.mtu === mtu ? undefined : mtu,
    alias: link.alias === standing.alias ? undefined : standing.alias,
    protoDown: link.protoDown === device.active ? !device.active : undefined,
  };
  if (Object.values(change).some((value) => value !== undefined)) {
    steps.push({ kind: "change", request: linkChange(link.index, change) });
  }
  // After protodown, not with it: a link that is opened with its carrier there sends at once.
  if (device.active && !up) steps.push({ kind: "up", request: linkChange(link.index, { up: true }) });
  if (!device.active && up && steps.length === 0) {
    steps.push({ kind: "down", request: linkChange(link.index, { up: false }) });
  }
  if (steps.length > addresses.removals.length) steps.push(reading(link.name));
  steps.push(...addresses.additions);
  // What clients ask from link-local addresses is answered through this device; an address of that kind that leaves
  // takes the route along.
  const changed = [...addresses.removals, ...addresses.additions].some(({ address }) => address.family === 6);
  if (changed && wanted.some(({ address }) => address.family === 6))
    steps.push({ kind: "route", request: linkLocalRoute(link.index) });
  return steps;
}

/** An address that is there with other flags is replaced: IPv4 cannot change them in place. */
export function addressSteps(
  index: number,
  wanted: readonly WantedAddress[],
  present: readonly KernelAddress[],
  placed: ReadonlySet<string>,
  refused: ReadonlySet<string>,
): { removals: AddressStep[]; additions: AddressStep[] } {
  const wantedFlags = new Map(wanted.map(({ key, flags }) => [key, flags]));
  const staying = new Set<string>();
  const removals: AddressStep[] = [];
  for (const address of present) {
    const key = addressKey(address);
    const flags = wantedFlags.get(key);
    const asWanted = flags !== undefined && ((flags ^ address.flags) & IFA_F_NOPREFIXROUTE) === 0;
    if (asWanted || !placed.has(key)) staying.add(key);
    else removals.push({ kind: "remove-address", key, address, request: addressRemoval(index, address) });
  }
  const additions = wanted
    .filter(({ key }) => !staying.has(key) && !refused.has(key))
    .map(({ key, address, flags }): AddressStep => {
      const request = addressAddition(index, address, flags);
      return { kind: "add-address", key, address: { ...address, index, flags }, request };
    });
  return { removals, additions };
}

/** What somebody else did to a device that had been as wanted. Empty: nothing. */
export function foreignChanges(device: Device, standing: Standing): string[] {
  const { link, carpdev, observed, placed, refused } = standing;
  const up = (link.flags & IFF_UP) !== 0;
  const mtu = wantedMtu(device, carpdev);
  const found: string[] = [];
  if (up !== device.active) found.push(`link was set ${up ? "up" : "down"}`);
  if (link.protoDown === device.active) found.push(`protodown was ${link.protoDown ? "set" : "cleared"}`);
  if (link.mac !== device.mac) found.push(`MAC was changed to ${link.mac}`);
  if (mtu !== undefined && link.mtu !== mtu) found.push(`mtu was changed to ${link.mtu}`);
  if (link.alias !== standing.alias) found.push("alias was changed");
  // The kernel takes IPv6 addresses off a link that goes down: that is no second incident.
  const wanted = wantedAddresses(device, []).filter(({ address }) => up || address.family === 4);
  return [...found, ...removedAddresses(link.index, wanted, observed, placed, refused)];
}

export function removedAddresses(
  index: number,
  wanted: readonly WantedAddress[],
  observed: Observed,
  placed: ReadonlySet<string>,
  refused: ReadonlySet<string>,
): string[] {
  const missing = wanted
    .filter(({ key }) => placed.has(key) && !refused.has(key) && !observed.has(index, key))
    .map(({ address }) => address.address);
  if (missing.length === 0) return [];
  return [
    missing.length === 1
      ? `address ${missing[0]} was removed`
      : `addresses ${missing.join(", ")} were removed`,
  ];
}
