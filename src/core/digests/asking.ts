/** Makes the question of a wrong digest: all that this host knows of which another one may sign with. */

import { virtualMac } from "../../protocol/address.ts";
import { handSetLladdr } from "../interface/appearance.ts";
import type { CarpInterface } from "../interface/carp-interface.ts";
import { CARPDEV_MAC } from "../interface/configuration.ts";
import type { Interfaces } from "../interfaces.ts";
import type { Link } from "../model.ts";
import { CoveredAddresses } from "./covered-addresses.ts";
import type { DigestQuestion, Sibling } from "./question.ts";
import type { WrongDigest } from "./wrong-digests.ts";

/** Other interfaces that are looked at, those on the same carpdev first. */
const MOST_SIBLINGS = 32;

interface Around {
  readonly interfaces: Interfaces;
  /** The carpdev that the advertisement arrived on. */
  readonly carpdev: string;
  readonly link: Link | undefined;
}

/** Asks why the digest for a virtual host of this interface is wrong. */
export function questionAbout(of: CarpInterface, wrong: WrongDigest, around: Around): DigestQuestion {
  const { configuration, signing } = of;
  const { pass, addresses, lladdr } = configuration;
  const { vhid, mac } = wrong;
  const { link, interfaces, carpdev } = around;
  const shared = new Set(addresses.map(({ address }) => address));
  const macs = [lladdr, link?.mac, mac].filter(
    (each): each is string => each !== undefined && each !== CARPDEV_MAC,
  );
  return {
    ...questionAboutOther(wrong, around),
    isOfOtherVhid: false,
    pass,
    earlierPasses: [...new Set(signing.believed.map((each) => each.pass))].filter((each) => each !== pass),
    bases: basesOf(of, vhid),
    lladdr: handSetLladdr(configuration, link, vhid),
    otherMacs: [...new Set(macs)].filter((each) => each !== virtualMac(vhid)),
    carpdevAddresses: (link?.addresses ?? [])
      .map(({ address }) => address)
      .filter((address) => !shared.has(address)),
    siblings: siblings([interfaces.on(carpdev), interfaces], link, of),
  };
}

/** Asks whether an interface of this host has another vhid, or is on another segment, at another host. */
export function questionAboutOther(
  { vhid, source, counter, digest }: WrongDigest,
  { interfaces, carpdev, link }: Around,
): DigestQuestion {
  return {
    isOfOtherVhid: true,
    vhid,
    source,
    counter,
    // The frame's memory is used again.
    digest: digest.slice(),
    pass: "",
    earlierPasses: [],
    bases: [],
    lladdr: undefined,
    otherMacs: [],
    carpdev,
    carpdevAddresses: [],
    siblings: siblings([interfaces.on(carpdev), interfaces], link),
  };
}

function siblings(
  among: readonly Iterable<CarpInterface>[],
  link: Link | undefined,
  except?: CarpInterface,
): Sibling[] {
  const some = new Set<CarpInterface>();
  for (const each of among)
    for (const sibling of each) {
      if (some.size >= MOST_SIBLINGS) break;
      if (sibling !== except) some.add(sibling);
    }
  return [...some].flatMap((sibling) => {
    const { configuration, name } = sibling;
    const { nodes, pass, carpdev } = configuration;
    const vhids = nodes.map(({ vhid }) => vhid);
    const [leader] = vhids;
    if (leader === undefined) return [];
    const lladdr = handSetLladdr(configuration, link, leader);
    const [addresses] = basesOf(sibling, leader);
    return addresses === undefined ? [] : [{ name, vhids, carpdev, pass, addresses, lladdr }];
  });
}

/** What the digests of its present pass and addresses cover, laid out already. */
function basesOf({ appearance, signing, addresses }: CarpInterface, vhid: number): CoveredAddresses[] {
  const ipv4 = addresses.filter(({ family }) => family === 4).length;
  return appearance.covered(vhid, signing.present).map((bytes) => new CoveredAddresses(bytes, ipv4));
}
