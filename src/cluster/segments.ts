/**
 * Which interfaces of several hosts belong together. Carpdevs of different hosts are on one segment when their
 * interfaces share addresses or subnets, whatever their names; without that, when they have the same name, or the same
 * vhids. On one segment, carp interfaces are the same virtual host by their vhids, or else by their addresses.
 */

import { isLinkLocal } from "../protocol/address.ts";
import { subnetOf } from "../protocol/subnet.ts";
import { type ConfiguredHost, type Member, nameOf } from "./member.ts";
import { type Marks, pairUp } from "./pairs.ts";

/** One carp interface on all the hosts that have it: the virtual host of each of its vhids. */
export interface Shared {
  /** One of a host, in the order in which the hosts were given. */
  readonly members: Member[];
}

export interface Segment {
  readonly ports: Port[];
  readonly shared: Shared[];
}

/** The interfaces of a host on one carpdev. */
interface Port {
  readonly host: string;
  /** undefined: it is not in the files, and will be the device in the subnet of the addresses. */
  readonly carpdev: string | undefined;
  readonly members: Member[];
}

export function segmentsOf(hosts: readonly ConfiguredHost[]): Segment[] {
  const segments: Segment[] = [];
  for (const host of hosts) {
    const ports = portsOf(host);
    const known = [...segments];
    const byNetwork = pairUp(ports, known, networkMarks, (segment) =>
      together(segment.ports.map(networkMarks)),
    );
    const taken = new Set(byNetwork.values());
    const byVhid = pairUp(
      ports.filter((port) => !byNetwork.has(port)),
      known.filter((segment) => !taken.has(segment)),
      vhidMarks,
      (segment) => together(segment.ports.map(vhidMarks)),
    );
    for (const port of ports) {
      const segment = byNetwork.get(port) ?? byVhid.get(port);
      if (segment === undefined) segments.push(newSegment(port));
      else join(segment, port);
    }
  }
  return segments;
}

function newSegment(port: Port): Segment {
  return { ports: [port], shared: port.members.map((member) => ({ members: [member] })) };
}

function join({ ports, shared }: Segment, port: Port): void {
  const partners = pairUp(port.members, [...shared], memberMarks, ({ members }) =>
    together(members.map(memberMarks)),
  );
  for (const member of port.members) {
    const partner = partners.get(member);
    if (partner === undefined) shared.push({ members: [member] });
    else partner.members.push(member);
  }
  ports.push(port);
}

/** Interfaces without a carpdev are where another interface of the host has the same subnet. */
function portsOf({ members }: ConfiguredHost): Port[] {
  const ports = new Map<string, Port>();
  for (const member of members) {
    const { carpdev } = member.configuration;
    if (carpdev === undefined) continue;
    const port = ports.get(carpdev) ?? { host: nameOf(member), carpdev, members: [] };
    ports.set(carpdev, port);
    port.members.push(member);
  }
  const all = [...ports.values()];
  const bySubnet = new Map<string, Port>();
  const note = (port: Port, member: Member) => {
    for (const subnet of subnetsOf(member)) if (!bySubnet.has(subnet)) bySubnet.set(subnet, port);
  };
  for (const port of all) for (const member of port.members) note(port, member);
  for (const member of members) {
    if (member.configuration.carpdev !== undefined) continue;
    const found = subnetsOf(member)
      .map((subnet) => bySubnet.get(subnet))
      .find((each) => each !== undefined);
    const port = found ?? { host: nameOf(member), carpdev: undefined, members: [] };
    port.members.push(member);
    note(port, member);
    if (found === undefined) all.push(port);
  }
  return all;
}

/** Addresses that are not link-local ones, which every segment may have. */
function addressesOf({ configuration }: Member) {
  return configuration.addresses.filter(({ address }) => !isLinkLocal(address));
}

function subnetsOf(member: Member): string[] {
  return [...new Set(addressesOf(member).map(subnetOf))];
}

const [MANY, SOME, FEW, LAST] = [1e12, 1e6, 1e3, 1];

function networkMarks({ carpdev, members }: Port): Marks {
  const marks = new Map<string, number>();
  for (const member of members) {
    for (const { address } of addressesOf(member)) marks.set(address, SOME);
    for (const subnet of subnetsOf(member)) marks.set(subnet, FEW);
  }
  if (carpdev !== undefined) marks.set(`device ${carpdev}`, LAST);
  return marks;
}

function vhidMarks({ members }: Port): Marks {
  const vhids = members.flatMap(({ configuration }) => configuration.nodes.map(({ vhid }) => vhid));
  return new Map(vhids.map((vhid) => [`vhid ${vhid}`, LAST]));
}

function memberMarks(member: Member): Marks {
  const { nodes } = member.configuration;
  return new Map([
    ...nodes.map(({ vhid }) => [`vhid ${vhid}`, MANY] as const),
    ...addressesOf(member).map(({ address }) => [address, SOME] as const),
  ]);
}

function together(marks: readonly Marks[]): Marks {
  return new Map(marks.flatMap((each) => [...each]));
}
