/**
 * Builds frames of another host: valid advertisements and ones that are wrong in a chosen way. Parses our own
 * advertisements as another host would.
 */

import assert from "node:assert/strict";
import type { Effect } from "../../../src/core/effect.ts";
import type { Transmission } from "../../../src/core/model.ts";
import { addressBytes, macBytes } from "../../../src/protocol/address.ts";
import {
  type Advertisement,
  CARP_PROTOCOL,
  encodeAdvertisement,
  parseAdvertisement,
} from "../../../src/protocol/advertisement.ts";
import {
  Authentication,
  type AuthenticationOptions,
  type LinkLocals,
} from "../../../src/protocol/authentication.ts";
import { internetChecksum } from "../../../src/protocol/checksum.ts";
import { bytesOf, EtherType, ethernetFrame, writeBytes } from "../../../src/protocol/ethernet.ts";
import { parseCarpFrame } from "../../../src/protocol/frame.ts";
import { writeIpv4Header, writeIpv6Header } from "../../../src/protocol/ip.ts";

export const PEER_MAC = "02:00:00:00:00:99";

export interface Said {
  readonly vhid?: number;
  readonly advbase?: number;
  readonly advskew?: number;
  readonly demote?: number;
  readonly counter?: bigint;
  readonly pass?: string;
  readonly addresses?: readonly string[];
  readonly handSetLladdr?: AuthenticationOptions["handSetLladdr"];
  /** Whether the digest covers link-local addresses; absent: it does not. */
  readonly linkLocals?: LinkLocals;
  /** Decides the family. */
  readonly source?: string;
  /** The multicast group of the family when absent. */
  readonly destination?: string;
  readonly hopLimit?: number;
  /** Changes the 36 bytes after they are signed; the checksum is computed again afterwards. */
  readonly tamper?: (message: Uint8Array) => void;
  /** Changes the 36 bytes and leaves the checksum as it is. */
  readonly corrupt?: (message: Uint8Array) => void;
  /** Number of the 36 bytes that are sent. */
  readonly length?: number;
}

let drawn = 0n;

/** Builds the frame of an advertisement; fields that are not given are valid. */
export function advertisement(said: Said = {}): Uint8Array {
  const { vhid = 1, advbase = 1, advskew = 0, demote = 0, pass = "", addresses = ["10.0.0.1"] } = said;
  const { source = "10.0.0.9", length = 36, hopLimit = 255 } = said;
  const counter = said.counter ?? ++drawn;
  const authentication = new Authentication({ pass, vhid, addresses, handSetLladdr: said.handSetLladdr });
  const form = { linkLocals: said.linkLocals ?? "left-out" };
  const message = encodeAdvertisement({ vhid, advbase, advskew, demote, counter }, authentication, form);
  if (said.tamper !== undefined) {
    said.tamper(message);
    const view = new DataView(message.buffer);
    view.setUint16(6, 0);
    view.setUint16(6, internetChecksum(message));
  }
  said.corrupt?.(message);
  const family = addressBytes(source).length === 4 ? 4 : 6;
  const destination = said.destination ?? (family === 4 ? "224.0.0.18" : "ff02::12");
  const payload = message.subarray(0, length);
  return routedFrame({ source, destination, trafficClass: 0x10, payload }, hopLimit);
}

/** Builds the frame of a bow-out: `down`, `destroy` or a stop of the other host. */
export function bowOut(said: Said = {}): Uint8Array {
  return advertisement({ ...said, advbase: 255, advskew: 255 });
}

/** Builds the frame that arrives when the sender's kernel routes a CARP message. */
function routedFrame(
  sent: {
    readonly source: string;
    readonly destination: string;
    readonly trafficClass: number;
    readonly payload: Uint8Array;
  },
  hopLimit = 255,
): Uint8Array {
  const source = addressBytes(sent.source);
  const destination = addressBytes(sent.destination);
  const { payload: message, trafficClass } = sent;
  const isIpv4 = source.length === 4;
  const etherType = isIpv4 ? EtherType.ipv4 : EtherType.ipv6;
  const headerBytes = isIpv4 ? 20 : 40;
  const bytes = headerBytes + message.length;
  const ours = macBytes("02:00:00:00:00:10");
  const { frame, payload } = ethernetFrame(ours, macBytes(PEER_MAC), etherType, bytes);
  const header = { source, destination, protocol: CARP_PROTOCOL, trafficClass, payloadBytes: message.length };
  if (isIpv4) {
    writeIpv4Header(payload, header);
    payload.setUint8(8, hopLimit);
    payload.setUint16(10, 0);
    payload.setUint16(10, internetChecksum(bytesOf(payload, 0, 20)));
  } else {
    writeIpv6Header(payload, header);
    payload.setUint8(7, hopLimit);
  }
  writeBytes(payload, headerBytes, message);
  return frame;
}

/** Parses one of our own transmissions. */
export function read(transmission: Transmission | undefined): Advertisement & { readonly source: string } {
  assert.ok(transmission, "nothing was sent");
  if (!("frame" in transmission)) return { ...decoded(transmission.payload), source: transmission.source };
  const parsed = parseCarpFrame(transmission.frame);
  assert.ok("packet" in parsed);
  return { ...decoded(parsed.packet.message), source: parsed.packet.source };
}

/** Parses our advertisements among these effects, in the first family of each. */
export function said(effects: readonly Effect[]): readonly ReturnType<typeof read>[] {
  return effects.flatMap((effect) => (effect.kind === "advertise" ? [read(effect.transmissions[0])] : []));
}

function decoded(message: Uint8Array): Advertisement {
  const parsed = parseAdvertisement(message);
  assert.ok("advertisement" in parsed);
  return parsed.advertisement;
}
