/**
 * Claims: what no two carp interfaces of a host may have: a vhid or a MAC on one carpdev, and an address. Kept with each
 * change of a configuration, so that neither a command nor a packet looks at every interface.
 */

import { isLinkLocal, virtualMac } from "../protocol/address.ts";
import { CARPDEV_MAC, type InterfaceConfiguration } from "./interface/configuration.ts";

/** One thing that an interface has for itself. */
export interface Claim {
  /** What it is, for messages: `vhid 1`, `lladdr 02:00:00:00:00:01`, `10.0.0.1`. */
  readonly what: string;
  /** The carpdev on which one interface alone may have it; undefined: on the whole host. */
  readonly carpdev: string | undefined;
}

/** The MAC of the interface's device; undefined: it has no device of its own, or no vhid. */
function macOf({ lladdr, nodes: [leader] }: InterfaceConfiguration): string | undefined {
  if (lladdr === CARPDEV_MAC) return undefined;
  return lladdr ?? (leader && virtualMac(leader.vhid));
}

export function vhidClaim(vhid: number, carpdev: string): Claim {
  return { what: `vhid ${vhid}`, carpdev };
}

/** @param carpdev for a link-local address, of which every link has its own */
export function addressClaim(address: string, carpdev: string | undefined): Claim {
  return { what: address, carpdev: isLinkLocal(address) ? carpdev : undefined };
}

/**
 * The claims of a configuration, in the order in which a conflict is told.
 *
 * @param carpdevMac the carpdev's own MAC, which is claimed by nobody
 */
export function claimsOf(configuration: InterfaceConfiguration, carpdevMac?: string): Claim[] {
  const { carpdev, nodes, addresses } = configuration;
  const mac = macOf(configuration);
  const onCarpdev =
    carpdev === undefined
      ? []
      : [
          ...nodes.map(({ vhid }) => vhidClaim(vhid, carpdev)),
          ...(mac === undefined || mac === carpdevMac ? [] : [{ what: `lladdr ${mac}`, carpdev }]),
        ];
  const ofAddresses = addresses.map(({ address }) => addressClaim(address, carpdev));
  // A link-local address on no link is nobody's.
  return [...onCarpdev, ...ofAddresses.filter((each) => carpdev !== undefined || !isLinkLocal(each.what))];
}

export class Claims {
  /** The names of the interfaces that have each claim. */
  readonly #names = new Map<string, Set<string>>();
  readonly #claims = new Map<string, ReadonlySet<string>>();

  /** Replaces the claims of an interface, which has two configurations while it is leaving. */
  set(name: string, configurations: readonly InterfaceConfiguration[]): void {
    const former = this.#claims.get(name) ?? new Set();
    const claims = new Set(configurations.flatMap((each) => claimsOf(each)).map(keyOf));
    for (const key of former) if (!claims.has(key)) this.#remove(key, name);
    for (const key of claims) if (!former.has(key)) this.#add(key, name);
    this.#claims.set(name, claims);
  }

  delete(name: string): void {
    for (const key of this.#claims.get(name) ?? []) this.#remove(key, name);
    this.#claims.delete(name);
  }

  /** The names of the interfaces that have it. */
  of(claim: Claim): Iterable<string> {
    return this.#names.get(keyOf(claim)) ?? [];
  }

  #add(key: string, name: string): void {
    const names = this.#names.get(key);
    if (names === undefined) this.#names.set(key, new Set([name]));
    else names.add(name);
  }

  #remove(key: string, name: string): void {
    const names = this.#names.get(key);
    names?.delete(name);
    if (names?.size === 0) this.#names.delete(key);
  }
}

function keyOf({ what, carpdev }: Claim): string {
  return carpdev === undefined ? what : `${what} on ${carpdev}`;
}
