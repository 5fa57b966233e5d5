/** The recorded vectors, typed, and the ways between hexadecimal text and bytes. */

import { readFileSync } from "node:fs";

export interface AdvertisementVector {
  readonly name: string;
  readonly pass: string;
  readonly vhid: number;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly addresses: readonly string[];
  readonly lladdr_set_by_hand: string | null;
  readonly counter: string;
  readonly packet: string;
}

export interface CapturedVector {
  readonly name: string;
  readonly pass: string;
  readonly vhid: number;
  readonly advbase: number;
  readonly advskew: number;
  readonly addresses: readonly string[];
  readonly carpdev_mac: string;
  readonly carpdev_addresses: readonly string[];
  readonly frames: readonly string[];
}

export interface LiveVector {
  readonly name: string;
  readonly sender: string;
  readonly pass: string;
  readonly vhid: number;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly addresses: readonly string[];
  readonly linkLocalsInDigest: boolean;
  readonly frames: readonly string[];
}

export interface BalancingVector {
  readonly source: string;
  readonly destination: string;
  readonly fold: string;
  readonly index: Readonly<Record<string, number>>;
}

function read<T>(name: string): readonly T[] {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8"));
}

export const advertisements = read<AdvertisementVector>("advertisements");
export const captured = read<CapturedVector>("captured");
export const live = read<LiveVector>("captured-live");
export const balancing = read<BalancingVector>("balancing");

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
