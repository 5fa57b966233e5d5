/**
 * One pass over a carp interface's device: makes and configures its macvlan, or places its addresses on the carpdev. A
 * pass starts from what the kernel has, so running it again is harmless. When to run one is decided in devices.ts.
 */

import type { Device } from "../../core/model.ts";
import { RareSet } from "../../core/rare.ts";
import { IPV6_LEAST_MTU } from "../../protocol/ip.ts";
import { IFF_LOWER_UP, IFF_RUNNING, type KernelLink, linkQuery } from "../netlink/messages.ts";
import { IPV6_ROUTES, type KernelRoute } from "../netlink/routes.ts";
import { LOST } from "../netlink/rtnetlink.ts";
import {
  changedSettings,
  NEW_DEVICE,
  pathOf,
  readSetting,
  type SettingName,
  writeSetting,
} from "../settings/link-settings.ts";
import { carpdevSteps, leaveCarpdev, placeOnCarpdev, wanted, wantedOn } from "./carpdev-addresses.ts";
import {
  type AddressStep,
  builtFor,
  type CurrentDevice,
  changedAddresses,
  creation,
  foreignChanges,
  macvlanSteps,
  ownRoutes,
  removal,
  type Step,
  takesLong,
  wantedMtu,
} from "./device-plan.ts";
import {
  complain,
  type DeviceState,
  EVERY,
  type ExpectedReport,
  forgetFailures,
  GONE,
  type PassContext,
  removalAnswered,
  SENDING,
} from "./device-state.ts";
import { addressKey } from "./link-cache.ts";
import { isOn } from "./placed-addresses.ts";

/** Rounds of a pass: removing, creating, configuring, and some for changes by other programs meanwhile. */
const ROUNDS = 6;

/** Tells what a step adds from what others do. */
const keyOf = (step: Step): string =>
  step.kind === "route" ? step.route.key : step.kind === "add-address" ? step.key : step.kind;

/** Makes the device as wanted. @returns whether it is; if not, a change on the carpdev may help. Never rejects. */
export async function pass(context: PassContext, state: DeviceState): Promise<boolean> {
  let endTurn: (() => void) | undefined;
  const added = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const device = state.desired;
    const steps = await nextSteps(context, state, device);
    if (endTurn === undefined && steps?.some(takesLong)) {
      endTurn = await context.turn();
      continue;
    }
    // Another program goes on removing what this pass adds: a change like any other, undone with backoff.
    const isUndone = round === ROUNDS - 1 && steps?.every((step) => added.has(keyOf(step)));
    const isAsWanted = steps?.length === 0;
    const isDone = isAsWanted || isUndone;
    const again =
      steps !== undefined &&
      !isDone &&
      (await carryOut(context, state, steps, (step) => added.add(keyOf(step))));
    endTurn?.();
    endTurn = undefined;
    if (again) continue;
    if (!isDone) return false;
    if (device !== null && !device.realMac)
      state.placed = new Set(wanted(context, device).map(({ key }) => key));
    if (isAsWanted) asWanted(context, state);
    return true;
  }
  endTurn?.();
  complain(state, "rounds", `the device is not as wanted after ${ROUNDS} attempts`, { unserved: EVERY });
  return false;
}

/** Records that the device is as wanted: lost routes and answers from before mean nothing any more. */
export function asWanted(context: PassContext, state: DeviceState): void {
  state.lost.clear();
  state.asked.clear();
  for (const subject of ["rounds", "remove"]) state.complaints.delete(subject);
  const carpdev = context.cache.byName(state.desired?.carpdev ?? "");
  state.carpdevMtu = carpdev?.mtu;
  if (carpdev !== undefined && state.desired !== null) tellOfMtu(state, state.desired, carpdev);
}

