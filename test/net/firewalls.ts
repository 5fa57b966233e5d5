/**
 * Two firewalls with conntrackd, nftables and carp as carp-firewall(7) has them, from the example files: between an
 * inside network with a client and an outside network with a server, with a link of their own for the states.
 */

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Finding } from "../../src/control/messages.ts";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import type { Spawned } from "../hosts/spawned.ts";

const tree = join(import.meta.dirname, "../..");
export const EXAMPLES = join(tree, "src/install/examples/firewall");

const INSIDE = { carp: "carp0", device: "eth0", addresses: ["10.0.0.1/24", "2001:db8:1::1/64"] };
const OUTSIDE = { carp: "carp1", device: "eth1", addresses: ["192.0.2.1/24", "2001:db8:2::1/64"] };
const LEGS = [INSIDE, OUTSIDE];
export const SERVER = { 4: "192.0.2.9", 6: "2001:db8:2::9" };

export class Firewall {
  readonly host: Host;
  readonly hook: string;
  readonly legs = LEGS;
  readonly #configuration: string;
  #conntrackd: Spawned | undefined;

  constructor(host: Host) {
    this.host = host;
    this.#configuration = join(host.etcDirectory, "conntrackd/conntrackd.conf");
    this.hook = join(host.etcDirectory, "carp/hooks.d/conntrackd");
  }

