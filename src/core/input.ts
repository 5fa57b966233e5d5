/**
 * The checks of a received packet, before a virtual host hears of it. Checks and their order are the
 * protocol's; each has its statistic and its log priority. Changes no state but what the virtual hosts know
 * of counters.
 */

import { formatAddress } from "../protocol/address.ts";
import { type Advertisement, parseAdvertisement, vhidIn } from "../protocol/advertisement.ts";
import { parseCarpFrame } from "../protocol/frame.ts";
import { parseVrrp } from "../protocol/vrrp.ts";
import type { VirtualHost } from "./election/virtual-host.ts";
import type { CarpInterface } from "./interface/carp-interface.ts";
import type { SignedAs } from "./interface/signing.ts";
import type { Family, Heard, Instant, Micros, Priority } from "./model.ts";
import type { StatisticName } from "./statistics.ts";
import type { DiscardCause } from "./view.ts";
import type { VirtualRouter } from "./virtual-routers.ts";

/** More peers are told by their number. */
const MOST_NAMED = 4;

export interface Discarded {
  readonly statistic: StatisticName;
  readonly priority: Priority;
  readonly text: string;
  /** The interface with the vhid that the packet names; undefined when there is none. */
  readonly carpInterface?: CarpInterface | undefined;
  readonly cause?: DiscardCause | undefined;
  readonly source?: string;
  /** The virtual router whose packet it is: VRRP, not CARP. */
  readonly router?: Omit<VirtualRouter, "atUs">;
  /** Set when the digest is wrong, or the vhid is not configured here, and nothing else. */
  readonly unsigned?: Advertisement;
  /** Set when the digest is valid but the counter is not new. */
  readonly stale?: Pick<Accepted, "node" | "heard">;
}

export interface Accepted {
  readonly carpInterface: CarpInterface;
  readonly node: VirtualHost;
  readonly heard: Heard;
  /** The form of its digest. */
  readonly form: SignedAs;
  /** Another master gives way to this host, and tells this host alone: it is no claim. */
  readonly concedes?: boolean;
}

/** The part of the host that the checks need. */
export interface ReceivingHost {
  /** Whether carp packets are accepted (net.inet.carp.allow). */
  readonly allow: boolean;
  on(carpdev: string): ReadonlySet<CarpInterface>;
  /** The carp interface on the carpdev with this vhid. */
  with(carpdev: string, vhid: number): CarpInterface | undefined;
}

/** The circumstances of a frame, which the checks need besides its bytes. */
export interface Reception {
  readonly carpdev: string;
  readonly receivedUs: Micros;
  readonly now: Instant;
  readonly host: ReceivingHost;
}

export interface Checked {
  /** Set when the frame holds a whole CARP packet, which counts as received. */
  readonly family?: Family;
  /** Absent when the frame is ignored. */
  readonly verdict?: Discarded | Accepted;
}

/** Checks a frame that arrived on a carpdev. */
export function checkInput(bytes: Uint8Array, reception: Reception): Checked {
  const frame = parseCarpFrame(bytes);
  if ("reason" in frame) {
    if (frame.reason === "not-carp" || !reception.host.allow) return {};
    const text = `${reception.carpdev}: malformed carp packet (${frame.reason})`;
    return { verdict: { statistic: "shorterThanHeader", priority: 6, text } };
  }
  const { family } = frame.packet;
  if (!reception.host.allow) return { family };
  const verdict = judge(frame.packet, reception);
  return { family, verdict: "statistic" in verdict ? recognised(verdict, frame.packet, reception) : verdict };
}

type Packet = Extract<ReturnType<typeof parseCarpFrame>, { packet: unknown }>["packet"];

function judge(packet: Packet, { carpdev, receivedUs, now, host }: Reception): Discarded | Accepted {
  const { source, addresses, multicast, hopLimit, message, family } = packet;
  const claimed = vhidIn(message) ?? 0;
  const known = host.with(carpdev, claimed);
  const node = known?.node(claimed);
  const carpInterface = node && known;
  const discarded = (statistic: StatisticName, priority: Priority, what: string): Discarded => ({
    statistic,
    priority,
    text: `${what} from ${source} on ${carpdev}`,
    carpInterface,
    source,
  });
  const here = host.on(carpdev);
  if (here.size === 0) return discarded("badInterface", 6, "carp packet without a carp interface");
  // Routers have decremented the TTL of a peer beyond them. All others are on the segment itself.
  if (hopLimit !== 255 && (multicast || !isFromRoutedPeer(source, here)))
    return discarded("badTtl", 5, `TTL ${hopLimit} instead of 255`);
  const parsed = parseAdvertisement(message, addresses);
  if ("reason" in parsed)
    return parsed.reason === "bad-checksum"
      ? discarded("badChecksum", 6, "wrong checksum")
      : discarded("tooShort", 6, `carp packet of ${message.length} bytes`);
  const { vhid, version, type, counter, advbase, advskew, demote } = parsed.advertisement;
  if (carpInterface === undefined || node === undefined) {
    const isOther = known === undefined && version === 2 && type === 1;
    const unknown = discarded("badVhid", 7, `unknown vhid ${vhid}`);
    return isOther ? { ...unknown, unsigned: parsed.advertisement } : unknown;
  }
  if ((carpInterface.appearance.peers(family) !== undefined) === multicast) {
    const conceded = concession(packet, parsed.advertisement, { carpInterface, node }, { receivedUs, now });
    if (conceded !== undefined) return conceded;
    if (!carpInterface.appearance.verify(parsed.advertisement))
      return discarded("badVhid", 7, `unknown vhid ${vhid}`);
    const [cause, what] = multicast
      ? (["peer-here", "this host only: multicast"] as const)
      : (["peer-there", "the other host only: unicast"] as const);
    const text = `${carpInterface.name}: vhid ${vhid}: carppeer is set on ${what} advertisement`;
    return { ...discarded("badVhid", 7, text), cause };
  }
  const stray = multicast ? undefined : strayUnicast(carpInterface, packet);
  if (stray !== undefined) {
    const cause =
      stray.isUnlisted && carpInterface.appearance.verify(parsed.advertisement) ? "peer-unlisted" : undefined;
    return { ...discarded("badVhid", 7, `${carpInterface.name}: vhid ${vhid}: ${stray.what}`), cause };
  }
  if (version !== 2 || type !== 1)
    return discarded("badVersion", 5, `${carpInterface.name}: vhid ${vhid}: version ${version} type ${type}`);
  const form = carpInterface.appearance.verify(parsed.advertisement);
  if (form === undefined)
    return {
      ...discarded("badAuthentication", 6, `${carpInterface.name}: vhid ${vhid}: incorrect hash`),
      cause: "digest",
      unsigned: parsed.advertisement,
    };
  const heard = { family, source, advbase, advskew, demote, counter, receivedUs };
  const accepted = { carpInterface, node, heard, form };
  return staleness(accepted, heard, { carpdev, now }) ?? accepted;
}

