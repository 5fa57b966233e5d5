/** Configures hosts that balance one carp interface, each MASTER of its own node while all hosts run. */

import type { Host } from "../hosts/index.ts";

export type Mode = "ip" | "ip-unicast" | "ip-stealth";

export const MODES: readonly Mode[] = ["ip", "ip-unicast", "ip-stealth"];

export interface Shared {
  /** Default: carp0. */
  readonly name?: string;
  /** Default: eth0. */
  readonly carpdev?: string;
  /** With prefix lengths. */
  readonly addresses: readonly string[];
  readonly mode: Mode;
  readonly advbase?: number;
  /** The advskew of its own node; the next node has `step` more, the one after that twice as much. */
  readonly advskew?: number;
  readonly step?: number;
}

/** The vhid of the nth host's own node; the host after it takes over first. */
export const vhidOf = (n: number) => n + 1;

/** Resolves when every host is MASTER of its own node, and of no other, and has the addresses. */
export async function balance(hosts: readonly Host[], shared: Shared): Promise<void> {
  const { name = "carp0", carpdev = "eth0", addresses, mode, advbase = 1, advskew = 0, step = 100 } = shared;
  const configure = async (host: Host, n: number) => {
    const skew = (node: number) => advskew + ((n - node + hosts.length) % hosts.length) * step;
    const carpnodes = hosts.map((_, node) => `${vhidOf(node)}:${skew(node)}`).join();
    const words = addresses.flatMap((each) => [each.includes(":") ? "inet6" : "inet", each]);
    words.push("carpdev", carpdev, "carpnodes", carpnodes, "balancing", mode, "pass", "sesame");
    await host.command("sysctl", "net.inet.carp.preempt=1");
    await host.command(name, ...words, "advbase", String(advbase));
    await host.command(name, "state", "master");
  };
  await Promise.all(hosts.map(configure));
  await eachHasItsNode(hosts, name);
  for (const host of hosts) await host.waitForAddresses(name, addresses);
}

export async function eachHasItsNode(hosts: readonly Host[], name = "carp0"): Promise<void> {
  for (const [n, host] of hosts.entries()) await host.waitForState(name, "MASTER", vhidOf(n));
  for (const [n, host] of hosts.entries())
    for (const node of hosts.keys()) if (node !== n) await host.waitForState(name, "BACKUP", vhidOf(node));
}