/** Marks every route of the device as perhaps lost, after notifications were lost. */
export function doubtRoutes(context: PassContext, state: DeviceState): void {
  const { desired, index } = state;
  if (desired === null || !desired.active || (context.cache.links.get(index)?.masterIndex ?? 0) !== 0) return;
  for (const { key } of [...IPV6_ROUTES, ...wanted(context, desired).flatMap(ownRoutes)])
    if (!state.asked.has(key)) state.lost.set(key, undefined);
}

/** Records a route as lost, unless IPv6 was switched off: then it goes first, and the addresses after it. */
export function noteLostRoute(state: DeviceState, { key, table }: Pick<KernelRoute, "key" | "table">): void {
  const { desired } = state;
  const isIPv6 = key.includes(":");
  if (isIPv6 && desired !== null && readSetting(nameOfPlace(desired), "disable_ipv6") === 1) return;
  state.lost.set(key, table);
}

/** Whether the device differs from what is wanted, and which changes by other programs caused it, in words. */
export function difference(context: PassContext, state: DeviceState): { needed: boolean; what: string[] } {
  const device = state.desired;
  if (device === null) return { needed: false, what: [] };
  const carpdev = context.cache.byName(device.carpdev);
  if (device.realMac) {
    if (carpdev === undefined) return { needed: false, what: [] };
    const placed = context.placed.get(state.name)?.keys ?? new Set<string>();
    const current = { cache: context.cache, placed, refused: state.refused, lost: state.lost };
    const what = changedAddresses(carpdev.index, wantedOn(context, device, carpdev), current);
    const { removals, additions, routes } = carpdevSteps(context, state, device, carpdev);
    return { needed: removals.length + additions.length + routes.length > 0, what };
  }
  const link = context.cache.byName(state.name);
  if (link === undefined) {
    // Gone with its carpdev: there is nothing to build it on, and no other program changed it.
    if (carpdev === undefined) return { needed: false, what: [] };
    const renamed = context.cache.links.get(state.index);
    return { needed: true, what: [renamed ? `device was renamed to ${renamed.name}` : "device was deleted"] };
  }
  if (!isOurs(context, state, link)) return { needed: true, what: ["device was replaced"] };
  if (carpdev === undefined) return { needed: true, what: [] };
  if (!builtFor(link, carpdev)) return { needed: true, what: ["device was replaced"] };
  const current = currentDevice(context, state, link, carpdev);
  const settings = changedSettings(link, untouched(state));
  return {
    needed: settings.length > 0 || macvlanSteps(device, current).length > 0,
    what: [
      ...foreignChanges(device, current),
      ...settings.map(({ name, to }) => `${name} was changed to ${to}`),
    ],
  };
}

/** Which changes by other programs are still there, also where the kernel refused to have them undone. */
export function unrepaired(context: PassContext, state: DeviceState): ReadonlySet<string> {
  const { desired, lost } = state;
  const carpdev = context.cache.byName(desired?.carpdev ?? "");
  const refused = new RareSet<string>();
  if (desired?.realMac !== true || carpdev === undefined)
    return new Set(difference(context, { ...state, refused, unwritable: new RareSet() }).what);
  // An address that could not be added is not recorded as placed on the carpdev.
  const wantedThere = wantedOn(context, desired, carpdev);
  const placed = new Set(wantedThere.map(({ key }) => key));
  return new Set(
    changedAddresses(carpdev.index, wantedThere, { cache: context.cache, placed, refused, lost }),
  );
}

/** Lets the addresses be added again that were refused because IPv6 was disabled, when it is not any more. */
export function retryIPv6(state: DeviceState): void {
  const { desired, withoutIPv6 } = state;
  if (desired === null || withoutIPv6.size === 0) return;
  if (readSetting(nameOfPlace(desired), "disable_ipv6") !== 0) return;
  for (const key of withoutIPv6) {
    state.refused.delete(key);
    state.complaints.delete(key);
  }
  withoutIPv6.clear();
  state.exempt.delete("disable_ipv6");
}

