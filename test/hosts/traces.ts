/** What carp changes in a host's kernel, as text to compare: before and after, or with another way to the same state. */

import type { Host } from "./host.ts";

/** Whatever carp changes on a host: devices, addresses, routes, filters, memberships, settings. */
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
    // Some of them cannot be read.
    `grep -rs . ${families.map((family) => `/proc/sys/net/${family}`).join(" ")} || true`,
  ];
  return host.run("sh", "-ec", commands.join("\n"));
}
