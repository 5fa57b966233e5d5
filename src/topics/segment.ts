/** The topics of what `carpctl doctor` hears on the segment: other masters, loops, VRRP and what is discarded. */

import type { Topic } from "./topic.ts";

export const SEGMENT = {
  "carp-off": {
    level: "error",
    meaning:
      "net.inet.carp.allow is 0: this host discards every advertisement, does not know of the other hosts, and is MASTER beside them.",
    see: "'carpctl sysctl net.inet.carp.allow'; 'carpctl netstat' counts packets that were received, and none of them is believed.",
    todo: "'carpctl sysctl net.inet.carp.allow=1', and remove the line from /etc/carp/sysctl.conf.",
  },
  demoted: {
    level: "warning",
    meaning:
      "This host, or a group of its interfaces, advertises a demote count, so that any host with a smaller one is MASTER in its place. Maintenance, a service check, a unit or a command has demoted it.",
    see: "'carpctl status' lists the reasons below the table; 'carpctl -g carp' prints the count of the group, 'carpctl sysctl net.inet.carp.demotion' that of the host.",
    todo: "Repair the service that the finding names ('carpctl service-status'), or start the unit. What a command has added ends with 'carpctl promote REASON', 'carpctl maintenance off', 'carpctl -g carp -carpdemote N' or 'carpctl sysctl net.inet.carp.demotion=-N'.",
  },
  "link-local-conflict": {
    level: "error",
    meaning:
      "FreeBSD and NetBSD sign the link-local addresses of a vhid, OpenBSD does not, and hosts of both kinds are here: they refuse each other, and each is MASTER.",
    see: "'carpctl status' names a host of each kind; 'tcpdump -ni eth0 -T carp proto 112' shows both advertise.",
    todo: "Take the link-local addresses off this vhid on every host: 'carpctl carp0 inet6 fe80::1 -alias'. The one that OpenBSD adds by itself may stay: it is not signed.",
  },
  "several-masters": {
    level: "error",
    meaning:
      "Two hosts with the same pass and addresses advertise at the same time: one does not receive the other's advertisements, or refuses them. Clients reach now one, now the other.",
    see: "'tcpdump -ni eth0 -T carp proto 112' on both hosts: one that sees both sources hears the other host, one that sees its own alone does not. 'carpctl netstat' tells whether advertisements are discarded.",
    todo: "Where none arrive: packet filters at input or on the way (IP protocol 112), a switch with IGMP or MLD snooping that drops 224.0.0.18 or ff02::12 ('bridge link', 'cat /sys/class/net/br0/bridge/multicast_snooping'), ports of different VLANs, a hypervisor that forbids other MAC addresses. Where they arrive: run 'carpctl doctor' there. Without multicast use carppeer.",
  },
  "master-not-heard": {
    level: "error",
    meaning:
      "This host is MASTER, and another host answers ARP or neighbour discovery for the same address with the same virtual MAC: it is MASTER too. None of its advertisements arrive here. What carries ARP, which is broadcast, drops multicast or IP protocol 112.",
    see: "'arping -c 2 -I eth0 10.0.0.1' on another host of the segment gets two answers; 'tcpdump -Q in -ni eth0 proto 112' here shows nothing of the other host.",
    todo: "Look for IGMP or MLD snooping without a querier on the switches ('bridge mdb', 'cat /sys/class/net/br0/bridge/multicast_snooping'), for filters of multicast in switch, hypervisor or wireless bridge, and for packet filters on the way; with carppeer, that its list names every host on each. Where multicast does not get through, use carppeer on all hosts.",
  },
  "virtual-mac-blocked": {
    level: "error",
    meaning:
      "Hosts of the segment answer this one when it asks from its carpdev's own MAC, and do not when it asks from the virtual MAC. What is between them lets a port have one MAC alone, as hypervisors do by default. Advertisements and answers for the shared addresses leave from the virtual MAC, and packets for them go to it: the other hosts do not hear this one and become MASTER too, or clients do not reach the address.",
    see: "'tcpdump -eni eth0 ether host 00:00:5e:00:01:01' here and on another host: what leaves here does not arrive there, or the other way.",
    todo: "VMware: accept forged transmits, MAC address changes and promiscuous mode (or MAC learning) for the port group. Hyper-V: enable MAC address spoofing. Proxmox and libvirt: no MAC filter, no 'clean-traffic'. Clouds: port security off, if that can be. Switches: port security with room for the virtual MAC. Where that cannot be, 'lladdr carpdev' with carppeer on every host.",
  },
  "shared-address-taken": {
    level: "error",
    meaning:
      "A MAC answers for a shared address that is neither the virtual one nor the master's: a host has the address as its own, another device of a host on the segment answers for it, or a router does by proxy ARP. Each client reaches whichever it heard last.",
    see: "'arping -c 2 -I eth0 10.0.0.1' from a third host lists both MACs; the switch, or 'bridge fdb show', knows the port of the strange one.",
    todo: "Take the address off that host, and out of its configuration or DHCP reservation; on a host of the vhid 'sysctl net.ipv4.conf.DEVICE.arp_ignore=1' for its other devices; on a router 'sysctl net.ipv4.conf.DEVICE.proxy_arp=0'.",
  },
  "other-mac": {
    level: "error",
    meaning:
      "Another host answers for a shared address with a MAC of the same vhid that is not the one given out here: balancing, carpnodes or lladdr differ. Advertisements do not show it. Clients and switches know one MAC, and lose the address when the host with the other one takes over.",
    see: "'carpctl carp0' on both hosts: compare lladdr, balancing and the carpnodes.",
    todo: "The same on every host: 'carpctl carp0 balancing ip-stealth', 'carpctl carp0 carpnodes 1:0,2:100' with the same vhids in the same order, 'carpctl carp0 -lladdr' or 'lladdr carpdev'.",
  },
  "mac-twice": {
    level: "error",
    meaning:
      "Another host of the vhid has the same MAC address on its device as a device of this one, mostly because one virtual machine is a copy of the other. The election may work; unicast to the two hosts, and what the switch learns, does not.",
    see: "'ip -br link' on both hosts.",
    todo: "Give one of the two another MAC, in the hypervisor's configuration or where the MAC is set: a .link file, /etc/network/interfaces.",
  },
  "not-preempted": {
    level: "warning",
    meaning:
      "This host is preferred to the MASTER, and leaves it alone because net.inet.carp.preempt is 0 here. That is how carp(4) does by default: the addresses stay where the last failure has brought them.",
    see: "'carpctl status' has advskew here and that of the MASTER; 'carpctl sysctl net.inet.carp.preempt'.",
    todo: "To have the preferred host take over always, net.inet.carp.preempt=1 in /etc/carp/sysctl.conf on every host, and 'carpctl sysctl net.inet.carp.preempt=1'; for this once 'carpctl carp0 state master'.",
  },
  "other-advbase": {
    level: "warning",
    meaning:
      "The MASTER advertises with another advbase than this host would. Each host waits for three intervals of its own: they notice a failure at different times, and a lease may be longer than another host waits.",
    see: "'carpctl carp0' here and there; 'tcpdump -ni eth0 -T carp proto 112' prints advbase.",
    todo: "The same advbase on every host of the vhid: 'carpctl carp0 advbase 1'. Who is preferred is for advskew to say.",
  },
  "advertisements-missing": {
    level: "warning",
    meaning:
      "A quarter or more of the MASTER's advertisements do not arrive here, and others do. When three in a row are missing this host takes over from a MASTER that is well, and gives way again. Its advertisements are more than the network or a queue lets through, or its host refuses to send some.",
    see: "'tcpdump -ttni eth0 -T carp proto 112' on both hosts, for a minute: what leaves there, and what arrives here. 'carpctl doctor' on the other host tells of advertisements that do not leave.",
    todo: "With an advbase of 0, 'carpctl carp0 advbase 1' on every host. Else look for a limit of multicast or broadcast packets a second on the switches (storm control), at the port of the hypervisor, or in a packet filter ('nft list ruleset', 'tc qdisc show dev eth0'); for a queue that overflows ('ethtool -S eth0', 'ethtool -g eth0', 'tc -s qdisc show dev eth0'), a duplex mismatch or a bad cable. Without multicast use carppeer.",
  },
  "one-family-heard": {
    level: "warning",
    meaning:
      "The interface has IPv4 and IPv6 addresses, and so have the other hosts, which advertise over both; the MASTER is heard over one of them alone. The election needs no more than one; when that is lost too, both hosts are MASTER, and what drops the advertisements may drop traffic of that family as well.",
    see: "'tcpdump -ni eth0 -T carp proto 112' and 'tcpdump -ni eth0 ip6 proto 112' on both hosts; 'carpctl doctor' on the MASTER tells when they do not leave.",
    todo: "Let IP protocol 112 through over IPv4 and IPv6, to 224.0.0.18 and ff02::12: packet filters, IGMP and MLD snooping. Where multicast of one family does not get through, use carppeer or carppeer6 on every host.",
  },
  "clocks-differ": {
    level: "warning",
    meaning:
      "The advertisements of another host carry a time that is a minute or more behind this host's clock: one of the two clocks is wrong. The election does not depend on it; logs of the two cannot be compared, and where the host has not heard the others its advertisements may be refused as recorded ones.",
    see: "'date -u' on both hosts; 'timedatectl' tells whether a clock is synchronised.",
    todo: "Run chrony or systemd-timesyncd on every host: 'timedatectl set-ntp true'. A virtual machine may take a wrong time from its host.",
  },
  loop: {
    level: "error",
    meaning:
      "This host receives what it sent itself: the network has a loop. The pass is in order. With a loop that multiplies frames the segment is soon unusable.",
    see: "'tcpdump -Q in -ni eth0 -T carp proto 112' shows advertisements from this host's own address.",
    todo: "Look for a second path between switches without spanning tree, for a bond or team whose ports are no group on the switch ('cat /proc/net/bonding/bond0'), for a hypervisor with several uplinks, and for a mirrored port.",
  },
  "carpdevs-on-one-segment": {
    level: "error",
    meaning:
      "Two carpdevs of this host are on one segment, each with an interface of the same vhid: both have one MAC address there, and each discards what the other sends.",
    see: "'tcpdump -Q in -ni eth0 -T carp proto 112' shows what the other device sends.",
    todo: "Give the interfaces different vhids, or the same carpdev; or part the segments, if the cables or VLANs are mixed up.",
  },
  "address-twice": {
    level: "error",
    meaning:
      "Another host sends CARP from an address of this one, which is not shared: it has the same address of its own, or a loop brings back what was sent here.",
    see: "'arping -D -c 2 -I eth0 10.0.0.2' gets an answer; 'tcpdump -eni eth0 -T carp proto 112' shows the sender's MAC.",
    todo: "Give every host an address of its own on the carpdev: look for a copy of a virtual machine, or a DHCP reservation. For a loop see 'carpctl help loop'.",
  },
  "wrong-digest": {
    level: "error",
    meaning:
      "An advertisement for a vhid of this host is signed with another pass, for other addresses or another lladdr. It is not believed, and the two hosts are both MASTER. Why is not known yet: the engine looks for the cause when such advertisements go on for two seconds.",
    see: "The finding has the source; 'carpctl doctor --listen 5' or 'carpctl status' a few seconds later tells the cause.",
    todo: "A host of this vhid: the same pass, addresses and lladdr on all. A host of another group: another vhid for one of the two, since they have one MAC address.",
  },
  replayed: {
    level: "error",
    meaning:
      "An advertisement with a right digest is refused, because it was sent more than ten seconds ago, was heard before, or was changed on the way: a recording is played back; or the sender's clock is far behind, and it has not heard the others yet; or strict_replay or signed_header is set where hosts do not run carpctl.",
    see: "The finding has the source and which of these it was; 'date -u' on both hosts, 'carpctl sysctl net.inet.carp.strict_replay net.inet.carp.signed_header'.",
    todo: "Set the clocks ('timedatectl'); where a host is a BSD or ucarp, 'carpctl sysctl net.inet.carp.strict_replay=0'. A BSD whose one counter looks signed draws another when its carp interface is restarted. When all of that is right, look for the sender's MAC: 'tcpdump -eni eth0 -T carp proto 112'.",
  },
  "carppeer-one-sided": {
    level: "error",
    meaning:
      "carppeer is set on one of two hosts of a vhid: one sends to the other alone and believes no multicast, the other multicasts and believes nothing else. Both are MASTER.",
    see: "'carpctl carp0' on both hosts prints carppeer at the end of the line with carp:.",
    todo: "Set carppeer on every host of the vhid ('carpctl carp0 carppeer A,B,C', the same list on all), or on none ('carpctl carp0 -carppeer').",
  },
  "carppeer-unlisted": {
    level: "error",
    meaning:
      "A host with the same pass and addresses sends to this one by unicast, from an address that carppeer here does not name: it is not believed, and this host becomes MASTER beside it. The address is missing or mistyped here, or the host sends from another address than was meant: its carpdev has several, or NAT on the way changes it.",
    see: "The finding has the address; 'carpctl carp0' here prints carppeer.",
    todo: "Name the address in carppeer, with the others: 'carpctl carp0 carppeer A,B,C', the same list on all hosts. NAT between them must keep each host's address.",
  },
  "carppeer-is-here": {
    level: "error",
    meaning:
      "Every address in carppeer is one of this host: it sends its advertisements to no other host, hears none, and is MASTER beside the others.",
    see: "'carpctl carp0' prints carppeer, 'ip -br address' the addresses of this host.",
    todo: "Name the others: 'carpctl carp0 carppeer ADDRESS,...', or 'carppeer6'. A list of all hosts, this one included, is the same on each of them.",
  },
  "carppeer-unreachable": {
    level: "error",
    meaning:
      "The last advertisement to a peer found no way there. This is no send error and demotes no host, because the peer may just be off; but it cannot hear this host.",
    see: "'ip route get ADDRESS' and 'ping ADDRESS'; the finding has the kernel's answer: ENETUNREACH is no route, ECONNREFUSED or EHOSTUNREACH an answer from the way.",
    todo: "Add the route, start the peer, or correct its address: 'carpctl carp0 carppeer ADDRESS,...'.",
  },
  "vrrp-number": {
    level: "error",
    meaning:
      "A VRRP router has the number of a vhid. VRRP over IPv4 and CARP make the same MAC address of it, so that switches send the packets of one to the other.",
    see: "'tcpdump -eni eth0 proto 112', without -T carp, decodes VRRP: vrid, source and MAC.",
    todo: "Use another vhid on all hosts ('carpctl carp0 vhid N'), or another number for the virtual router. Other numbers disturb nothing.",
  },
  ttl: {
    level: "warning",
    meaning:
      "A packet of IP protocol 112 had another TTL than 255. It came through a router, and is no advertisement from this segment, or its sender does not speak CARP.",
    see: "'tcpdump -vni eth0 -T carp proto 112' prints the TTL and the source.",
    todo: "A host behind a router needs carppeer, on both hosts; for a peer beyond the carpdev's subnet the TTL is not looked at. Otherwise look for a router that forwards multicast.",
  },
  "carp-version": {
    level: "warning",
    meaning: "A packet for a vhid of this host is no advertisement of CARP version 2.",
    see: "'tcpdump -vni eth0 proto 112', without -T carp, prints what it is.",
    todo: "Look at the source in the finding: it speaks another version, or another protocol with this number.",
  },
  "not-for-us": {
    level: "warning",
    meaning:
      "An advertisement for a vhid of this host came in a way that it does not believe: by unicast from a host that is not in carppeer, by unicast to an address that is not its own, or by multicast where carppeer is set, with another pass besides.",
    see: "The finding has the reason and the source; 'carpctl carp0' prints carppeer.",
    todo: "Complete carppeer on both hosts, with the addresses from which they send; compare the pass.",
  },
  checksum: {
    level: "warning",
    meaning:
      "An advertisement for a vhid of this host has a wrong checksum. A virtual machine leaves checksums to its card, and a hypervisor that passes the packet on may not fill them in; or a cable, a port or a driver damages packets.",
    see: "'carpctl netstat' counts them; 'tcpdump -vvni eth0 -T carp proto 112' prints a bad checksum.",
    todo: "On the sender that the finding names, 'ethtool -K eth0 tx off'; 'ethtool -S eth0' counts errors of card and cable.",
  },
  malformed: {
    level: "warning",
    meaning:
      "An advertisement for a vhid of this host has not the length of one: it was cut on the way, or forged.",
    see: "'carpctl netstat' counts them; 'tcpdump -vni eth0 -T carp proto 112' prints the length.",
    todo: "Look at the sender that the finding names, and for a program there that makes such packets.",
  },
} as const satisfies Readonly<Record<string, Topic>>;
