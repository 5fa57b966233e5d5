/**
 * The neighbour table's messages: the request for one entry (Linux 5.0), the note that it is in use, and the answer. An
 * entry is how the kernel resolves the address of a host on the link, by ARP or neighbour discovery.
 */

import type { Neighbour } from "../kernel.ts";
import {
  AF_INET,
  AF_INET6,
  addressBytes,
  attributes,
  MESSAGE,
  type Request,
  readU16,
  withAttributes,
  writeU32,
} from "./bytes.ts";

/** linux/neighbour.h */
const NDA = { DST: 1, LLADDR: 2 } as const;
const NUD = { reachable: 0x02, stale: 0x04, delay: 0x08, probe: 0x10, permanent: 0x80 } as const;
const NTF_USE = 1;
const HEADER_BYTES = 12;
const STATE_AT = 8;
const FLAGS_AT = 10;

/** The states in which the kernel itself sends to the MAC of an entry. */
const RESOLVED = NUD.reachable | NUD.stale | NUD.delay | NUD.probe | NUD.permanent;

export interface KernelNeighbour {
  /** undefined: not resolved. */
  readonly mac: Uint8Array | undefined;
  /** The MAC was not confirmed lately: the kernel confirms it when something is sent there. */
  readonly isStale: boolean;
}

/** @returns undefined for a message that is garbled */
export function parseNeighbour(body: Buffer): KernelNeighbour | undefined {
  let state: number;
  let mac: Buffer | undefined;
  try {
    state = readU16(body, STATE_AT);
    mac = attributes(body, HEADER_BYTES).get(NDA.LLADDR);
  } catch {
    return undefined;
  }
  const isStale = state === NUD.stale;
  if ((state & RESOLVED) === 0 || mac?.length !== 6 || !isStation(mac)) return { mac: undefined, isStale };
  return { mac: Uint8Array.from(mac), isStale };
}

/** Whether it is the MAC of one device: neither a group's nor zero. */
function isStation(mac: Uint8Array): boolean {
  return ((mac[0] ?? 1) & 1) === 0 && mac.some((byte) => byte !== 0);
}

/** Fails with ENOENT when there is no entry. */
export const neighbourQuery = (neighbour: Neighbour): Request => ({
  type: MESSAGE.GETNEIGH,
  flags: 0,
  body: neighbourBody(neighbour, 0),
});

/** Tells the kernel that packets go to the neighbour, which it did not send itself: it confirms a stale MAC. */
export const neighbourUse = (neighbour: Neighbour): Request => ({
  type: MESSAGE.NEWNEIGH,
  flags: 0,
  body: neighbourBody(neighbour, NTF_USE),
});

function neighbourBody({ index, address }: Neighbour, flags: number): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  const bytes = addressBytes(address);
  header[0] = bytes.length === 4 ? AF_INET : AF_INET6;
  header[FLAGS_AT] = flags;
  writeU32(header, 4, index);
  return withAttributes(header, (out) => out.push(NDA.DST, bytes));
}
