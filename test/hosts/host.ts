/**
 * A test host: a network namespace with its own interfaces, in which commands, engines, captures and peers
 * run. Networks make hosts; see network.ts.
 */

import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Capture } from "./capture.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { DEFAULT_TIMEOUT_MS } from "./log.ts";
import { Namespace, type Output } from "./namespace.ts";
import { Ping, type PingOptions, type PingReport } from "./ping.ts";
import { CARPCTL } from "./program.ts";
import { makeDirectory, removeDirectory } from "./resources.ts";
import type { Spawned } from "./spawned.ts";
import { Ucarp, type UcarpOptions } from "./ucarp.ts";

export interface ExecOptions {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Runs as this user, without supplementary groups. */
  readonly uid?: number;
}

/** The port of a network's bridge that an interface is plugged into. */
export interface Cable {
  readonly switch: Namespace;
  readonly port: string;
}

export class Host {
  readonly name: string;
  readonly namespace: Namespace;
  /** CARP_RUN_DIR and CARP_ETC_DIR of everything that runs here. */
  readonly runDirectory: string;
  readonly etcDirectory: string;
  readonly #directory: string;
  readonly #cables = new Map<string, Cable>();
  #engine: Engine | undefined;

  private constructor(name: string, namespace: Namespace) {
    this.name = name;
    this.namespace = namespace;
    this.#directory = makeDirectory(name);
    // Other users reach the engine's socket, and the engine may be another user.
    chmodSync(this.#directory, 0o755);
    this.runDirectory = join(this.#directory, "run");
    this.etcDirectory = join(this.#directory, "etc");
    for (const directory of [this.runDirectory, this.etcDirectory]) mkdirSync(directory, { mode: 0o755 });
  }

  static async create(name: string): Promise<Host> {
    const host = new Host(name, Namespace.create(name));
    await host.namespace.sysctl({
      "ipv4/conf/all/rp_filter": 0,
      "ipv4/conf/default/rp_filter": 0,
      "ipv6/conf/all/accept_dad": 0,
      "ipv6/conf/default/accept_dad": 0,
      "ipv6/conf/default/accept_ra": 0,
      "ipv6/conf/default/autoconf": 0,
      "ipv6/conf/default/router_solicitations": 0,
    });
    await host.namespace.ip(["link set lo up"]);
    return host;
  }

  /** Called by the network that plugs a cable in. */
  plugged(name: string, cable: Cable): void {
    this.#cables.set(name, cable);
  }

  /** Makes the host forward packets between its interfaces. */
  async becomeRouter(): Promise<void> {
    await this.namespace.sysctl({ "ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1 });
  }

  /** Runs a command. @returns its output. Rejects when it fails. */
  async run(command: string, ...words: string[]): Promise<string> {
    const output = await this.exec(command, words);
    return succeeded(this.name, [command, ...words], output).stdout;
  }

  async exec(command: string, words: readonly string[] = [], options: ExecOptions = {}): Promise<Output> {
    const { input = "", uid } = options;
    const environment = { ...this.#environment, ...options.environment };
    if (uid === undefined) return this.namespace.execute(command, words, { input, environment });
    const user = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--", command, ...words];
    return this.namespace.execute("setpriv", user, { input, environment });
  }

  /** Starts a command that runs beside the test, until it ends or the host is destroyed. */
  spawn(
    command: string,
    words: readonly string[] = [],
    options: Pick<ExecOptions, "environment"> = {},
  ): Spawned {
    const environment = { ...this.#environment, ...options.environment };
    return this.namespace.spawn(command, words, { name: `${command} on ${this.name}`, environment });
  }

  /** Runs carpctl. Rejects with its output when it fails; `tryCarpctl` is for commands that are to fail. */
  async carpctl(...words: string[]): Promise<Output> {
    return succeeded(this.name, ["carpctl", ...words], await this.exec(CARPCTL, words));
  }

  tryCarpctl(...words: string[]): Promise<Output> {
    return this.exec(CARPCTL, words);
  }

  /** Runs a carpctl command in this process. See command.ts. */
  async command(...words: string[]): Promise<Output> {
    const output = await this.tryCommand(...words);
    return succeeded(this.name, ["carpctl", ...words], output);
  }

  async tryCommand(...words: string[]): Promise<Output> {
    const { command } = await import("./command.ts");
    return command(words, { ...process.env, ...this.#environment });
  }

  get engine(): Engine {
    if (!this.#engine) throw new Error(`no engine was started on ${this.name}`);
    return this.#engine;
  }

  /** Resolves when the engine answers. After it has ended, starts another in the same run directory. */
  async startEngine(options: EngineOptions = {}): Promise<Engine> {
    const { words = [], environment, logLevel = 7, program = CARPCTL, through = [] } = options;
    const [command, ...rest] = [...through, program, "engine", "--log", "stderr", ...words] as [string];
    const engine = this.spawn(command, rest, { environment });
    this.#engine = await Engine.attach(engine, this.runDirectory, this.name);
    if (logLevel !== null) {
      const writes = [{ name: "net.inet.carp.log", value: logLevel }];
      await this.#engine.request("sysctl-set", { writes });
    }
    return this.#engine;
  }

  waitForState(...parameters: Parameters<Engine["waitForState"]>): Promise<void> {
    return this.engine.waitForState(...parameters);
  }

  /** Sets the port of the switch down: this host loses carrier. */
  async pullCable(name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    await bridge.ip([`link set ${port} down`]);
  }

  async plugCable(name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    await bridge.ip([`link set ${port} up`]);
  }

  /** Takes the port out of the switch: nothing is forwarded, and carrier stays. */
  async silence(name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    await bridge.ip([`link set ${port} nomaster`]);
  }

  /** The switch forwards no multicast to this host; what the host sends gets through. */
  async deafen(name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    await bridge.ip([`link set ${port} type bridge_slave mcast_flood off`]);
  }

  /** The switch loses every third CARP packet over IPv4 that this host sends. */
  async loseThird(name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    const chain = `type filter hook ingress device "${port}" priority 0; ip protocol 112 numgen inc mod 3 == 0 drop;`;
    const input = `table netdev lossy { chain in { ${chain} }; }\n`;
    succeeded(this.name, ["nft"], await bridge.execute("nft", ["-f", "-"], { input }));
  }

  /** Whether the switch drops what this host sends from virtual MACs, as a hypervisor does that knows one MAC for a port. */
  async secure(on: boolean, name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    const chain = `type filter hook ingress device "${port}" priority 0; ether saddr & ff:ff:ff:ff:ff:00 == 00:00:5e:00:01:00 drop;`;
    const input = on ? `table netdev secured { chain in { ${chain} }; }\n` : "delete table netdev secured\n";
    succeeded(this.name, ["nft"], await bridge.execute("nft", ["-f", "-"], { input }));
  }

  /** The switch sends this host's own frames back to it, as a loop does. */
  async hairpin(on: boolean, name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    await bridge.ip([`link set ${port} type bridge_slave hairpin ${on ? "on" : "off"}`]);
  }

  async unsilence(name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    await bridge.ip([`link set ${port} master br0`]);
  }

  /**
   * Moves the device to another network namespace. @returns a function that brings it back, set up as before
   */
  async moveAway(name = "eth0"): Promise<() => Promise<void>> {
    const { switch: elsewhere, port } = this.#cable(name);
    const addresses = await this.addresses(name);
    const there = `${port.slice(0, 12)}-aw`;
    await this.namespace.ip([`link set ${name} netns ${elsewhere.name} name ${there}`]);
    return async () => {
      await elsewhere.ip([`link set ${there} netns ${this.namespace.name} name ${name}`]);
      await this.namespace.ip([
        `link set ${name} up`,
        ...addresses.map((each) => `address add ${each} dev ${name}${each.includes(":") ? " nodad" : ""}`),
      ]);
    };
  }

  /**
   * Overflows netlink sockets with changes of another device's addresses; then runs the last lines of `ip`.
   */
  async floodNetlink(last: readonly string[] = [], times = 12_000): Promise<void> {
    const flood = Array.from({ length: times }, (_, n) => {
      const address = `192.168.${n >> 8}.${n & 255}/32`;
      return [`address add ${address} dev noise0`, `address delete ${address} dev noise0`];
    });
    const lines = ["link add noise0 type bridge", "link set noise0 up", ...flood.flat(), ...last];
    await this.namespace.ip([...lines, "link delete noise0"]);
  }

  /** Sets the MTU at both ends of the cable. */
  async setMtu(mtu: number, name = "eth0"): Promise<void> {
    const { switch: bridge, port } = this.#cable(name);
    await bridge.ip([`link set ${port} mtu ${mtu}`]);
    await this.namespace.ip([`link set ${name} mtu ${mtu}`]);
  }

  /** Captures the frames that go in and out of a device. */
  capture(device: string, filter?: string): Promise<Capture> {
    return Capture.start(this.namespace, device, filter);
  }

  /** Pings in the background until it is stopped. */
  startPing(address: string, options: Omit<PingOptions, "count"> = {}): Ping {
    return new Ping(this.namespace, address, options);
  }

  ping(address: string, options: PingOptions = {}): Promise<PingReport> {
    return new Ping(this.namespace, address, { count: 3, ...options }).finished();
  }

  /** Sends a whole Ethernet frame unchanged. Resolves when it has left `count` times. */
  inject(device: string, frame: Uint8Array, { count = 1 }: { count?: number } = {}): Promise<void> {
    return this.injectAll(device, Array<Uint8Array>(count).fill(frame));
  }

  /** Sends whole Ethernet frames one after the other. @param pauseUs after each; 0: as fast as possible */
  async injectAll(
    device: string,
    frames: readonly Uint8Array[],
    { pauseUs = 0 }: { pauseUs?: number } = {},
  ): Promise<void> {
    const script = [
      "import socket, sys, time",
      "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
      "s.bind((sys.argv[1], 0))",
      "pause = int(sys.argv[2]) / 1e6",
      "frames = [bytes.fromhex(line) for line in sys.stdin.read().split()]",
      "for frame in frames:",
      "  s.send(frame)",
      "  if pause: time.sleep(pause)",
    ].join("\n");
    const input = frames.map((frame) => Buffer.from(frame).toString("hex")).join("\n");
    const output = await this.exec("/usr/bin/python3", ["-ISc", script, device, String(pauseUs)], { input });
    succeeded(this.name, ["inject", device], output);
  }

  startUcarp(options: UcarpOptions): Ucarp {
    return new Ucarp(this.namespace, this.#directory, this.name, options);
  }

  /** The MAC address of a device, lower-case. */
  async mac(device = "eth0"): Promise<string> {
    const links: { address: string }[] = JSON.parse(await this.run("ip", "-json", "link", "show", device));
    return links[0]?.address ?? "";
  }

  /**
   * The addresses of a device with their lengths, link-local ones left out; none when there is no such
   * device.
   */
  async addresses(device = "eth0"): Promise<string[]> {
    interface Entry {
      readonly ifname?: string;
      readonly addr_info?: readonly { local: string; prefixlen: number; scope: string }[];
    }
    const links: Entry[] = JSON.parse(await this.run("ip", "-json", "address", "show"));
    const found = links.find((link) => link.ifname === device)?.addr_info ?? [];
    return found
      .filter(({ scope }) => scope !== "link")
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  }

  /** Waits until the kernel has the addresses, which it gets after the state is logged. */
  async waitForAddresses(device: string, expected: readonly string[]): Promise<void> {
    const deadline = performance.now() + DEFAULT_TIMEOUT_MS;
    let found = await this.addresses(device);
    while (found.join() !== expected.join()) {
      if (performance.now() > deadline) {
        throw new Error(
          `${device} on ${this.name} has [${found}], not [${expected}]\n${this.#engine?.log ?? ""}`,
        );
      }
      await sleep(5);
      found = await this.addresses(device);
    }
  }

  /** Kills the processes of the host and removes it. */
  destroy(): void {
    this.namespace.destroy();
    removeDirectory(this.#directory);
  }

  get #environment(): Record<string, string> {
    return { CARP_RUN_DIR: this.runDirectory, CARP_ETC_DIR: this.etcDirectory, NO_COLOR: "1" };
  }

  #cable(name: string): Cable {
    const cable = this.#cables.get(name);
    if (!cable) throw new Error(`${this.name} has no cable at ${name}`);
    return cable;
  }
}

function succeeded(host: string, words: readonly string[], output: Output): Output {
  if (output.exitCode === 0) return output;
  throw new Error(`${host}# ${words.join(" ")}: exit ${output.exitCode}\n${output.stdout}${output.stderr}`);
}