/** The link that the addresses are on, while it is there. */
export const placeOf = ({ cache }: PassContext, { desired }: DeviceState): KernelLink | undefined =>
  desired === null ? undefined : cache.byName(nameOfPlace(desired));

/**
 * Adds the host's own routes again that went with the device or its addresses; the others are there already.
 *
 * @returns the routes that were lost, in words
 */
export async function putRoutesBack(context: PassContext, state: DeviceState): Promise<string[]> {
  const place = placeOf(context, state);
  const routes = [...state.hostRoutes.values()];
  if (place === undefined || routes.length === 0) return [];
  const errors = await context.perform(routes.map((route) => route.request(place.index)));
  return routes.flatMap(({ key, what }, at) => {
    const error = errors[at];
    if (error === undefined) return [`route ${what} was removed`];
    if (error === "EEXIST" || GONE.has(error)) return [];
    state.hostRoutes.delete(key);
    context.events.complaint(`${state.name}: lost route ${what} cannot be put back (${error})`);
    return [];
  });
}

/** The device that the addresses are on. */
const nameOfPlace = ({ realMac, carpdev, name }: Device): string => (realMac ? carpdev : name);

export const isOurs = (context: PassContext, state: DeviceState, link: KernelLink): boolean =>
  link.index === state.index || link.alias === context.alias;

const currentDevice = (
  context: PassContext,
  state: DeviceState,
  link: KernelLink,
  carpdev: KernelLink,
): CurrentDevice => ({
  link,
  carpdev,
  cache: context.cache,
  placed: state.placed,
  refused: state.refused,
  lost: state.lost,
  alias: context.alias,
  carpdevMtu: state.carpdevMtu,
});

const untouched = ({ exempt, unwritable }: DeviceState): ReadonlySet<SettingName> =>
  new Set([...exempt, ...unwritable]);

/** @returns the next requests; none: the device is as wanted; undefined: nothing more can be done now */
async function nextSteps(
  context: PassContext,
  state: DeviceState,
  device: Device | null,
): Promise<Step[] | undefined> {
  const elsewhere = context.placed.get(state.name);
  const home = device?.realMac ? context.cache.byName(device.carpdev) : undefined;
  if (elsewhere !== undefined && !(home !== undefined && isOn(elsewhere, home)))
    await leaveCarpdev(context, state);
  const link = context.cache.byName(state.name);
  const ours = link !== undefined && isOurs(context, state, link);
  const renamed = context.cache.links.get(state.index);
  if (renamed !== undefined && renamed.name !== state.name) return [removal(state.index)];
  if (device === null) return ours ? [removal(link.index)] : [];
  const carpdev = context.cache.byName(device.carpdev);
  if (device.realMac) {
    if (ours) return [removal(link.index)];
    return carpdev && placeOnCarpdev(context, state, device, carpdev);
  }
  if (link !== undefined && !ours) {
    complain(state, "device", "a device of this name exists that is not ours: it is left alone", {
      unserved: EVERY,
    });
    return undefined;
  }
  state.complaints.delete("device");
  if (link !== undefined && (carpdev === undefined || !builtFor(link, carpdev))) return [removal(link.index)];
  if (carpdev === undefined) return undefined;
  if (link === undefined) {
    state.creating = true;
    return creation(device, carpdev, context.alias);
  }
  if (link.index !== state.index) adopt(context, state, link);
  else
    for (const { name, needed } of changedSettings(link, untouched(state))) set(context, state, name, needed);
  const steps = macvlanSteps(device, currentDevice(context, state, link, carpdev));
  if (steps.some((step) => step.kind === "add-address" && step.address.family === 6))
    allowIPv6(context, state);
  return steps;
}

function tellOfMtu(state: DeviceState, device: Device, carpdev: KernelLink): void {
  const mtu = wantedMtu(device, carpdev);
  const unserved = device.addresses.filter(({ family }) => family === 6).length;
  if (unserved === 0 || mtu >= IPV6_LEAST_MTU) state.complaints.delete("mtu");
  else
    complain(state, "mtu", `an mtu of ${mtu} carries no IPv6: it is without its IPv6 addresses`, {
      unserved,
    });
}

