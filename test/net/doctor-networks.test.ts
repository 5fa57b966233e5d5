/** Networks that keep a pair from working: the first finding of `doctor` names the cause and what to do. */

import { eventually, forge } from "../hosts/index.ts";
import { lines, type Pair, type Situation, trySituations } from "./doctor-pairs.ts";

const NETGATE = "https://docs.netgate.com/pfsense/en/latest/troubleshooting/high-availability.html";

/** Sends an IP packet from a third host's address. */
const sends = ({ b, dev }: Pair, payload: Uint8Array, more: { hops?: number; source?: string } = {}) =>
  b.inject(dev, forge.ipv4Frame({ source: "10.0.0.9", payload, ...more }));

const advertisement = (more: Partial<forge.Advertised> = {}) =>
  forge.advertisement({ vhid: 1, pass: "sesame", addresses: ["10.0.0.1"], counter: 1n, ...more });

/** Loads rules of nftables on a, about packets that leave by the carpdev. */
async function filters({ a, dev }: Pair, chain: string): Promise<void> {
  const input = `table ${chain.replace("DEV", dev)}`;
  const { exitCode, stderr } = await a.exec("nft", ["-f", "-"], { input });
  if (exitCode !== 0) throw new Error(stderr);
}
const unfiltered = ({ a }: Pair) => a.run("nft", "flush", "ruleset");

/** Plugs in a third host with this address. */
const third = async ({ lan, others }: Pair, name: string, address: string) =>
  others.push(await lan.host(name, { addresses: [address] }));

