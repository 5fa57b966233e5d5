/** The topics of what `carpctl check` finds. */

import type { Topic } from "./topic.ts";

export const CHECK = {
  unreadable: {
    level: "error",
    meaning: "A file, or a line of it, cannot be read: netstart would leave it out.",
  },
  refused: { level: "error", meaning: "The engine would refuse this file." },
  "suspect-line": { level: "warning", meaning: "netstart applies the line, with this warning." },
  "no-interface": { level: "error", meaning: "The host has no hostname.carpN file." },
  "stays-init": {
    level: "error",
    meaning: "The interface lacks a vhid or an address, without which it takes no part.",
  },
  "is-down": { level: "warning", meaning: "The interface is down, and takes no part until it is up." },
  alone: { level: "warning", meaning: "One host alone has this virtual host: no other one takes over." },
  "pass-differs": {
    level: "error",
    meaning: "Hosts with another pass do not believe each other, and each is MASTER.",
  },
  "pass-unknown": {
    level: "warning",
    meaning:
      "The pass was not read, and is not compared: read passfiles with the other files, and dump as root.",
  },
  "addresses-differ": {
    level: "error",
    meaning:
      "The digest covers the addresses: hosts that have others do not believe each other, and each is MASTER.",
  },
  "link-locals-differ": {
    level: "warning",
    meaning: "Clients that use the link-local address lose it at a failover.",
  },
  "masks-differ": {
    level: "warning",
    meaning:
      "One address has several prefix lengths or broadcast addresses: after a failover the routes are others.",
  },
  "vhid-differs": {
    level: "error",
    meaning: "Hosts have the same addresses with another vhid: each is MASTER of its own.",
  },
  "vhid-reused": {
    level: "error",
    meaning: "One vhid stands for two things on a segment: they have one MAC address, and reject each other.",
  },
  "carpnodes-differ": {
    level: "error",
    meaning: "Hosts that balance over other nodes take packets twice, or not at all.",
  },
  "balancing-differs": {
    level: "error",
    meaning: "Hosts with another balancing mode have another virtual MAC address, or filter in another way.",
  },
  "lladdr-differs": {
    level: "error",
    meaning:
      "The digest covers a MAC address set by hand: hosts with another one do not believe each other. For the carpdev's own there is 'lladdr carpdev'.",
  },
  "lladdr-mixed": {
    level: "warning",
    meaning:
      "Some hosts answer with their carpdev's own MAC address, others with the virtual one: it changes at a failover.",
  },
  "peers-one-sided": {
    level: "error",
    meaning:
      "A host with carppeer ignores advertisements to the multicast group, and a host without it all others.",
  },
  "peers-not-mirrored": {
    level: "error",
    meaning:
      "Each host lists every other one: a host that is left out by one does not hear it, and both are MASTER.",
  },
  "peer-is-shared": {
    level: "error",
    meaning: "A peer is the other host's own address: at the shared one only the MASTER would answer.",
  },
  "no-preferred-master": {
    level: "warning",
    meaning: "Several hosts have the smallest advbase and advskew: who starts first is MASTER.",
  },
  "equal-advskew": {
    level: "warning",
    meaning: "Hosts of equal rank time out in the same moment, and both take over before one gives way.",
  },
  "advbase-differs": {
    level: "warning",
    meaning: "advbase is the time in which a failure is noticed; advskew says who is preferred.",
  },
  "preempt-differs": {
    level: "warning",
    meaning: "A host without net.inet.carp.preempt leaves a slower master alone, where the others do not.",
  },
  "preferred-apart": {
    level: "warning",
    meaning:
      "The preferred master of two segments is not the same host: connections go in by one and out by the other.",
  },
  "faults-apart": {
    level: "warning",
    meaning:
      "A fault of this interface demotes no other one: the host keeps the addresses of its other segments.",
  },
  "groups-differ": {
    level: "warning",
    meaning: "The interface fails over with other interfaces on one host than on another.",
  },
  "factor-differs": {
    level: "warning",
    meaning: "The same fault demotes one host more than another.",
  },
  "demotion-too-small": {
    level: "warning",
    meaning:
      "The preferred master stays before the other host whatever its advskew grows to: a BSD or ucarp that compares nothing else never takes over for a fault.",
  },
  "idle-host": { level: "warning", meaning: "A balanced host is preferred for no node, and takes no share." },
  "allow-off": {
    level: "error",
    meaning: "With net.inet.carp.allow=0 a host hears no other one, and is always MASTER.",
  },
} as const satisfies Readonly<Record<string, Topic>>;
