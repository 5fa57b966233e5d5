/**
 * Hearing: which frames a host has to accept, and since when two hosts hear each other. Computed from the
 * frames and the plan's faults, never by asking the core.
 */

import type { InterfaceConfiguration } from "../../src/core/interface/configuration.ts";
import type { Micros } from "../../src/core/model.ts";
import { formatAddress, isLinkLocal } from "../../src/protocol/address.ts";
import { ADVERTISEMENT_BYTES, parseAdvertisement } from "../../src/protocol/advertisement.ts";
import { Authentication } from "../../src/protocol/authentication.ts";
import { parseCarpFrame } from "../../src/protocol/frame.ts";
import type { Received } from "./kernel.ts";
import { dueFor } from "./replays.ts";
import type { Frame } from "./segment.ts";
import type { Station } from "./station.ts";

/** An advertisement that a host has to accept, as it arrived. */
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
  /** It is signed with a secret that the host may believe or not. */
  readonly isOpen: boolean;
}

/** A host drops a former secret at most so late. */
const LATE_US: Micros = 120_000_000;

export function intervalOf(advbase: number, advskew: number): Micros {
  return advbase === 0 && advskew === 0 ? 1e6 / 256 : advbase * 1e6 + (advskew * 1e6) / 256;
}

export function isBowOut({ advbase, advskew }: { advbase: number; advskew: number }): boolean {
  return advbase === 255 && advskew === 255;
}

/** The input of a digest except the counter: hosts with equal secrets accept each other's advertisements. */
export function secretOf(
  { pass, addresses }: Pick<InterfaceConfiguration, "pass"> & { addresses: readonly string[] },
  vhid: number,
): string {
  const covered = addresses.filter((address) => !isLinkLocal(address)).sort();
  return [vhid, pass, ...covered].join(" ");
}

/** The secret of a virtual host before a change. */
export interface Former extends Pick<InterfaceConfiguration, "pass" | "addresses"> {
  readonly secret: string;
  /** When it was replaced, or another change extended how long it is believed; on the host's clock. */
  readonly changedUs: Micros;
}

/** Whether two hosts have to believe each other. With a grace, changes reach all hosts within it. */
export function shareSecret(a: Station, b: Station, key: string): boolean {
  const [one, other] = [a.secrets.get(key), b.secrets.get(key)];
  if (one === undefined || other === undefined) return false;
  return one === other || (a.graceUs > 0 && b.graceUs > 0);
}

const authentications = new Map<string, Authentication>();
const verified = new WeakMap<Frame, { readonly input: string; readonly isValid: boolean }>();

/** What becomes of a frame: an advertisement that is accepted, or none. */
export interface Verdict {
  readonly accepted?: Heard;
  /** The advertisement that is refused, if its digest is valid. */
  readonly refused?: Heard;
  /** The digest is valid but the counter is refused, and it is from another address: a MASTER may answer. */
  readonly mayAnswer: boolean;
  /** A master that has to give way said so to this host alone: a MASTER may answer. */
  readonly conceded?: Heard;
}

/** Judges a frame. Where the protocol leaves it open, what the core did decides: `discarded`. */
export function judge(station: Station, received: Received, discarded: boolean): Verdict {
  const heard = signed(station, received, "claim");
  if (heard === undefined) {
    const conceded = discarded ? undefined : signed(station, received, "concession");
    const isMaster = conceded !== undefined && station.states.get(conceded.key) === "MASTER";
    return isMaster ? { conceded, mayAnswer: true } : { mayAnswer: false };
  }
  const isDropped = heard.isOpen && discarded;
  const due = isDropped || isOwn(station, heard) ? "refuse" : dueFor(station, heard);
  if (due === "accept" || (due === "either" && !discarded)) return { accepted: heard, mayAnswer: false };
  const isMaster = station.states.get(heard.key) === "MASTER";
  const isElsewhere = station.sourceOf(heard.key, heard.source) !== heard.source;
  return { refused: heard, mayAnswer: isMaster && isElsewhere && !isBowOut(heard) };
}

/**
 * Returns the advertisement in the frame if its digest is valid for one of the host's virtual hosts. A
 * concession is unicast where advertisements are multicast.
 */