const NETWORKS: readonly Situation[] = [
  {
    title: "a VRRP router with the number of the vhid",
    report: "https://github.com/opnsense/core/issues/1549",
    breaks: (pair) =>
      sends(pair, forge.vrrp({ version: 3, number: 1, shared: ["10.0.0.50"], source: "10.0.0.9" })),
    at: "a",
    first:
      /^error carp0 vhid 1: a VRRP router \(version 3, 10\.0\.0\.9\) has the same number.* -> use another vhid/,
  },
  {
    title: "another CARP group with the same vhid",
    report: "https://github.com/cookeem/kubeadm-ha/issues/49",
    breaks: (pair) => sends(pair, advertisement({ pass: "of others", addresses: ["192.0.2.1"] })),
    at: "a",
    first:
      /^error carp0: .*incorrect hash from 10\.0\.0\.9.* -> .*a host of another group: give that group another vhid/,
  },
  {
    title: "a cable that is not plugged in",
    report: NETGATE,
    breaks: ({ a, dev }) => a.pullCable(dev),
    at: "a",
    first: /^error carp0: does not run: carpdev eth\d has no carrier -> /,
  },
  {
    title: "a bridge with a port that takes smaller packets",
    report:
      "https://joshua.hoblitt.com/rtfm/2014/05/dynamically_changing_the_mtu_of_a_linux_bridge_interface/",
    breaks: async ({ a, dev }) => {
      await a.namespace.ip(["link add br7 type bridge", "link set br7 up"]);
      await a.command("carp0", "carpdev", "br7");
      await a.namespace.ip([
        `address flush dev ${dev}`,
        `link set ${dev} master br7`,
        "address add 10.0.0.2/24 dev br7",
        "address add 2001:db8::2/64 dev br7 nodad",
      ]);
      await eventually(
        () => lines(a),
        (found) => found.every((line) => line.startsWith("ok ")),
      );
      await a.namespace.ip([`link set ${dev} mtu 1400`, "link set br7 mtu 1500"]);
    },
    at: "a",
    first:
      /^warning br7: its MTU 1500 is more than the 1400 of eth\d, which carries its packets.* -> make both the same/,
    mends: ({ a }) => a.run("ip", "link", "delete", "br7"),
  },
  {
    title: "a carpdev that is down",
    report: NETGATE,
    breaks: ({ a, dev }) => a.run("ip", "link", "set", dev, "down"),
    at: "a",
    first: /^error carp0: does not run: carpdev eth\d is down -> /,
  },
  {
    title: "a carpdev that has another name since an upgrade",
    report: "https://github.com/acassen/keepalived/issues/1440",
    breaks: ({ a, dev }) =>
      a.namespace.ip([`link set ${dev} down`, `link set ${dev} name enp3s0`, "link set enp3s0 up"]),
    at: "a",
    first: /^error carp0: does not run: carpdev eth\d is missing -> /,
    mends: ({ a }) => a.run("ip", "link", "delete", "enp3s0"),
  },
  {
    title: "a switch that passes no multicast to the other host",
    report: "https://github.com/opnsense/core/issues/10780",
    breaks: async ({ b, dev }) => {
      await b.deafen(dev);
      await b.command("carp0", "state", "master");
    },
    at: "a",
    first:
      /^error carp0 vhid 1: several masters advertise: this host, 10\.0\.0\.3 -> .*packet filters and multicast snooping/,
  },
  {
    title: "a switch that passes no multicast at all",
    report: NETGATE,
    breaks: async ({ a, b, dev }) => {
      await Promise.all([a.deafen(dev), b.deafen(dev)]);
      await b.command("carp0", "state", "master");
    },
    at: "b",
    first:
      /^error carp0 vhid 1: several masters: another host answers for 10\.0\.0\.1 with the virtual MAC too, and none of its advertisements arrive here -> .*IGMP or MLD snooping without a querier/,
  },
  {
    title: "a hypervisor that passes no frame from the virtual MAC",
    report: "https://github.com/omniosorg/illumos-omnios/issues/1025",
    breaks: ({ a, dev }) => a.secure(true, dev),
    mends: ({ a, dev }) => a.secure(false, dev),
    at: "a",
    first:
      /^error carp0: 10\.0\.0\.3 answers eth\d's own MAC, and not the virtual MAC 00:00:5e:00:01:01: a hypervisor or switch .* -> let this host's port have more than one MAC/,
  },
  {
    title: "a switch that limits multicast",
    report: "https://docs.opnsense.org/manual/how-tos/carp.html",
    words: "advbase 0",
    breaks: async ({ a, dev }) => {
      await a.command("carp0", "advskew", "25");
      await a.loseThird(dev);
    },
    at: "b",
    first:
      /^warning carp0 vhid 1: some [3-5]0 % of the advertisements of 10\.0\.0\.2 do not arrive: it sends one every 98 ms .* -> advertise less often/,
  },
  {
    title: "a carppeer on the other host that names no host",
    report: "https://github.com/opnsense/core/issues/8201",
    words: "carppeer 10.0.0.2,10.0.0.3",
    breaks: async ({ a, b }) => {
      await a.command("carp0", "carppeer", "10.0.0.4");
      await b.command("carp0", "state", "master");
    },
    at: "b",
    first:
      /^error carp0 vhid 1: several masters: another host answers .* -> see that carppeer \(here 10\.0\.0\.2,10\.0\.0\.3\) names each host/,
  },
  {
    title: "a shared IPv4 address that another host has as its own",
    report: "https://github.com/acassen/keepalived/issues/1702",
    breaks: (pair) => third(pair, "c", "10.0.0.1/24"),
    at: "b",
    first:
      /^error carp0: 10\.0\.0\.1 is answered for with the MAC 02:\S+ too, .* -> take 10\.0\.0\.1 off the host with that MAC/,
  },
  {
    title: "a shared IPv6 address that another host has as its own",
    report: "https://github.com/acassen/keepalived/issues/2573",
    words: "inet6 2001:db8::1/64",
    breaks: (pair) => third(pair, "d", "2001:db8::1/64"),
    at: "a",
    first:
      /^error carp0: 2001:db8::1 is answered for with the MAC 02:\S+ too, .* -> take 2001:db8::1 off the host with that MAC/,
  },
  {
    title: "a network with a loop",
    report:
      "https://docs.netgate.com/pfsense/en/latest/highavailability/troubleshooting-high-availability-clusters.html",
    breaks: ({ a, dev }) => a.hairpin(true, dev),
    at: "a",
    first: /^error carp0: its own advertisements come back: the network has a loop -> look for a second path/,
  },
  {
    title: "two carpdevs of one host on one segment",
    report:
      "https://blog.workinghardinit.work/2020/11/25/check-vhid-password-and-virtual-ip-address-kemp-loadmaster",
    breaks: async ({ a, lan }) => {
      const other = await lan.attach(a, { addresses: ["10.0.1.2/24"] });
      await a.command(..."carp1 10.0.1.1/24 vhid 1 pass x carpdev".split(" "), other, "state", "master");
    },
    at: "a",
    first:
      /^error carp\d: it hears what this host itself sends on eth\d: eth\d and eth\d are on one segment -> give .* different vhids/,
    mends: ({ a }) => a.command("carp1", "destroy"),
  },
  {
    title: "the same own address on both hosts",
    report: "https://github.com/redhat-cop/keepalived-operator/issues/78",
    breaks: ({ b, dev }) =>
      b.namespace.ip([`address flush dev ${dev}`, `address add 10.0.0.2/24 dev ${dev}`]),
    at: "b",
    first: /^error carp0: (another host advertises from 10\.0\.0\.2, .*|.*another host has it too.*) -> /,
  },
  {
    title: "a packet filter that drops unicast advertisements",
    report: "https://github.com/acassen/keepalived/issues/205",
    breaks: async (pair) => {
      await pair.a.namespace.ip(["route add 10.9.9.9 via 10.0.0.3"]);
      await pair.a.command("carp0", "carppeer", "10.9.9.9", "state", "master");
      await filters(
        pair,
        "inet f { chain o { type filter hook output priority 0; meta l4proto 112 drop; }; }",
      );
    },
    at: "a",
    first:
      /^error carp0: its .*advertisements.* not leave: a packet filter .*\(EPERM\) -> let IP protocol 112 out/,
    mends: unfiltered,
  },
  {
    title: "a filter on the way out that drops multicast",
    report: "https://github.com/acassen/keepalived/issues/2643",
    breaks: (pair) =>
      filters(
        pair,
        "netdev f { chain o { type filter hook egress device DEV priority 0; meta l4proto 112 drop; }; }",
      ),
    at: "a",
    first:
      /^error carp0: its .*advertisements.* not leave: a filter on the way out of eth\d .* -> let IP protocol 112 out/,
    mends: unfiltered,
  },
  {
    title: "checksums that no hypervisor filled in",
    report: "https://github.com/omniosorg/illumos-omnios/issues/1025",
    breaks: (pair) => {
      const damaged = advertisement();
      damaged.writeUInt16BE(damaged.readUInt16BE(6) ^ 1, 6);
      return sends(pair, damaged);
    },
    at: "a",
    first: /^warning carp0: .*wrong checksum from 10\.0\.0\.9 .* -> .*ethtool -K DEVICE tx off/,
  },
  {
    title: "advertisements that came through a router",
    report: "https://docs.progress.com/bundle/loadmaster-feature-description-high-availability-ha-ga",
    breaks: (pair) => sends(pair, advertisement(), { hops: 64 }),
    at: "a",
    first:
      /^warning carp0: .*TTL 64 instead of 255 from 10\.0\.0\.9 .* -> a host behind a router needs carppeer/,
  },
  {
    title: "strict_replay beside another implementation",
    report: "https://github.com/opnsense/core/issues/10781",
    breaks: async (pair) => {
      await pair.a.command("sysctl", "net.inet.carp.strict_replay=1");
      await sends(pair, advertisement({ counter: 2n, advskew: 200 }));
      await sends(pair, advertisement({ counter: 2n, advskew: 200 }));
    },
    at: "a",
    first:
      /^error carp0: .*replay detected.* from 10\.0\.0\.9 .* -> .*strict_replay .* for hosts that all run carpctl/,
    mends: ({ a }) => a.command("sysctl", "net.inet.carp.strict_replay=0"),
  },
];

trySituations("a network that fails the pair", NETWORKS, 6);
