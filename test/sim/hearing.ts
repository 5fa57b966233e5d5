/**
 * What hosts can hear of each other, found out without asking the core: which frames a host has to accept, and since
 * when two hosts have been hearing each other.
 */

import type { InterfaceConfiguration } from "../../src/core/configuration.ts";
import type { Micros } from "../../src/core/event.ts";
import { isLinkLocal } from "../../src/protocol/address.ts";
import { ADVERTISEMENT_BYTES, parseAdvertisement } from "../../src/protocol/advertisement.ts";
import { Authentication } from "../../src/protocol/authentication.ts";
import { parseCarpFrame } from "../../src/protocol/frame.ts";
import type { Received } from "./engine.ts";
import type { Frame } from "./segment.ts";
import type { Station } from "./station.ts";

/** An advertisement as it came. */
export interface Heard {
  readonly key: string;
  readonly from: number | undefined;
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly intervalUs: Micros;
  readonly demote: number;
  readonly counter: bigint;
  readonly receivedUs: Micros;
}

export function intervalOf(advbase: number, advskew: number): Micros {
  return advbase === 0 && advskew === 0 ? 1e6 / 256 : advbase * 1e6 + (advskew * 1e6) / 256;
}

export function isBowOut({ advbase, advskew }: { advbase: number; advskew: number }): boolean {
  return advbase === 255 && advskew === 255;
}

/** What an advertisement's digest depends on but its counter: hosts where it is the same believe each other. */
export function secretOf(
  { pass, addresses }: Pick<InterfaceConfiguration, "pass"> & { addresses: readonly string[] },
  vhid: number,
): string {
  const covered = addresses.filter((address) => !isLinkLocal(address)).sort();
  return [vhid, pass, ...covered].join(" ");
}

const authentications = new Map<string, Authentication>();
const judged = new WeakMap<Frame, { readonly secret: string; readonly isRight: boolean }>();

/** What the host has to take note of; undefined: of nothing in this frame. */
export function acceptable(station: Station, received: Received): Heard | undefined {
  const heard = signed(station, received);
  if (heard === undefined || isOwn(station, heard)) return undefined;
  return station.strictReplay && isReplay(station, heard) ? undefined : heard;
}

/** Whether it says nothing new, but is signed and from another address: a MASTER may answer. */
export function isStaleFromElsewhere(station: Station, received: Received): boolean {
  const heard = signed(station, received);
  if (heard === undefined || isBowOut(heard) || acceptable(station, received) !== undefined) return false;
  return (
    station.states.get(heard.key) === "MASTER" && station.sourceOf(heard.key, heard.source) !== heard.source
  );
}

/** An advertisement for one of its virtual hosts, with the digest it must have. */
function signed(station: Station, { carpdev, frame, receivedUs }: Received): Heard | undefined {
  if (!station.allows) return undefined;
  const said = read(frame);
  if (said === undefined) return undefined;
  for (const [name, configuration] of station.configurations) {
    const key = `${name}/${said.vhid}`;
    const secret = station.secrets.get(key);
    if (configuration.carpdev !== carpdev || secret === undefined) continue;
    if ((station.states.get(key) ?? "INIT") === "INIT") continue;
    const peer = said.family === 4 ? configuration.carppeer : configuration.carppeer6;
    if ((peer === undefined) !== said.multicast) continue;
    if (!isRight(frame, secret, configuration, said)) return undefined;
    const intervalUs = intervalOf(said.advbase, said.advskew);
    return { ...said, key, from: frame.from?.id, intervalUs, receivedUs };
  }
  return undefined;
}

interface Said {
  readonly family: 4 | 6;
  readonly source: string;
  readonly multicast: boolean;
  readonly vhid: number;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly counter: bigint;
  readonly digest: Uint8Array;
}

const readFrames = new WeakMap<Uint8Array, { readonly said: Said | undefined }>();

