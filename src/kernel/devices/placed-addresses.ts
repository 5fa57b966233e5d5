/**
 * PlacedAddresses: the addresses on carpdevs that are ours. With the carpdev's own MAC carp has no device of its own,
 * and nothing on the carpdev tells its addresses from the host's. Saved before an address is placed, so that an engine
 * started after a kill finds it.
 */

import * as z from "zod";
import type { Document } from "../kernel.ts";

const Placed = z.record(
  z.string(),
  z.object({ carpdev: z.string(), index: z.number().default(0), keys: z.array(z.string()) }),
);

/** The part of a link that tells it from others. */
interface Carpdev {
  readonly name: string;
  readonly index: number;
}

export interface PlacedOn {
  /** Its name at that time; it may have been given to another device since. */
  readonly carpdev: string;
  /** 0: an engine of an earlier version recorded the name alone. */
  readonly index: number;
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
    for (const [name, { carpdev, index, keys }] of Object.entries(read)) {
      this.#placed.set(name, { carpdev, index, keys: new Set(keys) });
    }
  }

  names(): string[] {
    return [...this.#placed.keys()];
  }

  get(name: string): PlacedOn | undefined {
    return this.#placed.get(name);
  }

  /** Forgets the addresses of this carp interface. */
  forget(name: string): void {
    const on = this.#placed.get(name);
    if (on !== undefined) this.set(name, { name: on.carpdev, index: on.index }, new Set());
  }

  /** The keys placed on this carpdev by all carp interfaces. */
  on(carpdev: Carpdev): Set<string> {
    const keys = new Set<string>();
    for (const placed of this.#placed.values()) {
      if (isOn(placed, carpdev)) for (const key of placed.keys) keys.add(key);
    }
    return keys;
  }

  set(name: string, carpdev: Carpdev, keys: ReadonlySet<string>): void {
    const before = this.#placed.get(name);
    if (before !== undefined && isOn(before, carpdev) && before.keys.symmetricDifference(keys).size === 0)
      return;
    if (before === undefined && keys.size === 0) return;
    if (keys.size === 0) this.#placed.delete(name);
    else this.#placed.set(name, { carpdev: carpdev.name, index: carpdev.index, keys: new Set(keys) });
    const entries = [...this.#placed].map(([each, on]) => [each, { ...on, keys: [...on.keys] }]);
    try {
      this.#document.write(entries.length > 0 ? Object.fromEntries(entries) : undefined);
    } catch (error) {
      this.#complain(`the addresses on carpdevs cannot be saved: ${String(error)}`);
    }
  }
}

export const isOn = (placed: PlacedOn, { name, index }: Carpdev): boolean =>
  placed.index === 0 ? placed.carpdev === name : placed.index === index;