function signed(
  station: Station,
  { carpdev, frame, receivedUs }: Received,
  kind: "claim" | "concession",
): Heard | undefined {
  if (!station.allows) return undefined;
  const said = read(frame);
  if (said === undefined) return undefined;
  for (const [name, configuration] of station.configurations) {
    const key = `${name}/${said.vhid}`;
    const secret = station.secrets.get(key);
    if (configuration.carpdev !== carpdev || secret === undefined) continue;
    if ((station.states.get(key) ?? "INIT") === "INIT") continue;
    const peers = said.family === 4 ? configuration.carppeer : configuration.carppeer6;
    if ((peers === undefined) !== (said.multicast || kind === "concession")) continue;
    if (kind === "concession" && said.multicast) continue;
    const own = said.source.includes(":") ? undefined : station.ownAddressOn(carpdev);
    if (kind === "concession" && !station.hasOn(carpdev, said.destination)) continue;
    const isFromPeer = peers?.includes(said.source) && said.source !== own;
    if (peers !== undefined && !(isFromPeer && said.destination === own)) continue;
    const isValid = hasValidDigest(frame, secret, configuration, said);
    const former = isValid ? undefined : formerOf(station, key, frame, said);
    if (!isValid && former === undefined) return undefined;
    const intervalUs = intervalOf(said.advbase, said.advskew);
    const isOpen = former !== undefined && station.now.us - former.changedUs > station.graceUs;
    return { ...said, key, from: frame.from?.id, intervalUs, receivedUs, isOpen };
  }
  return undefined;
}

/** The secret of before a change that the advertisement is signed with, if the host may believe it still. */
function formerOf(station: Station, key: string, frame: Frame, said: Said): Former | undefined {
  const { us } = station.now;
  return station.formers
    .get(key)
    ?.filter(({ changedUs }) => us - changedUs < 2 * station.graceUs + LATE_US)
    .find((former) => hasValidDigest(frame, former.secret, former, said));
}

interface Said {
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly multicast: boolean;
  readonly vhid: number;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly counter: bigint;
  readonly digest: Uint8Array;
}

const readFrames = new WeakMap<Uint8Array, { readonly said: Said | undefined }>();

/** Parses a frame, once for all receivers. */
function read({ bytes }: Frame): Said | undefined {
  const known = readFrames.get(bytes);
  if (known !== undefined) return known.said;
  const said = parse(bytes);
  readFrames.set(bytes, { said });
  return said;
}

function parse(bytes: Uint8Array): Said | undefined {
  const parsed = parseCarpFrame(bytes);
  if (!("packet" in parsed)) return undefined;
  const { family, source, addresses, multicast, hopLimit, message } = parsed.packet;
  const destination = formatAddress(addresses.destination);
  const carried = parseAdvertisement(message.subarray(0, ADVERTISEMENT_BYTES), parsed.packet.addresses);
  if (!("advertisement" in carried) || hopLimit !== 255) return undefined;
  const { version, type, ...said } = carried.advertisement;
  return version === 2 && type === 1 ? { family, source, destination, multicast, ...said } : undefined;
}

/** Whether the digest is valid for this secret. */
function hasValidDigest(
  frame: Frame,
  secret: string,
  { pass, addresses }: Pick<InterfaceConfiguration, "pass" | "addresses">,
  { vhid, counter, digest }: Said,
): boolean {
  // Link-local addresses are no part of the secret, and may be part of the digest.
  const input = secret + linkLocalsOf(addresses);
  const known = verified.get(frame);
  if (known?.input === input) return known.isValid;
  const texts = () => addresses.map(({ address }) => address);
  const authentication = authentications.get(input) ?? new Authentication({ pass, vhid, addresses: texts() });
  authentications.set(input, authentication);
  const verdict = { input, isValid: authentication.verify(counter, digest) !== undefined };
  verified.set(frame, verdict);
  return verdict.isValid;
}

const linkLocals = new WeakMap<InterfaceConfiguration["addresses"], string>();

/** The link-local addresses as text, each behind a space. */
function linkLocalsOf(addresses: InterfaceConfiguration["addresses"]): string {
  const known = linkLocals.get(addresses);
  if (known !== undefined) return known;
  const text = addresses.map(({ address }) => (isLinkLocal(address) ? ` ${address}` : "")).join("");
  linkLocals.set(addresses, text);
  return text;
}

function isOwn(station: Station, { key, counter }: Heard): boolean {
  return station.ownCounters.get(key)?.has(counter) ?? false;
}

/**
 * Since when the two hosts hear each other's advertisements for a virtual host; undefined: a fault prevents
 * it.
 */
export function hearingSinceUs(a: Station, b: Station, key: string): Micros | undefined {
  if (!shareSecret(a, b, key)) return undefined;
  for (const each of [a, b]) if (each.engine === undefined || each.isImpaired) return undefined;
  const carpdev = carpdevOf(a, key);
  const segment = carpdev === carpdevOf(b, key) ? a.segmentOf(carpdev) : undefined;
  if (segment === undefined || carpdev === undefined) return undefined;
  if (!a.links.get(carpdev)?.carrier || !b.links.get(carpdev)?.carrier) return undefined;
  const there = segment.clearSinceUs(a, b);
  const back = segment.clearSinceUs(b, a);
  if (there === undefined || back === undefined) return undefined;
  return Math.max(there, back, a.disturbedAtUs, b.disturbedAtUs);
}

/** The carpdev of a virtual host, by its key (`carp0/1`). */
export function carpdevOf(station: Station, key: string): string | undefined {
  return station.configurations.get(key.slice(0, key.indexOf("/")))?.carpdev;
}
