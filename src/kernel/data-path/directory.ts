/**
 * Directory: the entries of one eBPF hash map, each with the carp interfaces that have it, so that a change of one
 * interface writes and removes its entries only. Several interfaces may have one entry: a broadcast address, the
 * carpdev's own MAC, or an address that goes from one to the other.
 */

import type { BpfObject } from "./native-bpf.ts";

/** Values by key, with the key's bytes as text: see `keyText`. */
export type Entries = ReadonlyMap<string, Uint8Array>;

/** An entry as it stands in the map: the value of the interface that came last. */
interface Held {
  owner: string;
  value: Uint8Array;
  /** What it is to be when that interface leaves it, by interface. */
  others: Map<string, Uint8Array> | undefined;
}

export class Directory {
  readonly #object: BpfObject;
  readonly #map: string;
  readonly #changed: (key: string, value: Uint8Array | undefined) => void;
  readonly #held = new Map<string, Held>();
  /** By interface. */
  readonly #keys = new Map<string, Set<string>>();

  /** @param changed called after an entry has got a value, or is gone */
  constructor(
    object: BpfObject,
    map: string,
    changed: (key: string, value: Uint8Array | undefined) => void = () => {},
  ) {
    this.#object = object;
    this.#map = map;
    this.#changed = changed;
  }

  /** Notes an entry that is in the map already. One that no interface has is removed. */
  adopt(owners: readonly string[], key: string, value: Uint8Array): void {
    for (const owner of owners) this.#note(owner, key, value);
    if (owners.length === 0) this.#object.remove(this.#map, keyBytes(key));
    else this.#changed(key, value);
  }

  /** Writes entries of an interface; its others stay. @returns 0 or an errno */
  put(owner: string, entries: Entries): number {
    for (const [key, value] of entries) {
      const held = this.#held.get(key);
      const own = held?.owner === owner ? held.value : held?.others?.get(owner);
      if (own !== undefined && isSame(own, value)) continue;
      if (own === undefined || held?.owner === owner) {
        const error = this.#write(key, held?.value, value);
        if (error !== 0) return error;
      }
      this.#note(owner, key, value);
    }
    return 0;
  }

  /** Removes an interface's entries, except these. */
  keep(owner: string, entries: Entries): void {
    const keys = this.#keys.get(owner) ?? new Set();
    for (const key of keys) {
      if (entries.has(key)) continue;
      keys.delete(key);
      this.#drop(owner, key);
    }
    if (keys.size === 0) this.#keys.delete(owner);
  }

  #note(owner: string, key: string, value: Uint8Array): void {
    const held = this.#held.get(key);
    if (held === undefined) this.#held.set(key, { owner, value, others: undefined });
    else if (held.owner === owner) held.value = value;
    else if (held.others?.has(owner)) held.others.set(owner, value);
    else {
      held.others ??= new Map();
      held.others.set(held.owner, held.value);
      held.owner = owner;
      held.value = value;
    }
    const keys = this.#keys.get(owner);
    if (keys === undefined) this.#keys.set(owner, new Set([key]));
    else keys.add(key);
  }

  #drop(owner: string, key: string): void {
    const held = this.#held.get(key);
    if (held === undefined || held.others?.delete(owner)) return;
    const [next] = held.others ?? [];
    if (next === undefined) {
      this.#held.delete(key);
      this.#object.remove(this.#map, keyBytes(key));
      this.#changed(key, undefined);
      return;
    }
    const [heir, value] = next;
    held.others?.delete(heir);
    this.#write(key, held.value, value);
    held.owner = heir;
    held.value = value;
  }

  #write(key: string, before: Uint8Array | undefined, value: Uint8Array): number {
    if (before !== undefined && isSame(before, value)) return 0;
    const error = this.#object.update(this.#map, keyBytes(key), value);
    if (error === 0) this.#changed(key, value);
    return error;
  }
}

/** A key's bytes as text, one character each. */
export function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

export function keyBytes(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
