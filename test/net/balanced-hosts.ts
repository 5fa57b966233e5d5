/**
 * Three hosts with engines that balance addresses of both families, a client with two hundred addresses of
 * each, and a capture of everything that each host sends. The answers are compared with the hash of
 * test/oracle; the advskews alone determine which host holds which node.
 */

import assert from "node:assert/strict";
import {
  type Capture,
  createNetwork,
  echo,
  type Frame,
  forge,
  type Host,
  isAnnouncement,
  type Network,
  summary,
} from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { balancing } from "../unit/protocol/vectors.ts";

export const MODES = ["ip", "ip-unicast", "ip-stealth"] as const;
export type Mode = (typeof MODES)[number];

export const SHARED = "10.0.0.1";
export const SHARED6 = "2001:db8::1";
/** With two addresses of the recorded vectors, in subnets in which the carpdevs have no address. */
export const VIRTUAL: readonly string[] = [SHARED, SHARED6, "10.9.0.100", "192.0.2.1"];
export const VHIDS = [1, 2, 3];
/** The carpnodes of each host: each node has one preferred host, one next in line and one last. */
export const CARPNODES = ["1:0,2:200,3:100", "1:100,2:0,3:200", "1:200,2:100,3:0"] as const;
/** The holder of each node while all hosts run, and the next in line, as indexes of hosts. */
export const HOLDERS: readonly number[] = [0, 1, 2];
export const HEIRS: readonly number[] = [1, 2, 0];

const SOURCES = 200;

export const questions4: readonly echo.Question[] = Array.from({ length: SOURCES }, (_, n) => ({
  source: `10.0.0.${n + 20}`,
  target: SHARED,
}));
export const questions6: readonly echo.Question[] = Array.from({ length: SOURCES }, (_, n) => ({
  source: `2001:db8::1:${(n * 7 + 1).toString(16)}`,
  target: SHARED6,
}));

/** Recorded packets, each with the node that its hash selects. */
export const vectors: readonly (echo.Question & { readonly node: number })[] = balancing.map(
  ({ source, destination, index }) => ({ source, target: destination, node: index["3"] ?? Number.NaN }),
);

const FARAWAY = ["198.51.100.77", "203.0.113.200", "2001:db8:1:2:3:4:5:6"];
const isIPv6 = (address: string) => address.includes(":");

export interface BalancedHosts {
  readonly lan: Network;
  /** Their own addresses of both families end in 11, 12 and 13. */
  readonly hosts: readonly [Host, Host, Host];
  readonly client: Host;
  /** Everything that each host has sent since before it was configured. */
  readonly sent: readonly Capture[];
}

export async function createBalancedHosts(): Promise<BalancedHosts> {
  const lan = await createNetwork();
  const plugIn = async (name: string, n: number) => {
    const host = await lan.host(name, { addresses: [`10.0.0.${11 + n}/24`, `2001:db8::${11 + n}/64`] });
    await echo.number(host, n);
    await host.namespace.ip(FARAWAY.map((address) => `route add ${address} dev eth0`));
    await Promise.all([host.startEngine(), echo.respond(host, VIRTUAL)]);
    await host.command("sysctl", "net.inet.carp.preempt=1");
    return host;
  };
  const [client, ...hosts] = await Promise.all([
    lan.host("client", {
      addresses: [
        ...[...questions4, ...questions6, ...vectors, { source: "192.0.2.99" }]
          .map(({ source }) => source)
          .filter((source) => !FARAWAY.includes(source))
          .map((source) => `${source}/${isIPv6(source) ? 64 : 24}`),
        ...FARAWAY.map((source) => `${source}/${isIPv6(source) ? 128 : 32}`),
      ],
    }),
    ...["a", "b", "c"].map(plugIn),
  ]);
  const sent = await Promise.all(hosts.map((host) => host.capture("eth0", "outbound")));
  return { lan, hosts: hosts as [Host, Host, Host], client, sent };
}

/** Configures each host with one command; then lets the elections end at once instead of in a few seconds. */
export async function balance(
  { hosts }: BalancedHosts,
  mode: Mode,
  carpnodes: readonly string[] = CARPNODES,
): Promise<void> {
  const addresses = VIRTUAL.flatMap((address) =>
    isIPv6(address) ? ["inet6", `${address}/64`] : ["alias", `${address}/24`],
  );
  const words = ["carpdev", "eth0", "pass", "sesame", "balancing", mode, "carpnodes"];
  await Promise.all(
    hosts.map((host, n) => host.command("carp0", ...addresses, ...words, carpnodes[n] as string)),
  );
  await settle(hosts);
}

/**
 * Forces every node to MASTER on each host in turn: the better host answers at once and takes its node.
 * @param holders by node, as indexes of hosts
 */
