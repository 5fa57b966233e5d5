/**
 * A cluster to simulate: from the files of its hosts the links and commands of each, and its virtual hosts. What files do
 * not tell (passes in other files, MACs, own addresses) is made up.
 */

import type { Command } from "../../core/command.ts";
import type { Family, InterfaceAddress, Link } from "../../core/model.ts";
import { type ConfiguredHost, type Member, nameOf } from "../member.ts";
import { vhidsOf } from "../ranking.ts";
import type { Segment, Shared } from "../segments.ts";
import { ownAddresses } from "../unicast.ts";
import type { VirtualHost } from "./holding.ts";
import type { Setup } from "./station.ts";

/** A cluster whose files have no errors. */
export interface Cluster {
  readonly hosts: readonly ConfiguredHost[];
  readonly segments: readonly Segment[];
}

/** The carpdev of the host on the segment, by a name of ours where the files have none; undefined: it is not there. */
export function carpdevOn(segment: Segment, host: string, at: number): string | undefined {
  const port = segment.ports.find((each) => each.host === host);
  return port && (port.carpdev ?? `segment${at}`);
}

export function virtualHostsOn(segment: Segment, at: number): VirtualHost[] {
  return segment.shared.flatMap((shared) =>
    vhidsOf(shared).map((vhid) => ({
      vhid,
      addresses: addressesOf(shared),
      segment: at,
      members: new Map(
        shared.members.map((member) => [
          nameOf(member),
          {
            interface: member.configuration.name,
            carpdev: carpdevOn(segment, nameOf(member), at) ?? "",
          },
        ]),
      ),
    })),
  );
}

function addressesOf({ members }: Shared): string[] {
  return [
    ...new Set(members.flatMap(({ configuration }) => configuration.addresses.map(({ address }) => address))),
  ];
}

/** Stands for the pass, which is the same on all hosts or not known. */
const PASS = "plan";

export function setupOf(host: ConfiguredHost, number: number, segments: readonly Segment[]): Setup {
  const { name, settings = [] } = host.files;
  const links: Link[] = [];
  const commands: Command[] = [{ kind: "set-sysctl", writes: settings }];
  for (const [at, segment] of segments.entries()) {
    const carpdev = carpdevOn(segment, name, at);
    if (carpdev === undefined) continue;
    links.push(linkOf(carpdev, number, at, ownAddressesOn(segment, name, number, at)));
    for (const { members } of segment.shared)
      for (const { host: of, file } of members)
        if (of === host)
          commands.push({
            kind: "replace",
            name: file.interface,
            change: { ...file.change, carpdev, pass: PASS, state: undefined },
          });
  }
  return { name, links, commands };
}

function linkOf(name: string, host: number, at: number, addresses: readonly InterfaceAddress[]): Link {
  const hex = (byte: number) => (byte & 0xff).toString(16).padStart(2, "0");
  const mac = `02:00:${hex(at >> 8)}:${hex(at)}:${hex(host >> 8)}:${hex(host)}`;
  return { name, index: at + 2, mac, mtu: 65_535, up: true, carrier: true, addresses };
}

/**
 * Own addresses of the hosts, which the files do not tell: the ones that the peers list, or any. All peers are on the
 * link.
 */
function ownAddressesOn(segment: Segment, host: string, number: number, at: number): InterfaceAddress[] {
  const listed = ([4, 6] as const).flatMap((family) =>
    segment.shared.flatMap(({ members }) => ownAddressIn(members, host, family) ?? []),
  );
  const invented = (family: Family) =>
    family === 4 ? `198.18.${at & 255}.${(number & 127) + 1}` : `fe80::${at + 1}:${number + 1}`;
  return ([4, 6] as const).flatMap((family) => {
    const own = [...new Set(listed.filter((address) => address.includes(":") === (family === 6)))];
    return (own.length > 0 ? own : [invented(family)]).map((address) => ({
      family,
      address,
      prefixLength: 0,
    }));
  });
}

function ownAddressIn(members: readonly Member[], host: string, family: Family): string | undefined {
  const at = members.findIndex((member) => nameOf(member) === host);
  return at < 0 ? undefined : ownAddresses(members, family)?.[at];
}
