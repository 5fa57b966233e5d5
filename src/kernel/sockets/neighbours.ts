/**
 * Neighbours: the MACs of unicast peers on the link, as the kernel last told them. The kernel resolves and confirms
 * them; an address that is not known here is left to the kernel's own sending, which starts that.
 */

import type { Neighbour, NeighbourInUse } from "../kernel.ts";

/** An entry is forgotten after so many looks without a packet: minutes, more than any interval of advertisements. */
const IDLE_LOOKS = 800;

interface Entry extends Neighbour {
  mac: Uint8Array | undefined;
  idleLooks: number;
}

export class Neighbours {
  readonly #entries = new Map<string, Entry>();
  readonly #added: () => void;

  /** @param added called for each that was not known */
  constructor(added: () => void) {
    this.#added = added;
  }

  /** The MAC to send a packet for this address to now; undefined: it is not known yet, or no more. */
  macOf(index: number, address: string): Uint8Array | undefined {
    const key = keyOf(index, address);
    const known = this.#entries.get(key);
    if (known === undefined) {
      this.#entries.set(key, { index, address, mac: undefined, idleLooks: 0 });
      this.#added();
    } else known.idleLooks = 0;
    return known?.mac;
  }

  /** The neighbours to ask the kernel for, at every look. */
  look(): readonly NeighbourInUse[] {
    const wanted: NeighbourInUse[] = [];
    for (const [key, each] of this.#entries) {
      const { index, address } = each;
      wanted.push({ index, address, isInUse: each.idleLooks === 0 });
      each.idleLooks += 1;
      if (each.idleLooks > IDLE_LOOKS) this.#entries.delete(key);
    }
    return wanted;
  }

  /** @param mac undefined: the kernel does not know it */
  learn({ index, address }: Neighbour, mac: Uint8Array | undefined): void {
    const known = this.#entries.get(keyOf(index, address));
    if (known !== undefined) known.mac = mac;
  }

  forget(index: number): void {
    for (const [key, each] of this.#entries) if (each.index === index) this.#entries.delete(key);
  }
}

function keyOf(index: number, address: string): string {
  return `${index} ${address}`;
}
