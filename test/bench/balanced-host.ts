/**
 * One host of two that share an address, a client, and the ways to decide which packets are this host's: our data
 * path without an engine, nothing at all, or xt_cluster as iptables-extensions(8) sets it up. Traffic stays in
 * namespaces of its own.
 */

import { join } from "node:path";
import type { DataPathInterface } from "../../src/kernel/kernel.ts";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import type { Visit } from "../net/data-path-once.ts";

const ADDRESS = "10.0.0.1";
const PORT = 7777;
export const DEVICE_MAC = "00:00:5e:00:01:0a";
export const MULTICAST_MAC = "01:00:5e:00:01:0a";
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

/** Source address and source port. */
export type Flow = readonly [source: string, port: number];

export interface Traffic {
  readonly toMac: string;
  readonly flows: readonly Flow[];
}

export class BalancedHost {
  readonly #network: Network;
  readonly #host: Host;
  readonly #client: Host;

  private constructor(network: Network, host: Host, client: Host) {
    this.#network = network;
    this.#host = host;
    this.#client = client;
  }

  /** carp0 as an engine makes it, and no data path yet. */
  static async withCarp(): Promise<BalancedHost> {
    const { network, host, client } = await plugIn("10.0.0.2/24");
    await host.namespace.ip([
      `link add carp0 link eth0 address ${DEVICE_MAC} type macvlan mode bridge`,
      "link set carp0 addrgenmode none",
      "link set carp0 up",
      `address add ${ADDRESS}/24 dev carp0 noprefixroute`,
    ]);
    return new BalancedHost(network, host, client);
  }

  static async withCluster(): Promise<BalancedHost> {
    const { network, host, client } = await plugIn(`${ADDRESS}/24`);
    const script = CLUSTER.join("\n").replace("OWN_MAC", await host.mac());
    await host.run("sh", "-ec", script);
    return new BalancedHost(network, host, client);
  }

  /** No data path, and nothing where it would be. */
  async leaveAlone(): Promise<void> {
    await this.#visit({ shutdown: true });
  }

  /** The data path, with the lease of the first of two nodes. @param mac another one has all packets pass unjudged */
  async balance(
    mode: Exclude<DataPathInterface["balancing"], "none">,
    mac = mode === "ip" ? MULTICAST_MAC : DEVICE_MAC,
  ): Promise<void> {
    await this.leaveAlone();
    const [{ ifindex, address }] = JSON.parse(await this.#host.run("ip", "-json", "link", "show", "eth0"));
    await this.#visit({
      configure: {
        name: "carp0",
        carpdev: ifindex,
        carpdevMac: address,
        mac,
        realMac: false,
        balancing: mode,
        vhids: [10, 11],
        addresses: [{ family: 4, address: ADDRESS, prefixLength: 24, broadcast: "10.0.0.255" }],
      },
      leases: { 10: HOUR_S, 11: 0 },
    });
  }

  /** The sources whose packets the host lets through, of these. */
  accepted(traffic: Traffic): Promise<string[]> {
    return this.#send({ what: "accepted", ...traffic });
  }

  /** Nanoseconds a packet, one figure a burst of all flows: sent, and received by a program on the host. */
  async receive(traffic: Traffic, seconds: number): Promise<number[]> {
    return perPacket(await this.#send({ what: "received", seconds, ...traffic }), traffic.flows);
  }

  /** The same up to the switch, which forwards it to nobody. */
  async sendNowhere(flows: readonly Flow[], seconds: number): Promise<number[]> {
    const toMac = await this.#client.mac();
    return perPacket(await this.#send({ what: "sent", seconds, flows, toMac }), flows);
  }

  destroy(): void {
    this.#network.destroy();
  }

  async #send(wanted: object): Promise<[]> {
    const fromMac = await this.#client.mac();
    const receiver = this.#host.namespace.name;
    const input = JSON.stringify({
      device: "eth0",
      receiver,
      address: ADDRESS,
      port: PORT,
      fromMac,
      ...wanted,
    });
    const script = join(import.meta.dirname, "udp-bursts.py");
    const { exitCode, stdout, stderr } = await this.#client.exec("/usr/bin/python3", ["-IS", script], {
      input,
    });
    if (exitCode !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }

  async #visit(visit: Omit<Visit, "runDir">): Promise<void> {
    const script = join(import.meta.dirname, "../net/data-path-once.ts");
    const argument = JSON.stringify({ runDir: this.#host.runDirectory, ...visit });
    await this.#host.run(process.execPath, script, argument);
  }
}

function perPacket(bursts: readonly number[], flows: readonly Flow[]): number[] {
  return bursts.map((ns) => ns / flows.length);
}

async function plugIn(own: string): Promise<{ network: Network; host: Host; client: Host }> {
  const network = await createNetwork();
  const [host, client] = await Promise.all([
    network.host("host", { addresses: [own] }),
    network.host("client", { addresses: ["10.0.0.9/24"] }),
  ]);
  return { network, host, client };
}
