/**
 * The addresses of carp interfaces that give out the carpdev's own MAC: they are on the carpdev itself, among those of
 * its owner, who must never lose one of theirs.
 */

import { readFileSync, writeFileSync } from "node:fs";
import type { Device } from "../core/effect.ts";
import type { Kept, PassContext } from "./device-pass.ts";
import {
  type AddressStep,
  addressSteps,
  fits,
  ownRoutes,
  routeSteps,
  type Step,
  wantedAddresses,
} from "./device-plan.ts";
import { addressKey } from "./observed.ts";
import { IFF_UP, type KernelLink } from "./rtnetlink-messages.ts";
import { samePrefix } from "./subnets.ts";

const othersOn = (context: PassContext, carpdev: KernelLink) => {
  const ours = context.placed.on(carpdev.name);
  return context.observed.addresses(carpdev.index).filter((address) => !ours.has(addressKey(address)));
};

/** On whichever device. */
export function wanted(context: PassContext, device: Device) {
  const carpdev = context.observed.byName(device.carpdev);
  if (carpdev === undefined) return wantedAddresses(device, []);
  return wantedAddresses(device, othersOn(context, carpdev));
}

export function carpdevSteps(context: PassContext, kept: Kept, device: Device, carpdev: KernelLink) {
  const placed = context.placed.get(kept.name)?.keys ?? new Set<string>();
  const { refused, lost } = kept;
  const wantedThere = wantedOn(context, device, carpdev);
  const routes = wantedThere
    .filter(({ key }) => placed.has(key))
    .flatMap(ownRoutes)
    .filter(({ key }) => lost.has(key));
  return {
    ...addressSteps(carpdev.index, wantedThere, { observed: context.observed, placed, refused, lost }),
    routes: routeSteps(carpdev.index, routes, lost),
  };
}

/** A carpdev that is down, or too small, keeps no IPv6 address: it comes back with the link. */
export const wantedOn = (context: PassContext, device: Device, carpdev: KernelLink) =>
  wanted(context, device).filter(fits((carpdev.flags & IFF_UP) !== 0 ? carpdev.mtu : 0));

/** Owned before it is there: see placed-addresses.ts. What is on the carpdev already stays its owner's. */
export async function placeOnCarpdev(
  context: PassContext,
  kept: Kept,
  device: Device,
  carpdev: KernelLink,
): Promise<Step[]> {
  const { removals, additions, routes } = carpdevSteps(context, kept, device, carpdev);
  await removeFrom(context, carpdev, removals);
  const keys = new Set(context.placed.get(kept.name)?.keys);
  for (const key of keys) if (!context.observed.has(carpdev.index, key)) keys.delete(key);
  for (const { key } of additions) keys.add(key);
  context.placed.set(kept.name, carpdev.name, keys);
  return [...additions, ...routes];
}

export async function leaveCarpdev(context: PassContext, kept: Kept): Promise<void> {
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
  const standing = { observed: context.observed, placed: keys, refused: new Set<string>(), lost: new Map() };
  await removeFrom(context, link, addressSteps(link.index, [], standing).removals);
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
