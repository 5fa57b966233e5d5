/**
 * What the files of a host say at its start: its carp interfaces, as commands.
 */

import type { Command, InterfaceChange } from "../../src/core/configuration.ts";
import type { Service } from "./plan.ts";
import { ownAddress } from "./station.ts";

/** @param peer of two hosts the other one */
export function configured(
  service: Service,
  id: number,
  advskews: readonly number[],
  peer: number | undefined,
): Command {
  const { name, segment, vhids, advbase, pass, balancing, addresses, unicast } = service;
  const nodes = vhids.map((vhid, i) => ({ vhid, advskew: advskews[i] ?? 0 }));
  const change: InterfaceChange = {
    carpdev: `eth${segment}`,
    // People type nodes in any order.
    carpnodes: id % 2 === 0 ? nodes : nodes.toReversed(),
    balancing,
    advbase,
    pass,
    carppeer: unicast && peer !== undefined ? ownAddress(segment, peer) : null,
    addAddresses: addresses.map((address) =>
      address.includes(":")
        ? { family: 6, address, prefixLength: 64, alias: true }
        : { family: 4, address, prefixLength: 24, alias: true },
    ),
  };
  return { kind: "change", name, change };
}
