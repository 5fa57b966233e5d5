/**
 * From what the kernel has and what a carp interface wants: the requests that lead from one to the other, and, where
 * somebody else caused the difference, what they did, in words. Pure: nothing here asks the kernel anything.
 */

import type { Device } from "../core/effect.ts";
import type { InterfaceAddress } from "../core/event.ts";
import { isLinkLocal } from "../protocol/address.ts";
import { IPV6_LEAST_MTU } from "../protocol/ip.ts";
import { canonical, type Request } from "./netlink-bytes.ts";
import { addressKey, type Observed } from "./observed.ts";
import {
  addressAddition,
  addressRemoval,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_PERMANENT,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_UP,
  type KernelAddress,
  type KernelLink,
  linkChange,
  linkQuery,
  linkRemoval,
  macvlanCreation,
} from "./rtnetlink-messages.ts";
import { IPV6_ROUTES, LINK_LOCAL, routeKey, routesOf, type WantedRoute } from "./rtnetlink-routes.ts";
import { prefixOf } from "./subnets.ts";

/** What a request is about, so that its failure can be judged and told. */
export type Step =
  | {
      readonly kind: "create" | "mark" | "remove" | "change" | "up" | "down" | "read";
      readonly request: Request;
    }
  | {
      readonly kind: "route";
      readonly route: WantedRoute;
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
  const theirs = new Set(neighbours.map(prefixOf));
  return device.addresses.map((given) => {
    const address = normal(given);
    const alone = address.prefixLength === (address.family === 4 ? 32 : 128);
    const routed = !alone && (isLinkLocal(address.address) || !theirs.has(prefixOf(address)));
    const noDad = address.family === 6 ? IFA_F_NODAD : 0;
    return { key: addressKey(address), address, flags: noDad | (routed ? 0 : IFA_F_NOPREFIXROUTE) };
  });
}

/** Below that the kernel takes IPv6 off a device, and gives it back with the mtu. */
export const fits =
  (mtu: number) =>
  ({ address }: WantedAddress): boolean =>
    address.family === 4 || mtu >= IPV6_LEAST_MTU;

/** A macvlan on a macvlan is really one on the device below both. */
export const parentOf = (carpdev: KernelLink): number =>
  carpdev.kind === "macvlan" ? carpdev.parentIndex : carpdev.index;

export const builtFor = (link: KernelLink, carpdev: KernelLink): boolean =>
  link.kind === "macvlan" && link.bridgeMode && link.parentIndex === parentOf(carpdev);

/** The kernel lowers it with the carpdev's, and does not raise it again. */
export const wantedMtu = (device: Device, carpdev: KernelLink): number =>
  Math.min(device.mtu ?? carpdev.mtu, carpdev.mtu);

/** The kernel takes the mark in a request of its own; both go in one datagram, so a kill cannot part them. */
export function creation(device: Device, carpdev: KernelLink, alias: string): Step[] {
  const { name, mac } = device;
  const mtu = device.mtu === undefined ? undefined : wantedMtu(device, carpdev);
  const request = macvlanCreation({ name, mac, parentIndex: carpdev.index, mtu });
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
  /** Routes that are gone, or may be; with the table they were in, where it is known. */
  readonly lost: ReadonlyMap<string, number | undefined>;
  readonly alias: string;
  /** The carpdev's when the device was last as wanted. */
  readonly carpdevMtu: number | undefined;
}

/** A bridge or a bond takes what arrives for the device; a VRF is a matter of routing, and somebody's decision. */
function captor({ link, observed }: Standing): KernelLink | undefined {
  const master = observed.links.get(link.masterIndex);
  return master?.kind === "vrf" ? undefined : master;
}

/**
 * Addresses leave first: from then on the host answers for them no more. They come last, on a link that is up.
 * Setting a link down is a step of its own, because the kernel takes its time over it.
 */
