/**
 * The addresses of carp interfaces that give out the carpdev's own MAC: they are placed on the carpdev itself. It must
 * never remove an address that the host's administrator put there.
 */

import { readFileSync, writeFileSync } from "node:fs";
import type { Device } from "../../core/model.ts";
import { subnetOf } from "../../protocol/subnet.ts";
import { IFF_UP, type KernelLink } from "../netlink/messages.ts";
import {
  type AddressStep,
  addressSteps,
  fits,
  ownRoutes,
  routeSteps,
  type Step,
  wantedAddresses,
} from "./device-plan.ts";
import { type DeviceState, type PassContext, removalAnswered } from "./device-state.ts";
import { addressKey, type LinkCache } from "./link-cache.ts";
import type { PlacedOn } from "./placed-addresses.ts";

/** Called for each address with the errno name, undefined when it was removed. */
type Answered = (key: string, error: string | undefined) => void;

const othersOn = (context: PassContext, carpdev: KernelLink) => {
  const ours = context.placed.on(carpdev);
  return context.cache.addresses(carpdev.index).filter((address) => !ours.has(addressKey(address)));
};

/** The addresses that the interface needs, on its device or on the carpdev. */
export function wanted(context: PassContext, device: Device) {
  const carpdev = context.cache.byName(device.carpdev);
  if (carpdev === undefined) return wantedAddresses(device, []);
  return wantedAddresses(device, othersOn(context, carpdev));
}

export function carpdevSteps(context: PassContext, state: DeviceState, device: Device, carpdev: KernelLink) {
  const placed = context.placed.get(state.name)?.keys ?? new Set<string>();
  const { refused, lost } = state;
  const wantedThere = wantedOn(context, device, carpdev);
  const routes = wantedThere
    .filter(({ key }) => placed.has(key))
    .flatMap(ownRoutes)
    .filter(({ key }) => lost.has(key));
  return {
    ...addressSteps(carpdev.index, wantedThere, { cache: context.cache, placed, refused, lost }),
    routes: routeSteps(carpdev.index, routes, lost),
  };
}

/** The addresses the carpdev can hold now: down, or with too small an MTU, it holds none of IPv6. */
export const wantedOn = (context: PassContext, device: Device, carpdev: KernelLink) =>
  wanted(context, device).filter(fits((carpdev.flags & IFF_UP) !== 0 ? carpdev.mtu : 0));

/**
 * Removes what is not needed and plans additions, recorded before they are made (placed-addresses.ts). An address that
 * the carpdev has already is not ours.
 */
export async function placeOnCarpdev(
  context: PassContext,
  state: DeviceState,
  device: Device,
  carpdev: KernelLink,
): Promise<Step[]> {
  const { removals, additions, routes } = carpdevSteps(context, state, device, carpdev);
  await removeFrom(context, carpdev, removals, (key, error) => removalAnswered(state, key, error));
  const keys = new Set(context.placed.get(state.name)?.keys);
  for (const key of keys) if (!context.cache.has(carpdev.index, key)) keys.delete(key);
  for (const { key } of additions) keys.add(key);
  context.placed.set(state.name, carpdev, keys);
  return [...additions, ...routes];
}

export async function leaveCarpdev(context: PassContext, state: DeviceState): Promise<void> {
  const placed = context.placed.get(state.name);
  if (placed === undefined) return;
  await removePlaced(context, placed, (key, error) => removalAnswered(state, key, error));
  context.placed.forget(state.name);
}

/** Removes these addresses from their carpdev, whatever its name is now, as far as they are there. */
export async function removePlaced(
  context: PassContext,
  placed: PlacedOn,
  answered: Answered = () => {},
): Promise<void> {
  const link = carpdevOf(context.cache, placed);
  if (link === undefined) return;
  const current = { cache: context.cache, placed: placed.keys, refused: new Set<string>(), lost: new Map() };
  await removeFrom(context, link, addressSteps(link.index, [], current).removals, answered);
}

/** The carpdev that these addresses are on; undefined when it is gone. */
export const carpdevOf = (cache: LinkCache, { carpdev, index }: PlacedOn): KernelLink | undefined =>
  index === 0 ? cache.byName(carpdev) : cache.links.get(index);

/** Sets promote_secondaries meanwhile: Linux would remove other addresses of a subnet with its first one. */
async function removeFrom(
  context: PassContext,
  carpdev: KernelLink,
  removals: readonly AddressStep[],
  answered: Answered,
): Promise<void> {
  if (removals.length === 0) return;
  const going = new Set(removals.map(({ key }) => key));
  const [leaving, staying] = [true, false].map((goes) =>
    context.cache
      .addresses(carpdev.index)
      .filter((address) => address.family === 4 && going.has(addressKey(address)) === goes),
  );
  const subnets = new Set(leaving?.map(subnetOf));
  const endangered = staying?.some((address) => subnets.has(subnetOf(address)));
  const path = `/proc/sys/net/ipv4/conf/${carpdev.name}/promote_secondaries`;
  const former = endangered ? exchange(path, "1\n") : undefined;
  const errors = await context.perform(removals.map(({ request }) => request));
  for (const [at, { key }] of removals.entries()) answered(key, errors[at]);
  if (former !== undefined) exchange(path, former);
}

/** Writes a setting. @returns its former value; undefined where it could not be written */
function exchange(path: string, value: string): string | undefined {
  try {
    const former = readFileSync(path, "utf8");
    writeFileSync(path, value);
    return former;
  } catch {
    return undefined;
  }
}