/** Takes over a device just made, or one of an engine that was killed: every address on it is ours. */
function adopt(context: PassContext, state: DeviceState, link: KernelLink): void {
  context.indexed(state.name, link.index);
  forgetFailures(state);
  state.placed = new Set(context.cache.addresses(link.index).map(addressKey));
  state.lost.clear();
  state.exempt.clear();
  for (const { name, needed } of NEW_DEVICE) set(context, state, name, needed);
  // New devices on this host have it.
  if (readSetting(link.name, "disable_ipv6") !== 0) state.exempt.add("disable_ipv6");
  context.events.device(state.name, link.index);
}

/** Enables IPv6 before an address is added: another program may have disabled it, which takes the addresses off. */
function allowIPv6(context: PassContext, state: DeviceState): void {
  const settings = { disable_ipv6: readSetting(state.name, "disable_ipv6") ?? 0 };
  for (const { name, needed } of changedSettings({ name: state.name, settings }, untouched(state)))
    set(context, state, name, needed);
}

function set(context: PassContext, state: DeviceState, name: SettingName, value: number): void {
  const error = writeSetting(state.name, name, value);
  const path = pathOf(state.name, name);
  if (error === undefined || readSetting(state.name, name) === value) {
    context.cache.noteSetting(state.name, name, value);
    state.complaints.delete(path);
    return;
  }
  state.unwritable.add(name);
  complain(state, path, `${path} cannot be set to ${value} (${error})`);
}

/** Performs the requests and records their outcome. @returns whether another round may help */
async function carryOut(
  context: PassContext,
  state: DeviceState,
  steps: readonly Step[],
  added: (step: Step) => void,
): Promise<boolean> {
  const departures = (step: Step) =>
    step.kind === "add-address" ? context.cache.departures(step.address.index) : 0;
  const before = steps.map(departures);
  const reports = steps.map((step) =>
    step.kind === "add-address" && step.address.family === 6
      ? context.expectReport(step.address.index, step.key)
      : undefined,
  );
  // Before the request: a notification from now on may be that the route is gone once more.
  const lost = steps.map((step) => step.kind === "route" && state.lost.delete(step.route.key));
  const [slow] = steps.filter(takesLong);
  const results =
    slow !== undefined && steps.length === 1
      ? [await context.performApart(slow.request)]
      : await context.perform(steps.map(({ request }) => request));
  state.creating = false;
  let sensible = true;
  let overrun = false;
  for (const [at, step] of steps.entries()) {
    const error = results[at];
    if (error === LOST) overrun = true;
    if (error === "ECANCELED") sensible = false;
    if (step.kind === "add-address") {
      if (error !== undefined) reports[at]?.forget();
      const departed = departures(step) !== before[at];
      if (additionAnswered(context, state, step, { error, departed })) added(step);
    } else if (step.kind === "remove-address") {
      if (removalAnswered(state, step.key, error)) state.placed.delete(step.key);
    } else if (step.kind === "route") {
      const { key, what } = step.route;
      if (error === LOST) state.asked.add(key);
      if (error === undefined && lost[at]) state.restored.push(`route ${what} was removed`);
      // EACCES: IPv6 is disabled, which its addresses tell.
      if (error === undefined || error === "EEXIST") {
        state.complaints.delete(`route ${key}`);
        added(step);
      } else if (!GONE.has(error) && error !== "EACCES" && error !== "ENETDOWN") {
        state.refusedRoutes.add(key);
        complain(state, `route ${key}`, `no route ${what} can be made (${error})`);
      }
    } else if (error === undefined) {
      state.complaints.delete(step.kind);
    } else if (step.kind === "remove") {
      if (GONE.has(error)) continue;
      sensible = false;
      complain(state, step.kind, `the device cannot be removed (${error})`);
    } else if (step.kind !== "read" && error !== LOST) {
      sensible = false;
      // ENETDOWN: the carpdev is down, which its link event tells.
      const expected =
        GONE.has(error) || error === "ENETDOWN" || (step.kind === "create" && error === "EEXIST");
      if (!expected && step.kind !== "mark" && !isOvertaken(context, state, step, error))
        complain(state, step.kind, failure(step.kind, state, error), {
          unserved: step.kind === "down" ? 0 : EVERY,
          // Only a device that is to have its addresses is set up.
          whenActive: step.kind === "up",
        });
    }
  }
  if (overrun) await context.reread();
  await received(
    context,
    reports.filter((report) => report !== undefined),
  );
  for (const step of steps)
    if ("resumes" in step && step.resumes !== undefined) await sending(context, step.resumes);
  return sensible;
}