  /** Puts the example files and the hook in their places. */
  install(conntrackd: string): void {
    for (const path of [this.#configuration, this.hook]) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(this.#configuration, conntrackd);
    copyFileSync(join(EXAMPLES, "conntrackd-hook"), this.hook);
    this.adapt();
  }

  /** The installed files get the places of this host, of which there are several on the machine, and its carpctl. */
  adapt(): void {
    const etc = this.host.etcDirectory;
    rewrite(this.#configuration, (text) =>
      text
        .replace(/Syslog on/, `LogFile ${etc}/conntrackd.log`)
        .replace(/LockFile .*/, `LockFile ${etc}/conntrackd.lock`)
        .replace(/Path .*/, `Path ${etc}/conntrackd.ctl`),
    );
    rewrite(this.hook, (text) => text.replace("PATH=", `PATH=${tree}/bin:`));
  }

  get conntrackd(): Spawned {
    assert.ok(this.#conntrackd, `no conntrackd was started on ${this.host.name}`);
    return this.#conntrackd;
  }

  /** Resolves when it answers. As after a boot, there is no lock file. */
  async startConntrackd(): Promise<Spawned> {
    await this.host.run("rm", "-f", join(this.host.etcDirectory, "conntrackd.lock"));
    this.#conntrackd = this.host.spawn("conntrackd", ["-C", this.#configuration]);
    await this.#conntrackd.log.waitFor(/initialization completed/);
    await eventually(
      () => this.host.exec("conntrackd", ["-C", this.#configuration, "-s"]),
      ({ exitCode }) => exitCode === 0,
    );
    return this.#conntrackd;
  }

  /** What carp-conntrackd.service does. */
  startHook(environment: Record<string, string> = {}): Spawned {
    return this.host.spawn(this.hook, ["start"], { environment });
  }

  /** What conntrackd has logged. */
  get log(): string {
    return readFileSync(join(this.host.etcDirectory, "conntrackd.log"), "utf8");
  }

  ask(...words: string[]): Promise<string> {
    return this.host.run("conntrackd", "-C", this.#configuration, ...words);
  }

  /** The findings of the doctor that are about connections. */
  async doctor(): Promise<string[]> {
    const { stdout } = await this.host.tryCarpctl("doctor", "--json");
    const { findings }: { findings: Finding[] } = JSON.parse(stdout);
    return findings
      .filter(({ subject }) => ["conntrackd", "nftables"].includes(subject))
      .map(({ level, subject, text }) => `${level} ${subject}: ${text}`);
  }

  /** Makes a carp interface on each side. @param words that both have, with the vhids where they are carpnodes */
  async share(words: string): Promise<void> {
    await this.host.carpctl("sysctl", "net.inet.carp.preempt=1");
    for (const [n, { carp, device, addresses }] of LEGS.entries()) {
      const [inet = "", inet6 = ""] = addresses;
      const vhid = words.includes("carpnodes") ? [] : ["vhid", `${n + 1}`];
      const common = ["carpdev", device, "pass", "sesame", ...vhid];
      await this.host.carpctl(carp, inet, "inet6", inet6, ...common, ...words.split(" "));
    }
  }

  async waitForState(state: "MASTER" | "BACKUP"): Promise<void> {
    for (const { carp } of LEGS) await this.host.waitForState(carp, state);
  }

  /** Engine and conntrackd die, and nothing that the host sends or should receive gets through. */
  async die(): Promise<void> {
    this.conntrackd.kill("SIGKILL");
    await Promise.all([
      this.host.engine.kill("SIGKILL"),
      ...["eth0", "eth1", "eth2"].map((each) => this.host.silence(each)),
    ]);
  }

  /** After `die`: as a boot leaves it, without carp interfaces and states; engine and conntrackd run. */
  async boot(): Promise<void> {
    await this.host.startEngine();
    await this.host.engine.stop();
    await this.host.run("conntrack", "-F");
    for (const each of ["eth0", "eth1", "eth2"]) await this.host.unsilence(each);
    await this.host.startEngine();
    await this.startConntrackd();
  }
}

function rewrite(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, "utf8")));
}

export interface Firewalls {
  readonly inside: Network;
  readonly outside: Network;
  readonly a: Firewall;
  readonly b: Firewall;
  readonly client: Host;
  readonly server: Host;
  destroy(): void;
}

/** The hosts, without anything on the firewalls. */
export async function createHosts(): Promise<Firewalls> {
  const networks = await Promise.all([createNetwork(), createNetwork(), createNetwork()]);
  const [inside, outside, link] = networks;
  const destroy = () => {
    for (const each of networks) each.destroy();
  };
  try {
    const firewall = async (name: string, n: number) => {
      const host = await inside.host(name, { addresses: [`10.0.0.${n}/24`, `2001:db8:1::${n}/64`] });
      await outside.attach(host, { addresses: [`192.0.2.${n}/24`, `2001:db8:2::${n}/64`] });
      await link.attach(host, { addresses: [`172.16.0.${n}/24`] });
      await host.startEngine();
      return new Firewall(host);
    };
    const [a, b, client, server] = await Promise.all([
      firewall("a", 2),
      firewall("b", 3),
      inside.host("client", { addresses: ["10.0.0.9/24", "2001:db8:1::9/64"] }),
      outside.host("server", { addresses: [`${SERVER[4]}/24`, `${SERVER[6]}/64`] }),
    ]);
    await client.namespace.ip(["route add default via 10.0.0.1", "route add default via 2001:db8:1::1"]);
    await server.namespace.ip(["route add 2001:db8:1::/64 via 2001:db8:2::1"]);
    return { inside, outside, a, b, client, server, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Firewalls with everything but carp interfaces. @param file the example of conntrackd.conf */
export async function createFirewalls(file = "conntrackd.conf"): Promise<Firewalls> {
  const hosts = await createHosts();
  try {
    const ofA = readFileSync(join(EXAMPLES, file), "utf8");
    const ofB = ofA
      .replace("IPv4_address 172.16.0.2\n", "IPv4_address 172.16.0.3\n")
      .replace("IPv4_Destination_Address 172.16.0.3", "IPv4_Destination_Address 172.16.0.2");
    for (const [firewall, configuration] of [
      [hosts.a, ofA],
      [hosts.b, ofB],
    ] as const) {
      firewall.install(configuration);
      await firewall.host.becomeRouter();
      await firewall.host.run("nft", "-f", join(EXAMPLES, "nftables.conf"));
    }
    await Promise.all([hosts.a.startConntrackd(), hosts.b.startConntrackd()]);
    return hosts;
  } catch (error) {
    hosts.destroy();
    throw error;
  }
}
