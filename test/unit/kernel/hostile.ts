/** Hostile packets for tests: parts to build them from, and damage for good ones. */

import fc from "fast-check";
import * as packet from "./packets.ts";

/** The options that fill an IPv4 header. */
export const FORTY_OPTIONS = Buffer.alloc(40, 1);

/** An IPv6 fragment header. */
export const fragment = (next: number, offset: number) =>
  Buffer.concat([Buffer.from([next, 0]), packet.word(offset), Buffer.alloc(4)]);

/** Some bytes behind the MAC addresses changed, some of the end missing. */
export function damaged(whole: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const change = fc.tuple(
    fc.nat({ max: 59 }),
    fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 44, 58, 60)),
  );
  return fc
    .tuple(fc.constantFrom(...whole), fc.array(change, { maxLength: 4 }), fc.nat({ max: 200 }))
    .map(([frame, changes, length]) => {
      const bytes = Buffer.from(length < 100 ? frame.subarray(0, Math.max(16, length)) : frame);
      for (const [at, value] of changes) if (12 + at < bytes.length) bytes[12 + at] = value;
      return bytes;
    })
    .filter(canBeTried);
}

/** A trial run takes no frame that says it is IP and has no room for the header. */
function canBeTried(frame: Buffer): boolean {
  const type = frame.readUInt16BE(12);
  return frame.length >= 14 + (type === packet.IPV4 ? 20 : type === packet.IPV6 ? 40 : 0);
}