/** Whether the change failed because the carpdev's mtu was lowered meanwhile, and the device's with it. */
function isOvertaken(context: PassContext, state: DeviceState, { kind }: Step, error: string): boolean {
  if (kind !== "change" || error !== "EINVAL") return false;
  const carpdev = context.cache.byName(state.desired?.carpdev ?? "");
  return carpdev !== undefined && carpdev.mtu < (state.carpdevMtu ?? 0);
}

/**
 * Waits until the kernel receives for new IPv6 addresses. It acknowledges them first and installs them later, from a
 * worker that sends the report just before. Nothing may claim the address earlier: another host would stop serving it.
 */
async function received(context: PassContext, reports: readonly ExpectedReport[]): Promise<void> {
  if (reports.length === 0) return;
  await Promise.all(reports.map(({ heard }) => heard));
  // Answered only when the worker is done: both need the same lock.
  await context.perform([linkQuery("lo")]);
}

/**
 * Waits until the kernel sends through a device that has got its carrier back, as that of a MASTER that is one again at
 * once: it acknowledges the change first, and drops what is sent until a worker has seen to it and reports the link.
 */
async function sending(context: PassContext, index: number): Promise<void> {
  const flags = context.cache.links.get(index)?.flags ?? 0;
  if ((flags & IFF_LOWER_UP) !== 0 && (flags & IFF_RUNNING) === 0)
    await context.expectReport(index, SENDING).heard;
}

function failure(kind: Step["kind"], state: DeviceState, error: string): string {
  const on = state.desired?.carpdev ?? "its carpdev";
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

/** @returns whether it was added, or was there */
function additionAnswered(
  context: PassContext,
  state: DeviceState,
  step: AddressStep,
  { error, departed }: { readonly error: string | undefined; readonly departed: boolean },
): boolean {
  const { key, address } = step;
  const { cache } = context;
  const hasOtherLength = () =>
    cache.addresses(address.index).some((other) => other.address === address.address);
  if (error === undefined || (error === "EEXIST" && (cache.has(address.index, key) || !hasOtherLength()))) {
    // The kernel reports a new IPv6 address some time after it has acknowledged it, and may have reported its removal
    // before that: then it is added again, which EEXIST answers when it is there all the same.
    if (!cache.has(address.index, key) && !(departed && error === undefined)) context.added(address);
    if (!state.desired?.realMac) state.placed.add(key);
    state.complaints.delete(key);
    return true;
  }
  if (GONE.has(error)) return false;
  state.refused.add(key);
  const forbidden = address.family === 6 && (error === "EACCES" || error === "EPERM");
  if (forbidden) {
    state.withoutIPv6.add(key);
    // The kernel notifies of neither change: noted, so that the answer to a query shows when IPv6 is back.
    if (state.desired !== null) cache.noteSetting(nameOfPlace(state.desired), "disable_ipv6", 1);
  }
  const why = forbidden ? `${error}: IPv6 is disabled on this host` : error;
  complain(state, key, `address ${key} cannot be added (${why})`, { unserved: 1, whenActive: true });
  return false;
}
