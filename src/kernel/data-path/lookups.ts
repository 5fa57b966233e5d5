/**
 * Lookups: what leads a packet to the slot of its carp interface: the entries of MACS and ADDRESSES, and the hints for
 * MACs. A change of one interface touches no other's.
 */

import { errnoName } from "../native.ts";
import { Directory, type Entries, keyBytes, keyText } from "./directory.ts";
import { ADDRESSES, type DataPathLayout, type Entry, MACS } from "./layout.ts";
import type { BpfObject } from "./native-bpf.ts";

export class Lookups {
  readonly #object: BpfObject;
  readonly #layout: DataPathLayout;
  readonly #macs: Directory;
  readonly #addresses: Directory;
  /** The slots that MACs lead to, `undefined` for several, by bucket. */
  readonly #buckets = new Map<number, Map<string, number | undefined>>();

  constructor(object: BpfObject, layout: DataPathLayout) {
    this.#object = object;
    this.#layout = layout;
    this.#macs = new Directory(object, MACS, (key, value) => this.#writeHint(key, value));
    this.#addresses = new Directory(object, ADDRESSES);
  }

  /**
   * Takes over what an earlier engine wrote.
   *
   * @param ownersOf the interfaces that have the entries which lead to a slot, or to several (undefined)
   */
  adopt(ownersOf: (slot: number | undefined) => readonly string[]): void {
    for (const [map, directory] of [
      [MACS, this.#macs],
      [ADDRESSES, this.#addresses],
    ] as const)
      for (const { key, value } of this.#layout.entries(map, this.#object.entries(map)))
        directory.adopt(ownersOf(this.#layout.slotOf(map, value)), keyText(key), value);
    this.#clearHints();
  }

  /** Writes an interface's entries, all new ones before an old one goes. @returns why it failed */
  write(name: string, macs: readonly Entry[], addresses: readonly Entry[]): string | undefined {
    const byMac = byKey(macs);
    const byAddress = byKey(addresses);
    const put = () => {
      const ofAddresses = this.#addresses.put(name, byAddress);
      // Also when that failed, so that what comes for its MAC is dropped for want of a lease.
      return this.#macs.put(name, byMac) || ofAddresses;
    };
    let error = put();
    this.#addresses.keep(name, byAddress);
    this.#macs.keep(name, byMac);
    // Where there was room for none, one that went may have left some.
    if (error !== 0) error = put();
    return error === 0 ? undefined : `the data path holds no more addresses (${errnoName(error)})`;
  }

  remove(name: string): void {
    this.write(name, [], []);
  }

  #writeHint(key: string, value: Uint8Array | undefined): void {
    const bucket = this.#layout.bucketOf(keyBytes(key));
    const slots = this.#buckets.get(bucket) ?? new Map<string, number | undefined>();
    if (value === undefined) slots.delete(key);
    else slots.set(key, this.#layout.slotOf(MACS, value));
    if (slots.size === 0) this.#buckets.delete(bucket);
    else this.#buckets.set(bucket, slots);
    const hint = this.#layout.hint(new Set(slots.values()));
    this.#object.storeShort(this.#layout.hintOffset(bucket), hint);
  }

  /** Clears hints without a MAC: an engine may have been killed before it did. */
  #clearHints(): void {
    const { hints } = this.#layout;
    const bytes = this.#object.read(this.#layout.hintOffset(0), 2 * hints);
    const written = new Uint16Array(bytes.buffer, bytes.byteOffset, hints);
    for (let bucket = 0; bucket < hints; bucket++)
      if (written[bucket] !== 0 && !this.#buckets.has(bucket))
        this.#object.storeShort(this.#layout.hintOffset(bucket), this.#layout.hint(new Set()));
  }
}

function byKey(entries: readonly Entry[]): Entries {
  return new Map(entries.map(({ key, value }) => [keyText(key), value]));
}
