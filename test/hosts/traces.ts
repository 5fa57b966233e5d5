/** traces: the kernel state of a host that carp changes, as text for comparison. */

import type { Host } from "./host.ts";

/** Devices, addresses, routes, filters, memberships and settings of a host. */
export function traces(host: Host): Promise<string> {
  const families = ["ipv4", "ipv6"].flatMap((family) => [`${family}/conf`, `${family}/neigh`]);
  const commands = [
    "ip -details -oneline link",
    "ip -oneline address",
    "ip route show table all",
    "ip -6 route show table all",
    "ip maddress",
    "tc qdisc",
    "nft list ruleset",
    // Some of the files cannot be read.
    `grep -rs . ${families.map((family) => `/proc/sys/net/${family}`).join(" ")} || true`,
  ];
  return host.run("sh", "-ec", commands.join("\n"));
}
