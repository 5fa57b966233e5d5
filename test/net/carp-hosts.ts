/**
 * The network of most tests of carp: hosts that share an address of either family, a client, and a capture of
 * the wire. At the end of every test the capture is checked: no frame may pair a shared address with a MAC
 * other than the virtual one.
 */

import assert from "node:assert/strict";
import {
  assertOnlyVirtualMac,
  type Capture,
  createNetwork,
  type Engine,
  eventuallyEqual,
  type Frame,
  type Host,
  isAnnouncement,
  type Network,
  type PingReport,
  virtualMac,
} from "../hosts/index.ts";

export const IPV4 = "10.0.0.1";
export const IPV6 = "2001:db8::1";
export const VHID = 1;
export const MAC = virtualMac(VHID);

export interface CarpHosts {
  readonly lan: Network;
  /**
   * Each with a running engine; the nth, from 1, with 10.0.0.(10+n) and 2001:db8::(10+n), both in decimal
   * digits.
   */
  readonly hosts: readonly Host[];
  readonly client: Host;
  /** Every frame that the switch forwards. */
  readonly wire: Capture;
}

export interface Settings {
  /** Default: both. */
  readonly addresses?: readonly string[];
  readonly advbase?: number;
  readonly advskew?: number;
  readonly preempt?: boolean;
}

export async function onCarpHosts(
  { count, addresses = [IPV4, IPV6] }: { count: number; addresses?: readonly string[] },
  test: (network: CarpHosts) => Promise<void>,
): Promise<void> {
  const lan = await createNetwork();
  try {
    const numbers = Array.from({ length: count }, (_, n) => 11 + n);
    const hosts = await Promise.all(
      numbers.map((number, n) =>
        lan.host(String.fromCharCode(97 + n), {
          addresses: [`10.0.0.${number}/24`, `2001:db8::${number}/64`],
        }),
      ),
    );
    const client = await lan.host("client", { addresses: ["10.0.0.99/24", "2001:db8::99/64"] });
    const wire = await lan.capture();
    await Promise.all(hosts.map((host) => host.startEngine()));
    await test({ lan, hosts, client, wire });
    const packetSources = await Promise.all(hosts.map((host) => host.mac()));
    assertOnlyVirtualMac(await wire.stop(), { addresses, mac: MAC, packetSources });
  } finally {
    lan.destroy();
  }
}

export async function configure(host: Host, settings: Settings = {}): Promise<void> {
  const { addresses = [IPV4, IPV6], advbase = 1, advskew = 0, preempt = false } = settings;
  if (preempt) await host.command("sysctl", "net.inet.carp.preempt=1");
  const words = addresses.flatMap((address) =>
    address.includes(":") ? ["inet6", `${address}/64`] : ["inet", `${address}/24`],
  );
  words.push("carpdev", "eth0", "vhid", String(VHID), "pass", "sesame");
  await host.command("carp0", ...words, "advbase", String(advbase), "advskew", String(advskew));
}

export const isAdvertisement = ({ carp }: Frame) => carp?.vhid === VHID;

/** @returns a predicate: is the frame an advertisement of that host, by its source address? */
export async function isFrom(host: Host): Promise<(frame: Frame) => boolean> {
  const own = (await host.addresses("eth0")).map((address) => address.split("/")[0]);
  return (frame) => isAdvertisement(frame) && own.includes((frame.ipv4 ?? frame.ipv6)?.source);
}

/** Resolves when the host has advertised that many times from now on, counted in one family. */
export async function advertises(wire: Capture, host: Host, times: number): Promise<void> {
  const fromHost = await isFrom(host);
  let version: number | undefined;
  let count = 0;
  await wire.waitFor(
    (frame) => {
      if (!fromHost(frame)) return false;
      version ??= frame.etherType;
      if (frame.etherType === version) count += 1;
      return count >= times;
    },
    { from: wire.frames.length },
  );
}

/** Advertisements and announcements, which only a MASTER sends. */
export const isClaim = (frame: Frame) =>
  isAdvertisement(frame) || isAnnouncement(frame, IPV4) || isAnnouncement(frame, IPV6);

/** Captures the claims that a host sends from now on. */
export const claimsOf = (host: Host): Promise<Capture> =>
  host.capture("eth0", "outbound and (arp or icmp6 or proto 112 or ip6 proto 112)");

export const statesOf = (hosts: readonly Host[]) =>
  Promise.all(hosts.map((host) => host.engine.state("carp0")));

/** The states entered, in order. */
export const statesEntered = (engine: Engine) => engine.transitions.map(({ to }) => to);

/** Resolves when the holder alone has the shared addresses, on a device with the virtual MAC. */
export async function assertHolder(holder: Host, others: readonly Host[], addresses = [IPV4, IPV6]) {
  const shared = async (host: Host) =>
    (await host.addresses("carp0")).map((address) => address.split("/")[0] ?? "").sort();
  await eventuallyEqual(() => shared(holder), [...addresses].sort());
  assert.equal(await holder.mac("carp0"), MAC);
  for (const other of others) await eventuallyEqual(() => shared(other), []);
}

/** A client that pings every address every 10 ms. */
export class Client {
  readonly #pings;

  private constructor(host: Host, addresses: readonly string[]) {
    this.#pings = addresses.map((address) => host.startPing(address, { intervalMs: 10 }));
  }

  /** Resolves when each address has answered. */
  static async start(host: Host, addresses: readonly string[] = [IPV4, IPV6]): Promise<Client> {
    const client = new Client(host, addresses);
    await client.isServed();
    return client;
  }

  /** Resolves when each address has answered that many times after now. */
  async isServed(times = 3): Promise<void> {
    for (const ping of this.#pings) for (let n = 0; n < times; n += 1) await ping.waitForReply();
  }

  stop(): Promise<PingReport[]> {
    return Promise.all(this.#pings.map((ping) => ping.stop()));
  }
}

export function assertNothingLost(reports: readonly PingReport[]): void {
  for (const { lost, received } of reports) {
    assert.ok(received > 0);
    assert.deepEqual(lost, []);
  }
}
