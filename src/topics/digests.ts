/** The topics of wrong digests: one for each cause that the engine finds out. */

import type { DigestCause } from "../core/digests/question.ts";
import type { Topic } from "./topic.ts";

/** The name of the topic of a cause. */
export type DigestKind = `digest-${DigestCause}`;

const level = "error";

const PASSES = "As root, 'carpctl dump carp0' on both hosts prints the pass.";
const ADDRESSES = "'carpctl carp0' on both hosts: compare the lines with inet and inet6.";

export const DIGESTS = {
  "digest-no-pass": {
    level,
    meaning:
      "The other host has the same addresses, and no pass. It is not believed, and believes this host neither: both are MASTER.",
    see: PASSES,
    todo: "Set the pass there: 'carpctl carp0 passfile FILE', on a BSD 'ifconfig carp0 pass PHRASE'. A passfile that was not read, or a file that was cut, leaves it out.",
  },
  "digest-pass-line-end": {
    level,
    meaning:
      "The other host's pass is the one here with a line end behind it, as a program has it that reads a whole file. Every byte of a pass counts.",
    see: "There, 'od -c FILE' on the file that the pass comes from shows \\n or \\r.",
    todo: "Write the file there without the line end ('printf %s PHRASE'), or give the pass itself.",
  },
  "digest-pass-blank": {
    level,
    meaning: "The two passes are the same but for a blank before or behind one of them.",
    see: "'od -c' on the configuration file of both hosts; the finding says at which host the blank is.",
    todo: "Set the pass without the blank on that host.",
  },
  "digest-pass-quoted": {
    level,
    meaning:
      "The other host took the quotes around the pass for a part of it. A shell and hostname.carp files take quotes away; other programs may not.",
    see: "The configuration file of the other host.",
    todo: "Set the pass there without the quotes.",
  },
  "digest-pass-length": {
    level,
    meaning:
      "The other host uses more of the pass than its first 19 bytes, which are all that carp(4) uses: here and on the BSDs it is cut.",
    see: "'printf %s PHRASE | wc -c' prints more than 19.",
    todo: "Set a pass of at most 19 bytes on every host.",
  },
  "digest-pass-earlier": {
    level,
    meaning:
      "The other host signs with the pass that this host had before its last change. It was not changed, and the time of grace is over, or was ended with 'grace off'.",
    see: PASSES,
    todo: "Change the pass there too. The next time change all hosts within net.inet.carp.grace seconds.",
  },
  "digest-pass-of-other-interface": {
    level,
    meaning:
      "The other host has for this vhid the pass that another carp interface has here: the two passes were mixed up, on one of the hosts.",
    see: PASSES,
    todo: "Set the same pass for the vhid on both hosts.",
  },
  "digest-address-missing": {
    level,
    meaning:
      "This host has an address that the other one lacks. The digest covers all addresses of the interface, so that each refuses the other's advertisements, and both are MASTER. Prefix lengths do not matter.",
    see: ADDRESSES,
    todo: "Add it there ('carpctl carp0 alias ADDRESS/LENGTH') or remove it here ('carpctl carp0 ADDRESS -alias'), and correct hostname.carp0. An address of the carpdev itself is not to be shared.",
  },
  "digest-family-missing": {
    level,
    meaning:
      "This host shares IPv4 and IPv6 addresses, and the other one those of one family alone. The digest covers both families in every advertisement.",
    see: ADDRESSES,
    todo: "Add them there or remove them here ('carpctl carp0 -inet6'), or use an interface with a vhid of its own for the other family.",
  },
  "digest-address-extra": {
    level,
    meaning:
      "The other host has an address that this one lacks: one of its own, one that its system added, or one that was forgotten here. The digest covers all addresses of the interface.",
    see: ADDRESSES,
    todo: "Remove it there or add it here. A host's own address belongs to the carpdev, not to the carp interface.",
  },
  "digest-address-different": {
    level,
    meaning:
      "The two hosts have one address each that the other lacks, in the same place: most often a slip of the pen; or two groups have the same vhid and pass, as where neither has one.",
    see: ADDRESSES,
    todo: "Use the same on both hosts, and in their hostname.carp0 files. For two groups, another vhid for one of them: 'carpctl carp0 vhid N' on its hosts.",
  },
  "digest-addresses-of-other-interface": {
    level,
    meaning:
      "The other host has for this vhid the addresses that another carp interface has here: the vhids of two interfaces are exchanged on one of the hosts.",
    see: "'carpctl' on both hosts: compare the vhids and the addresses.",
    todo: "Give both hosts the same vhid for the same addresses.",
  },
  "digest-lladdr": {
    level,
    meaning:
      "The pass and the addresses are the same, and the lladdr is not: the digest covers a MAC address that is set by hand.",
    see: "'carpctl dump carp0' on both hosts prints lladdr where it is set.",
    todo: "Set the same lladdr on every host of the vhid, or none: 'carpctl carp0 -lladdr'. For the carpdev's own there is 'lladdr carpdev', which the digest does not cover.",
  },
  "digest-vhid": {
    level,
    meaning:
      "The pass and the addresses are those of an interface here, and the vhid is not: the other host has it under another number, or has it as one of several carpnodes; or the number was changed on the way.",
    see: "'carpctl carp0' on both hosts: compare vhid.",
    todo: "The same vhid on all hosts: 'carpctl carp0 vhid N', or the same 'carpnodes'. The vhid also makes the MAC address, so that clients lose the address at each failover otherwise.",
  },
  "digest-carpdev": {
    level,
    meaning:
      "Another host has on this segment what this host has on another one: vhid, pass and addresses of an interface that is on another carpdev here. Two cables, VLANs or carpdevs are exchanged on one of the hosts, and on every segment each is MASTER alone.",
    see: "'carpctl' on both hosts lists interfaces and carpdevs; 'tcpdump -ni eth0 -T carp proto 112' shows the vhids of the segment.",
    todo: "Exchange the cables or VLANs, or 'carpctl carp0 carpdev eth1' and 'carpctl carp1 carpdev eth0' on the host where they are wrong. Names of devices that change at boot are fixed by .link files.",
  },
  "digest-unknown": {
    level,
    meaning:
      "Nothing that the engine tried makes the digest right: another pass altogether, several addresses that differ, or a host of another group with the same vhid. The finding says what it can exclude.",
    see: PASSES,
    todo: "Give every host of the vhid the same pass and the same addresses; give another group another vhid.",
  },
} as const satisfies Readonly<Record<DigestKind, Topic>>;
