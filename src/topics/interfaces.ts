/**
 * The topics of what is wrong with a carp interface itself: why it does not run, what is not in place, and advertisements
 * that do not leave. `carpctl doctor` prints them all, `carpctl status` and `carpctl carp0` the first ones.
 */

import type { NotRunningKind } from "../core/reason.ts";
import type { Topic } from "./topic.ts";

/** Of an interface that is up and does not run, and of parts that it lacks. */
export const SERVING = {
  "no-vhid": {
    level: "error",
    meaning: "The interface is up and has no vhid: it takes no part in CARP.",
    see: "'carpctl carp0' has no line that begins with carp:.",
    todo: "'carpctl carp0 vhid 1', the same number on all hosts that share the address and no other on the segment.",
  },
  "no-carpdev": {
    level: "error",
    meaning:
      "The interface has no carpdev, and no device of this host has an address in the subnet of a shared one, by which it would be chosen.",
    see: "'ip -br address' lists the devices with their addresses.",
    todo: "'carpctl carp0 carpdev eth0'.",
  },
  "no-address": {
    level: "error",
    meaning: "The interface has no address to share.",
    see: "'carpctl carp0' has no line with inet or inet6.",
    todo: "'carpctl carp0 10.0.0.1/24', or 'carpctl carp0 inet6 2001:db8::1/64'.",
  },
  "carpdev-missing": {
    level: "error",
    meaning:
      "This host has no device of the carpdev's name. It was removed or renamed, or is late at boot. The interface runs as soon as there is one.",
    see: "'ip -br link' lists the devices.",
    todo: "Make the device, or correct the name: 'carpctl carp0 carpdev eth0', and in hostname.carp0. Look at the driver ('dmesg') and at what makes the VLAN, bond or bridge.",
  },
  "carpdev-down": {
    level: "error",
    meaning: "The carpdev is set down. The host is demoted for it, and the interface runs when it is up.",
    see: "'ip link show eth0' has no UP among the flags.",
    todo: "'ip link set eth0 up', and look at what set it down: 'networkctl status eth0' or 'nmcli device show eth0'.",
  },
  "no-carrier": {
    level: "error",
    meaning:
      "The carpdev is up, and nothing answers at the other end of its cable. The host is demoted for it, and the interface runs when the carrier is back.",
    see: "'ip link show eth0' prints NO-CARRIER, and 'ethtool eth0' 'Link detected: no'.",
    todo: "Look at the cable and at the port of the switch; in a virtual machine, whether the card is connected. For a bond: 'cat /proc/net/bonding/bond0'.",
  },
  "no-balancing": {
    level: "error",
    meaning:
      "The interface has several carpnodes, and this host cannot use eBPF, which divides packets among them. It was configured when the host could.",
    see: "'carpctl doctor' says in its line about eBPF what the host lacks.",
    todo: "See 'carpctl help no-ebpf'; or give the interface one vhid on all hosts: 'carpctl carp0 vhid 1'.",
  },
  "device-incomplete": {
    level: "error",
    meaning:
      "The kernel did not take the interface's device, an address or a route of it. Without all of its addresses the interface is INIT, without some it gives way to a host that has them all. Common causes: another program has made a device of this name; the carpdev is a port of a bridge or bond; IPv6 is disabled, or the mtu is below 1280, where there are IPv6 addresses.",
    see: "'ip -d link show carp0', 'ip address show dev carp0', 'ip link show eth0' (master: it is a port), 'dmesg'.",
    todo: "Remove what is in the way: 'ip link delete carp0' where it is not ours; with a bridge, make the bridge itself the carpdev; 'sysctl net.ipv6.conf.carp0.disable_ipv6=0'. The engine tries again every second, half a minute after addresses were refused to a MASTER.",
  },
  "leases-not-enforced": {
    level: "error",
    meaning:
      "The kernel did not take the part of the interface that enforces leases. The interface is INIT: a host that cannot stop answering in time must not answer.",
    see: "'bpftool net show dev eth0' and 'tc filter show dev eth0 ingress' show what is attached; 'journalctl -u carpd' has the kernel's answer.",
    todo: "As the text says: take off a program that carp's cannot precede, load what the kernel lacks (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF), have fewer carp interfaces; after a lack of capabilities 'systemctl restart carpd'. The engine tries again every second.",
  },
  "group-mac-refused": {
    level: "error",
    meaning:
      "The carpdev refused to receive the multicast MAC address that balancing mode ip gives out: packets of clients may not arrive, and the interface is INIT for it.",
    see: "'ip maddress show dev eth0' does not list 01:00:5e:00:01:VHID.",
    todo: "Use another mode on all hosts, which needs no multicast address: 'balancing ip-stealth' or 'balancing ip-unicast'; or another carpdev. The engine tries again every second.",
  },
  "cannot-listen": {
    level: "error",
    meaning:
      "The carpdev gave no packet socket: this host does not hear the others, and is INIT, so that it is not MASTER beside them.",
    see: "The text has the kernel's answer: EMFILE and ENFILE are too many open files, ENOBUFS and ENOMEM too little memory, EPERM a container that withholds CAP_NET_RAW.",
    todo: "Remove the cause: LimitNOFILE in the unit, 'sysctl fs.file-max', memory, capabilities. The engine tries again every second.",
  },
  "address-of-carpdev": {
    level: "error",
    meaning:
      "The carpdev has a shared address as its own too: this host has it in every state, also as BACKUP, and answers for it with the carpdev's MAC.",
    see: "'ip address show dev eth0'.",
    todo: "'ip address delete 10.0.0.1/24 dev eth0', and in the configuration that adds it: /etc/network/interfaces, a .network file, a DHCP reservation.",
  },
} as const satisfies Readonly<Record<NotRunningKind, Topic>>;

