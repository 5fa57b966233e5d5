/**
 * Appearance: what a carp interface looks like on its segment: the MAC it gives out, the sources and digests
 * of its advertisements, its announcements, its device and its filter. It follows from the configuration and
 * the carpdev alone, and is computed once for each change of those, because advertisements are frequent and
 * changes are rare.
 */

import { addressBytes, multicastMac, virtualMac } from "../../protocol/address.ts";
import {
  ADVERTISEMENT_BYTES,
  type Advertisement,
  encodeAdvertisement,
} from "../../protocol/advertisement.ts";
import { Authentication, type Hmac, type SignedForm } from "../../protocol/authentication.ts";
import {
  type AdvertisementFrame,
  advertisementFrame,
  gratuitousArp,
  unsolicitedNeighbourAdvertisement,
} from "../../protocol/frame.ts";
import { broadcastAddress } from "../../protocol/subnet.ts";
import type { Part } from "../election/announcements.ts";
import { isBowOut, SECOND } from "../election/timing.ts";
import type { Balancing, Device, Family, Filter, Link, Micros, Transmission } from "../model.ts";
import { CARPDEV_MAC, type InterfaceConfiguration } from "./configuration.ts";
import type { Secret } from "./grace.ts";
import type { SignedAs } from "./signing.ts";
import { ownAddresses, type UnicastPeer, type UnicastPeers, unicastPeers } from "./unicast-peers.ts";

/**
 * An advertisement's frame, whose message at the end is replaced for each one, and the values it was built
 * from.
 */
interface Layout {
  readonly sourceMac: string;
  readonly trafficClass: number;
  readonly frame: Uint8Array;
}

/**
 * The default of `announce`, in seconds, where advertisements do not teach clients and switches where the
 * addresses are: with the carpdev's own MAC or unicast peers.
 */
const ANNOUNCE_S = 60;

const NONE: readonly Transmission[] = [];

export class Appearance {
  readonly #configuration: InterfaceConfiguration;
  readonly #link: Link | undefined;
  readonly #believed: readonly Secret[];
  /** By vhid, then by secret. */
  readonly #authentications: ReadonlyMap<number, ReadonlyMap<Secret, Authentication>>;
  readonly #peers: Readonly<Record<Family, UnicastPeers>>;
  readonly #sources: Readonly<Record<Family, string | undefined>>;
  /** Whether it has addresses of the family. */
  readonly #shares: Readonly<Record<Family, boolean>>;
  /** The host's tag, 0 to 255, the low bits of its counters; distinct for each host on most segments. */
  readonly counterTag: number;
  /** The balancing mode in force: one node has nothing to balance, several always balance. */
  readonly mode: Balancing;
  /** The MAC that carp gives out for the addresses. */
  readonly mac: string | undefined;
  /** The Ethernet source of our frames: never a multicast address, and in stealth mode never the shared one. */
  readonly #sourceMac: string | undefined;
  /** The frame built last for advertisements to each unicast peer, or from each source to the group. */
  readonly #layouts = new Map<string, Layout>();
  /** The message of the present advertisement: each of its packets has a copy. */
  readonly #message = new Uint8Array(ADVERTISEMENT_BYTES);
  /** Made when they are asked for first. */
  #signedForms: readonly SignedForm[] | undefined;
  /** The filter that was described last. */
  #filter: Filter | null = null;

  /** @param believed the secrets of which any may have signed an advertisement */
  constructor(
    configuration: InterfaceConfiguration,
    link: Link | undefined,
    believed: readonly Secret[],
    hmac?: Hmac,
  ) {
    this.#configuration = configuration;
    this.#link = link;
    this.#believed = believed;
    this.mode = modeOf(configuration);
    this.mac = sharedMac(configuration, link, this.mode);
    this.#sourceMac = this.mode === "ip" || this.mode === "ip-stealth" ? link?.mac : this.mac;
    this.#authentications = authentications(configuration, link, believed, hmac);
    this.#peers = { 4: unicastPeers(4, configuration, link), 6: unicastPeers(6, configuration, link) };
    this.#sources = { 4: this.#sourceOf(4), 6: this.#sourceOf(6) };
    const shares = (family: Family) => configuration.addresses.some((each) => each.family === family);
    this.#shares = { 4: shares(4), 6: shares(6) };
    const source = this.#sources[4] ?? this.#sources[6];
    this.counterTag = source === undefined ? 0 : (addressBytes(source).at(-1) ?? 0);
  }

