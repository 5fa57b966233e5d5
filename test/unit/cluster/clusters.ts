/**
 * Clusters that are well configured: the hosts, and the files below /etc of each. The published ones are the examples
 * of manuals and guides, written anew as hostname.carpN files.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { readHostFiles } from "../../../src/cli/commands/check/host-files.ts";
import { type Comparison, compareHosts } from "../../../src/cluster/comparison.ts";
import { placeText } from "../../../src/cluster/finding.ts";
import type { HostFiles } from "../../../src/cluster/host-files.ts";
import { isRefusal } from "../../../src/control/refusal.ts";

/** By their paths below /etc. */
export type Files = Readonly<Record<string, string>>;
export type Cluster = Readonly<Record<string, Files>>;

const PREEMPT = { "carp/sysctl.conf": "net.inet.carp.preempt=1\n" };

export const PUBLISHED: Readonly<Record<string, Cluster>> = {
  "the firewall pair of OpenBSD's FAQ": {
    fw1: {
      ...PREEMPT,
      "hostname.carp1":
        "inet 192.0.2.100 255.255.255.0 192.0.2.255 vhid 1 carpdev em0 \\\n  pass lanpasswd advskew 1\n",
      "hostname.carp2":
        "inet 172.16.0.100 255.255.255.0 172.16.0.255 vhid 2 carpdev em1 \\\n  pass netpasswd advskew 1\n",
    },
    fw2: {
      ...PREEMPT,
      "hostname.carp1":
        "inet 192.0.2.100 255.255.255.0 192.0.2.255 vhid 1 carpdev em0 \\\n  pass lanpasswd advskew 128\n",
      "hostname.carp2":
        "inet 172.16.0.100 255.255.255.0 172.16.0.255 vhid 2 carpdev em1 \\\n  pass netpasswd advskew 128\n",
    },
  },
  "a pair as OPNsense makes it": {
    primary: {
      ...PREEMPT,
      "hostname.carp0":
        "carpdev igb0 vhid 1 advbase 1 advskew 0 pass wan-secret alias 198.51.100.10/24 alias 198.51.100.11/32\n",
      "hostname.carp1": "carpdev igb1 vhid 3 advbase 1 advskew 0 pass lan-secret alias 192.168.1.1/24\n",
      "hostname.carp2":
        "carpdev vlan20 vhid 3 advbase 1 advskew 0 pass dmz-secret alias 192.168.20.1/24 inet6 fe80::1:1\n",
    },
    backup: {
      ...PREEMPT,
      "hostname.carp0":
        "carpdev vmx0 vhid 1 advbase 1 advskew 100 pass wan-secret alias 198.51.100.10/24 alias 198.51.100.11/32\n",
      "hostname.carp1": "carpdev vmx1 vhid 3 advbase 1 advskew 100 pass lan-secret alias 192.168.1.1/24\n",
      "hostname.carp2":
        "carpdev vlan20 vhid 3 advbase 1 advskew 100 pass dmz-secret alias 192.168.20.1/24 inet6 fe80::1:1\n",
    },
  },
  "three balanced nodes": Object.fromEntries(
    ["0,100,200", "200,0,100", "100,200,0"].map((skews, at) => [
      `web${at + 1}`,
      {
        ...PREEMPT,
        "hostname.carp0": `inet 10.0.0.1 255.255.255.0 carpdev eth0 pass sharing balancing ip\ncarpnodes ${skews
          .split(",")
          .map((skew, node) => `${node + 1}:${skew}`)
          .join()}\n`,
      },
    ]),
  ),
  "a pair with unicast peers in a cloud, as ucarp's users have it": {
    a: {
      "hostname.carp0":
        "carpdev ens5 vhid 42 pass love advskew 10 lladdr carpdev\ncarppeer 10.0.0.12\ninet 10.0.0.100 255.255.255.0\n",
    },
    b: {
      "hostname.carp0":
        "carpdev ens5 vhid 42 pass love advskew 50 lladdr carpdev\ncarppeer 10.0.0.11\ninet 10.0.0.100 255.255.255.0\n",
    },
  },
  "README's pair": {
    fw1: {
      ...PREEMPT,
      "hostname.carp0": "vhid 1 carpdev eth0 pass mekmitasdigoat\ninet 10.0.0.1 255.255.255.0\n",
    },
    fw2: {
      ...PREEMPT,
      "hostname.carp0": "vhid 1 carpdev eth0 pass mekmitasdigoat advskew 100\ninet 10.0.0.1 255.255.255.0\n",
    },
  },
};

const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

/** Writes the files of each host into a directory of its name. @returns the directory above */
export function written(cluster: Cluster): string {
  const base = join(directory, String(++count));
  for (const [host, files] of Object.entries(cluster)) {
    mkdirSync(join(base, host), { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(base, host, path)), { recursive: true });
      writeFileSync(join(base, host, path), text);
    }
  }
  return base;
}

export async function compared(cluster: Cluster): Promise<Comparison & { readonly base: string }> {
  const base = written(cluster);
  const hosts: HostFiles[] = [];
  for (const name of Object.keys(cluster)) {
    const read = await readHostFiles(name, join(base, name), async (host) =>
      host.startsWith("peer") ? `10.0.0.${host.slice(4)}` : undefined,
    );
    if (isRefusal(read)) throw new Error(read.refusal);
    hosts.push(read);
  }
  return { ...compareHosts(hosts), base };
}

/** Each finding as `KIND HOST/FILE:LINE`. */
export async function findingsOf(cluster: Cluster): Promise<string[]> {
  const { findings, base } = await compared(cluster);
  return findings.map((each) => `${each.kind} ${placeText(each).replace(`${base}/`, "")}`);
}
