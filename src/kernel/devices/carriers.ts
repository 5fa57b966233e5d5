/** Carriers: which devices carry the packets of another one, as the link cache has them. */

import type { Carrier } from "../kernel.ts";
import { IFF_UP, type KernelLink } from "../netlink/messages.ts";
import type { LinkCache } from "./link-cache.ts";

/** Of others the link below is no carrier: that of a veth is its other end. */
const ON_PARENT: ReadonlySet<string | undefined> = new Set(["vlan", "macvlan"]);

/** See Links.carriers. One pass over the links serves every device that is asked about. */
export function carriersIn(cache: LinkCache): (device: string) => readonly Carrier[] {
  const ports = Map.groupBy(cache.links.values(), ({ masterIndex }) => masterIndex);
  const below = (link: KernelLink): KernelLink[] => {
    const parent = ON_PARENT.has(link.kind) ? cache.links.get(link.parentIndex) : undefined;
    return [...(parent === undefined ? [] : [parent]), ...(ports.get(link.index) ?? [])];
  };
  return (device) => {
    const found = new Set<KernelLink>();
    const waiting = [cache.byName(device)];
    for (let link = waiting.pop(); link !== undefined; link = waiting.pop())
      for (const each of below(link)) {
        if ((each.flags & IFF_UP) === 0 || found.has(each)) continue;
        found.add(each);
        waiting.push(each);
      }
    return [...found].map(({ name, mtu }) => ({ name, mtu }));
  };
}
