/**
 * Plans a carp device: the requests that lead from what the kernel has to what the carp interface wants, and changes by
 * other programs in words. Pure: nothing here asks the kernel anything.
 */

import type { Device, InterfaceAddress } from "../../core/model.ts";
import type { Lookup } from "../../core/rare.ts";
import { isLinkLocal } from "../../protocol/address.ts";
import { IPV6_LEAST_MTU } from "../../protocol/ip.ts";
import { overlapWith } from "../../protocol/subnet.ts";
import { canonical, type Request } from "../netlink/bytes.ts";
import {
  addressAddition,
  addressRemoval,
  IFA_F_DEPRECATED,
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
} from "../netlink/messages.ts";
import { IPV6_ROUTES, LINK_LOCAL, routeKey, routesOf, type WantedRoute } from "../netlink/routes.ts";
import { addressKey, type LinkCache } from "./link-cache.ts";

/** A request and its purpose, by which a failure is judged and reported. */
export type Step =
  | {
      readonly kind: "create" | "mark" | "remove" | "change" | "up" | "down" | "read";
      readonly request: Request;
      /** The index of a device that is up and gets its carrier back. */
      readonly resumes?: number | undefined;
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

const normal = (address: InterfaceAddress): InterfaceAddress => ({
  ...address,
  address: canonical(address.address),
});

/**
 * The addresses of the device, with their flags. An address gets its subnet's route only where no subnet of the
 * carpdev's overlaps it: routes must not differ by who is MASTER. A single host's address has no subnet. Link-local
 * subnets are each device's own. A shared IPv6 address on the carpdev itself is deprecated, so that the carpdev's own
 * address stays the source; IPv4 chooses by the route.
 */
export function wantedAddresses(device: Device, neighbours: readonly InterfaceAddress[]): WantedAddress[] {
  if (!device.active) return [];
  const hasNeighbour = overlapWith(neighbours);
  return device.addresses.map((given) => {
    const address = normal(given);
    const alone = address.prefixLength === (address.family === 4 ? 32 : 128);
    const routed = !alone && (isLinkLocal(address.address) || !hasNeighbour(address));
    const noDad = address.family === 6 ? IFA_F_NODAD : 0;
    const deprecated = device.realMac && address.family === 6 && hasNeighbour(address) ? IFA_F_DEPRECATED : 0;
    return {
      key: addressKey(address),
      address,
      flags: noDad | deprecated | (routed ? 0 : IFA_F_NOPREFIXROUTE),
    };
  });
}

/** Whether a device of this mtu holds the address: below IPv6's least mtu the kernel takes IPv6 off it. */
export const fits =
  (mtu: number) =>
  ({ address }: WantedAddress): boolean =>
    address.family === 4 || mtu >= IPV6_LEAST_MTU;

/** The device below a macvlan on the carpdev: the kernel puts a macvlan on a macvlan on the device below both. */
export const parentOf = (carpdev: KernelLink): number =>
  carpdev.kind === "macvlan" ? carpdev.parentIndex : carpdev.index;

export const builtFor = (link: KernelLink, carpdev: KernelLink): boolean =>
  link.kind === "macvlan" && link.bridgeMode && link.parentIndex === parentOf(carpdev);

/** The device's mtu: the kernel lowers it with the carpdev's, and does not raise it again. */
export const wantedMtu = (device: Device, carpdev: KernelLink): number =>
  Math.min(device.mtu ?? carpdev.mtu, carpdev.mtu);

/** Creates and marks the macvlan: two requests in one datagram, so that a kill cannot part them. */
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

/** Whether the kernel performs the request slowly, in the foreground, waiting for every CPU. */
export const takesLong = (step: Step): boolean => step.kind === "down" || step.kind === "remove";

export const removal = (index: number): Step => ({ kind: "remove", request: linkRemoval(index) });

export interface CurrentDevice {
  readonly link: KernelLink;
  readonly carpdev: KernelLink;
  readonly cache: LinkCache;
  /** Keys of the addresses on the device that are ours to remove. */
  readonly placed: ReadonlySet<string>;
  /** Keys of addresses the kernel refused. */
  readonly refused: Pick<ReadonlySet<string>, "has">;
  /** Keys of routes that are gone, or may be, with the table they were in, where it is known. */
  readonly lost: Lookup<string, number | undefined>;
  readonly alias: string;
  /** The carpdev's mtu when the device was last as wanted. */
  readonly carpdevMtu: number | undefined;
}

/** The bridge or bond that the device is enslaved to, which takes its packets; a VRF does not, and is left alone. */
function enslavedTo({ link, cache }: CurrentDevice): KernelLink | undefined {
  const master = cache.links.get(link.masterIndex);
  return master?.kind === "vrf" ? undefined : master;
}

/**
 * The steps for an existing macvlan. Addresses are removed first, so that the host stops answering, and added last, on
 * a link that is up. Setting the link down is a round of its own, because the kernel is slow at it.
 */
export function macvlanSteps(device: Device, current: CurrentDevice): Step[] {
  const { link, carpdev, cache, lost } = current;
  const mtu = wantedMtu(device, carpdev);
  const wanted = wantedAddresses(device, cache.addresses(carpdev.index)).filter(fits(mtu));
  const addresses = addressSteps(link.index, wanted, current);
  const steps: Step[] = [...addresses.removals];
  const up = (link.flags & IFF_UP) !== 0;
  const change = {
    mac: link.mac === device.mac ? undefined : device.mac,
    mtu: link.mtu === mtu ? undefined : mtu,
    arp: (link.flags & IFF_NOARP) === 0 ? undefined : true,
    multicast: (link.flags & IFF_MULTICAST) !== 0 ? undefined : true,
    masterIndex: enslavedTo(current) === undefined ? undefined : 0,
    alias: link.alias === current.alias ? undefined : current.alias,
    protoDown: link.protoDown === device.active ? !device.active : undefined,
  };
  if (Object.values(change).some((value) => value !== undefined)) {
    const resumes = up && change.protoDown === false ? link.index : undefined;
    steps.push({ kind: "change", request: linkChange(link.index, change), resumes });
  }
  // After protodown, not with it: a link that goes up with carrier sends at once.
  if (device.active && !up) steps.push({ kind: "up", request: linkChange(link.index, { up: true }) });
  else if (!device.active && up && steps.length === 0) {
    steps.push({ kind: "down", request: linkChange(link.index, { up: false }) });
  }
  // The kernel notifies of a link that goes up, and of nothing else that changes while it is down.
  else if (steps.length > addresses.removals.length) steps.push(reading(link.name));
  steps.push(...addresses.additions);
  const changed = [...addresses.removals, ...addresses.additions].some(({ address }) => address.family === 6);
  const routes = wantedRoutes(wanted, changed ? new Map([...lost, [LINK_LOCAL.key, undefined]]) : lost);
  steps.push(...routeSteps(link.index, routes, lost));
  return steps;
}

/**
 * The routes of the addresses, as far as they are in question. The route to link-local addresses is among them: clients
 * are answered through this device, and a link-local address that is removed takes the route along.
 */
function wantedRoutes(wanted: readonly WantedAddress[], inQuestion: Lookup<string, unknown>): WantedRoute[] {
  if (inQuestion.size === 0) return [];
  const common = wanted.some(({ address }) => address.family === 6) ? IPV6_ROUTES : [];
  return [...common, ...wanted.flatMap(ownRoutes)].filter(({ key }) => inQuestion.has(key));
}

export const ownRoutes = ({ address, flags }: WantedAddress): WantedRoute[] =>
  routesOf(address, (flags & IFA_F_NOPREFIXROUTE) === 0);

export const routeSteps = (
  index: number,
  routes: readonly WantedRoute[],
  lost: CurrentDevice["lost"],
): Step[] =>
  routes.map((route) => ({ kind: "route", route, request: route.request(index, lost.get(route.key)) }));

/** The local route of an IPv6 address: when it is lost the address is added anew (see routesOf). */
export const localRouteKey = ({ address }: InterfaceAddress): string => routeKey("local", address, 128);

function isSound(address: KernelAddress, flags: number, { lost }: Pick<CurrentDevice, "lost">): boolean {
  if ((address.flags & IFA_F_PERMANENT) === 0) return false;
  if (address.family === 6 && lost.has(localRouteKey(address))) return false;
  if ((flags & ~address.flags & IFA_F_DEPRECATED) !== 0) return false;
  return ((flags ^ address.flags) & IFA_F_NOPREFIXROUTE) === 0;
}

/** The changes of addresses. One with other flags is removed and added: IPv4 cannot change them in place. */
export function addressSteps(
  index: number,
  wanted: readonly WantedAddress[],
  current: Pick<CurrentDevice, "cache" | "placed" | "refused" | "lost">,
): { removals: AddressStep[]; additions: AddressStep[] } {
  const { cache, placed, refused } = current;
  const wantedFlags = new Map(wanted.map(({ key, flags }) => [key, flags]));
  const staying = new Set<string>();
  const removals: AddressStep[] = [];
  for (const address of cache.addresses(index)) {
    const key = addressKey(address);
    const flags = wantedFlags.get(key);
    const asWanted = flags !== undefined && isSound(address, flags, current);
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

/** Changes by other programs to a device that was as wanted, in words. */
export function foreignChanges(device: Device, current: CurrentDevice): string[] {
  const { link, carpdev, alias, carpdevMtu } = current;
  const up = (link.flags & IFF_UP) !== 0;
  const found: string[] = [];
  if (up !== device.active) found.push(`link was set ${up ? "up" : "down"}`);
  if (link.protoDown === device.active) found.push(`protodown was ${link.protoDown ? "set" : "cleared"}`);
  if (link.mac !== device.mac) found.push(`MAC was changed to ${link.mac}`);
  if (link.mtu !== wantedMtu(device, carpdev) && carpdev.mtu === carpdevMtu)
    found.push(`mtu was changed to ${link.mtu}`);
  if ((link.flags & IFF_NOARP) !== 0) found.push("ARP was switched off");
  if ((link.flags & IFF_MULTICAST) === 0) found.push("multicast was switched off");
  const master = enslavedTo(current);
  if (master !== undefined) found.push(`device was put into ${master.name}`);
  if (link.alias !== alias) found.push("alias was changed");
  // The kernel takes IPv6 addresses off a link that goes down: that is no second change.
  const wanted = wantedAddresses(device, []).filter(fits(up ? link.mtu : 0));
  return [...found, ...changedAddresses(link.index, wanted, current)];
}

/** Changes as one text: removed addresses together. */
export function inWords(changes: readonly string[]): string {
  const removed = /^address (\S+) was removed$/;
  const missing = changes.flatMap((each) => removed.exec(each)?.[1] ?? []);
  if (missing.length < 2) return changes.join("; ");
  const others = changes.filter((each) => !removed.test(each));
  return [`addresses ${missing.join(", ")} were removed`, ...others].join("; ");
}

/** Changes by other programs to addresses of ours, in words. */
export function changedAddresses(
  index: number,
  wanted: readonly WantedAddress[],
  { cache, placed, refused, lost }: Pick<CurrentDevice, "cache" | "placed" | "refused" | "lost">,
): string[] {
  const ours = wanted.filter(({ key }) => placed.has(key) && !refused.has(key));
  const present = new Map(cache.addresses(index).map((address) => [addressKey(address), address]));
  const missing = ours.filter(({ key }) => !present.has(key));
  const found = ours.flatMap(({ key }) => present.get(key) ?? []);
  return [
    ...missing.map(({ address }) => `address ${address.address} was removed`),
    ...found
      .filter(({ flags }) => (flags & IFA_F_PERMANENT) === 0)
      .map(({ address }) => `address ${address} was given a lifetime`),
    ...found
      .filter((address) => address.family === 6 && lost.has(localRouteKey(address)))
      .map(({ address }) => `route to ${address}/128 was removed`),
  ];
}