  /** Whether it follows from these. */
  isOf(configuration: InterfaceConfiguration, link: Link | undefined, believed: readonly Secret[]): boolean {
    return (
      configuration === this.#configuration &&
      link === this.#link &&
      believed.length === this.#believed.length &&
      believed.every((secret, at) => secret === this.#believed[at])
    );
  }

  /**
   * The source of advertisements in that family: the carpdev's first address, otherwise the first shared one.
   *
   * @param peer the unicast peer that they go to: then the carpdev's first address in its subnet
   */
  source(family: Family, peer?: string): string | undefined {
    const to = peer === undefined ? undefined : this.#peers[family]?.get(peer);
    return to?.source ?? this.#sources[family];
  }

  #sourceOf(family: Family): string | undefined {
    const toPeer = this.#peers[family]?.values().next().value?.source;
    if (toPeer !== undefined) return toPeer;
    const own = ownAddresses(family, this.#configuration, this.#link);
    return (own[0] ?? this.#configuration.addresses.find((each) => each.family === family))?.address;
  }

  /** The unicast peers of a family, this host itself left out; undefined: advertisements are multicast. */
  peers(family: Family): UnicastPeers {
    return this.#peers[family];
  }

  /** Whether this is the address of a unicast peer that is in no subnet of the carpdev. */
  isRoutedPeer(address: string): boolean {
    return this.#peers[address.includes(":") ? 6 : 4]?.get(address)?.isOnLink === false;
  }

  /** Whether the address is one of this host's on the carpdev, or the source of its advertisements. */
  isAddressed(destination: string): boolean {
    return (
      this.#link?.addresses.some(({ address }) => address === destination) === true ||
      destination === this.#sources[4] ||
      destination === this.#sources[6]
    );
  }

  /** The forms of every digest that `verify` accepts. */
  get signedForms(): readonly SignedForm[] {
    this.#signedForms ??= [...this.#authentications.values()].flatMap((bySecret) =>
      [...bySecret.values()].flatMap(({ forms }) => forms),
    );
    return this.#signedForms;
  }

  /** The addresses that the digests of a virtual host cover with this secret, as bytes, in each of their forms. */
  covered(vhid: number, secret: Secret): readonly Uint8Array[] {
    return this.#authentications.get(vhid)?.get(secret)?.covered ?? [];
  }

  /** The form in which the advertisement's digest is valid; undefined: it is not. */
  verify({ vhid, counter, digest }: Advertisement): SignedAs | undefined {
    const bySecret = this.#authentications.get(vhid);
    if (bySecret === undefined) return undefined;
    for (const [secret, authentication] of bySecret) {
      const form = authentication.verify(counter, digest);
      if (form !== undefined) return { linkLocals: form.linkLocals, secret };
    }
    return undefined;
  }

  /**
   * Builds one advertisement: a packet for each family of the shared addresses.
   *
   * @param trafficClass TOS or traffic class byte
   * @param form of the digest
   */
  transmissions(
    fields: { vhid: number; advbase: number; advskew: number; demote: number; counter: bigint },
    trafficClass: number,
    form: SignedAs,
  ): readonly Transmission[] {
    const { name } = this.#configuration;
    const authentication = this.#authentications.get(fields.vhid)?.get(form.secret);
    // A bow-out over the second family may leave after the successor has advertised over the first: it must
    // not move the shared MAC back to this host's switch port.
    const sourceMac = isBowOut(fields) ? (this.#link?.mac ?? this.#sourceMac) : this.#sourceMac;
    if (authentication === undefined || sourceMac === undefined)
      throw new Error(`${name} advertises without being configured`);
    const message = encodeAdvertisement(fields, authentication, form, this.#message);
    const options = { sourceMac, trafficClass, message };
    const overIpv4 = this.#transmissionsOver(4, options);
    const overIpv6 = this.#transmissionsOver(6, options);
    if (overIpv6.length === 0) return overIpv4;
    return overIpv4.length === 0 ? overIpv6 : [...overIpv4, ...overIpv6];
  }

  #transmissionsOver(
    family: Family,
    { sourceMac, trafficClass, message }: Omit<AdvertisementFrame, "source" | "destination">,
  ): readonly Transmission[] {
    const source = this.#shares[family] ? this.source(family) : undefined;
    if (source === undefined) return NONE;
    const options = { sourceMac, source, trafficClass, message };
    const peers = this.#peers[family];
    if (peers === undefined) return [{ family, frame: this.#frame(options) }];
    return [...peers].map((peer) => this.#toPeer(family, peer, options));
  }

  /**
   * Builds the packet to a unicast peer. To one on the link it is a frame from the shared MAC too, so that
   * switches learn where that is.
   */
  #toPeer(
    family: Family,
    [destination, { source, isOnLink }]: readonly [string, UnicastPeer],
    options: Omit<AdvertisementFrame, "destination">,
  ): Transmission {
    const { trafficClass, message } = options;
    const from = source ?? options.source;
    const packet = { family, destination, source: from, trafficClass, payload: message.slice() };
    if (!isOnLink || options.sourceMac === this.#link?.mac) return packet;
    return { ...packet, onLink: this.#frame({ ...options, source: from, destination }) };
  }

  /**
   * Whether this host tells a master that it gives way to it: that one has announcements to make, and both
   * advertise from addresses of their own.
   */
  mayConcedeTo(to: { readonly family: Family; readonly source: string }): boolean {
    const shared = this.#configuration.addresses.map(({ address }) => address);
    const source = this.source(to.family, to.source);
    const areOwn = source !== undefined && !shared.includes(source) && !shared.includes(to.source);
    return areOwn && this.mode === "none";
  }

  /** Builds an advertisement to one other master alone, from this host's own MAC: it claims nothing. */
  concession(
    fields: { vhid: number; advbase: number; advskew: number; demote: number; counter: bigint },
    to: { readonly family: Family; readonly source: string },
    { trafficClass, form }: { readonly trafficClass: number; readonly form: SignedAs },
  ): Transmission | undefined {
    const authentication = this.#authentications.get(fields.vhid)?.get(form.secret);
    const source = this.source(to.family, to.source);
    if (authentication === undefined || source === undefined) return undefined;
    const payload = encodeAdvertisement(fields, authentication, form);
    return { family: to.family, destination: to.source, source, trafficClass, payload };
  }

  /** The time in which a MASTER announces each address once more; 0: it does not. */
  get announceEveryUs(): Micros {
    const { announce, carppeer, carppeer6 } = this.#configuration;
    if (this.mode !== "none") return 0;
    const teaches = !this.#hasOwnMac && carppeer === undefined && carppeer6 === undefined;
    return (announce ?? (teaches ? 0 : ANNOUNCE_S)) * SECOND;
  }

  /** Whether the carpdev's own MAC is given out. */
  get #hasOwnMac(): boolean {
    return this.mac !== undefined && this.mac === this.#link?.mac;
  }

  /**
   * Builds the frame of an advertisement; while source and traffic class stay the same, only the message is
   * replaced.
   */
  #frame(options: AdvertisementFrame): Uint8Array {
    const { sourceMac, source, destination, trafficClass, message } = options;
    // For each interface as many as it has peers: source and destination change with the appearance alone.
    const key = destination ?? source;
    const former = this.#layouts.get(key);
    if (former?.sourceMac !== sourceMac || former.trafficClass !== trafficClass) {
      const frame = advertisementFrame(options);
      this.#layouts.set(key, { sourceMac, trafficClass, frame });
      return frame;
    }
    // From Node's pool: memory of its own for each frame takes longer than the copy.
    const frame = Buffer.from(former.frame);
    frame.set(message, frame.length - message.length);
    return frame;
  }

  /**
   * Builds gratuitous ARP and neighbour advertisements, for every address or some. None with balancing: no
   * switch may learn the shared MAC.
   */
  announcements(isRouter: boolean, part?: Part): Uint8Array[] {
    const mac = this.mac;
    if (mac === undefined || this.mode !== "none") return [];
    const { addresses } = this.#configuration;
    return (part ? addresses.slice(part.from, part.from + part.count) : addresses).map(
      ({ family, address }) =>
        family === 4
          ? gratuitousArp(mac, address)
          : unsolicitedNeighbourAdvertisement({ mac, address, router: isRouter }),
    );
  }

  /** Describes the Linux device; null while there is no carpdev or no MAC. */
  device(active: boolean): Device | null {
    const { name, carpdev, mtu, addresses, nodes } = this.#configuration;
    const shared = this.mac;
    const leader = nodes[0]?.vhid;
    if (carpdev === undefined || shared === undefined) return null;
    const mac = leader !== undefined && shared === multicastMac(leader) ? virtualMac(leader) : shared;
    return { name, carpdev, mac, realMac: mac === this.#link?.mac, mtu, active, addresses };
  }

  /** Describes the filter; null while there is no carpdev or no node. @param leaves whether this host has bowed out */
  filter(leaves: boolean): Filter | null {
    if (this.#filter?.leaves !== leaves) this.#filter = this.#describeFilter(leaves);
    return this.#filter;
  }

  #describeFilter(leaves: boolean): Filter | null {
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
      leaves,
      vhids: nodes.map(({ vhid }) => vhid),
      addresses,
    };
  }
}

function modeOf({ nodes, balancing }: InterfaceConfiguration): Balancing {
  if (nodes.length < 2) return "none";
  return balancing === "none" ? "ip" : balancing;
}

function sharedMac(
  { lladdr, nodes }: InterfaceConfiguration,
  link: Link | undefined,
  mode: Balancing,
): string | undefined {
  const leader = nodes[0]?.vhid;
  if (lladdr === CARPDEV_MAC) return link?.mac;
  if (lladdr !== undefined || leader === undefined) return lladdr;
  return mode === "ip" ? multicastMac(leader) : virtualMac(leader);
}

/**
 * The MAC that the digests of a node cover: one set by hand is part of the first node's, unless it is the virtual MAC or
 * the carpdev's own.
 */
export function handSetLladdr(
  { nodes, lladdr }: Pick<InterfaceConfiguration, "nodes" | "lladdr">,
  link: Link | undefined,
  vhid: number,
): string | undefined {
  const isSetByHand = ![undefined, CARPDEV_MAC, virtualMac(vhid), link?.mac].includes(lladdr);
  return nodes[0]?.vhid === vhid && isSetByHand ? lladdr : undefined;
}

/** Computes the authentications of each node, one for each secret. */
function authentications(
  { nodes, lladdr: configured }: InterfaceConfiguration,
  link: Link | undefined,
  believed: readonly Secret[],
  hmac: Hmac | undefined,
): Map<number, Map<Secret, Authentication>> {
  return new Map(
    nodes.map(({ vhid }) => {
      const lladdr = handSetLladdr({ nodes, lladdr: configured }, link, vhid);
      const signs = (secret: Secret) => new Authentication({ ...secret, vhid, handSetLladdr: lladdr, hmac });
      return [vhid, new Map(believed.map((secret) => [secret, signs(secret)]))];
    }),
  );
}

/**
 * The settings that identify the virtual hosts to their peers, apart from the secret, as text to compare: a change
 * passes through INIT.
 */
export function identity({ carpdev, nodes, balancing, lladdr }: InterfaceConfiguration): string {
  return JSON.stringify([carpdev, nodes.map((node) => node.vhid), balancing, lladdr]);
}

/** The addresses with their masks, as text to compare. Their order does not matter, as in digests. */
export function addressing({ addresses }: InterfaceConfiguration): string {
  const texts = addresses.map(({ family, address, prefixLength, broadcast }) =>
    [
      address,
      prefixLength,
      family === 4 ? (broadcast ?? broadcastAddress(address, prefixLength)) : undefined,
    ].join(),
  );
  return JSON.stringify(texts.sort());
}
