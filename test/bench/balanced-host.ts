/**
 * One host of two that share an address, a client, and the program that selects this host's packets: our data
 * path without an engine, none, or xt_cluster as in iptables-extensions(8). Any number of them may exist at
 * the same time, each in its own namespaces.
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
/** The rules that iptables-extensions(8) shows under `cluster`. */
const CLUSTER = [
  `ip maddress add ${MULTICAST_MAC} dev eth0`,
  `arptables -A OUTPUT -o eth0 --h-length 6 -j mangle --mangle-mac-s ${MULTICAST_MAC}`,
  `arptables -A INPUT -i eth0 --h-length 6 --destination-mac ${MULTICAST_MAC} -j mangle --mangle-mac-d OWN_MAC`,
  "iptables -A PREROUTING -t mangle -i eth0 -m cluster --cluster-total-nodes 2 --cluster-local-node 1" +
    ` --cluster-hash-seed ${SEED} -j MARK --set-mark 0xffff`,
  "iptables -A PREROUTING -t mangle -i eth0 -m mark ! --mark 0xffff -j DROP",
];

/** The programs that select packets, in words. */
export const deciding = {
  sending: "sent, and not received",
  none: "no data path",
  hook: "a program that has nothing to do",
  "ip-unicast": "balancing ip-unicast",
  ip: "balancing ip",
  cluster: "xt_cluster",
} as const;
export type Deciding = keyof typeof deciding;

/** Source address and source port. */
export type Flow = readonly [source: string, port: number];

/** The form that udp-bursts.py takes. */
export interface Path {
  readonly sender: string;
  readonly device: string;
  readonly fromMac: string;
  readonly toMac: string;
  /** null: the switch drops the packets. */
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
      toMac: { ...macs, sending: await client.mac() }[by],
      receiver: by === "sending" ? null : host.namespace.name,
      address: ADDRESS,
      port: PORT,
    };
    return new BalancedHost(network, path);
  }

  destroy(): void {
    this.#network.destroy();
  }
}

/** The sources whose packets are received, by path. */
export function accepted(flows: readonly Flow[], paths: readonly Path[]): Promise<string[][]> {
  return run({ what: "accepted", flows, paths });
}

/**
 * Sends one burst of all flows on every path per turn. @returns by turn, nanoseconds a packet, sent and
 * received
 */
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

/** Makes carp0 as an engine does, without a data path. */
function shareAddress(host: Host): Promise<void> {
  return host.namespace.ip([
    `link add carp0 link eth0 address ${DEVICE_MAC} type macvlan mode bridge`,
    "link set carp0 addrgenmode none",
    "link set carp0 up",
    `address add ${ADDRESS}/24 dev carp0 noprefixroute`,
  ]);
}

/** Attaches the data path, with the lease of the first of two nodes. It ignores packets to other MACs. */
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
      leaves: false,
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
