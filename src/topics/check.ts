/** The topics of what `carpctl check` finds. */

import type { Topic } from "./topic.ts";

export const CHECK = {
  unreadable: {
    level: "error",
    meaning: "A file, or a line of it, cannot be read: netstart would leave it out.",
    todo: "Correct the line that the text names; 'carpctl netstart -n' on that host prints how it would be read.",
  },
  refused: {
    level: "error",
    meaning: "The engine would refuse this file.",
    todo: "Correct what the text names; it is the engine's own answer.",
  },
  "suspect-line": {
    level: "warning",
    meaning: "netstart applies the line, with this warning.",
    todo: "Write what the warning advises, so that what is applied is what is meant.",
  },
  "no-interface": {
    level: "error",
    meaning: "The host has no hostname.carpN file.",
    todo: "Write /etc/hostname.carp0 on that host, or give the right directory: the one that stands for its /etc.",
  },
  "stays-init": {
    level: "error",
    meaning: "The interface lacks a vhid or an address, without which it takes no part.",
    todo: "Add what is missing: 'vhid N', or an 'inet' line.",
  },
  "is-down": {
    level: "warning",
    meaning: "The interface is down, and takes no part until it is up.",
    todo: "Remove 'down' from the file, or leave it if the interface is to wait.",
  },
  alone: {
    level: "warning",
    meaning: "One host alone has this virtual host: no other one takes over.",
    todo: "Configure the interface on a second host, with the same vhid, pass and addresses.",
  },
  "pass-differs": {
    level: "error",
    meaning: "Hosts with another pass do not believe each other, and each is MASTER.",
    todo: "Use the same pass on all hosts of the virtual host, byte for byte, at most 19 bytes.",
  },
  "pass-unknown": {
    level: "warning",
    meaning:
      "The pass was not read, and is not compared: read passfiles with the other files, and dump as root.",
    todo: "Copy the passfile into the directory, at its path below etc; make dumps with 'sudo carpctl dump'.",
  },
  "addresses-differ": {
    level: "error",
    meaning:
      "The digest covers the addresses: hosts that have others do not believe each other, and each is MASTER.",
    todo: "Add the address to all hosts, or remove it from all. A host's own address belongs to the carpdev.",
  },
  "link-locals-differ": {
    level: "warning",
    meaning: "Clients that use the link-local address lose it at a failover.",
    todo: "Give all hosts the same link-local address, such as fe80::1, or none.",
  },
  "masks-differ": {
    level: "warning",
    meaning:
      "One address has several prefix lengths or broadcast addresses: after a failover the routes are others.",
    todo: "Use one prefix length and one broadcast address on all hosts.",
  },
  "vhid-differs": {
    level: "error",
    meaning: "Hosts have the same addresses with another vhid: each is MASTER of its own.",
    todo: "Use the same vhid on all hosts that share the addresses.",
  },
  "vhid-reused": {
    level: "error",
    meaning: "One vhid stands for two things on a segment: they have one MAC address, and reject each other.",
    todo: "Give each virtual host of a segment a vhid of its own.",
  },
  "carpnodes-differ": {
    level: "error",
    meaning: "Hosts that balance over other nodes take packets twice, or not at all.",
    todo: "The same vhids in carpnodes on all hosts; only their advskews differ.",
  },
  "balancing-differs": {
    level: "error",
    meaning: "Hosts with another balancing mode have another virtual MAC address, or filter in another way.",
    todo: "The same balancing mode on all hosts.",
  },
  "lladdr-differs": {
    level: "error",
    meaning:
      "The digest covers a MAC address set by hand: hosts with another one do not believe each other. For the carpdev's own there is 'lladdr carpdev'.",
    todo: "The same lladdr on all hosts, or 'lladdr carpdev' on all.",
  },
  "lladdr-mixed": {
    level: "warning",
    meaning:
      "Some hosts answer with their carpdev's own MAC address, others with the virtual one: it changes at a failover.",
    todo: "'lladdr carpdev' on all hosts, or on none.",
  },
  "peers-one-sided": {
    level: "error",
    meaning:
      "A host with carppeer ignores advertisements to the multicast group, and a host without it all others.",
    todo: "Set carppeer on all hosts of the virtual host, or on none.",
  },
  "peers-not-mirrored": {
    level: "error",
    meaning:
      "Each host lists every other one: a host that is left out by one does not hear it, and both are MASTER.",
    todo: "Use one list of all hosts on each of them: a host skips its own address.",
  },
  "peer-is-shared": {
    level: "error",
    meaning: "A peer is the other host's own address: at the shared one only the MASTER would answer.",
    todo: "Name the other host's own address in carppeer.",
  },
  "no-preferred-master": {
    level: "warning",
    meaning: "Several hosts have the smallest advbase and advskew: who starts first is MASTER.",
    todo: "Leave advskew 0 on one host, and give the others more: 100, 150.",
  },
  "equal-advskew": {
    level: "warning",
    meaning: "Hosts of equal rank time out in the same moment, and both take over before one gives way.",
    todo: "Give the hosts different advskews.",
  },
  "advbase-differs": {
    level: "warning",
    meaning: "advbase is the time in which a failure is noticed; advskew says who is preferred.",
    todo: "Use one advbase on all hosts; rank them by advskew.",
  },
  "preempt-differs": {
    level: "warning",
    meaning: "A host without net.inet.carp.preempt leaves a slower master alone, where the others do not.",
    todo: "Set net.inet.carp.preempt alike in carp/sysctl.conf of all hosts.",
  },
  "preferred-apart": {
    level: "warning",
    meaning:
      "The preferred master of two segments is not the same host: connections go in by one and out by the other.",
    todo: "Give the same host the smallest advskew on both segments.",
  },
  "faults-apart": {
    level: "warning",
    meaning:
      "A fault of this interface demotes no other one: the host keeps the addresses of its other segments.",
    todo: "Leave both interfaces in group carp, or put them into one group; with one that fails over alone by intention, nothing.",
  },
  "groups-differ": {
    level: "warning",
    meaning: "The interface fails over with other interfaces on one host than on another.",
    todo: "Use the same groups for the interface on all hosts.",
  },
  "factor-differs": {
    level: "warning",
    meaning: "The same fault demotes one host more than another.",
    todo: "Set the variable alike in carp/sysctl.conf of all hosts.",
  },
  "demotion-too-small": {
    level: "warning",
    meaning:
      "The preferred master stays before the other host whatever its advskew grows to: a BSD or ucarp that compares nothing else never takes over for a fault.",
    todo: "Use the same advbase on all hosts, advskews well below 240, and demotion factors of 240.",
  },
  "idle-host": {
    level: "warning",
    meaning: "A balanced host is preferred for no node, and takes no share.",
    todo: "Give each host the smallest advskew of at least one node: 'carpnodes 1:0,2:100' here, 'carpnodes 1:100,2:0' there.",
  },
  "allow-off": {
    level: "error",
    meaning: "With net.inet.carp.allow=0 a host hears no other one, and is always MASTER.",
    todo: "Remove net.inet.carp.allow=0 from carp/sysctl.conf.",
  },
} as const satisfies Readonly<Record<string, Topic>>;
