/** The topics of what `carpctl doctor` finds about the states of connections of a firewall: conntrackd and nftables. */

import type { Topic } from "./topic.ts";

export const CONNECTIONS = {
  "conntrackd-no-hook": {
    level: "warning",
    meaning:
      "conntrackd receives the states of the other firewall, and nothing has it put them into the kernel at a failover: connections break.",
    see: "'ls -l /etc/carp/hooks.d' lists no executable file that calls conntrackd.",
    todo: "'install -D -m 755 /usr/share/doc/carpctl/examples/firewall/conntrackd-hook /etc/carp/hooks.d/conntrackd'; carp-firewall(7) has the rest.",
  },
  "conntrackd-missing": {
    level: "error",
    meaning:
      "A hook calls conntrackd, and it is not installed: the hook fails at every change of state, and connections break.",
    see: "'command -v conntrackd' prints nothing.",
    todo: "'apt install conntrackd', or remove the hook from /etc/carp/hooks.d.",
  },
  "conntrackd-no-file": {
    level: "error",
    meaning: "A hook calls conntrackd, and it has no configuration file, without which it does not start.",
    see: "'ls /etc/conntrackd/conntrackd.conf'.",
    todo: "Write one: carp-firewall(7) has it, and /usr/share/doc/carpctl/examples/firewall.",
  },
  "conntrackd-stopped": {
    level: "error",
    meaning:
      "conntrackd does not run: neither host has the states of the other's connections, and they break at a failover. One that was killed leaves a lock file, with which it does not start again.",
    see: "'systemctl status conntrackd' and 'conntrackd -s'.",
    todo: "'systemctl start conntrackd'; where the finding names a lock file, remove that first. carp-firewall(7) has a drop-in that does both.",
  },
  "conntrackd-silent": {
    level: "error",
    meaning:
      "conntrackd runs and does not answer within two seconds: it hangs, and connections break at a failover.",
    see: "'conntrackd -s' does not return.",
    todo: "'systemctl restart conntrackd'. With WatchdogSec in a drop-in systemd does so by itself, see carp-firewall(7).",
  },
  "conntrackd-no-sync": {
    level: "warning",
    meaning:
      "conntrackd runs and sends no states: its configuration has no section Sync, or it gathers statistics alone. Or doctor does not understand its answer, as another version might give it.",
    see: "'conntrackd -s' prints no packets sent and received (Pckts recv).",
    todo: "Give /etc/conntrackd/conntrackd.conf a section Sync: see carp-firewall(7).",
  },
  "conntrackd-version": {
    level: "error",
    meaning:
      "conntrackd receives messages of the other firewall that it does not understand: states of connections are lost, and they break at a failover.",
    see: "'conntrackd -v' on both hosts; in 'conntrackd -s' the count of malformed messages grows.",
    todo: "Install the same version on both hosts.",
  },
  "conntrackd-unheard": {
    level: "warning",
    meaning:
      "conntrackd hears nothing from the other firewall: states of connections reach neither host, and they break at a failover.",
    see: "'conntrackd -s' on both hosts: the count of packets received does not grow. 'tcpdump -ni eth2 udp port 3780' shows whether they arrive.",
    todo: "See that conntrackd runs on the other host, that the addresses, the port and the device are each other's mirror in the two files, that the link is up, and that the rules accept UDP port 3780 there.",
  },
  "forwards-unknown": {
    level: "warning",
    meaning:
      "Packets that belong to no known connection are forwarded. At a failover the first packet that comes before its state makes a new connection, with other translated addresses, and the state that comes after it is refused.",
    see: "'nft list ruleset': no chain at the hook forward drops what no rule accepts.",
    todo: "'policy drop' in that chain, and rules for what may begin a connection: see carp-firewall(7).",
  },
  "drops-known": {
    level: "warning",
    meaning:
      "No rule accepts packets of connections that are known: those that were handed over are dropped at a failover.",
    see: "'nft list ruleset': no rule with 'ct state established' at the hook forward.",
    todo: "'ct state established,related accept' as the first rule of that chain: see carp-firewall(7).",
  },
  "accepts-without-syn": {
    level: "warning",
    meaning:
      "A TCP packet without SYN may begin a connection. At a failover one that comes before its state does so, and the state that comes after it is refused.",
    see: "'sysctl net.netfilter.nf_conntrack_tcp_loose' is 1, and no rule at the hook forward looks at tcp flags.",
    todo: "'tcp flags & (fin | syn | rst | ack) != syn drop' behind the rule for known connections, or 'sysctl net.netfilter.nf_conntrack_tcp_loose=0'.",
  },
} as const satisfies Readonly<Record<string, Topic>>;
