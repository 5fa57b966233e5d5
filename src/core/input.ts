/**
 * The checks of a received packet, before a virtual host hears of it. Checks and their order are the
 * protocol's; each has its statistic and its log priority. Changes no state but what the virtual hosts know
 * of counters.
 */

import { formatAddress } from "../protocol/address.ts";
import { type Advertisement, parseAdvertisement, vhidIn } from "../protocol/advertisement.ts";
import { parseCarpFrame } from "../protocol/frame.ts";
import type { VirtualHost } from "./election/virtual-host.ts";
import type { CarpInterface } from "./interface/carp-interface.ts";
import type { Family, Heard, Instant, Micros, Priority } from "./model.ts";
import type { StatisticName } from "./statistics.ts";

export interface Discarded {
  readonly statistic: StatisticName;
  readonly priority: Priority;
  readonly text: string;
  /** The interface with the vhid that the packet names; undefined when there is none. */
  readonly carpInterface?: CarpInterface | undefined;
  /** Set when the digest is valid but the counter is not new. */
  readonly stale?: Pick<Accepted, "node" | "heard">;
}

export interface Accepted {
  readonly carpInterface: CarpInterface;
  readonly node: VirtualHost;
  readonly heard: Heard;
  /** Another master gives way to this host, and tells this host alone: it is no claim. */
  readonly concedes?: boolean;
}

/** The circumstances of a frame, which the checks need besides its bytes. */
export interface Reception {
  readonly carpdev: string;
  readonly receivedUs: Micros;
  /** The carp interfaces on that carpdev. */
  readonly here: readonly CarpInterface[];
  readonly allow: boolean;
  readonly now: Instant;
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
    if (frame.reason === "not-carp" || !reception.allow) return {};
    const text = `${reception.carpdev}: malformed carp packet (${frame.reason})`;
    return { verdict: { statistic: "shorterThanHeader", priority: 6, text } };
  }
  const { family } = frame.packet;
  return reception.allow ? { family, verdict: judge(frame.packet, reception) } : { family };
}

type Packet = Extract<ReturnType<typeof parseCarpFrame>, { packet: unknown }>["packet"];

function judge(packet: Packet, { carpdev, receivedUs, here, now }: Reception): Discarded | Accepted {
  const { source, addresses, multicast, hopLimit, message, family } = packet;
  const named = here.find((each) => each.node(vhidIn(message) ?? 0) !== undefined);
  const discarded = (statistic: StatisticName, priority: Priority, what: string): Discarded => ({
    statistic,
    priority,
    text: `${what} from ${source} on ${carpdev}`,
    carpInterface: named,
  });
  if (here.length === 0) return discarded("badInterface", 6, "carp packet without a carp interface");
  // Routers have decremented the TTL of a peer beyond them. All others are on the segment itself.
  const routed = !multicast && here.some((each) => each.isRoutedPeer(source));
  if (hopLimit !== 255 && !routed) return discarded("badTtl", 5, `TTL ${hopLimit} instead of 255`);
  const parsed = parseAdvertisement(message, addresses);
  if ("reason" in parsed)
    return parsed.reason === "bad-checksum"
      ? discarded("badChecksum", 6, "wrong checksum")
      : discarded("tooShort", 6, `carp packet of ${message.length} bytes`);
  const { vhid, version, type, counter, advbase, advskew, demote } = parsed.advertisement;
  const carpInterface = here.find(
    (each) => (each.peer(family) !== undefined) === !multicast && each.node(vhid) !== undefined,
  );
  const node = carpInterface?.node(vhid);
  if (carpInterface === undefined || node === undefined)
    return (
      concession(packet, parsed.advertisement, { receivedUs, here, now }) ??
      discarded("badVhid", 7, `unknown vhid ${vhid}`)
    );
  const stray = multicast ? undefined : strayUnicast(carpInterface, packet);
  if (stray !== undefined) return discarded("badVhid", 7, `${carpInterface.name}: vhid ${vhid}: ${stray}`);
  const virtualHost = `${carpInterface.name}: vhid ${vhid}`;
  if (version !== 2 || type !== 1)
    return discarded("badVersion", 5, `${virtualHost}: version ${version} type ${type}`);
  if (!carpInterface.verify(parsed.advertisement))
    return discarded("badAuthentication", 6, `${virtualHost}: incorrect hash`);
  const heard = { family, source, advbase, advskew, demote, counter, receivedUs };
  const stale = (what: string): Discarded => ({
    ...discarded("badAuthentication", 4, `${virtualHost}: ${what}`),
    stale: { node, heard },
  });
  if (node.counters.isOwn(counter)) return stale("replay or network loop detected");
  const replay = carpInterface.replayOf(node, heard, now);
  if (replay !== undefined) return stale(`replay detected: ${replay}`);
  return { carpInterface, node, heard };
}

/**
 * Accepts a unicast advertisement for a multicast interface from a master that has to give way to this host:
 * it concedes (election/concession.ts). No other one is accepted, and this one only makes a MASTER announce
 * its addresses.
 */
function concession(
  { source, addresses, multicast, hopLimit, family }: Packet,
  advertisement: Advertisement,
  { receivedUs, here, now }: Pick<Reception, "receivedUs" | "here" | "now">,
): Accepted | undefined {
  const { vhid, version, type, counter, advbase, advskew, demote } = advertisement;
  const carpInterface = here.find((each) => each.node(vhid) !== undefined);
  const node = carpInterface?.node(vhid);
  if (carpInterface === undefined || node === undefined || multicast || hopLimit !== 255) return undefined;
  if (!carpInterface.isAddressed(formatAddress(addresses.destination))) return undefined;
  const heard = { family, source, advbase, advskew, demote, counter, receivedUs };
  if (version !== 2 || type !== 1 || !node.outranks(heard) || !carpInterface.verify(advertisement))
    return undefined;
  if (node.counters.isOwn(counter) || carpInterface.replayOf(node, heard, now) !== undefined)
    return undefined;
  return { carpInterface, node, heard, concedes: true };
}

/** Why a unicast packet is not for this interface: it is from another host than its peer, or for another one. */
function strayUnicast(
  carpInterface: CarpInterface,
  { family, source, addresses }: Packet,
): string | undefined {
  const peer = carpInterface.peer(family);
  if (source !== peer) return `carppeer is ${peer}: advertisement`;
  const destination = formatAddress(addresses.destination);
  return carpInterface.isAddressed(destination)
    ? undefined
    : `advertisement to ${destination}, not an address of this host,`;
}
