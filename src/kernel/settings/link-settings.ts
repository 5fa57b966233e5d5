/**
 * The settings of a link below /proc/sys/net that carp depends on: the value a carp device needs, where a link message
 * carries it, and how it is read and written. The kernel sends no notification when one is changed.
 */

import { readFileSync, writeFileSync } from "node:fs";
import type { Family } from "../../core/model.ts";
import { AF_INET, AF_INET6, attributes, readU32 } from "../netlink/bytes.ts";

/** Attributes inside IFLA_AF_SPEC, linux/if_link.h. */
const IFLA_INET_CONF = 1;
const IFLA_INET6_CONF = 2;
const IFLA_INET6_ADDR_GEN_MODE = 8;

/** IN6_ADDR_GEN_MODE_NONE */
const GENERATE_NO_ADDRESS = 1;

interface Setting {
  readonly name: string;
  readonly family: Family;
  /** The index in the message's array: linux/ip.h counts from 1, linux/ipv6.h from 0. undefined: another attribute. */
  readonly at: number | undefined;
  /** The value that a carp device needs. */
  readonly needed: number;
}

const SETTINGS = [
  { name: "arp_ignore", family: 4, at: 19, needed: 1 },
  { name: "arp_announce", family: 4, at: 18, needed: 2 },
  // The route back to the subnet is the carpdev's: strict reverse-path filtering would drop every packet that arrives.
  { name: "rp_filter", family: 4, at: 8, needed: 2 },
  // Without it, removing one address of a subnet removes the ones added after it.
  { name: "promote_secondaries", family: 4, at: 20, needed: 1 },
  { name: "disable_ipv6", family: 6, at: 26, needed: 0 },
  { name: "addr_gen_mode", family: 6, at: undefined, needed: GENERATE_NO_ADDRESS },
  { name: "accept_ra", family: 6, at: 3, needed: 0 },
  { name: "accept_dad", family: 6, at: 27, needed: 0 },
  { name: "autoconf", family: 6, at: 5, needed: 0 },
] as const satisfies readonly Setting[];

export type SettingName = (typeof SETTINGS)[number]["name"];
/** The settings of one link, as far as its message carries them. */
export type LinkSettings = { readonly [name in SettingName]?: number };

/** @param specification IFLA_AF_SPEC of a link message */
export function parseSettings(specification: Buffer | undefined): LinkSettings {
  if (specification === undefined) return {};
  const families = attributes(specification, 0);
  const [ipv4, ipv6] = [AF_INET, AF_INET6].map((family) => {
    const found = families.get(family);
    return found === undefined ? new Map<number, Buffer>() : attributes(found, 0);
  });
  const arrays = { 4: ipv4?.get(IFLA_INET_CONF), 6: ipv6?.get(IFLA_INET6_CONF) };
  const settings: { [name in SettingName]?: number } = {};
  for (const { name, family, at } of SETTINGS) {
    if (at === undefined) {
      const mode = ipv6?.get(IFLA_INET6_ADDR_GEN_MODE)?.[0];
      if (mode !== undefined) settings[name] = mode;
      continue;
    }
    const offset = 4 * (family === 4 ? at - 1 : at);
    const array = arrays[family];
    if (array !== undefined && array.length >= offset + 4) settings[name] = readU32(array, offset);
  }
  return settings;
}

/** @returns undefined where there is no such link or setting. */
export function readSetting(link: string, name: SettingName): number | undefined {
  try {
    return Number.parseInt(readFileSync(pathOf(link, name), "latin1"), 10);
  } catch {
    return undefined;
  }
}

/** @returns the errno name when it failed; a setting that does not exist is no failure */
export function writeSetting(link: string, name: SettingName, value: number): string | undefined {
  try {
    writeFileSync(pathOf(link, name), `${value}\n`);
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return code === "ENOENT" ? undefined : code;
  }
}

export interface ChangedSetting {
  readonly name: SettingName;
  readonly to: number;
  readonly needed: number;
}

/**
 * The settings of a carp device that differ from what it needs. The link's message only raises the suspicion, because
 * it may be older than a value written since.
 */
export function changedSettings(
  link: { readonly name: string; readonly settings: LinkSettings },
  exempt: ReadonlySet<SettingName>,
): ChangedSetting[] {
  return SETTINGS.flatMap(({ name, needed }) => {
    const told = link.settings[name];
    if (told === undefined || told === needed || exempt.has(name)) return [];
    // IPv6 disabled on the whole host includes this device.
    if (name === "disable_ipv6" && readSetting("all", name) !== 0) return [];
    const to = readSetting(link.name, name);
    return to === undefined || to === needed ? [] : [{ name, to, needed }];
  });
}

/** The settings written on a new device: all but disable_ipv6, which it inherits from the host. */
export const NEW_DEVICE: readonly { readonly name: SettingName; readonly needed: number }[] = SETTINGS.filter(
  ({ name }) => name !== "disable_ipv6",
);

export const pathOf = (link: string, wanted: SettingName): string => {
  const family = SETTINGS.find(({ name }) => name === wanted)?.family ?? 4;
  return `/proc/sys/net/ipv${family}/conf/${link}/${wanted}`;
};
