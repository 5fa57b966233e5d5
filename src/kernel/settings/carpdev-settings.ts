/**
 * arp_ignore and arp_announce of carpdevs. By default Linux answers ARP for any of its addresses on any interface and
 * asks from any of them, which would pair shared addresses with the carpdev's own MAC; carp needs 1 and 2. The former
 * values are kept in a document and put back, unless another program has changed the setting since.
 */

import * as z from "zod";
import type { Document } from "../kernel.ts";
import { type LinkSettings, readSetting, type SettingName, writeSetting } from "./link-settings.ts";

/** Needed at least; the kernel uses the greater of `all` and the device's own value. */
const NEEDED = [
  { setting: "arp_ignore", least: 1, without: "it may answer for shared addresses with the carpdev's MAC" },
  {
    setting: "arp_announce",
    least: 2,
    without: "its requests may claim shared addresses for the carpdev's MAC",
  },
] as const;

type Needed = (typeof NEEDED)[number]["setting"];

const Written = z.object({ former: z.number(), wrote: z.number() });
type Written = z.infer<typeof Written>;

/** By index: names may be exchanged. An engine of an earlier version wrote names in its place, and no `name`. */
const Saved = z.record(
  z.string(),
  z.object({
    name: z.string().optional(),
    index: z.number(),
    settings: z.partialRecord(z.enum(NEEDED.map(({ setting }) => setting)), Written),
  }),
);
type Settings = z.infer<typeof Saved>[string]["settings"];

export interface CarpdevSettingsOptions {
  /** Keeps the former values. */
  readonly document: Document;
  /** The present name of a device; undefined when it is gone. */
  readonly nameOf: (index: number) => string | undefined;
  readonly complain: (text: string) => void;
  readonly written: (carpdev: string, setting: SettingName, value: number) => void;
}

export class CarpdevSettings {
  readonly #options: CarpdevSettingsOptions;
  /** Settings that could not be written: `INDEX SETTING`. */
  readonly #unwritable = new Set<string>();
  /** The former values, by the device's index. */
  readonly #saved: Map<number, Settings>;

  constructor(options: CarpdevSettingsOptions) {
    this.#options = options;
    const read = Object.values(Saved.safeParse(options.document.saved).data ?? {});
    this.#saved = new Map(read.map(({ index, settings }) => [index, settings]));
  }

  /** @returns false when the settings are not there yet: the kernel reports a new name before it has moved them */
  prepare(index: number): boolean {
    const { nameOf, complain, written } = this.#options;
    const name = nameOf(index);
    if (name === undefined) return true;
    if (!isThere(name)) return false;
    const known = this.#saved.get(index);
    const settings: Settings = {};
    const toWrite: (typeof NEEDED)[number][] = [];
    for (const each of NEEDED) {
      const { setting, least } = each;
      const current = readSetting(name, setting);
      if (current === undefined) continue;
      const before = known?.[setting];
      if (before !== undefined && before.wrote === current) settings[setting] = before;
      else if (Math.max(current, readSetting("all", setting) ?? 0) < least) {
        settings[setting] = { former: current, wrote: least };
        toWrite.push(each);
      }
    }
    // Another device has the name by now, whose settings these were.
    if (nameOf(index) !== name) return false;
    if (Object.keys(settings).length > 0) this.#saved.set(index, settings);
    else this.#saved.delete(index);
    // Saved before the setting is written: a kill in between must not lose the former value.
    this.#persist();
    for (const { setting, least, without } of toWrite) {
      const error = writeSetting(name, setting, least);
      if (error === undefined) {
        this.#unwritable.delete(`${index} ${setting}`);
        written(name, setting, least);
      } else {
        this.#unwritable.add(`${index} ${setting}`);
        complain(`${name}: ${setting} cannot be set to ${least} (${error}): ${without}`);
      }
    }
    return nameOf(index) === name;
  }

  /**
   * Changes by other programs to a carpdev's settings, in words. The link's message only raises the suspicion: it may
   * be older than a value written since.
   */
  changed(index: number, told: LinkSettings): string[] {
    const name = this.#options.nameOf(index);
    if (name === undefined) return [];
    return NEEDED.flatMap(({ setting, least }) => {
      if ((told[setting] ?? least) >= least || this.#unwritable.has(`${index} ${setting}`)) return [];
      const current = readSetting(name, setting);
      if (current === undefined || Math.max(current, readSetting("all", setting) ?? 0) >= least) return [];
      return [`${setting} was changed to ${current}`];
    });
  }

  /** Whether every setting could be written. */
  isWritable(index: number): boolean {
    return NEEDED.every(({ setting }) => !this.#unwritable.has(`${index} ${setting}`));
  }

  /** @returns false when the settings are not there yet under the device's new name */
  restore(index: number): boolean {
    const { nameOf, complain, written } = this.#options;
    const saved = this.#saved.get(index);
    if (saved === undefined) return true;
    const name = nameOf(index);
    if (name !== undefined && !isThere(name)) return false;
    // The settings of a device that is gone went with it: another one may have its name.
    for (const [setting, { former, wrote }] of Object.entries(saved) as [Needed, Written][]) {
      if (name === undefined || readSetting(name, setting) !== wrote || nameOf(index) !== name) continue;
      const error = writeSetting(name, setting, former);
      if (error === undefined) written(name, setting, former);
      else complain(`${name}: ${setting} cannot be put back to ${former} (${error})`);
    }
    for (const { setting } of NEEDED) this.#unwritable.delete(`${index} ${setting}`);
    this.#saved.delete(index);
    this.#persist();
    return true;
  }

  restoreAllBut(used: ReadonlySet<number>): void {
    for (const index of [...this.#saved.keys()]) if (!used.has(index)) this.restore(index);
  }

  #persist(): void {
    const { document, nameOf, complain } = this.#options;
    const saved = [...this.#saved].map(([index, settings]) => [
      String(index),
      { name: nameOf(index), index, settings },
    ]);
    try {
      document.write(saved.length > 0 ? Object.fromEntries(saved) : undefined);
    } catch (error) {
      complain(`the settings of carpdevs cannot be saved: ${String(error)}`);
    }
  }
}

const isThere = (device: string): boolean =>
  NEEDED.every(({ setting }) => readSetting(device, setting) !== undefined);
