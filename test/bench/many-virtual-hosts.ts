/**
 * Pairs of hosts that share many virtual hosts, 250 on each segment: with engines, or with keepalived, which gives
 * each virtual router a device of its own as well (use_vmac). The first host is preferred.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createNetwork, type Engine, eventually, type Host, type Network } from "../hosts/index.ts";

/** At most so many virtual hosts on one segment: there are 255 numbers. */
const ON_A_SEGMENT = 250;
/** Changes in one request. */
const AT_ONCE = 250;
const WITHIN_MS = 120_000;

export interface VirtualHost {
  readonly name: string;
  readonly carpdev: string;
  readonly vhid: number;
  readonly address: string;
}

/** The virtual hosts, `10.SEGMENT.1.N` on eth0, eth1 and so on. */
export function virtualHosts(count: number): VirtualHost[] {
  return Array.from({ length: count }, (_, n) => {
    const segment = Math.floor(n / ON_A_SEGMENT);
    const vhid = 1 + (n % ON_A_SEGMENT);
    return { name: `carp${n}`, carpdev: `eth${segment}`, vhid, address: `10.${segment}.1.${vhid}` };
  });
}

export interface Pair {
  readonly preferred: Host;
  readonly other: Host;
  readonly client: Host;
  destroy(): void;
}

/** Hosts on as many segments as so many virtual hosts need, with no address configured twice. */
export async function createPair(count: number): Promise<Pair> {
  const lans: Network[] = [];
  const destroy = () => {
    for (const lan of lans) lan.destroy();
  };
  try {
    const segments = Math.ceil(count / ON_A_SEGMENT);
    const hosts: Host[] = [];
    for (let segment = 0; segment < segments; segment++) {
      const lan = await createNetwork();
      lans.push(lan);
      for (const [n, name] of ["a", "b", "c"].entries()) {
        const addresses = [`10.${segment}.0.${n + 1}/16`];
        const host = hosts[n];
        if (host === undefined) hosts.push(await lan.host(name, { addresses }));
        else await lan.attach(host, { addresses });
      }
    }
    const [preferred, other, client] = hosts as [Host, Host, Host];
    return { preferred, other, client, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Starts an engine and configures it, all with one advskew. */
export async function configure(
  host: Host,
  all: readonly VirtualHost[],
  advskew: number,
  words: readonly string[] = [],
): Promise<void> {
  await host.startEngine({ logLevel: null, words });
  await configureEngine(host.engine, all, advskew);
}

export async function configureEngine(
  engine: Engine,
  all: readonly VirtualHost[],
  advskew: number,
): Promise<void> {
  for (let from = 0; from < all.length; from += AT_ONCE) {
    const replacements = all.slice(from, from + AT_ONCE).map(({ name, carpdev, vhid, address }) => {
      const added = { family: 4, address, prefixLength: 32, alias: true } as const;
      return { name, change: { carpdev, vhid, advskew, pass: "sesame", addAddresses: [added] } };
    });
    await engine.request("replace-all", { replacements });
  }
}

/** Resolves when the host is MASTER of so many virtual hosts, and of no others. */
export async function mastersOf({ engine }: { readonly engine: Engine }, count: number): Promise<void> {
  const masters = async () =>
    (await engine.request("interfaces", {})).interfaces.filter(({ status }) => status === "master").length;
  await eventually(masters, (now) => now === count, { timeoutMs: WITHIN_MS });
}

/**
 * Starts keepalived with a virtual router for each virtual host.
 *
 * @returns its process, which has children
 */
export function startKeepalived(
  host: Host,
  all: readonly VirtualHost[],
  {
    isPreferred,
    vmac,
    intervalS = 1,
  }: { readonly isPreferred: boolean; readonly vmac: boolean; readonly intervalS?: number },
): number {
  const routers = all.map(({ name, carpdev, vhid, address }) =>
    [
      `vrrp_instance ${name} {`,
      `interface ${carpdev}`,
      `state ${isPreferred ? "MASTER" : "BACKUP"}`,
      ...(vmac ? [`use_vmac ${name}`, "vmac_xmit_base"] : []),
      `virtual_router_id ${vhid}`,
      `priority ${isPreferred ? 200 : 100}`,
      "version 3",
      `advert_int ${intervalS}`,
      "virtual_ipaddress {",
      `${address}/32`,
      "}",
      "}",
      "",
    ].join("\n"),
  );
  const file = (name: string) => join(host.etcDirectory, name);
  writeFileSync(file("keepalived.conf"), routers.join(""));
  const files = ["-f", file("keepalived.conf"), "-p", file("pid"), "-r", file("vrrp.pid")];
  return host.spawn("/usr/sbin/keepalived", ["--dont-fork", "--vrrp", ...files]).pid;
}