/** A frame is read once, whoever hears it. */
function read({ bytes }: Frame): Said | undefined {
  const known = readFrames.get(bytes);
  if (known !== undefined) return known.said;
  const said = readAnew(bytes);
  readFrames.set(bytes, { said });
  return said;
}

function readAnew(bytes: Uint8Array): Said | undefined {
  const parsed = parseCarpFrame(bytes);
  if (!("packet" in parsed)) return undefined;
  const { family, source, multicast, hopLimit, message } = parsed.packet;
  const carried = parseAdvertisement(message.subarray(0, ADVERTISEMENT_BYTES), parsed.packet.addresses);
  if (!("advertisement" in carried) || hopLimit !== 255) return undefined;
  const { version, type, ...said } = carried.advertisement;
  return version === 2 && type === 1 ? { family, source, multicast, ...said } : undefined;
}

function isRight(
  frame: Frame,
  secret: string,
  { pass, addresses }: InterfaceConfiguration,
  { vhid, counter, digest }: Said,
): boolean {
  const known = judged.get(frame);
  if (known?.secret === secret) return known.isRight;
  const texts = addresses.map(({ address }) => address);
  const authentication = authentications.get(secret) ?? new Authentication({ pass, vhid, addresses: texts });
  authentications.set(secret, authentication);
  const verdict = { secret, isRight: authentication.verify(counter, digest) };
  judged.set(frame, verdict);
  return verdict.isRight;
}

function isOwn(station: Station, { key, counter }: Heard): boolean {
  return station.ownCounters.get(key)?.has(counter) ?? false;
}

/** How far below the greatest that was heard or sent a new one may be. */
const WINDOW = 10_000_000n;

/** Far below, or for the second time; but for the same over the other family, once and at once. */
function isReplay(station: Station, { key, ...heard }: Heard): boolean {
  const known = station.heard.get(key) ?? [];
  const greater = (greatest: bigint, { counter }: Heard) => (counter > greatest ? counter : greatest);
  if (heard.counter + WINDOW <= known.reduce(greater, station.latestSent.get(key) ?? 0n)) return true;
  const [first, second] = known.filter(({ counter }) => counter === heard.counter);
  if (first === undefined) return false;
  return (
    second !== undefined ||
    heard.source.includes(":") === first.source.includes(":") ||
    heard.receivedUs - first.receivedUs >= 1e6 ||
    (["advbase", "advskew", "demote"] as const).some((field) => heard[field] !== first[field])
  );
}

/** Once it has been accepted. */
export function remember(station: Station, heard: Heard): void {
  const known = station.heard.get(heard.key) ?? [];
  const recent = known.filter(({ counter }) => counter + WINDOW > heard.counter);
  station.heard.set(heard.key, [...recent, heard]);
}

/** Since when the two have been hearing each other about a virtual host, all faults considered; undefined: they do not. */
export function hearingSinceUs(a: Station, b: Station, key: string): Micros | undefined {
  const secret = a.secrets.get(key);
  if (secret === undefined || b.secrets.get(key) !== secret) return undefined;
  for (const each of [a, b])
    if (each.engine === undefined || each.engine.isStalled || each.sendError !== undefined || !each.allows)
      return undefined;
  const carpdev = carpdevOf(a, key);
  const segment = carpdev === carpdevOf(b, key) ? a.segmentOf(carpdev) : undefined;
  if (segment === undefined || carpdev === undefined) return undefined;
  if (!a.links.get(carpdev)?.carrier || !b.links.get(carpdev)?.carrier) return undefined;
  const there = segment.clearSinceUs(a, b);
  const back = segment.clearSinceUs(b, a);
  if (there === undefined || back === undefined) return undefined;
  return Math.max(there, back, a.disturbedAtUs, b.disturbedAtUs);
}

export function carpdevOf(station: Station, key: string): string | undefined {
  return station.configurations.get(key.slice(0, key.indexOf("/")))?.carpdev;
}
