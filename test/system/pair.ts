/**
 * Two machines with the package and carp0 in common, and a client that pings the shared address, on one LAN. The
 * advbase is one with which no engine on a busy machine loses its lease while it is started again.
 */

import assert from "node:assert/strict";
import { createNetwork, type Host, type Network, type PingReport } from "../hosts/index.ts";
import type { Release } from "./debian.ts";
import { Machine } from "./machine.ts";

export const ADDRESS = "10.0.0.1";

export class Pair {
  readonly lan: Network;
  /** MASTER at first. */
  readonly a: Machine;
  readonly b: Machine;
  readonly client: Host;

  private constructor(lan: Network, a: Machine, b: Machine, client: Host) {
    this.lan = lan;
    this.a = a;
    this.b = b;
    this.client = client;
  }

  /** Boots both and installs the package; carp0 is configured and a is MASTER. */
  static async boot(release: Release, deb: string): Promise<Pair> {
    const lan = await createNetwork();
    const hosts = [
      await lan.host("a", { addresses: ["10.0.0.11/24"] }),
      await lan.host("b", { addresses: ["10.0.0.12/24"] }),
    ] as const;
    const client = await lan.host("client", { addresses: ["10.0.0.99/24"] });
    const machines: Machine[] = [];
    try {
      for (const host of hosts) machines.push(await Machine.boot(host, release));
      const [a, b] = machines as [Machine, Machine];
      for (const [machine, advskew] of [[a, 0] as const, [b, 100] as const]) {
        await machine.install(deb);
        machine.write("/etc/hostname.carp0", hostnameFile(advskew), { mode: 0o600 });
        await machine.run("systemctl", "start", "carp-netstart");
      }
      // Sooner than by itself.
      await a.run("carpctl", "carp0", "state", "master");
      await a.waitForState("carp0", "MASTER");
      await b.waitForState("carp0", "BACKUP");
      return new Pair(lan, a, b, client);
    } catch (error) {
      for (const machine of machines) await machine[Symbol.asyncDispose]();
      lan.destroy();
      throw error;
    }
  }

  /**
   * Does something while the client pings every 10 ms, from before until the machine that is MASTER then has answered
   * for a while. @returns what the client noticed
   */
  async pingedDuring(act: () => Promise<unknown>): Promise<PingReport> {
    const ping = this.client.startPing(ADDRESS, { intervalMs: 10 });
    await ping.waitForReply();
    await act();
    for (let n = 0; n < 20; n += 1) await ping.waitForReply();
    return ping.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of [this.a, this.b]) await machine[Symbol.asyncDispose]();
    this.lan.destroy();
  }
}

export function hostnameFile(advskew: number): string {
  return `inet ${ADDRESS} 255.255.255.0 10.0.0.255 vhid 1 carpdev eth0 pass sesame advbase 4 advskew ${advskew}\n`;
}

/** The client lost nothing; the figure is printed. */
export function assertNothingLost(what: string, { sent, lost, longestGapMs }: PingReport): void {
  console.log(`${what}: ${lost.length} of ${sent} pings lost, longest gap ${Math.round(longestGapMs)} ms`);
  assert.deepEqual(lost, []);
}
