/** The topics of what `carpctl doctor` finds about carpdevs, and about other devices beside them. */

import type { Topic } from "./topic.ts";

export const CARPDEVS = {
  "unfit-carpdev": {
    level: "error",
    meaning:
      "The device has no Ethernet: it is a loopback, a tunnel or a carp interface. CARP moves a MAC address, which such a device has not.",
    see: "'ip link show eth0' prints link/ether for an Ethernet device.",
    todo: "Name an Ethernet device: 'carpctl carp0 carpdev eth1'. VLANs, bonds and bridges are Ethernet too.",
  },
  wireless: {
    level: "error",
    meaning:
      "A wireless network passes frames from and to the MAC addresses of its stations alone: frames from and to the shared one are dropped.",
    see: "'iw dev' lists the device.",
    todo: "Use a wired carpdev.",
  },
  "arp-ignore": {
    level: "error",
    meaning:
      "The carpdev answers ARP for shared addresses with its own MAC address, beside the right answer or in place of it. Clients that believe it lose the address at a failover. The engine sets arp_ignore to 1, and another program sets it back.",
    see: "'sysctl net.ipv4.conf.eth0.arp_ignore', where the greater of eth0 and all counts; 'tcpdump -eni eth0 arp' shows two answers for one address.",
    todo: "'sysctl net.ipv4.conf.eth0.arp_ignore=1', and look for what sets it: 'grep -r arp_ignore /etc/sysctl.conf /etc/sysctl.d', systemd-networkd, agents of a cloud or container system.",
  },
  "arp-announce": {
    level: "error",
    meaning:
      "When the carpdev asks by ARP for a client, it names a shared address as the sender, with its own MAC address: clients and routers that learn from the question send there from then on. The engine sets arp_announce to 2, and another program sets it back.",
    see: "'sysctl net.ipv4.conf.eth0.arp_announce'; 'tcpdump -eni eth0 arp' shows a request that tells a shared address, from eth0's MAC.",
    todo: "'sysctl net.ipv4.conf.eth0.arp_announce=2', and look for what sets it: 'grep -r arp_announce /etc/sysctl.conf /etc/sysctl.d'.",
  },
  "program-first": {
    level: "error",
    meaning:
      "An eBPF program or a filter of another owner stands before carp's. What it lets through, answers or drops goes by no lease: a host that is not MASTER may answer, and balanced packets may be taken twice or not at all. The engine puts its program first again, less often when the other owner goes on.",
    see: "'bpftool net show dev eth0' and 'tc filter show dev eth0 ingress' (and egress) list the programs in their order.",
    todo: "Take it off, or have its owner attach it behind carp's. 'bpftool prog show id N' tells its name and who holds it.",
  },
  "xdp-program": {
    level: "warning",
    meaning:
      "An XDP program runs before all others, also carp's. What it passes on is subject to the leases; what it answers, redirects or drops is not.",
    see: "'ip link show eth0' prints prog/xdp with the program's number; 'bpftool prog show id N' its name.",
    todo: "See that it passes ARP, neighbour discovery, IP protocol 112 and packets for shared addresses on; else take it off: 'ip link set eth0 xdp off'.",
  },
  "group-not-joined": {
    level: "error",
    meaning:
      "The network card has not been told to receive the multicast group of advertisements: this host does not hear the others, and becomes MASTER beside them.",
    see: "'ip maddress show dev eth0' lists 01:00:5e:00:00:12 for IPv4 and 33:33:00:00:00:12 for IPv6.",
    todo: "Set the carp interface down and up: 'carpctl carp0 down' and 'carpctl carp0 up'.",
  },
  "mtu-too-small": {
    level: "warning",
    meaning:
      "The carpdev takes smaller packets than the carp interface has for its largest: large ones that leave there are lost.",
    see: "'ip link show eth0' and 'carpctl carp0' print the mtu of both.",
    todo: "Make them the same: 'ip link set eth0 mtu 1500', or 'carpctl carp0 mtu 1400'.",
  },
  "carrier-mtu-too-small": {
    level: "warning",
    meaning:
      "The carpdev is a bridge, a bond or a VLAN on one, and a port that carries its packets takes smaller ones only. What is larger is lost there and no sender is told: small requests pass, long answers do not arrive. A bridge whose mtu was set by hand no longer follows its ports, and a port of a bond can be given another mtu than the bond.",
    see: "'ip link show master br0' prints the mtu of each port, 'ip link show br0' that of the carpdev; 'ping -M do -s 1472 ADDRESS' from a client gets no answer.",
    todo: "Give the port the mtu of the carpdev: 'ip link set eth1 mtu 1500'; or the carpdev and the carp interface that of the port.",
  },
  "other-mask": {
    level: "warning",
    meaning:
      "A shared address and one of the carpdev are in the same network with different masks. Routes stay those of the carpdev; but the two have different broadcast addresses.",
    see: "'ip address show dev eth0' and 'carpctl carp0'.",
    todo: "Use the prefix length that the finding names, in hostname.carp0 as well; or /32, or /128 with IPv6.",
  },
  "arp-by-another": {
    level: "warning",
    meaning:
      "Another device has an address in the same subnet, and Linux answers ARP on any device for any address of the host: where both are on one segment, it answers for the shared addresses with a MAC of its own.",
    see: "'sysctl net.ipv4.conf.eth1.arp_ignore', and 'tcpdump -eni eth1 arp' while a client asks for the shared address.",
    todo: "'sysctl net.ipv4.conf.eth1.arp_ignore=1', and the same line in a file of /etc/sysctl.d; or take the address off that device.",
  },
} as const satisfies Readonly<Record<string, Topic>>;
