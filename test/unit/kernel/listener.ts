/** A wire that records the frames and events it delivers, and lets a test wait for them. */

import type { Repeated } from "../../../src/core/event.ts";
import type { ReceivedFrame, Wire } from "../../../src/kernel/kernel.ts";
import { createWire } from "../../../src/kernel/sockets/wire.ts";
import { internetChecksum } from "../../../src/protocol/checksum.ts";

const PATIENCE_MS = 20_000;

export interface Listener {
  readonly wire: Wire;
  readonly frames: ReceivedFrame[];
  readonly repeated: Repeated[];
  readonly strays: string[];
  /** The order of what was heard. */
  readonly heard: ("frame" | "repeated")[];
  /** Whether frames that repeat what was heard may wait. */
  fold: boolean;
  /** Number of unauthenticated packets that the rate limit dropped, by device and family. */
  readonly rateLimited: Map<string, number>;
  /** Resolves when the condition holds, looked at whenever something was heard. */
  until(what: string, condition: () => boolean): Promise<void>;
}

export function listen(): Listener {
  const frames: ReceivedFrame[] = [];
  const repeated: Repeated[] = [];
  const strays: string[] = [];
  const rateLimited = new Map<string, number>();
  let look = () => {};
  const heard: ("frame" | "repeated")[] = [];
  const wire = createWire({
    frames(arrived) {
      for (const frame of arrived) {
        frames.push(frame);
        heard.push("frame");
        if (listener.fold) wire.fold(frame.carpdev, frame.bytes);
      }
      look();
    },
    repeated(all) {
      repeated.push(...all);
      heard.push("repeated");
      look();
    },
    aheadEnded() {
      look();
    },
    stray(device, family) {
      strays.push(`${device} ${family}`);
      look();
    },
    deaf(carpdev, error) {
      throw new Error(`${carpdev} is deaf: ${error}`);
    },
    neighbourAdded() {},
    rateLimited(device, family, count) {
      const of = `${device} ${family}`;
      rateLimited.set(of, (rateLimited.get(of) ?? 0) + count);
      look();
    },
  });
  const listener: Listener = {
    wire,
    heard,
    fold: false,
    frames,
    repeated,
    strays,
    rateLimited,
    until: (what, condition) =>
      new Promise((resolve, reject) => {
        const patience = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
        look = () => {
          if (!condition()) return;
          clearTimeout(patience);
          look = () => {};
          resolve();
        };
        look();
      }),
  };
  return listener;
}

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;

/** An IPv4 frame of protocol 112 to carp's group, `length` bytes behind the Ethernet header, numbered. */
export function advertisementFrame(from: Buffer, number: number, length = IPV4_BYTES + 36): Buffer {
  const frame = Buffer.alloc(ETHERNET_BYTES + Math.max(length, IPV4_BYTES + 4));
  Buffer.from("01005e000012", "hex").copy(frame, 0);
  from.copy(frame, 6);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(length & 0xffff, 16);
  frame[22] = 255;
  frame[23] = 112;
  Buffer.from([10, 0, 0, 1, 224, 0, 0, 18]).copy(frame, 26);
  frame.writeUInt16BE(internetChecksum(frame.subarray(14, 34)), 24);
  frame.writeUInt32BE(number, ETHERNET_BYTES + IPV4_BYTES);
  return frame.subarray(0, ETHERNET_BYTES + length);
}

/** The number that `advertisementFrame` put in. */
export function numberOf({ bytes }: ReceivedFrame): number {
  return Buffer.from(bytes).readUInt32BE(ETHERNET_BYTES + IPV4_BYTES);
}