function isFromRoutedPeer(source: string, here: ReadonlySet<CarpInterface>): boolean {
  return here.values().some((each) => each.appearance.isRoutedPeer(source));
}

/** Why an advertisement with a valid digest is discarded: its counter is not new. */
export function staleness(
  { carpInterface, node }: Pick<Accepted, "carpInterface" | "node">,
  heard: Heard,
  { carpdev, now }: Pick<Reception, "carpdev" | "now">,
): Discarded | undefined {
  node.recall(now);
  // From another address it may be another master's, sent in the same microsecond.
  const isOwn = node.counters.isOwn(heard.counter);
  const refusal = isOwn ? undefined : carpInterface.replayOf(node, heard, now);
  if (!isOwn && refusal === undefined) return undefined;
  const { source } = heard;
  const what = isOwn ? "replay or network loop detected" : `replay detected: ${refusal}`;
  const text = `${carpInterface.name}: vhid ${node.vhid}: ${what} from ${source} on ${carpdev}`;
  const cause = isOwn && carpInterface.appearance.isAddressed(source) ? "own" : "recorded";
  const of = { carpInterface, source, cause, stale: { node, heard } } as const;
  return { statistic: "badAuthentication", priority: 4, text, ...of };
}

/** A packet that is refused as CARP may be VRRP's: it is counted as before, and named for what it is. */
function recognised(verdict: Discarded, packet: Packet, { carpdev }: Reception): Discarded {
  const { family, source, message, addresses } = packet;
  const vrrp = parseVrrp(message, addresses);
  if (vrrp === undefined) return verdict;
  const text = `VRRP of virtual router ${vrrp.number}, not CARP, from ${source} on ${carpdev}`;
  return { ...verdict, priority: 6, text, router: { ...vrrp, carpdev, family, source } };
}

/**
 * Accepts a unicast advertisement for a multicast interface from a master that has to give way to this host:
 * it concedes (election/concession.ts). No other one is accepted, and this one only makes a MASTER announce
 * its addresses.
 */
function concession(
  { source, addresses, multicast, hopLimit, family }: Packet,
  advertisement: Advertisement,
  { carpInterface, node }: Pick<Accepted, "carpInterface" | "node">,
  { receivedUs, now }: Pick<Reception, "receivedUs" | "now">,
): Accepted | undefined {
  const { version, type, counter, advbase, advskew, demote } = advertisement;
  if (multicast || hopLimit !== 255) return undefined;
  if (!carpInterface.appearance.isAddressed(formatAddress(addresses.destination))) return undefined;
  const heard = { family, source, advbase, advskew, demote, counter, receivedUs };
  if (version !== 2 || type !== 1 || !node.outranks(heard)) return undefined;
  const form = carpInterface.appearance.verify(advertisement);
  if (form === undefined) return undefined;
  node.recall(now);
  if (node.counters.isOwn(counter) || carpInterface.replayOf(node, heard, now) !== undefined)
    return undefined;
  return { carpInterface, node, heard, form, concedes: true };
}

/** Why a unicast packet is not for this interface: it is from another host than its peers, or for another one. */
function strayUnicast(
  carpInterface: CarpInterface,
  { family, source, addresses }: Packet,
): { readonly what: string; readonly isUnlisted: boolean } | undefined {
  const peers = carpInterface.appearance.peers(family);
  if (!peers?.has(source))
    return { what: `carppeer is ${named([...(peers?.keys() ?? [])])}: advertisement`, isUnlisted: true };
  const destination = formatAddress(addresses.destination);
  if (carpInterface.appearance.isAddressed(destination)) return undefined;
  return { what: `advertisement to ${destination}, not an address of this host,`, isUnlisted: false };
}

/** The peers in a message, which has room for a few addresses. */
function named(peers: readonly string[]): string {
  if (peers.length === 0) return "this host alone";
  return peers.length > MOST_NAMED ? `${peers.length} other hosts` : peers.join();
}
