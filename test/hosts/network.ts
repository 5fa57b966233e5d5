/**
 * Networks for tests: a switch (a bridge in its own namespace, invisible in the machine's network) and the
 * hosts plugged into it. The bridge forwards multicast to every port, as a hub does.
 *
 *     const lan = await createNetwork();
 *     const a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
 *     const b = await lan.host("b", { addresses: ["10.0.0.3/24"] });
 *     await a.startEngine();
 *     await a.carpctl("carp0", "inet", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1");
 *     await a.waitForState("carp0", "MASTER");
 *     await a.pullCable();
 *     lan.destroy();
 */

import { Capture } from "./capture.ts";
import { Host } from "./host.ts";
import { Namespace } from "./namespace.ts";

export interface Attachment {
  /** With prefix lengths, of either family. */
  readonly addresses?: readonly string[];
  /** Default: the first of eth0, eth1, ... that the host does not have. */
  readonly interface?: string;
}

let networks = 0;

export async function createNetwork(): Promise<Network> {
  if (process.getuid?.() !== 0) throw new Error("test networks need root");
  const bridge = Namespace.create("switch");
  await bridge.sysctl({ "ipv6/conf/all/disable_ipv6": 1, "ipv6/conf/default/disable_ipv6": 1 });
  await forwardUnlooked(bridge);
  await bridge.ip([
    "link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0",
    "link set br0 up",
  ]);
  networks += 1;
  return new Network(bridge, networks);
}

export class Network {
  readonly #switch: Namespace;
  readonly #number: number;
  readonly #hosts: Host[] = [];
  #cables = 0;

  constructor(bridge: Namespace, number: number) {
    this.#switch = bridge;
    this.#number = number;
  }

  /** Makes a host, plugged in with its eth0. It is destroyed with this network. */
  async host(name: string, attachment: Attachment = {}): Promise<Host> {
    const host = await Host.create(name);
    this.#hosts.push(host);
    await this.attach(host, { interface: "eth0", ...attachment });
    return host;
  }

  /** Plugs in one more interface of a host. @returns its name */
  async attach(host: Host, { addresses = [], interface: named }: Attachment = {}): Promise<string> {
    const device = named ?? (await nextDevice(host));
    const port = `${host.name}-${device}`;
    if (port.length > 15) throw new Error(`${port}: longer than a device name may be`);
    this.#cables += 1;
    const mac = `02:00:00:00:${hex(this.#number)}:${hex(this.#cables)}`;
    await this.#switch.ip([
      `link add name ${port} type veth peer name ${device} address ${mac} netns ${host.namespace.name}`,
      `link set ${port} master br0 up`,
    ]);
    await host.namespace.ip([
      `link set ${device} up`,
      ...addresses.map(
        (address) => `address add ${address} dev ${device}${address.includes(":") ? " nodad" : ""}`,
      ),
    ]);
    host.plugged(device, { switch: this.#switch, port });
    return device;
  }

  /** Makes the switch send every frame to every port, as a hub does: it learns no MACs. */
  flood(): Promise<void> {
    return this.#switch.ip(["link set br0 type bridge ageing_time 0"]);
  }

  /** Makes the switch forget a MAC so soon after the last frame from it. */
  forgetAfter(seconds: number): Promise<void> {
    return this.#switch.ip([`link set br0 type bridge ageing_time ${seconds * 100}`]);
  }

  /** The port on which the switch has learnt a MAC, as `HOST-DEVICE`; undefined: frames to it go to every port. */
  async portOf(mac: string): Promise<string | undefined> {
    const { stdout } = await this.#switch.execute("bridge", ["-json", "fdb", "show", "br", "br0", "dynamic"]);
    const entries: { mac: string; ifname: string; state: string }[] = JSON.parse(stdout || "[]");
    return entries.find((each) => each.mac === mac && each.state !== "permanent")?.ifname;
  }

  /** Captures every frame that is forwarded, once. */
  capture(filter?: string): Promise<Capture> {
    return Capture.start(this.#switch, "br0", filter);
  }

  /** Destroys the hosts made here with all their processes. */
  destroy(): void {
    for (const host of this.#hosts) host.destroy();
    this.#switch.destroy();
  }
}

/**
 * Switches bridge netfilter off, which would drop packets that an IP stack refuses; a switch forwards all.
 */
async function forwardUnlooked(bridge: Namespace): Promise<void> {
  const settings = "/proc/sys/net/bridge/bridge-nf-call-*";
  await bridge.execute("sh", ["-c", `for each in ${settings}; do [ ! -e "$each" ] || echo 0 >"$each"; done`]);
}

async function nextDevice(host: Host): Promise<string> {
  const links: { ifname: string }[] = JSON.parse(await host.run("ip", "-json", "link", "show"));
  for (let n = 0; ; n += 1) if (!links.some(({ ifname }) => ifname === `eth${n}`)) return `eth${n}`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
