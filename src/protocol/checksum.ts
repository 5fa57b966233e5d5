/**
 * The Internet checksum (RFC 1071) of IPv4, ICMPv6 and CARP. Sums only: the place of a checksum in a packet
 * is the caller's to know.
 */

/**
 * One's complement sum of 16-bit words, network order; an odd last byte counts as the high half of a word.
 * @param initial the sum of what comes before. 0xffff over data that holds its own checksum means it is intact.
 * @param start and `end`: the part of the bytes that is summed up
 */
export function onesComplementSum(bytes: Uint8Array, initial = 0, start = 0, end = bytes.length): number {
  let sum = initial;
  let at = start;
  for (; at < end - 1; at += 2) sum += ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  if (at < end) sum += (bytes[at] as number) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return sum;
}

/** The value of the checksum field, computed while that field is 0. */
export function internetChecksum(bytes: Uint8Array, initial = 0): number {
  return ~onesComplementSum(bytes, initial) & 0xffff;
}

/** The sum of an IPv6 pseudo-header (RFC 8200, section 8.1), to continue with the packet behind it. */
export function pseudoHeaderSum(
  source: Uint8Array,
  destination: Uint8Array,
  nextHeader: number,
  lengthBytes: number,
): number {
  return onesComplementSum(source, onesComplementSum(destination, nextHeader + lengthBytes));
}