export async function settle(
  hosts: readonly Host[],
  holders: readonly number[] = HOLDERS,
  vhids: readonly number[] = VHIDS,
): Promise<void> {
  for (const host of hosts)
    await host.engine.request("change", { name: "carp0", change: { state: "master" } });
  await holds(hosts, holders, { vhids });
}

/**
 * Resolves when each node is MASTER on its holder and BACKUP on the other hosts.
 * @param gone index of a host that does not take part
 */
export async function holds(
  hosts: readonly Host[],
  holders: readonly number[],
  { gone, vhids = VHIDS }: { gone?: number | undefined; vhids?: readonly number[] } = {},
): Promise<void> {
  for (const [node, vhid] of vhids.entries())
    for (const [n, host] of hosts.entries())
      await host.waitForState("carp0", n === gone ? "INIT" : holders[node] === n ? "MASTER" : "BACKUP", vhid);
}

/** The MAC that carp gives out. */
export const givenMac = (mode: Mode | "none", leader = 1): string =>
  `${mode === "ip" ? "01" : "00"}:00:5e:00:01:${leader.toString(16).padStart(2, "0")}`;

/** Checks that every question has one answer, from the holder of the node that its hash selects. */
export function assertAnswered(asked: readonly echo.Asked[], holders: readonly number[] = HOLDERS): void {
  assert.ok(asked.length > 0);
  const wrong = asked.filter(
    ({ source, target, by }) => by.join() !== String(holders[nodeIndex(source, target, holders.length)]),
  );
  const [first] = wrong;
  if (first === undefined) return;
  const { source, target, protocol, sequence, by } = first;
  const expected = holders[nodeIndex(source, target, holders.length)];
  assert.fail(
    `${wrong.length} of ${asked.length} questions: ${protocol} ${sequence} from ${source} to ${target} was answered by [${by}], not by ${expected}`,
  );
}

/** Answers about the shared addresses, and announcements of them. */
export const isClaim = ({ arp, nd }: Frame): boolean =>
  arp
    ? VIRTUAL.includes(arp.senderAddress) &&
      (arp.operation === "reply" || arp.targetAddress === arp.senderAddress)
    : nd?.type === "advertisement" && VIRTUAL.includes(nd.target);

/** Sends ARP requests and neighbour solicitations, to all and to the MAC that the client knows. */
export async function whoHas({ client }: BalancedHosts, mode: Mode): Promise<void> {
  const mac = await client.mac();
  const [{ source: address }] = questions4 as [echo.Question];
  const [{ source: address6 }] = questions6 as [echo.Question];
  const frames = [undefined, givenMac(mode)].flatMap((to) => [
    forge.arpRequest({ target: SHARED, address, mac, to }),
    forge.neighbourSolicitation({ target: SHARED6, address: address6, mac, to }),
  ]);
  await client.injectAll("eth0", frames);
}

/**
 * Fails when a host has sent a frame, or from a MAC, that its mode forbids.
 * @param own the MAC of its carpdev
 * @returns how often it answered for the shared addresses
 */
export function assertSentAs(mode: Mode | "none", own: string, frames: readonly Frame[], leader = 1): number {
  const given = givenMac(mode, leader);
  let claims = 0;
  const isVirtual = (address: string | undefined) => address !== undefined && VIRTUAL.includes(address);
  for (const frame of frames) {
    const { arp, nd, carp, ipv4, ipv6, ethernetSource } = frame;
    const said = summary(frame);
    const packet = ipv4 ?? ipv6;
    const isShared = [arp?.senderAddress, packet?.source].some((each) => isVirtual(each));
    // A host that leaves or gives way claims nothing: it tells the next master alone that it gave way.
    const isBowOut = carp?.advbase === 255 && carp.advskew === 255;
    const concedes = carp !== undefined && !packet?.destination.match(/^(224\.0\.0\.18|ff02::12)$/);
    if (mode === "ip" || mode === "ip-stealth" || isBowOut || concedes)
      assert.equal(ethernetSource, own, said);
    else if (mode === "none" && packet && !carp && !nd)
      assert.ok([own, given].includes(ethernetSource), said);
    else if (isShared || carp || isClaim(frame)) assert.equal(ethernetSource, given, said);
    else assert.ok([own, given].includes(ethernetSource), said);
    if (isVirtual(arp?.senderAddress)) assert.equal(arp?.senderMac, given, said);
    // A unicast solicitation may be answered without the link-layer option.
    if (nd && (isClaim(frame) || isShared))
      assert.deepEqual([nd.linkLayerAddress ?? given, nd.checksumIsGood], [given, true], said);
    if (!isClaim(frame)) continue;
    claims += 1;
    if (mode !== "none") assert.ok(!VIRTUAL.some((address) => isAnnouncement(frame, address)), said);
  }
  return claims;
}
