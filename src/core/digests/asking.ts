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

export function questionAbout(
  of: CarpInterface,
  { vhid, source, mac, counter, digest }: WrongDigest,
  { interfaces, link }: { readonly interfaces: Interfaces; readonly link: Link | undefined },
): DigestQuestion {
  const { configuration } = of;
  const { pass, addresses, carpdev = "", lladdr } = configuration;
  const shared = new Set(addresses.map(({ address }) => address));
  const macs = [lladdr, link?.mac, mac].filter(
    (each): each is string => each !== undefined && each !== CARPDEV_MAC,
  );
  return {
    vhid,
    source,
    counter,
    // The frame's memory is used again.
    digest: digest.slice(),
    pass,
    earlierPasses: [...new Set(of.signing.believed.map((each) => each.pass))].filter((each) => each !== pass),
    bases: basesOf(of, vhid),
    lladdr: handSetLladdr(configuration, link, vhid),
    otherMacs: [...new Set(macs)].filter((each) => each !== virtualMac(vhid)),
    carpdev,
    carpdevAddresses: (link?.addresses ?? [])
      .map(({ address }) => address)
      .filter((address) => !shared.has(address)),
    siblings: siblingsOf(of, carpdev, interfaces),
  };
}

function siblingsOf(of: CarpInterface, carpdev: string, interfaces: Interfaces): Sibling[] {
  const siblings = new Set<CarpInterface>();
  for (const each of [interfaces.on(carpdev), interfaces])
    for (const sibling of each) {
      if (siblings.size >= MOST_SIBLINGS) break;
      if (sibling !== of) siblings.add(sibling);
    }
  return [...siblings].flatMap((sibling) => {
    const { nodes, pass } = sibling.configuration;
    const vhids = nodes.map(({ vhid }) => vhid);
    const [addresses] = basesOf(sibling, vhids[0] ?? 0);
    return addresses === undefined ? [] : [{ name: sibling.name, vhids, pass, addresses }];
  });
}

/** What the digests of its present pass and addresses cover, laid out already. */
function basesOf({ appearance, signing, addresses }: CarpInterface, vhid: number): CoveredAddresses[] {
  const ipv4 = addresses.filter(({ family }) => family === 4).length;
  return appearance.covered(vhid, signing.present).map((bytes) => new CoveredAddresses(bytes, ipv4));
}