/** Of its device's settings and of advertisements on their way out. */
export const SENDING = {
  "address-elsewhere": {
    level: "warning",
    meaning:
      "Another device of this host, perhaps lo, has a shared address of its own. As BACKUP this host takes packets for the address itself, from its own programs and from those that it routes, in place of sending them to the MASTER; and services listen there in every state.",
    see: "'ip address show to 10.0.0.1'.",
    todo: "'ip address delete 10.0.0.1/32 dev lo', and in the configuration that adds it. A program that has to listen on the address as BACKUP needs 'sysctl net.ipv4.ip_nonlocal_bind=1' in its place.",
  },
  "rp-filter": {
    level: "error",
    meaning:
      "Reverse path filtering is strict on the carp interface. Packets for a shared address arrive there, and the route back leads through the carpdev: the kernel drops them. The engine sets rp_filter to 2, and another program sets it back.",
    see: "'sysctl net.ipv4.conf.carp0.rp_filter', where the greater of carp0 and all counts; 'nstat -az TcpExtIPReversePathFilter' counts.",
    todo: "'sysctl net.ipv4.conf.carp0.rp_filter=2', and look for what sets it: 'grep -r rp_filter /etc/sysctl.conf /etc/sysctl.d'.",
  },
  "ipv6-disabled": {
    level: "error",
    meaning:
      "IPv6 is disabled on the carp interface: it is without its IPv6 addresses, and gives way to a host that has them.",
    see: "'sysctl net.ipv6.conf.carp0.disable_ipv6 net.ipv6.conf.all.disable_ipv6'.",
    todo: "'sysctl net.ipv6.conf.carp0.disable_ipv6=0', and look for what sets it in /etc/sysctl.conf and /etc/sysctl.d; or remove the IPv6 addresses on all hosts: 'carpctl carp0 -inet6'.",
  },
  "no-ipv6": {
    level: "error",
    meaning: "The kernel has no IPv6, and the interface has IPv6 addresses.",
    see: "'cat /proc/cmdline' has ipv6.disable=1, or there is no /proc/sys/net/ipv6.",
    todo: "Start the kernel without ipv6.disable=1, or remove the addresses on all hosts: 'carpctl carp0 -inet6'.",
  },
  "not-sent": {
    level: "error",
    meaning:
      "The kernel refuses the advertisements of this host. After three in a row for each node the host is demoted, and its leases end: another host takes over.",
    see: "'carpctl netstat -I carp0' counts them; the finding has the kernel's answer: EPERM is a rule of nftables or iptables at the hook output, ENOBUFS one at the carpdev's egress or a full queue, EINVAL or EACCES a route, EADDRNOTAVAIL a missing source address, EMSGSIZE an mtu. 'tcpdump -ni eth0 -T carp proto 112' shows only what really leaves.",
    todo: "Let IP protocol 112 out: 'nft list ruleset', 'iptables-save', 'tc filter show dev eth0 egress', 'tc -s qdisc show dev eth0'. A BACKUP sends nothing, and remains demoted for half a minute, or until its interface is set down and up.",
  },
  "not-sent-in-part": {
    level: "warning",
    meaning:
      "The advertisements of one address family, or to some of the peers, do not leave. As long as others do, hosts that hear those are content; a host that hears the missing ones alone takes over.",
    see: "'tcpdump -ni eth0 -T carp proto 112' shows which leave; the finding has the kernel's answer, as for not-sent.",
    todo: "As for not-sent: a rule for IPv6 alone is the usual cause ('nft list ruleset', 'ip6tables-save').",
  },
  "switch-has-learned": {
    level: "warning",
    meaning:
      "In balancing mode ip-unicast every host has to receive every packet, and here come only those for the nodes of this host: a switch has learned at which port the shared MAC address is, and sends nothing to the others.",
    see: "'carpctl status' shows none left to others; on a Linux bridge 'bridge fdb show' lists 00:00:5e:00:01:VHID at a port.",
    todo: "Have the switch send frames for that address to all hosts: no learning at their ports ('bridge link set dev PORT learning off'), or a static entry with all of them; or use 'balancing ip' or 'balancing ip-stealth' on all hosts.",
  },
  "signs-as-before": {
    level: "warning",
    meaning:
      "The pass or the addresses were changed, this host signs with the new ones already, and another host still signs with the old ones: it was not changed. When the time of grace is over they refuse each other, and both are MASTER.",
    see: "'carpctl status' says who was heard with the old ones, and for how long they are believed.",
    todo: "Change that host as well, before the time has passed; or make the change undone here.",
  },
} as const satisfies Readonly<Record<string, Topic>>;
