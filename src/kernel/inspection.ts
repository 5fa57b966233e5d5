/**
 * Inspection of this host for the doctor: kernel, privileges, devices and addresses, as /proc of the calling process's
 * namespaces has them. Reads only; src/doctor judges.
 */

import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces, release } from "node:os";
import { dataPathObstacle } from "./data-path/data-path.ts";
import { nativeProcess } from "./process/native-process.ts";
import { engineUser, type Privileges, privileges } from "./process/privileges.ts";

export { dataPathObstacle };

export interface HostFacts {
  /** The kernel's release, `6.1.0-18-amd64`. */
  readonly release: string;
  readonly hasBtf: boolean;
  readonly privileges: Privileges;
  /** Whether the user exists that engines become. */
  readonly hasEngineUser: boolean;
  /** undefined: the kernel does not say. */
  readonly clockIsSynchronised: boolean | undefined;
}

export function hostFacts(): HostFacts {
  return {
    release: release(),
    hasBtf: existsSync("/sys/kernel/btf/vmlinux"),
    privileges: privileges(),
    hasEngineUser: engineUser() !== undefined,
    clockIsSynchronised: nativeProcess.clockIsSynchronised(),
  };
}

export interface DeviceFacts {
  readonly isWireless: boolean;
  /** The setting in force: the greater of `all` and the device's own; undefined where there is no such setting. */
  readonly arpIgnore: number | undefined;
  readonly arpAnnounce: number | undefined;
  readonly rpFilter: number | undefined;
  /** undefined: the kernel has no IPv6. */
  readonly ipv6IsDisabled: boolean | undefined;
  /** Multicast MACs that the device receives, lower-case with colons. */
  readonly multicast: ReadonlySet<string>;
}

/** Reads /proc, because /sys may be another network namespace's. undefined: there is no such device here. */
export function deviceFacts(name: string): DeviceFacts | undefined {
  if (!existsSync(`/proc/sys/net/ipv4/conf/${name}`)) return undefined;
  const ipv4 = (setting: string) => {
    const own = number(`/proc/sys/net/ipv4/conf/${name}/${setting}`);
    return own === undefined
      ? undefined
      : Math.max(own, number(`/proc/sys/net/ipv4/conf/all/${setting}`) ?? 0);
  };
  return {
    isWireless: (read("/proc/self/net/wireless") ?? "")
      .split("\n")
      .some((line) => line.trim().startsWith(`${name}:`)),
    arpIgnore: ipv4("arp_ignore"),
    arpAnnounce: ipv4("arp_announce"),
    rpFilter: ipv4("rp_filter"),
    ipv6IsDisabled: isSet(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`),
    multicast: multicastOf(name),
  };
}

const LOOPBACK = /^(127\.|::1$)/;

export interface LocalAddress {
  readonly device: string;
  readonly address: string;
  readonly prefixLength: number;
}

/** The addresses of this host, of both families, on devices that are up; of lo those that are no loopback addresses. */
export function localAddresses(): LocalAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([device, addresses = []]) =>
    addresses
      .filter(({ address, cidr }) => !LOOPBACK.test(address) && cidr !== null)
      .map(({ address, cidr }) => ({ device, address, prefixLength: Number(cidr?.split("/")[1]) })),
  );
}

/** The IPv4 addresses of hosts on a device's link that the kernel knows at present. */
export function linkNeighbours(device: string): string[] {
  const lines = (read("/proc/self/net/arp") ?? "").split("\n").map((line) => line.trim().split(/\s+/));
  const isComplete = (flags = "") => (Number(flags) & 2) !== 0;
  return lines
    .filter(([, , flags, , , on]) => on === device && isComplete(flags))
    .flatMap(([address]) => address ?? []);
}

/** The MACs of this host's devices that are up and have an address. */
export function localMacs(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ mac }) => mac));
}

function multicastOf(name: string): Set<string> {
  const lines = (read("/proc/self/net/dev_mcast") ?? "").split("\n").map((line) => line.trim().split(/\s+/));
  return new Set(
    lines
      .filter(([, device]) => device === name)
      .map(([, , , , mac = ""]) => mac.match(/../g)?.join(":") ?? ""),
  );
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}

function isSet(path: string): boolean | undefined {
  const value = number(path);
  return value === undefined ? undefined : value !== 0;
}

function number(path: string): number | undefined {
  const text = read(path);
  return text === undefined ? undefined : Number.parseInt(text, 10);
}
