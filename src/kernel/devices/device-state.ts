/**
 * DeviceState: what is known of a carp interface's device besides what the kernel tells, and what of it is not in
 * place; PassContext: what a pass over the device may use. Nothing here asks the kernel anything.
 */

import type { Device, Harm } from "../../core/model.ts";
import type { RareMap, RareSet } from "../../core/rare.ts";
import type { LinkEvents } from "../kernel.ts";
import type { Request } from "../netlink/bytes.ts";
import type { HostRoute } from "../netlink/host-routes.ts";
import type { KernelAddress } from "../netlink/messages.ts";
import { LOST } from "../netlink/rtnetlink.ts";
import type { SettingName } from "../settings/link-settings.ts";
import type { LinkCache } from "./link-cache.ts";
import type { PlacedAddresses } from "./placed-addresses.ts";

/** A part that is not in place. */
interface Complaint {
  /** Why, in words. */
  readonly text: string;
  /** The number of addresses that are not served for that. */
  readonly unserved: number;
  /** Whether only a device that is to have its addresses can show that it is in place again. */
  readonly whenActive: boolean;
}

/** The number of addresses that a device that is missing, or is not as wanted, does not serve. */
export const EVERY = Number.POSITIVE_INFINITY;

/** The device of one carp interface. */
export interface DeviceState {
  readonly name: string;
  desired: Device | null;
  /** The kernel's index of our macvlan; 0 while there is none. */
  index: number;
  /** True between the request for the device and the notification of its index. */
  creating: boolean;
  /** Keys of the addresses on our macvlan that are ours to remove. */
  placed: Set<string>;
  /** Keys of addresses the kernel refused. */
  readonly refused: RareSet<string>;
  /** Those of them that it refused because IPv6 was disabled. */
  readonly withoutIPv6: RareSet<string>;
  /** Keys of routes that are gone, or may be, with the table they were in, where it is known. */
  readonly lost: RareMap<string, number | undefined>;
  /** The host's own routes through the device, by key, in the order they were added. */
  readonly hostRoutes: RareMap<string, HostRoute>;
  /** Keys of routes the kernel refused. */
  readonly refusedRoutes: RareSet<string>;
  /** Keys of routes whose request was sent and its answer lost: they are there, or cannot be. */
  readonly asked: RareSet<string>;
  /** Settings that stay as the host gave them to the new device. */
  readonly exempt: RareSet<SettingName>;
  /** Settings that could not be written; tried again with the next `apply`. */
  readonly unwritable: RareSet<SettingName>;
  /** Repairs, in words, of routes whose loss was not reported. */
  restored: string[];
  /** The carpdev's MTU when the device was last as wanted. */
  carpdevMtu: number | undefined;
  /** The parts that are not in place. */
  readonly complaints: RareMap<string, Complaint>;
}

/** Stands for a key in `expectReport`: the link sends. */
export const SENDING = "sending";

/** The kernel's report that an address has been added, or that a link sends. */
export interface ExpectedReport {
  /** Resolves with the report, or that of a removal, with `forget`, when reports were lost, or after a limit. */
  readonly heard: Promise<void>;
  /** There will be none. */
  forget(): void;
}

export interface PassContext {
  /** The alias by which a macvlan is known to be ours. */
  readonly alias: string;
  readonly cache: LinkCache;
  readonly placed: PlacedAddresses;
  readonly events: LinkEvents;
  perform(requests: readonly Request[]): Promise<(string | undefined)[]>;
  /** For one that the kernel takes long for. */
  performApart(request: Request): Promise<string | undefined>;
  /**
   * Resolves for one caller at a time, with a function that it calls for the next one: such a request is made when the
   * one before is done, because it may not be needed any more by then.
   */
  turn(): Promise<() => void>;
  /**
   * Must be called before the address is added: the kernel may report it before it acknowledges it.
   *
   * @param key of the address, or SENDING
   */
  expectReport(index: number, key: string): ExpectedReport;
  /** Must be called when a carp interface's device has another index. */
  indexed(name: string, index: number): void;
  /** Takes an address in that the kernel has acknowledged and not reported yet. */
  added(address: KernelAddress): void;
  /** Resolves when links and addresses have been read again after answers were lost. */
  reread(): Promise<void>;
}

/** The device is gone, the answer was lost or the socket closed: no failure of the request itself. */
export const GONE = new Set(["ENODEV", "ECANCELED", LOST]);
/** The address is not there: the kernel removed it itself, with the link going down or with the subnet's first. */
const ABSENT = new Set(["EADDRNOTAVAIL", "ENXIO"]);

/** Forgets what failed: every part is tried again by the next pass. */
export function forgetFailures(state: DeviceState): void {
  state.refused.clear();
  state.withoutIPv6.clear();
  state.unwritable.clear();
  for (const key of state.refusedRoutes) state.lost.set(key, undefined);
  state.refusedRoutes.clear();
  state.complaints.clear();
}

/** Records that part of the device is not in place, until the same part succeeds. */
export function complain(
  state: DeviceState,
  subject: string,
  text: string,
  { unserved = 0, whenActive = false }: Partial<Complaint> = {},
): void {
  state.complaints.set(subject, { text, unserved, whenActive });
}

/** How much the complaints take away from the service of the interface. */
export function harmOf({ complaints, desired }: DeviceState): Harm {
  const unserved = [...complaints.values()].reduce((sum, each) => sum + each.unserved, 0);
  if (unserved === 0) return "none";
  return unserved < (desired?.addresses.length ?? 0) ? "some" : "all";
}

/** Whether what is told of the device holds for one that is to have its addresses, and for no other. */
export function isOfActive({ complaints, desired }: DeviceState): boolean {
  const all = [...complaints.values()];
  return desired?.active === true && (all.length === 0 || all.some(({ whenActive }) => whenActive));
}

/** @returns whether the address is gone; if not, why is recorded */
export function removalAnswered(state: DeviceState, key: string, error: string | undefined): boolean {
  const isGone = error === undefined || ABSENT.has(error);
  if (isGone) state.complaints.delete(key);
  else if (!GONE.has(error)) complain(state, key, `address ${key} cannot be removed (${error})`);
  return isGone;
}
