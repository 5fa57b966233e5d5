/**
 * Which addresses on carpdevs are ours: where carp gives out the carpdev's own MAC there is no device of ours to put
 * them on, and nothing on the carpdev tells them from its owner's. Kept in the run directory, written before an
 * address is placed, so that an engine started after a kill finds them.
 */

import { join } from "node:path";
import * as z from "zod";
import { readDurable, writeDurably } from "./durable-file.ts";

const Placed = z.record(z.string(), z.object({ carpdev: z.string(), keys: z.array(z.string()) }));
export interface PlacedOn {
  readonly carpdev: string;
  /** `ADDRESS/LENGTH`. */
  readonly keys: ReadonlySet<string>;
}

export class PlacedAddresses {
  readonly #file: string;
  readonly #complain: (text: string) => void;
  readonly #placed = new Map<string, PlacedOn>();

  constructor(runDir: string, complain: (text: string) => void) {
    this.#file = join(runDir, "placed-addresses.json");
    this.#complain = complain;
    const read = Placed.safeParse(readDurable(this.#file)).data ?? {};
    for (const [name, { carpdev, keys }] of Object.entries(read)) {
      this.#placed.set(name, { carpdev, keys: new Set(keys) });
    }
  }

  names(): string[] {
    return [...this.#placed.keys()];
  }

  get(name: string): PlacedOn | undefined {
    return this.#placed.get(name);
  }

  /** Every key placed on this carpdev, by whichever carp interface. */
  on(carpdev: string): Set<string> {
    const keys = new Set<string>();
    for (const placed of this.#placed.values()) {
      if (placed.carpdev === carpdev) for (const key of placed.keys) keys.add(key);
    }
    return keys;
  }

  set(name: string, carpdev: string, keys: ReadonlySet<string>): void {
    const before = this.#placed.get(name);
    if (before?.carpdev === carpdev && before.keys.symmetricDifference(keys).size === 0) return;
    if (before === undefined && keys.size === 0) return;
    if (keys.size === 0) this.#placed.delete(name);
    else this.#placed.set(name, { carpdev, keys: new Set(keys) });
    const entries = [...this.#placed].map(([each, on]) => [
      each,
      { carpdev: on.carpdev, keys: [...on.keys] },
    ]);
    try {
      writeDurably(this.#file, entries.length > 0 ? Object.fromEntries(entries) : undefined);
    } catch (error) {
      this.#complain(`${this.#file}: ${String(error)}`);
    }
  }
}
