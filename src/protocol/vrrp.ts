/**
 * VRRP's packets, which have CARP's IP protocol and group: recognised, so that nobody takes them for damaged
 * advertisements. Only whole packets are: of the right length for their version, and with a good checksum.
 */

import { ADVERTISEMENT_BYTES, type AddressPair, CARP_PROTOCOL } from "./advertisement.ts";
import { onesComplementSum, pseudoHeaderSum } from "./checksum.ts";

const HEADER_BYTES = 8;
/** Version 2 ends with eight bytes of authentication, used or not (RFC 3768, section 5.1). */
const AUTHENTICATION_BYTES = 8;
const TYPE_ADVERTISEMENT = 1;

export interface VrrpPacket {
  readonly version: 2 | 3;
  /** The number of the virtual router, 1 to 255. */
  readonly number: number;
}

/**
 * Recognises a VRRP packet. No CARP advertisement is one: its first byte is that of version 2, but 36 bytes of VRRP
 * have five addresses there, and CARP writes 7 in that place.
 *
 * @param message what an IP packet carries
 */
export function parseVrrp(message: Uint8Array, addresses: AddressPair): VrrpPacket | undefined {
  const [versionAndType = 0, number = 0, , count = 0] = message;
  const version = versionAndType >> 4;
  if ((versionAndType & 0xf) !== TYPE_ADVERTISEMENT || (version !== 2 && version !== 3) || number === 0)
    return undefined;
  const { source, destination } = addresses;
  const authenticationBytes = version === 2 ? AUTHENTICATION_BYTES : 0;
  if (message.length !== HEADER_BYTES + count * source.length + authenticationBytes) return undefined;
  const isIntact = (initial: number) => onesComplementSum(message, initial) === 0xffff;
  if (version === 2) return isIntact(0) ? { version, number } : undefined;
  // A pseudo-header is covered (RFC 5798, section 5.2.8); some routers leave it out over IPv4. Without it, 36 bytes are
  // as well CARP with the version changed.
  const covered = pseudoHeaderSum(source, destination, CARP_PROTOCOL, message.length);
  const isVrrp = isIntact(covered) || (message.length !== ADVERTISEMENT_BYTES && isIntact(0));
  return isVrrp ? { version, number } : undefined;
}
