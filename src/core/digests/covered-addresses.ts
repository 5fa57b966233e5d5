/**
 * CoveredAddresses: the addresses that a digest covers, as the bytes that it covers: IPv4 before IPv6, ascending. Made
 * from one another by copies of these bytes, since an interface may have thousands of addresses.
 */

import { compareBytes } from "../../protocol/address.ts";
import { digestOrder } from "../../protocol/authentication.ts";
import type { Family } from "../model.ts";

const IPV4_BYTES = 4;
const IPV6_BYTES = 16;

export class CoveredAddresses {
  readonly bytes: Uint8Array;
  /** The number of IPv4 addresses. */
  readonly #ipv4: number;

  constructor(bytes: Uint8Array, ipv4: number) {
    this.bytes = bytes;
    this.#ipv4 = ipv4;
  }

  /** @param addresses canonical texts */
  static of(addresses: readonly string[]): CoveredAddresses {
    const each = digestOrder(addresses);
    const ipv4 = each.filter(({ length }) => length === IPV4_BYTES).length;
    return new CoveredAddresses(Buffer.concat(each), ipv4);
  }

  get count(): number {
    return this.#ipv4 + (this.bytes.length - this.#ipv4 * IPV4_BYTES) / IPV6_BYTES;
  }

  countOf(family: Family): number {
    return family === 4 ? this.#ipv4 : this.count - this.#ipv4;
  }

  at(index: number): Uint8Array {
    return this.bytes.subarray(this.#offset(index), this.#offset(index + 1));
  }

  *[Symbol.iterator](): Generator<Uint8Array> {
    for (let index = 0; index < this.count; index++) yield this.at(index);
  }

  has(address: Uint8Array): boolean {
    const place = this.#place(address);
    return place < this.count && compareBytes(this.at(place), address) === 0;
  }

  with(address: Uint8Array): CoveredAddresses {
    if (this.has(address)) return this;
    const at = this.#offset(this.#place(address));
    const bytes = Buffer.concat([this.bytes.subarray(0, at), address, this.bytes.subarray(at)]);
    return new CoveredAddresses(bytes, this.#ipv4 + Number(address.length === IPV4_BYTES));
  }

  without(index: number): CoveredAddresses {
    const bytes = Buffer.concat([
      this.bytes.subarray(0, this.#offset(index)),
      this.bytes.subarray(this.#offset(index + 1)),
    ]);
    return new CoveredAddresses(bytes, this.#ipv4 - Number(index < this.#ipv4));
  }

  withoutFamily(family: Family): CoveredAddresses {
    const at = this.#ipv4 * IPV4_BYTES;
    return family === 4
      ? new CoveredAddresses(this.bytes.subarray(at), 0)
      : new CoveredAddresses(this.bytes.subarray(0, at), this.#ipv4);
  }

  #offset(index: number): number {
    const ipv4 = Math.min(index, this.#ipv4);
    return ipv4 * IPV4_BYTES + (index - ipv4) * IPV6_BYTES;
  }

  /** The index of the first address that is not before this one. */
  #place(address: Uint8Array): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareBytes(this.at(middle), address) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
