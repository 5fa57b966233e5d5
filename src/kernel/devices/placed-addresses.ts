/**
 * PlacedAddresses: the addresses on carpdevs that are ours. With the carpdev's own MAC carp has no device of its own,
 * and nothing on the carpdev tells its addresses from the host's. Saved before an address is placed, so that an engine
 * started after a kill finds it.
 */

import * as z from "zod";
import type { Document } from "../kernel.ts";

const Placed = z.record(z.string(), z.object({ carpdev: z.string(), keys: z.array(z.string()) }));
export interface PlacedOn {
  readonly carpdev: string;
  /** `ADDRESS/LENGTH`. */
  readonly keys: ReadonlySet<string>;
}

export class PlacedAddresses {
  readonly #document: Document;
  readonly #complain: (text: string) => void;
  readonly #placed = new Map<string, PlacedOn>();

  constructor(document: Document, complain: (text: string) => void) {
    this.#document = document;
    this.#complain = complain;
    const read = Placed.safeParse(document.saved).data ?? {};
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

  /** The keys placed on this carpdev by all carp interfaces. */
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
      this.#document.write(entries.length > 0 ? Object.fromEntries(entries) : undefined);
    } catch (error) {
      this.#complain(`the addresses on carpdevs cannot be saved: ${String(error)}`);
    }
  }
}