export function macvlanSteps(device: Device, standing: Standing): Step[] {
  const { link, carpdev, observed, lost } = standing;
  const mtu = wantedMtu(device, carpdev);
  const wanted = wantedAddresses(device, observed.addresses(carpdev.index)).filter(fits(mtu));
  const addresses = addressSteps(link.index, wanted, standing);
  const steps: Step[] = [...addresses.removals];
  const up = (link.flags & IFF_UP) !== 0;
  const change = {
    mac: link.mac === device.mac ? undefined : device.mac,
    mtu: link.mtu === mtu ? undefined : mtu,
    arp: (link.flags & IFF_NOARP) === 0 ? undefined : true,
    multicast: (link.flags & IFF_MULTICAST) !== 0 ? undefined : true,
    masterIndex: captor(standing) === undefined ? undefined : 0,
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
  const changed = [...addresses.removals, ...addresses.additions].some(({ address }) => address.family === 6);
  const routes = wantedRoutes(wanted, changed ? new Map([...lost, [LINK_LOCAL.key, undefined]]) : lost);
  steps.push(...routeSteps(link.index, routes, lost));
  return steps;
}

/**
 * Those of the routes in question that the addresses bring. What clients ask from link-local addresses is answered
 * through this device; an address of that kind that leaves takes the route along.
 */
function wantedRoutes(
  wanted: readonly WantedAddress[],
  inQuestion: { has(key: string): boolean },
): WantedRoute[] {
  const common = wanted.some(({ address }) => address.family === 6) ? IPV6_ROUTES : [];
  return [...common, ...wanted.flatMap(ownRoutes)].filter(({ key }) => inQuestion.has(key));
}

export const ownRoutes = ({ address, flags }: WantedAddress): WantedRoute[] =>
  routesOf(address, (flags & IFA_F_NOPREFIXROUTE) === 0);

export const routeSteps = (index: number, routes: readonly WantedRoute[], lost: Standing["lost"]): Step[] =>
  routes.map((route) => ({ kind: "route", route, request: route.request(index, lost.get(route.key)) }));

/** The kernel takes it away with the address only if it made it: such an address is added anew. */
export const localRouteKey = ({ address }: InterfaceAddress): string => routeKey("local", address, 128);

function isSound(address: KernelAddress, flags: number, { lost }: Pick<Standing, "lost">): boolean {
  if ((address.flags & IFA_F_PERMANENT) === 0) return false;
  if (address.family === 6 && lost.has(localRouteKey(address))) return false;
  return ((flags ^ address.flags) & IFA_F_NOPREFIXROUTE) === 0;
}

/** An address that is there with other flags is replaced: IPv4 cannot change them in place. */
export function addressSteps(
  index: number,
  wanted: readonly WantedAddress[],
  standing: Pick<Standing, "observed" | "placed" | "refused" | "lost">,
): { removals: AddressStep[]; additions: AddressStep[] } {
  const { observed, placed, refused } = standing;
  const wantedFlags = new Map(wanted.map(({ key, flags }) => [key, flags]));
  const staying = new Set<string>();
  const removals: AddressStep[] = [];
  for (const address of observed.addresses(index)) {
    const key = addressKey(address);
    const flags = wantedFlags.get(key);
    const asWanted = flags !== undefined && isSound(address, flags, standing);
    if (asWanted || !placed.has(key)) staying.add(key);
    else removals.push({ kind: "remove-address", key, address, request: addressRemoval(index, address) });
  }
  const additions = wanted
    .filter(({ key }) => !staying.has(key) && !refused.has(key))
    .map(({ key, address, flags }): AddressStep => {
      const request = addressAddition(index, address, flags);
      const added = { ...address, index, flags: flags | IFA_F_PERMANENT };
      return { kind: "add-address", key, address: added, request };
    });
  return { removals, additions };
}

/** What somebody else did to a device that had been as wanted. Empty: nothing. */
export function foreignChanges(device: Device, standing: Standing): string[] {
  const { link, carpdev, alias, carpdevMtu } = standing;
  const up = (link.flags & IFF_UP) !== 0;
  const found: string[] = [];
  if (up !== device.active) found.push(`link was set ${up ? "up" : "down"}`);
  if (link.protoDown === device.active) found.push(`protodown was ${link.protoDown ? "set" : "cleared"}`);
  if (link.mac !== device.mac) found.push(`MAC was changed to ${link.mac}`);
  if (link.mtu !== wantedMtu(device, carpdev) && carpdev.mtu === carpdevMtu)
    found.push(`mtu was changed to ${link.mtu}`);
  if ((link.flags & IFF_NOARP) !== 0) found.push("ARP was switched off");
  if ((link.flags & IFF_MULTICAST) === 0) found.push("multicast was switched off");
  const master = captor(standing);
  if (master !== undefined) found.push(`device was put into ${master.name}`);
  if (link.alias !== alias) found.push("alias was changed");
  // The kernel takes IPv6 addresses off a link that goes down: that is no second incident.
  const wanted = wantedAddresses(device, []).filter(fits(up ? link.mtu : 0));
  return [...found, ...changedAddresses(link.index, wanted, standing)];
}

export function changedAddresses(
  index: number,
  wanted: readonly WantedAddress[],
  { observed, placed, refused, lost }: Pick<Standing, "observed" | "placed" | "refused" | "lost">,
): string[] {
  const ours = wanted.filter(({ key }) => placed.has(key) && !refused.has(key));
  const present = new Map(observed.addresses(index).map((address) => [addressKey(address), address]));
  const missing = ours.filter(({ key }) => !present.has(key)).map(({ address }) => address.address);
  const found = ours.flatMap(({ key }) => present.get(key) ?? []);
  return [
    ...(missing.length === 1 ? [`address ${missing[0]} was removed`] : []),
    ...(missing.length > 1 ? [`addresses ${missing.join(", ")} were removed`] : []),
    ...found
      .filter(({ flags }) => (flags & IFA_F_PERMANENT) === 0)
      .map(({ address }) => `address ${address} was given a lifetime`),
    ...found
      .filter((address) => address.family === 6 && lost.has(localRouteKey(address)))
      .map(({ address }) => `route to ${address}/128 was removed`),
  ];
}
