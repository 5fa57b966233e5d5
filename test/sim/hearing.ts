/**
 * Hearing: which frames a host has to accept, and since when two hosts hear each other. Computed from the
 * frames and the plan's faults, never by asking the core.
 */

import type { Micros } from "../../src/core/model.ts";
import type { Authentication } from "../../src/protocol/authentication.ts";
import type { Received } from "./kernel.ts";
import { dueFor, hasSent, type Made, mayBeAnyNumber, timeOf } from "./replays.ts";
import { type Said, said } from "./said.ts";
import type { Frame } from "./segment.ts";
import type { Station } from "./station.ts";
import { type Former, nameOf, type Secret } from "./virtual-hosts.ts";

/** An advertisement that a host has to accept, as it arrived. */
export interface Heard {
  readonly said: Said;
  readonly key: string;
  readonly from: number | undefined;
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly intervalUs: Micros;
  readonly demote: number;
  readonly counter: bigint;
  /** The time of the counter, as of one of ours. */
  readonly us: Micros;
  /** The host that made the counter. */
  readonly origin: Made | undefined;
  readonly receivedUs: Micros;
  /** It is signed with a secret that the host may believe or not. */
  readonly isOpen: boolean;
}

/** A host recognises its own advertisement for so long, whatever it says; later ones are refused as recordings. */
const COMES_BACK_WITHIN_US: Micros = 10_000_000;
/** A host drops a former secret at most so late. */
const LATE_US: Micros = 120_000_000;

export function intervalOf(advbase: number, advskew: number): Micros {
  return advbase === 0 && advskew === 0 ? 1e6 / 256 : advbase * 1e6 + (advskew * 1e6) / 256;
}

export function isBowOut({ advbase, advskew }: { advbase: number; advskew: number }): boolean {
  return advbase === 255 && advskew === 255;
}

/** Whether two hosts have to believe each other. With a grace, changes reach all hosts within it. */
export function shareSecret(a: Station, b: Station, key: string): boolean {
  const [one, other] = [a.virtualHosts.secretOf(key), b.virtualHosts.secretOf(key)];
  if (one === undefined || other === undefined) return false;
  return one === other || (a.graceUs > 0 && b.graceUs > 0);
}

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
  const reading = read(frame);
  const { said } = reading;
  if (said === undefined) return undefined;
  for (const { key, configuration, secret } of station.virtualHosts.with(said.vhid)) {
    if (configuration.carpdev !== carpdev) continue;
    if ((station.states.get(key) ?? "INIT") === "INIT") continue;
    const peers = said.family === 4 ? configuration.carppeer : configuration.carppeer6;
    if ((peers === undefined) !== (said.multicast || kind === "concession")) continue;
    if (kind === "concession" && (said.multicast || !station.hasOn(carpdev, said.destination))) continue;
    if (peers !== undefined && !isFromPeer(station, carpdev, peers, said)) continue;
    const isValid = isSignedWith(secret, reading);
    const former = isValid ? undefined : formerOf(station, key, reading);
    if (!isValid && former === undefined) return undefined;
    reading.origin ??= station.made.originOf(said.counter);
    return {
      said,
      key,
      from: frame.from?.id,
      source: said.source,
      advbase: said.advbase,
      advskew: said.advskew,
      demote: said.demote,
      counter: said.counter,
      us: reading.origin?.us ?? timeOf(said.counter),
      origin: reading.origin,
      intervalUs: intervalOf(said.advbase, said.advskew),
      receivedUs,
      isOpen: former !== undefined && station.us - former.changedUs > station.graceUs,
    };
  }
  return undefined;
}

function isFromPeer(station: Station, carpdev: string, peers: readonly string[], said: Said): boolean {
  const own = said.family === 6 ? undefined : station.ownAddressOn(carpdev);
  return peers.includes(said.source) && said.source !== own && said.destination === own;
}

/** The secret of before a change that the advertisement is signed with, if the host may believe it still. */
function formerOf(station: Station, key: string, reading: Reading): Former | undefined {
  const { us } = station;
  return station.virtualHosts
    .formersOf(key)
    .filter(({ changedUs }) => us - changedUs < 2 * station.graceUs + LATE_US)
    .find(({ secret }) => isSignedWith(secret, reading));
}

/** What is read in a frame, once for all receivers. */
export interface Reading {
  /** undefined: it holds no whole advertisement. */
  readonly said: Said | undefined;
  /** The host that made its counter. */
  origin: Made | undefined;
  /** What its digest was checked with last, and whether it is valid. */
  authentication: Authentication | undefined;
  isValid: boolean;
}

export function read(frame: Frame): Reading {
  frame.reading ??= {
    said: said(frame.bytes),
    origin: undefined,
    authentication: undefined,
    isValid: false,
  };
  return frame.reading;
}

/** Whether the digest is valid for this secret. */
function isSignedWith({ authentication }: Secret, reading: Reading): boolean {
  if (reading.said === undefined) return false;
  if (reading.authentication !== authentication) {
    const { counter, digest } = reading.said;
    reading.authentication = authentication;
    reading.isValid = authentication.verify(counter, digest) !== undefined;
  }
  return reading.isValid;
}

function isOwn(station: Station, heard: Heard): boolean {
  const { origin } = heard;
  if (origin === undefined || !hasSent(station, origin)) return false;
  const sentAtUs = station.ownCounters.get(heard.key)?.sentAtUs(heard.counter);
  if (sentAtUs === undefined) return false;
  return station.us - sentAtUs < COMES_BACK_WITHIN_US || !mayBeAnyNumber(station, heard);
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
  return station.configurations.get(nameOf(key))?.carpdev;
}
