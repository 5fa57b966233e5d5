/**
 * The command that configures a service on a host, as its hostname.if file would at the start.
 */

import type { Command } from "../../src/core/command.ts";
import type { InterfaceChange } from "../../src/core/interface/configuration.ts";
import type { Service } from "./plan.ts";
import { ownAddress } from "./station.ts";

/** Makes the command. @param hosts how many there are: for unicast, all have the same list of all of them */
export function configured(
  service: Service,
  id: number,
  advskews: readonly number[],
  hosts: number,
): Command {
  const { name, segment, vhids, advbase, pass, balancing, addresses, unicast } = service;
  const nodes = vhids.map((vhid, i) => ({ vhid, advskew: advskews[i] ?? 0 }));
  const change: InterfaceChange = {
    carpdev: `eth${segment}`,
    // Hosts list their nodes in different orders, as people do.
    carpnodes: id % 2 === 0 ? nodes : nodes.toReversed(),
    balancing,
    advbase,
    pass,
    carppeer:
      unicast && hosts > 1 ? Array.from({ length: hosts }, (_, each) => ownAddress(segment, each)) : null,
    addAddresses: addresses.map((address) =>
      address.includes(":")
        ? { family: 6, address, prefixLength: 64, alias: true }
        : { family: 4, address, prefixLength: 24, alias: true },
    ),
  };
  return { kind: "change", name, change };
}
