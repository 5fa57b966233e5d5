/** Ethernet headers, untagged only: a frame with a VLAN tag belongs to the VLAN's own device. */

export const ETHERNET_HEADER_BYTES = 14;
export const EtherType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

/** A frame that is all zeros behind its Ethernet header, and a view of that payload. */
export function ethernetFrame(
  destinationMac: Uint8Array,
  sourceMac: Uint8Array,
  etherType: number,
  payloadBytes: number,
): { readonly frame: Uint8Array; readonly payload: DataView } {
  const frame = new Uint8Array(ETHERNET_HEADER_BYTES + payloadBytes);
  frame.set(destinationMac, 0);
  frame.set(sourceMac, 6);
  frame[12] = etherType >> 8;
  frame[13] = etherType;
  return { frame, payload: new DataView(frame.buffer, ETHERNET_HEADER_BYTES) };
}

export function writeBytes(view: DataView, offset: number, bytes: Uint8Array): void {
  new Uint8Array(view.buffer, view.byteOffset + offset, bytes.length).set(bytes);
}

export function bytesOf(view: DataView, start: number, end: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + start, end - start);
}
