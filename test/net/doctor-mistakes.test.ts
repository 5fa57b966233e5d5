/** Mistakes in the configuration of a pair: the first finding of `doctor` names the mistake and what to do. */

import { type Situation, trySituations } from "./doctor-pairs.ts";

/** What the reports are about: a thread, a page of a vendor, or a list of mistakes. */
const NETGATE = "https://docs.netgate.com/pfsense/en/latest/troubleshooting/high-availability.html";
const HASH = "http://synfulpacket.blogspot.com/2007/10/openbsd-carp-incorrect-hash.html";

const MISTAKES: readonly Situation[] = [
  {
    title: "another pass on one host",
    report: "https://docs.progress.com/bundle/loadmaster-feature-description-high-availability-ha-ga",
    breaks: ({ b }) => b.command("carp0", "pass", "guessed"),
    at: "b",
    first:
      /^error carp0 vhid 1: 10\.0\.0\.2 has another pass, .* -> give every host of vhid 1 the same pass and addresses/,
  },
  {
    title: "a blank behind the pass",
    report: HASH,
    breaks: ({ b }) => b.command("carp0", "pass", "sesame "),
    at: "b",
    first:
      /^error carp0 vhid 1: 10\.0\.0\.2 has the same pass without the blanks .* -> set the pass here without/,
  },
  {
    title: "the pass is missing on one host",
    report: NETGATE,
    breaks: ({ b }) => b.command("carp0", "pass", ""),
    at: "a",
    first: /^error carp0 vhid 1: 10\.0\.0\.3 has no pass -> set the pass there/,
  },
  {
    title: "an alias on one host only",
    report: HASH,
    breaks: ({ a }) => a.command("carp0", "alias", "10.0.0.50/24"),
    at: "b",
    first:
      /^error carp0 vhid 1: 10\.0\.0\.2 has the same pass, but also 10\.0\.0\.50 -> remove it there or add it here/,
  },
  {
    title: "IPv6 on one host only",
    report: "https://github.com/acassen/keepalived/issues/1603",
    breaks: ({ a }) => a.command("carp0", "inet6", "2001:db8::1/64"),
    at: "b",
    first:
      /^error carp0 vhid 1: \S+ has the same pass, but also 2001:db8::1 -> remove it there or add it here/,
  },
  {
    title: "lladdr on one host only",
    report: "https://github.com/jedisct1/UCarp/issues/19",
    breaks: ({ a }) => a.command("carp0", "lladdr", "02:00:00:00:00:33"),
    at: "b",
    first:
      /^error carp0 vhid 1: 10\.0\.0\.2 has the same pass and addresses, but signs the lladdr 02:00:00:00:00:33.* -> /,
  },
  {
    title: "another vhid on one host",
    report: "https://github.com/opnsense/core/issues/2795",
    breaks: ({ b }) => b.command("carp0", "vhid", "2"),
    at: "b",
    first:
      /^error carp0: 10\.0\.0\.2 has under vhid 1 the pass and the addresses of carp0 here .* -> give both hosts the same vhid/,
  },
  {
    title: "another advbase on one host",
    report: NETGATE,
    breaks: ({ a }) => a.command("carp0", "advbase", "2"),
    at: "a",
    first:
      /^warning carp0 vhid 1: 10\.0\.0\.3 advertises with advbase 1, and this host would with 2 -> use the same advbase/,
  },
  {
    title: "another mask than the carpdev's",
    report: NETGATE,
    breaks: ({ a }) => a.command("carp0", "10.0.0.1/16"),
    at: "a",
    first: /^warning eth\d: it has 10\.0\.0\.2\/24, and carp0 has 10\.0\.0\.1\/16 .* -> use 10\.0\.0\.1\/24/,
  },
  {
    title: "the shared address on the carpdev as well",
    report: "https://github.com/acassen/keepalived/issues/1702",
    breaks: ({ a, dev }) => a.run("ip", "address", "add", "10.0.0.1/24", "dev", dev),
    at: "a",
    first: /^error carp0: 10\.0\.0\.1 is eth\d's own address as well: remove it there/,
  },
  {
    title: "the shared address on lo as well",
    report: "https://github.com/acassen/keepalived/issues/1702",
    breaks: ({ b }) => b.run("ip", "address", "add", "10.0.0.1/32", "dev", "lo"),
    at: "b",
    first:
      /^warning carp0: 10\.0\.0\.1 is an address of lo as well: .* -> ip address delete 10\.0\.0\.1\/32 dev lo/,
    mends: ({ b }) => b.run("ip", "address", "delete", "10.0.0.1/32", "dev", "lo"),
  },
  {
    title: "balancing on one host only",
    report: "https://github.com/opnsense/core/issues/2795",
    breaks: ({ a }) => a.command("carp0", "carpnodes", "1:0,2:100", "balancing", "ip"),
    at: "b",
    first:
      /^error carp0 vhid 1: another host of the vhid answers for 10\.0\.0\.1 with the MAC 01:00:5e:00:01:01.* -> use the same carpnodes, balancing/,
  },
  {
    title: "carppeer on this host only",
    report: "https://github.com/acassen/keepalived/issues/2458",
    breaks: ({ b }) => b.command("carp0", "carppeer", "10.0.0.2"),
    at: "b",
    first:
      /^error carp0: vhid 1: carppeer is set on this host only.* -> set carppeer on every host of the vhid/,
  },
  {
    title: "carppeer on the other host only",
    report: "https://github.com/acassen/keepalived/issues/2458",
    breaks: ({ b }) => b.command("carp0", "carppeer", "10.0.0.2", "state", "master"),
    at: "a",
    first:
      /^error carp0: vhid 1: carppeer is set on the other host only.* -> set carppeer on every host of the vhid/,
  },
  {
    title: "a carppeer that has no route",
    report: "https://github.com/acassen/keepalived/issues/2256",
    words: "carppeer 10.0.0.2,10.0.0.3",
    breaks: ({ a }) => a.command("carp0", "carppeer", "10.9.9.9"),
    at: "a",
    first:
      /^error carp0: carppeer 10\.9\.9\.9 is out of reach: there is no route to it .* -> see 'ip route get 10\.9\.9\.9'/,
  },
  {
    title: "a carppeer that is this host itself",
    report: "https://github.com/opnsense/core/issues/8201",
    words: "carppeer 10.0.0.2,10.0.0.3",
    breaks: ({ a }) => a.command("carp0", "carppeer", "10.0.0.2"),
    at: "a",
    first:
      /^error carp0: carppeer 10\.0\.0\.2 is this host itself: no other host hears it -> name the other host/,
  },
  {
    title: "no preempt on the preferred host",
    report: "https://github.com/opnsense/core/issues/3515",
    breaks: async ({ a }) => {
      await a.command("sysctl", "net.inet.carp.preempt=0");
      await a.command("carp0", "state", "backup");
    },
    at: "a",
    first:
      /^warning carp0 vhid 1: BACKUP to 10\.0\.0\.3, which is less preferred .*preempt is 0 here -> .*net\.inet\.carp\.preempt=1/,
    mends: ({ a }) => a.command("sysctl", "net.inet.carp.preempt=1"),
  },
  {
    title: "a demotion that was written and never taken back",
    report: "https://github.com/opnsense/core/issues/1100",
    breaks: ({ a }) => a.command("sysctl", "net.inet.carp.demotion=240"),
    at: "a",
    first:
      /^warning demotion: demoted by 240, which was written to net\.inet\.carp\.demotion.* -> .*net\.inet\.carp\.demotion=-240/,
    mends: ({ a }) => a.command("sysctl", "net.inet.carp.demotion=-240"),
  },
  {
    title: "maintenance that nobody ended",
    report: "https://github.com/opnsense/core/issues/2780",
    breaks: ({ a }) => a.command("maintenance", "on"),
    at: "a",
    first: /^warning demotion: demoted by 240 for maintenance.* -> .*carpctl maintenance off/,
    mends: ({ a }) => a.command("maintenance", "off"),
  },
  {
    title: "a group that is demoted",
    report: "https://github.com/lavacano/OPNsense-HA-Failover/issues/6",
    breaks: ({ a }) => a.command("-g", "carp", "carpdemote", "5"),
    at: "a",
    first: /^warning demotion: group carp is demoted by 5.* -> .*carpctl -g carp -carpdemote 5/,
    mends: ({ a }) => a.command("-g", "carp", "-carpdemote", "5"),
  },
  {
    title: "CARP switched off",
    report: "https://docs.netgate.com/pfsense/en/latest/troubleshooting/high-availability.html",
    breaks: ({ b }) => b.command("sysctl", "net.inet.carp.allow=0"),
    at: "b",
    first: /^error net\.inet\.carp\.allow: is 0: .* -> carpctl sysctl net\.inet\.carp\.allow=1/,
    mends: ({ b }) => b.command("sysctl", "net.inet.carp.allow=1"),
  },
  {
    title: "no address",
    report: NETGATE,
    breaks: ({ a }) => a.command("carp0", "-inet"),
    at: "a",
    first: /^error carp0: does not run: no address is set -> correct that, or set carp0 down/,
  },
  {
    title: "no engine",
    report: "https://github.com/opnsense/core/issues/1779",
    breaks: ({ b }) => b.engine.stop(),
    at: "b",
    first: /^error engine: the engine is not running .*start it with 'systemctl start carpd'/,
    mends: ({ b }) => b.startEngine(),
  },
];

trySituations("a mistake in the configuration", MISTAKES, 6);
