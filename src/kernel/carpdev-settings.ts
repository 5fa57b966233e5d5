/**
 * arp_ignore and arp_announce of carpdevs. By default Linux answers ARP for any of its addresses on any interface and
 * asks from any of them, which would pair shared addresses with the carpdev's own MAC; carp needs 1 and 2. What was
 * there before is kept in the run directory and put back, unless somebody has changed it since.
 */

import { join } from "node:path";
import * as z from "zod";
import { readDurable, writeDurably } from "./durable-file.ts";
import { type LinkSettings, readSetting, type SettingName, writeSetting } from "./link-settings.ts";

/** The kernel uses the greater of `all` and the device's own value. */
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

const Saved = z.record(
  z.string(),
  z.object({
    index: z.number(),
    settings: z.partialRecord(z.enum(NEEDED.map(({ setting }) => setting)), Written),
  }),
);
type Saved = z.infer<typeof Saved>;

export interface CarpdevSettingsOptions {
  readonly runDir: string;
  /** Finds a carpdev again that was renamed after it was prepared. */
  readonly nameOf: (index: number) => string | undefined;
  readonly complain: (text: string) => void;
  readonly written: (carpdev: string, setting: SettingName, value: number) => void;
}

export class CarpdevSettings {
  readonly #file: string;
  readonly #nameOf: (index: number) => string | undefined;
  readonly #complain: (text: string) => void;
  readonly #written: (carpdev: string, setting: SettingName, value: number) => void;
  readonly #unwritable = new Set<string>();
  #saved: Saved;

  constructor({ runDir, nameOf, complain, written }: CarpdevSettingsOptions) {
    this.#file = join(runDir, "carpdev-settings.json");
    this.#nameOf = nameOf;
    this.#complain = complain;
    this.#written = written;
    this.#saved = Saved.safeParse(readDurable(this.#file)).data ?? {};
  }

  /** @returns false when there is nothing to set yet: the kernel tells of a new name before it has moved the settings. */
  prepare(carpdev: string, index: number): boolean {
    if (index !== 0 && !isThere(carpdev)) return false;
    const known = this.#saved[carpdev]?.index === index ? this.#saved[carpdev] : undefined;
    const settings: Saved[string]["settings"] = {};
    const toWrite: (typeof NEEDED)[number][] = [];
    for (const each of NEEDED) {
      const { setting, least } = each;
      const current = readSetting(carpdev, setting);
      if (current === undefined) continue;
      const before = known?.settings[setting];
      if (before !== undefined && before.wrote === current) settings[setting] = before;
      else if (Math.max(current, readSetting("all", setting) ?? 0) < least) {
        settings[setting] = { former: current, wrote: least };
        toWrite.push(each);
      }
    }
    if (Object.keys(settings).length > 0) this.#saved[carpdev] = { index, settings };
    else delete this.#saved[carpdev];
    // Remembered before it is done: a kill in between must not lose the former value.
    this.#persist();
    for (const { setting, least, without } of toWrite) {
      const error = writeSetting(carpdev, setting, least);
      if (error === undefined) this.#written(carpdev, setting, least);
      else {
        this.#unwritable.add(`${carpdev} ${setting}`);
        this.#complain(`${carpdev}: ${setting} cannot be set to ${least} (${error}): ${without}`);
      }
    }
    return true;
  }

  /**
   * What somebody has done to a carpdev that was prepared, in words. What the link's message tells only raises the
   * suspicion: it may be older than what was written since.
   */
  changed(carpdev: string, told: LinkSettings): string[] {
    return NEEDED.flatMap(({ setting, least }) => {
      if ((told[setting] ?? least) >= least || this.#unwritable.has(`${carpdev} ${setting}`)) return [];
      const current = readSetting(carpdev, setting);
      if (current === undefined || Math.max(current, readSetting("all", setting) ?? 0) >= least) return [];
      return [`${setting} was changed to ${current}`];
    });
  }

  /** @returns false when its settings are not where its name is yet. */
  restore(carpdev: string): boolean {
    const saved = this.#saved[carpdev];
    if (saved === undefined) return true;
    const present = this.#nameOf(saved.index);
    if (present !== undefined && !isThere(present)) return false;
    const name = present ?? carpdev;
    for (const [setting, { former, wrote }] of Object.entries(saved.settings) as [Needed, Written][]) {
      if (readSetting(name, setting) !== wrote) continue;
      const error = writeSetting(name, setting, former);
      if (error !== undefined)
        this.#complain(`${name}: ${setting} cannot be put back to ${former} (${error})`);
    }
    for (const { setting } of NEEDED) this.#unwritable.delete(`${carpdev} ${setting}`);
    delete this.#saved[carpdev];
    this.#persist();
    return true;
  }

  restoreAllBut(used: ReadonlySet<string>): void {
    for (const carpdev of Object.keys(this.#saved)) if (!used.has(carpdev)) this.restore(carpdev);
  }

  #persist(): void {
    try {
      writeDurably(this.#file, Object.keys(this.#saved).length > 0 ? this.#saved : undefined);
    } catch (error) {
      this.#complain(`${this.#file}: ${String(error)}`);
    }
  }
}

const isThere = (device: string): boolean =>
  NEEDED.every(({ setting }) => readSetting(device, setting) !== undefined);
