/**
 * How a carp interface appears on its segment: the MAC it gives out, the sources and digests of its advertisements,
 * its announcements, its device. Follows from the configuration and the carpdev alone, and is made anew when one of
 * them changes: that is rare, advertisements are not.
 */

import { addressBytes, broadcastAddress, multicastMac, virtualMac } from "../protocol/address.ts";
import { type Advertisement, encodeAdvertisement } from "../protocol/advertisement.ts";
import { Authentication, type SignedForm } from "../protocol/authentication.ts";
import {
  type AdvertisementFrame,
  advertisementFrame,
  gratuitousArp,
  unsolicitedNeighbourAdvertisement,
} from "../protocol/frame.ts";
import type { Balancing, InterfaceConfiguration } from "./configuration.ts";
import type { Device, Filter, Transmission } from "./effect.ts";
import type { Family, Link } from "./event.ts";
import { isBowOut } from "./timing.ts";

/** An advertisement's frame but for the message at its end, and what it was made of. */
interface Layout {
  readonly sourceMac: string;
  readonly trafficClass: number;
  readonly frame: Uint8Array;
}

export class Appearance {
  readonly #configuration: InterfaceConfiguration;
  readonly #link: Link | undefined;
  readonly #authentications: ReadonlyMap<number, Authentication>;
  readonly #sources: Readonly<Record<Family, string | undefined>>;
  /** What its counters end in, 0 to 255; on most segments another one on each host. */
  readonly counterTag: number;
  /** Frames of advertisements as they were built last, by family. */
  readonly #layouts = new Map<Family, Layout>();

  constructor(configuration: InterfaceConfiguration, link: Link | undefined) {
    this.#configuration = configuration;
    this.#link = link;
    this.#authentications = authentications(configuration, link);
    this.#sources = { 4: this.#sourceOf(4), 6: this.#sourceOf(6) };
    const source = this.#sources[4] ?? this.#sources[6];
    this.counterTag = source === undefined ? 0 : (addressBytes(source).at(-1) ?? 0);
  }

  /** Balancing as it is in force: one node has nothing to balance, several always balance. */
  get mode(): Balancing {
    const { nodes, balancing } = this.#configuration;
    if (nodes.length < 2) return "none";
    return balancing === "none" ? "ip" : balancing;
  }

  /** The MAC that carp gives out for the addresses. */
  get mac(): string | undefined {
    const { lladdr, nodes } = this.#configuration;
    const leader = nodes[0]?.vhid;
    if (lladdr !== undefined || leader === undefined) return lladdr;
    return this.mode === "ip" ? multicastMac(leader) : virtualMac(leader);
  }

  /** Where advertisements of that family come from: the carpdev's own first address, else the first shared one. */
  source(family: Family): string | undefined {
    return this.#sources[family];
  }

