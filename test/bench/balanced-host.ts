/**
 * One host of two that share an address, a client, and what decides which packets are this host's: our data path
 * without an engine, nothing at all, or xt_cluster as iptables-extensions(8) sets it up. Any number of them may
 * stand at the same time: traffic stays in namespaces of their own.
 */

import { join } from "node:path";
import { execa } from "execa";
import type { DataPathInterface } from "../../src/kernel/kernel.ts";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import type { Visit } from "../net/data-path-once.ts";

const ADDRESS = "10.0.0.1";
const PORT = 7777;
const DEVICE_MAC = "00:00:5e:00:01:0a";
const MULTICAST_MAC = "01:00:5e:00:01:0a";
const macs = {
  none: DEVICE_MAC,
  hook: DEVICE_MAC,
  "ip-unicast": DEVICE_MAC,
  ip: MULTICAST_MAC,
  cluster: MULTICAST_MAC,
} as const;
const ANOTHER_MAC = "00:00:5e:00:01:7f";
const HOUR_S = 3600;

const SEED = "0xdeadbeef";
/** As iptables-extensions(8) has it under `cluster`. */
const CLUSTER = [
  `ip maddress add ${MULTICAST_MAC} dev eth0`,
  `arptables -A OUTPUT -o eth0 --h-length 6 -j mangle --mangle-mac-s ${MULTICAST_MAC}`,
  `arptables -A INPUT -i eth0 --h-length 6 --destination-mac ${MULTICAST_MAC} -j mangle --mangle-mac-d OWN_MAC`,
  "iptables -A PREROUTING -t mangle -i eth0 -m cluster --cluster-total-nodes 2 --cluster-local-node 1" +
    ` --cluster-hash-seed ${SEED} -j MARK --set-mark 0xffff`,
  "iptables -A PREROUTING -t mangle -i eth0 -m mark ! --mark 0xffff -j DROP",
];

/** What decides, in words. */
export const deciding = {
  nobody: "sent, and received by nobody",
  none: "no data path",
  hook: "a program that has nothing to do",
  "ip-unicast": "balancing ip-unicast",
  ip: "balancing ip",
  cluster: "xt_cluster",
} as const;
export type Deciding = keyof typeof deciding;

/** Source address and source port. */
export type Flow = readonly [source: string, port: number];

/** As udp-bursts.py takes it. */
export interface Path {
  readonly sender: string;
  readonly device: string;
  readonly fromMac: string;
  readonly toMac: string;
  /** null: packets get as far as the switch, which forwards them to nobody. */
  readonly receiver: string | null;
  readonly address: string;
  readonly port: number;
}

export class BalancedHost {
  /** From the client to the host. */
  readonly path: Path;
  readonly #network: Network;

  private constructor(network: Network, path: Path) {
    this.#network = network;
    this.path = path;
  }

  static async create(by: Deciding): Promise<BalancedHost> {
    const network = await createNetwork();
    const own = by === "cluster" ? `${ADDRESS}/24` : "10.0.0.2/24";
    const host = await network.host("host", { addresses: [own] });
    const client = await network.host("client", { addresses: ["10.0.0.9/24"] });
    if (by === "cluster") await joinCluster(host);
    else await shareAddress(host);
    if (by === "hook") await judge(host, "ip-unicast", ANOTHER_MAC);
    if (by === "ip-unicast") await judge(host, by, DEVICE_MAC);
    if (by === "ip") await judge(host, by, MULTICAST_MAC);
    const path: Path = {
      sender: client.namespace.name,
      device: "eth0",
      fromMac: await client.mac(),
      toMac: { ...macs, nobody: await client.mac() }[by],
      receiver: by === "nobody" ? null : host.namespace.name,
      address: ADDRESS,
      port: PORT,
    };
    return new BalancedHost(network, path);
  }

  destroy(): void {
    this.#network.destroy();
  }
}

/** By path, the sources whose packets come through, of these. */
export function accepted(flows: readonly Flow[], paths: readonly Path[]): Promise<string[][]> {
  return run({ what: "accepted", flows, paths });
}

/** One row a turn, in which every path had one burst of all flows: nanoseconds a packet, sent and received. */
export async function burstsInTurns(
  flows: readonly Flow[],
  paths: readonly Path[],
  seconds: number,
): Promise<number[][]> {
  const turns: number[][] = await run({ what: "bursts", flows, paths, seconds });
  return turns.map((turn) => turn.map((ns) => ns / flows.length));
}

async function run(wanted: object): Promise<[]> {
  const script = join(import.meta.dirname, "udp-bursts.py");
  const { stdout } = await execa("/usr/bin/python3", ["-IS", script], { input: JSON.stringify(wanted) });
  return JSON.parse(stdout);
}

/** carp0 as an engine makes it, and no data path yet. */
function shareAddress(host: Host): Promise<void> {
  return host.namespace.ip([
    `link add carp0 link eth0 address ${DEVICE_MAC} type macvlan mode bridge`,
    "link set carp0 addrgenmode none",
    "link set carp0 up",
    `address add ${ADDRESS}/24 dev carp0 noprefixroute`,
  ]);
}

/** The data path, with the lease of the first of two nodes. What goes to another MAC passes unjudged. */
async function judge(host: Host, balancing: DataPathInterface["balancing"], mac: string): Promise<void> {
  const [{ ifindex, address }] = JSON.parse(await host.run("ip", "-json", "link", "show", "eth0"));
  const visit: Visit = {
    runDir: host.runDirectory,
    configure: {
      name: "carp0",
      carpdev: ifindex,
      carpdevMac: address,
      mac,
      realMac: false,
      balancing,
      vhids: [10, 11],
      addresses: [{ family: 4, address: ADDRESS, prefixLength: 24, broadcast: "10.0.0.255" }],
    },
    leases: { 10: HOUR_S, 11: 0 },
  };
  const script = join(import.meta.dirname, "../net/data-path-once.ts");
  await host.run(process.execPath, script, JSON.stringify(visit));
}

async function joinCluster(host: Host): Promise<void> {
  await host.run("sh", "-ec", CLUSTER.join("\n").replace("OWN_MAC", await host.mac()));
}
