/**
 * Checks captured frames about the shared addresses: every frame that pairs an address with a MAC, and
 * announcements. Judges frames by the RFCs alone and knows nothing of the engine that sent them.
 */

import assert from "node:assert/strict";
import { summary } from "./capture.ts";
import type { Frame } from "./frames.ts";

export interface Shared {
  /** Canonical text, without prefix lengths. */
  readonly addresses: readonly string[];
  /** The MAC that carp gives out for them. */
  readonly mac: string;
  /** The MACs that ARP and ND about the addresses may be sent from, if not `mac`, as in balancing. */
  readonly ethernetSources?: readonly string[];
  /**
   * More MACs that ordinary packets from the addresses may be sent from: carpdevs with a route to the subnet.
   */
  readonly packetSources?: readonly string[];
}

/** A statement in a frame, or an assumption of its sender, that an address is at a MAC. */
interface Pairing {
  readonly address: string;
  readonly mac: string;
  /** The place in the frame. */
  readonly by: string;
}

const NO_MAC = "00:00:00:00:00:00";

/** The MAC of a vhid, unless balancing or `lladdr` say otherwise. */
export function virtualMac(vhid: number): string {
  return `00:00:5e:00:01:${vhid.toString(16).padStart(2, "0")}`;
}

/**
 * Fails on the first frame that pairs a shared address with another MAC than the one carp gives out: ARP's
 * sender and answered target, the link-layer options of neighbour discovery, the Ethernet source of what
 * comes from the address, and the Ethernet destination of packets to it (a client that learned a wrong MAC).
 * Fails too when no frame is about the addresses at all.
 */
export function assertOnlyVirtualMac(frames: readonly Frame[], ...shared: readonly Shared[]): void {
  for (const { addresses, mac, ethernetSources = [mac], packetSources = [] } of shared) {
    const allowed: Record<string, readonly string[]> = {
      "Ethernet source": ethernetSources,
      "packet's Ethernet source": [...ethernetSources, ...packetSources],
    };
    let judged = 0;
    for (const frame of frames) {
      for (const { address, mac: paired, by } of pairings(frame)) {
        if (!addresses.includes(address)) continue;
        judged += 1;
        if (!(allowed[by] ?? [mac]).includes(paired))
          assert.fail(`${address} is at ${mac}, but by its ${by} at ${paired} in\n${summary(frame)}`);
      }
    }
    assert.ok(judged > 0, `no frame of ${frames.length} speaks of ${addresses.join(", ")}`);
  }
}

function pairings({ arp, ipv4, ipv6, nd, ethernetSource, ethernetDestination }: Frame): Pairing[] {
  const found: Pairing[] = [];
  const pair = (address: string, mac: string, by: string) => void found.push({ address, mac, by });
  if (arp) {
    pair(arp.senderAddress, arp.senderMac, "ARP sender");
    pair(arp.senderAddress, ethernetSource, "Ethernet source");
    if (arp.operation === "reply" && arp.targetMac !== NO_MAC)
      pair(arp.targetAddress, arp.targetMac, "ARP target");
  }
  if (nd && ipv6 && nd.type === "solicitation" && nd.linkLayerAddress !== undefined)
    pair(ipv6.source, nd.linkLayerAddress, "source link-layer option");
  if (nd?.type === "advertisement") {
    pair(nd.target, ethernetSource, "Ethernet source");
    if (nd.linkLayerAddress !== undefined) pair(nd.target, nd.linkLayerAddress, "target link-layer option");
  }
  const packet = ipv4 ?? ipv6;
  if (packet) {
    pair(packet.source, ethernetSource, nd ? "Ethernet source" : "packet's Ethernet source");
    pair(packet.destination, ethernetDestination, "Ethernet destination");
  }
  return found;
}

/** A gratuitous ARP request, or an unsolicited neighbour advertisement, for the address. */
export function isAnnouncement({ arp, nd }: Frame, address: string): boolean {
  if (arp) return arp.senderAddress === address && arp.targetAddress === address;
  return nd?.type === "advertisement" && nd.target === address && !nd.solicited;
}

/** Fails unless the frame announces the address as carp(4) does: to all, overriding their caches. */
export function assertAnnouncement(frame: Frame, { address, mac }: { address: string; mac: string }): void {
  const { arp, nd, ipv6 } = frame;
  const said = summary(frame);
  assert.ok(isAnnouncement(frame, address), said);
  assert.equal(frame.ethernetSource, mac, said);
  if (arp) {
    assert.deepEqual(
      [frame.ethernetDestination, arp.operation, arp.senderMac],
      ["ff:ff:ff:ff:ff:ff", "request", mac],
      said,
    );
  } else {
    assert.deepEqual(
      [frame.ethernetDestination, ipv6?.destination, ipv6?.source, ipv6?.hopLimit],
      ["33:33:00:00:00:01", "ff02::1", address, 255],
      said,
    );
    assert.deepEqual([nd?.override, nd?.linkLayerAddress, nd?.checksumIsGood], [true, mac, true], said);
  }
}
