/**
 * The Internet checksum (RFC 1071) that IPv4, ICMPv6 and CARP share. Sums only: where a checksum lies in a packet
 * is known to whoever lays that packet out.
 */

/**
 * One's complement sum of 16-bit words, network order; an odd last byte counts as the high half of a word.
 * @param initial the sum of what comes before. 0xffff over data that holds its own checksum means it is intact.
 */
export function onesComplementSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return sum;
}

/** What goes into the checksum field, computed while that field is 0. */
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
