/** Which interfaces of several hosts are taken for the same virtual host. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf } from "../../../src/cluster/member.ts";
import { type Cluster, compared } from "./clusters.ts";

/** Hosts whose interfaces are one to a line, in the order of their numbers. */
function cluster(hosts: Readonly<Record<string, readonly string[]>>): Cluster {
  return Object.fromEntries(
    Object.entries(hosts).map(([host, lines]) => [
      host,
      Object.fromEntries(lines.map((line, at) => [`hostname.carp${at}`, `${line}\n`])),
    ]),
  );
}

const ROWS: readonly (readonly [
  what: string,
  hosts: Readonly<Record<string, readonly string[]>>,
  segments: readonly string[],
])[] = [
  [
    "carpdevs have other names, and carp interfaces other numbers",
    {
      a: ["carpdev eth0 vhid 1 10.0.0.1/24", "carpdev eth1 vhid 2 10.0.1.1/24"],
      b: ["carpdev ens4 vhid 2 10.0.1.1/24", "carpdev ens3 vhid 1 10.0.0.1/24"],
    },
    ["a.carp0+b.carp1", "a.carp1+b.carp0"],
  ],
  [
    "the networks are on swapped devices",
    {
      a: ["carpdev eth0 vhid 1 10.0.0.1/24", "carpdev eth1 vhid 1 10.0.1.1/24"],
      b: ["carpdev eth1 vhid 1 10.0.0.1/24", "carpdev eth0 vhid 1 10.0.1.1/24"],
    },
    ["a.carp0+b.carp0", "a.carp1+b.carp1"],
  ],
  [
    "no carpdev: one with another's subnet is on its device",
    {
      a: ["vhid 1 10.0.0.1/24", "carpdev eth0 vhid 2 10.0.0.2/24", "vhid 1 10.0.1.1/24"],
      b: ["vhid 1 10.0.0.1/24", "vhid 2 10.0.0.2/24", "vhid 1 10.0.1.1/24"],
    },
    ["a.carp1+b.carp1 a.carp0+b.carp0", "a.carp2+b.carp2"],
  ],
  [
    "no common subnet: by the name of the device",
    { a: ["carpdev eth0 vhid 1 10.0.0.1/24"], b: ["carpdev eth0 vhid 7 10.9.0.1/24"] },
    ["a.carp0 b.carp0"],
  ],
  [
    "no common subnet and no common name: by the vhid",
    { a: ["carpdev eth0 vhid 1 10.0.0.1/24"], b: ["carpdev ens3 vhid 1 10.9.0.1/24"] },
    ["a.carp0+b.carp0"],
  ],
  [
    "nothing in common",
    { a: ["carpdev eth0 vhid 1 10.0.0.1/24"], b: ["carpdev ens3 vhid 2 10.9.0.1/24"] },
    ["a.carp0", "b.carp0"],
  ],
  [
    "an address that is on the wrong interface joins no segments",
    {
      a: ["carpdev eth0 vhid 1 10.0.0.1/24 alias 10.0.0.9/24", "carpdev eth1 vhid 2 10.0.1.1/24"],
      b: ["carpdev eth0 vhid 1 10.0.0.1/24", "carpdev eth1 vhid 2 10.0.1.1/24 alias 10.0.0.9/24"],
    },
    ["a.carp0+b.carp0", "a.carp1+b.carp1"],
  ],
  [
    "link-local addresses, which every segment may have, say nothing",
    {
      a: ["carpdev eth0 vhid 1 fe80::1 inet 10.0.0.1/24", "carpdev eth1 vhid 1 fe80::1 inet 10.0.1.1/24"],
      b: ["carpdev ens1 vhid 1 fe80::1 inet 10.0.1.1/24", "carpdev ens0 vhid 1 fe80::1 inet 10.0.0.1/24"],
    },
    ["a.carp0+b.carp1", "a.carp1+b.carp0"],
  ],
  [
    "addresses of a single host each, as FreeBSD has them",
    {
      a: ["carpdev eth0 vhid 1 alias 10.0.0.1/32", "carpdev eth0 vhid 2 alias 10.0.0.2/32"],
      b: ["carpdev em0 vhid 1 alias 10.0.0.1/32", "carpdev em0 vhid 2 alias 10.0.0.2/32"],
    },
    ["a.carp0+b.carp0 a.carp1+b.carp1"],
  ],
  [
    "the same vhid on two segments of three hosts",
    Object.fromEntries(
      ["a", "b", "c"].map((host) => [
        host,
        [`carpdev ${host}0 vhid 1 10.0.0.1/24`, `carpdev ${host}1 vhid 1 10.0.1.1/24`],
      ]),
    ),
    ["a.carp0+b.carp0+c.carp0", "a.carp1+b.carp1+c.carp1"],
  ],
  [
    "a segment that the first host does not have",
    {
      a: ["carpdev eth0 vhid 1 10.0.0.1/24"],
      b: ["carpdev eth0 vhid 1 10.0.0.1/24", "carpdev eth1 vhid 2 10.0.1.1/24"],
      c: ["carpdev eth5 vhid 2 10.0.1.1/24"],
    },
    ["a.carp0+b.carp0", "b.carp1+c.carp0"],
  ],
  [
    "by the vhid before the addresses",
    {
      a: ["carpdev eth0 vhid 1 10.0.0.1/24", "carpdev eth0 vhid 2 10.0.0.2/24"],
      b: ["carpdev eth0 vhid 1 10.0.0.2/24", "carpdev eth0 vhid 2 10.0.0.1/24"],
    },
    ["a.carp0+b.carp0 a.carp1+b.carp1"],
  ],
];

for (const [what, hosts, expected] of ROWS)
  test(what, async () => {
    const { segments } = await compared(cluster(hosts));
    assert.deepEqual(
      segments.map(({ shared }) =>
        shared
          .map(({ members }) =>
            members.map((member) => `${nameOf(member)}.${member.configuration.name}`).join("+"),
          )
          .join(" "),
      ),
      expected,
    );
  });

test("hosts with a thousand segments each are compared quickly enough to wait for", async () => {
  const lines = (device: string) =>
    Array.from({ length: 1000 }, (_, n) => `carpdev ${device}${n} vhid 1 10.${n >> 8}.${n & 255}.1/24`);
  const { segments } = await compared(cluster({ a: lines("eth"), b: lines("ens") }));
  assert.equal(segments.length, 1000);
  for (const { ports } of segments) assert.equal(ports.length, 2);
});
