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

const Saved = z.record(
  z.string(),
  z.object({
    index: z.number(),
    settings: z.partialRecord(z.enum(NEEDED.map(({ setting }) => setting)), Written),
  }),
);
type Saved = z.infer<typeof Saved>;

export interface CarpdevSettingsOptions {
  /** Keeps the former values. */
  readonly document: Document;
  /** Finds a carpdev again that was renamed after it was prepared. */
  readonly nameOf: (index: number) => string | undefined;
  readonly complain: (text: string) => void;
  readonly written: (carpdev: string, setting: SettingName, value: number) => void;
}

export class CarpdevSettings {
  readonly #document: Document;
  readonly #nameOf: (index: number) => string | undefined;
  readonly #complain: (text: string) => void;
  readonly #written: (carpdev: string, setting: SettingName, value: number) => void;
  readonly #unwritable = new Set<string>();
  #saved: Saved;

  constructor({ document, nameOf, complain, written }: CarpdevSettingsOptions) {
    this.#document = document;
    this.#nameOf = nameOf;
    this.#complain = complain;
    this.#written = written;
    this.#saved = Saved.safeParse(document.saved).data ?? {};
  }

  /** @returns false when the settings are not there yet: the kernel reports a new name before it has moved them */
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
    // Saved before the setting is written: a kill in between must not lose the former value.
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
   * Changes by other programs to a carpdev's settings, in words. The link's message only raises the suspicion: it may
   * be older than a value written since.
   */
  changed(carpdev: string, told: LinkSettings): string[] {
    return NEEDED.flatMap(({ setting, least }) => {
      if ((told[setting] ?? least) >= least || this.#unwritable.has(`${carpdev} ${setting}`)) return [];
      const current = readSetting(carpdev, setting);
      if (current === undefined || Math.max(current, readSetting("all", setting) ?? 0) >= least) return [];
      return [`${setting} was changed to ${current}`];
    });
  }

  /** @returns false when the settings are not there yet under the device's new name */
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
      this.#document.write(Object.keys(this.#saved).length > 0 ? this.#saved : undefined);
    } catch (error) {
      this.#complain(`the settings of carpdevs cannot be saved: ${String(error)}`);
    }
  }
}

const isThere = (device: string): boolean =>
  NEEDED.every(({ setting }) => readSetting(device, setting) !== undefined);
