/**
 * Folding: what the wire does with frames that repeat others (the effects `fold` and `unfold`), for stations without one.
 * It compares whole frames and checks each digest, as the addon does.
 */

import { createHmac } from "node:crypto";
import type { Repeated } from "../../../src/core/event.ts";
import type { Family, Micros } from "../../../src/core/model.ts";
import type { SignedForm } from "../../../src/protocol/authentication.ts";

type Copy = Repeated["copies"][number];

const MOST_COPIES = 16;
const COUNTER = { from: 8, to: 16 };
const MESSAGE_BYTES = 36;

interface Expected {
  readonly frame: string;
  counter: bigint;
  copies: Copy[];
  /** The place of the last copy among those of all. */
  order: number;
}

export class Folding {
  readonly #forms = new Map<string, readonly SignedForm[]>();
  readonly #expected = new Map<string, Expected>();
  #order = 0;

  expectDigests(owner: string, forms: readonly SignedForm[]): void {
    this.#forms.set(owner, forms);
  }

  fold(carpdev: string, frame: Uint8Array): void {
    const { key, like, counter } = read(carpdev, frame);
    this.#expected.set(key, { frame: like, counter, copies: [], order: 0 });
  }

  /** @returns what has to be handled at once: nothing for a frame that is folded, else what waited and `false` */
  receive(carpdev: string, frame: Uint8Array, receivedUs: Micros): { folded: boolean; before: Repeated[] } {
    if (frame.length < 14 + 20 + MESSAGE_BYTES) return { folded: false, before: [] };
    const { key, other, like, counter } = read(carpdev, frame);
    const expected = this.#expected.get(key);
    if (expected === undefined) return { folded: false, before: this.#take([other]) };
    const isLike = expected.frame === like && counter > expected.counter && this.#isSigned(frame);
    if (!this.#isSigned(frame)) return { folded: false, before: [] };
    if (isLike && expected.copies.length < MOST_COPIES) {
      expected.counter = counter;
      expected.order = ++this.#order;
      expected.copies.push({ counter, receivedUs });
      return { folded: true, before: [] };
    }
    const before = this.#take([key, other]);
    this.#expected.delete(key);
    return { folded: false, before };
  }

  flush(): Repeated[] {
    return this.#take([...this.#expected.keys()]);
  }

  unfold(): Repeated[] {
    const all = this.flush();
    this.#expected.clear();
    return all;
  }

  #take(keys: readonly string[]): Repeated[] {
    const order = (key: string) => this.#expected.get(key)?.order ?? 0;
    return keys
      .toSorted((a, b) => order(a) - order(b))
      .flatMap((key) => {
        const copies = this.#expected.get(key)?.copies ?? [];
        const [carpdev = "", vhid, family] = key.split("/");
        const of = { carpdev, vhid: Number(vhid), family: Number(family) as Family };
        return copies.length === 0 ? [] : [{ ...of, copies: copies.splice(0) }];
      });
  }

  #isSigned(frame: Uint8Array): boolean {
    const message = frame.subarray(frame.length - MESSAGE_BYTES);
    return [...this.#forms.values()].flat().some((form) => {
      if (form.vhid !== message[1]) return false;
      const signed = Buffer.concat([
        form.message.subarray(0, -8),
        message.subarray(COUNTER.from, COUNTER.to),
      ]);
      return createHmac("sha1", form.key).update(signed).digest().equals(message.subarray(COUNTER.to));
    });
  }
}

function read(carpdev: string, frame: Uint8Array) {
  const bytes = Buffer.from(frame);
  const message = bytes.subarray(bytes.length - MESSAGE_BYTES);
  const family = bytes.readUInt16BE(12) === 0x0800 ? 4 : 6;
  const keyOf = (of: number) => `${carpdev}/${message[1]}/${of}`;
  const counter = message.readBigUInt64BE(COUNTER.from);
  message.fill(0, 6);
  if (family === 4) bytes.fill(0, 24, 26);
  return { key: keyOf(family), other: keyOf(10 - family), like: bytes.toString("hex"), counter };
}