  #sourceOf(family: Family): string | undefined {
    const { addresses } = this.#configuration;
    const shared = addresses.filter((each) => each.family === family);
    const own = this.#link?.addresses.find(
      (each) => each.family === family && !shared.some(({ address }) => address === each.address),
    );
    return (own ?? shared[0])?.address;
  }

  /** The digests that `verify` takes for true. */
  get signedForms(): SignedForm[] {
    return [...this.#authentications.values()].flatMap(({ forms }) => forms);
  }

  verify({ vhid, counter, digest }: Advertisement): boolean {
    return this.#authentications.get(vhid)?.verify(counter, digest) ?? false;
  }

  /**
   * One advertisement: a packet for each family there are addresses of.
   *
   * @param trafficClass TOS or traffic class byte
   */
  transmissions(
    fields: { vhid: number; advbase: number; advskew: number; demote: number; counter: bigint },
    trafficClass: number,
  ): Transmission[] {
    const { name, addresses, carppeer, carppeer6 } = this.#configuration;
    const authentication = this.#authentications.get(fields.vhid);
    // A bow-out over the second family may leave after the successor has spoken over the first: it must not make the
    // switches believe that the shared MAC is still here.
    const sourceMac = isBowOut(fields) ? (this.#link?.mac ?? this.#sourceMac) : this.#sourceMac;
    if (authentication === undefined || sourceMac === undefined)
      throw new Error(`${name} advertises without being configured`);
    const message = encodeAdvertisement(fields, authentication);
    const transmissions: Transmission[] = [];
    for (const family of [4, 6] as const) {
      const source = addresses.some((each) => each.family === family) ? this.source(family) : undefined;
      if (source === undefined) continue;
      const destination = family === 4 ? carppeer : carppeer6;
      transmissions.push(
        destination === undefined
          ? { family, frame: this.#frame(family, { sourceMac, source, trafficClass, message }) }
          : { family, destination, source, trafficClass, payload: message },
      );
    }
    return transmissions;
  }

  /** Between two advertisements nothing changes but the message. */
  #frame(family: Family, options: AdvertisementFrame): Uint8Array {
    const { sourceMac, trafficClass, message } = options;
    const former = this.#layouts.get(family);
    if (former?.sourceMac !== sourceMac || former.trafficClass !== trafficClass) {
      const frame = advertisementFrame(options);
      this.#layouts.set(family, { sourceMac, trafficClass, frame });
      return frame;
    }
    const frame = Uint8Array.from(former.frame);
    frame.set(message, frame.length - message.length);
    return frame;
  }

  /** What tells everybody where the addresses are. Balanced ones are never announced: no switch may learn a place. */
  announcements(isRouter: boolean): Uint8Array[] {
    const mac = this.mac;
    if (mac === undefined || this.mode !== "none") return [];
    return this.#configuration.addresses.map(({ family, address }) =>
      family === 4
        ? gratuitousArp(mac, address)
        : unsolicitedNeighbourAdvertisement({ mac, address, router: isRouter }),
    );
  }

  /** The Linux device; null while there is nothing to make it from. */
  device(active: boolean): Device | null {
    const { name, carpdev, mtu, addresses, nodes } = this.#configuration;
    const shared = this.mac;
    const leader = nodes[0]?.vhid;
    if (carpdev === undefined || shared === undefined) return null;
    const mac = leader !== undefined && shared === multicastMac(leader) ? virtualMac(leader) : shared;
    return { name, carpdev, mac, realMac: mac === this.#link?.mac, mtu, active, addresses };
  }

  /** What the kernel may let through; null while there is no carpdev to let it through. */
  filter(): Filter | null {
    const { addresses, nodes } = this.#configuration;
    const { mac, mode } = this;
    const link = this.#link;
    if (link === undefined || mac === undefined || nodes.length === 0) return null;
    return {
      carpdev: link.index,
      carpdevMac: link.mac,
      mac,
      realMac: mac === link.mac,
      balancing: mode,
      vhids: nodes.map(({ vhid }) => vhid),
      addresses,
    };
  }

  /** The Ethernet source of what we send: never a multicast address, in stealth never the shared one. */
  get #sourceMac(): string | undefined {
    const ownMac = this.mode === "ip" || this.mode === "ip-stealth";
    return ownMac ? this.#link?.mac : this.mac;
  }
}

/** A MAC set by hand is part of the first node's digest, unless it is one that the peers could not tell apart. */
function authentications(
  { nodes, pass, addresses, lladdr }: InterfaceConfiguration,
  link: Link | undefined,
): Map<number, Authentication> {
  const texts = addresses.map((each) => each.address);
  return new Map(
    nodes.map(({ vhid }, at) => {
      const setByHand = lladdr !== undefined && lladdr !== virtualMac(vhid) && lladdr !== link?.mac;
      const handSetLladdr = at === 0 && setByHand ? lladdr : undefined;
      return [vhid, new Authentication({ pass, vhid, addresses: texts, handSetLladdr })];
    }),
  );
}

/**
 * What keeps an interface from running, in words; undefined when nothing does.
 * @param balancing whether this host can filter packets for several nodes; else why not
 */
export function obstacleTo(
  configuration: InterfaceConfiguration,
  link: Link | undefined,
  balancing: true | string,
): string | undefined {
  const { up, carpdev, nodes, addresses } = configuration;
  if (!up) return "it is down";
  if (nodes.length === 0) return "no vhid is set";
  // Only one that was restored: commands are refused.
  if (nodes.length > 1 && balancing !== true) return balancing;
  if (carpdev === undefined) return "no carpdev is set";
  if (link === undefined) return `carpdev ${carpdev} is missing`;
  if (!link.up) return `carpdev ${carpdev} is down`;
  if (!link.carrier) return `carpdev ${carpdev} has no carrier`;
  if (addresses.length === 0) return "no address is set";
  return undefined;
}

/** What makes another virtual host of it when it changes, as text to compare. Digests know no order of addresses. */
export function identity(of: InterfaceConfiguration): string {
  const { carpdev, nodes, balancing, lladdr } = of;
  const addresses = of.addresses.map(({ family, address, prefixLength, broadcast }) =>
    [
      address,
      prefixLength,
      family === 4 ? (broadcast ?? broadcastAddress(address, prefixLength)) : undefined,
    ].join(),
  );
  return JSON.stringify([carpdev, nodes.map((node) => node.vhid), balancing, lladdr, addresses.sort()]);
}
