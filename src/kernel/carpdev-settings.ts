/**
 * arp_ignore and arp_announce of carpdevs. By default Linux answers ARP for any of its addresses on any interface and
 * asks from any of them, which would pair shared addresses with the carpdev's own MAC; carp needs 1 and 2. What was
 * there before is kept in the run directory and put back, unless somebody has changed it since.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readDurable, writeDurably } from "./durable-file.ts";

const IPV4_CONF = "/proc/sys/net/ipv4/conf";

/** The kernel uses the greater of `all` and the device's own value. */
const NEEDED = [
  { setting: "arp_ignore", least: 1, without: "it may answer for shared addresses with the carpdev's MAC" },
  {
    setting: "arp_announce",
    least: 2,
    without: "its requests may claim shared addresses for the carpdev's MAC",
  },
] as const;

const Saved = z.record(
  z.string(),
  z.object({
    index: z.number(),
    settings: z.record(z.string(), z.object({ former: z.number(), wrote: z.number() })),
  }),
);
type Saved = z.infer<typeof Saved>;

export class CarpdevSettings {
  readonly #file: string;
  readonly #nameOf: (index: number) => string | undefined;
  readonly #complain: (text: string) => void;
  #saved: Saved;

  /** `nameOf` finds a carpdev again that was renamed after it was prepared. */
  constructor(
    runDir: string,
    nameOf: (index: number) => string | undefined,
    complain: (text: string) => void,
  ) {
    this.#file = join(runDir, "carpdev-settings.json");
    this.#nameOf = nameOf;
    this.#complain = complain;
    this.#saved = Saved.safeParse(readDurable(this.#file)).data ?? {};
  }

  /** @returns false when there is nothing to set yet: the kernel tells of a new name before it has moved the settings. */
  prepare(carpdev: string, index: number): boolean {
    if (index !== 0 && !isThere(carpdev)) return false;
    const known = this.#saved[carpdev]?.index === index ? this.#saved[carpdev] : undefined;
    const settings: Saved[string]["settings"] = {};
    const toWrite: { setting: string; least: number; without: string }[] = [];
    for (const { setting, least, without } of NEEDED) {
      const current = read(carpdev, setting);
      if (current === undefined) continue;
      const before = known?.settings[setting];
      if (before !== undefined && before.wrote === current) settings[setting] = before;
      else if (Math.max(current, read("all", setting) ?? 0) < least) {
        settings[setting] = { former: current, wrote: least };
        toWrite.push({ setting, least, without });
      }
    }
    if (Object.keys(settings).length > 0) this.#saved[carpdev] = { index, settings };
    else delete this.#saved[carpdev];
    // Remembered before it is done: a kill in between must not lose the former value.
    this.#persist();
    for (const { setting, least, without } of toWrite) {
      const error = write(carpdev, setting, least);
      if (error !== undefined) {
        this.#complain(`${carpdev}: ${setting} cannot be set to ${least} (${error}): ${without}`);
      }
    }
    return true;
  }

  /** @returns false when its settings are not where its name is yet. */
  restore(carpdev: string): boolean {
    const saved = this.#saved[carpdev];
    if (saved === undefined) return true;
    const present = this.#nameOf(saved.index);
    if (present !== undefined && !isThere(present)) return false;
    const name = present ?? carpdev;
    for (const [setting, { former, wrote }] of Object.entries(saved.settings)) {
      if (read(name, setting) !== wrote) continue;
      const error = write(name, setting, former);
      if (error !== undefined)
        this.#complain(`${name}: ${setting} cannot be put back to ${former} (${error})`);
    }
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
  NEEDED.every(({ setting }) => read(device, setting) !== undefined);

function read(device: string, setting: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(join(IPV4_CONF, device, setting), "utf8"), 10);
  } catch {
    return undefined;
  }
}

/** @returns the errno name when it failed for a reason other than that the device is gone. */
function write(device: string, setting: string, value: number): string | undefined {
  try {
    writeFileSync(join(IPV4_CONF, device, setting), `${value}\n`);
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return code === "ENOENT" ? undefined : code;
  }
}
