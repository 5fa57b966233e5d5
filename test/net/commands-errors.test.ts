/**
 * Refusals: the message and exit status of each, and that a refusal changes nothing in the engine, the
 * kernel, the saved state and the log. The real program runs where the words are no command, and where one
 * bad word stands among good ones; the others are tried in this process.
 */

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { KEYWORDS } from "../../src/cli/grammar/ifconfig/keywords.ts";
import { VERBS } from "../../src/cli/grammar/verbs.ts";
import { createNetwork, type Host, type Network, type Output, wholeState } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

const LONG = "x".repeat(64);
const MASK = "expected a netmask like 255.255.255.0 or 0xffffff00";
const MAC = "expected a unicast address like 02:00:00:00:00:01";
const GROUP = "must be 1..15 characters and not end in a digit";
const needsVhid = (word: string) =>
  `needs a vhid: eth0 is no carp interface (carpctl eth0 vhid N ${word} ...)`;
const nodes = (count: number) => Array.from({ length: count }, (_, n) => `${n + 1}:0`).join();

/**
 * Words after `carpctl`, and the message. There are carp0 (MASTER, vhid 1 on eth0, 10.0.0.1 and 2001:db8::1)
 * and carp1 (down, vhid 2 on eth0, 10.0.0.11, group www); eth0 has 10.0.0.2, eth1 10.0.1.2.
 */
const REFUSED: readonly (readonly [words: string, message: string])[] = [
  ["carp0 vhid 256", "vhid 256: must be 1..255"],
  ["carp0 vhid 0", "vhid 0: must be 1..255"],
  ["carp0 vhid -1", "vhid -1: must be 1..255"],
  ["carp0 vhid 0x10", "vhid 0x10: must be 1..255"],
  ["carp0 vhid 1.5", "vhid 1.5: must be 1..255"],
  ["carp0 vhid", "vhid: needs a value (1..255)"],
  ["carp0 vhid 2", "vhid 2 is already used by carp1 on eth0"],
  ["carp2 carpdev eth0 vhid 1", "vhid 1 is already used by carp0 on eth0"],
  ["carp2 10.0.0.21/24 vhid 1", "vhid 1 is already used by carp0 on eth0"],
  ["carp0 announce 3601", "announce 3601: must be 0..3600"],
  ["carp0 announce", "announce: needs a value (0..3600)"],
  ["carp0 preemptdelay 86401", "preemptdelay 86401: must be 0..86400"],
  ["carp0 preemptdelay -1", "preemptdelay -1: must be 0..86400"],
  ["carp0 preemptdelay", "preemptdelay: needs a value (0..86400)"],
  ["carp0 grace 60", "grace 60: must be off: the time is net.inet.carp.grace"],
  ["carp0 advbase 255", "advbase 255: must be 0..254"],
  ["carp0 advbase -1", "advbase -1: must be 0..254"],
  ["carp0 advbase", "advbase: needs a value (0..254)"],
  ["carp0 advskew 255", "advskew 255: must be 0..254"],
  ["carp0 advskew fast", "advskew fast: must be 0..254"],
  ["carp0 advskew", "advskew: needs a value (0..254)"],
  ["carp2 advskew 5", "advskew 5: carp2 has no vhid yet"],
  ["carp0 carpnodes 1-0", "carpnodes 1-0: expected vhid:advskew"],
  ["carp0 carpnodes 1:0,", "carpnodes 1:0,: expected vhid:advskew"],
  ["carp0 carpnodes 1:0,2", "carpnodes 2: expected vhid:advskew"],
  ["carp0 carpnodes 256:0", "vhid 256: must be 1..255"],
  ["carp0 carpnodes 1:255", "advskew 255: must be 0..254"],
  ["carp0 carpnodes 1:0,1:100", "carpnodes 1:0,1:100: duplicate vhid 1"],
  [`carp0 carpnodes ${nodes(33)}`, "carpnodes: at most 32"],
  ["carp0 carpnodes", "carpnodes: needs a value (VHID:ADVSKEW[,...])"],
  ["carp0 carpnodes 5:0 vhid 5", "vhid 5: cannot be combined with carpnodes"],
  ["carp0 carpnodes 5:0 advskew 9", "advskew 9: cannot be combined with carpnodes"],
  ["carp0 balancing foo", "balancing foo: unknown mode (none, ip, ip-unicast, ip-stealth)"],
  ["carp0 balancing arp", "balancing arp: unknown mode (none, ip, ip-unicast, ip-stealth)"],
  ["carp0 balancing", "balancing: needs a value (none|ip|ip-unicast|ip-stealth)"],
  ["carp0 carpdev eth9", "carpdev eth9: no such device"],
  ["carp2 carpdev eth9 vhid 3", "carpdev eth9: no such device"],
  ["carp0 carpdev carp0", "carpdev carp0: a carp interface"],
  ["carp0 carpdev lo", "carpdev lo: no Ethernet device"],
  ["carp0 carpdev a/b", "carpdev a/b: not a device name"],
  ["carp0 carpdev sixteencharacter", "carpdev sixteencharacter: not a device name"],
  ["carp0 carpdev", "carpdev: needs a value (IF)"],
  ["netstart eth0", "eth0: not a carp interface name (carp0, carp1, ...)"],
  ["dump carp7", "carp7: no such interface"],
  ["netstat -I carp7", "carp7: no such interface"],
  ["history carp7", "carp7: no such interface, and no event of one"],
  ["history eth0", "eth0: not a carp interface name (carp0, carp1, ...)"],
  [
    "history --since soon",
    "--since soon: expected a time like 03:12, 2026-11-21 or '2026-11-21 03:12', or how long ago, like 45s, 10m, 2h or 3d",
  ],
  ["demote backup 0", "demote 0: must be 1..1048576"],
  ["demote backup 1048577", "demote 1048577: must be 1..1048576"],
  ["demote backup much", "demote much: must be 1..1048576"],
  ["demote --unit db much", "demote much: must be 1..1048576"],
  ["demote --unit a/b 5", "demote: unit a/b.service: not the name of a unit, like nginx.service"],
  ["promote --unit db", "promote db.service: it does not demote: no unit does"],
  ["demote boot 5", "demote boot: this is what 'carpctl engine --boot-demotion' does"],
  ["demote a/b 5", "reason a/b: must be 1..32 letters, digits, dots, underscores and dashes"],
  ["demote maintenance 5", "demote maintenance: this is what 'carpctl maintenance' does"],
  ["demote services 5", "demote services: this is what 'carpctl service-status' does"],
  ["check a=/etc b=/nonexistent", "/nonexistent: no such file or directory"],
  ["plan a=/etc b=/nonexistent", "/nonexistent: no such file or directory"],
  ["promote nosuch", "promote nosuch: nothing is demoted for it: there is no reason"],
  ["help nosuch", "help nosuch: no such command, parameter, variable or finding"],
  ["carp0 pass", "pass: needs a value (PHRASE)"],
  [`carp0 pass ${"s".repeat(1025)}`, "pass: at most 1024 characters"],
  ["carp0 passfile", "passfile: needs a value (FILE)"],
  ["carp0 passfile /nonexistent", "passfile /nonexistent: no such file"],
  ["carp0 passfile /", "passfile /: is a directory"],
  ["carp0 passfile /dev/null", "passfile /dev/null: its first line is empty"],
  ["carp0 carppeer", "carppeer: needs a value (HOST[,HOST...])"],
  ["carp0 carppeer 10.0.0.3,", "carppeer 10.0.0.3,: expected HOST[,HOST...]"],
  ["carp0 carppeer 10.0.0.3,10.0.0.3", "carppeer 10.0.0.3,10.0.0.3: duplicate 10.0.0.3"],
  ["carp0 carppeer 10.0.0", "carppeer 10.0.0: not an address"],
  ["carp0 carppeer 224.0.0.18", "carppeer 224.0.0.18: not a unicast address"],
  ["carp0 carppeer 2001:db8::3", "carppeer 2001:db8::3: not an IPv4 address (carppeer6 takes it)"],
  ["carp0 carppeer no-such-host.invalid", "carppeer no-such-host.invalid: cannot resolve"],
  ["carp0 peer 10.0.0.256", "carppeer 10.0.0.256: not an address"],
  ["carp0 carppeer6", "carppeer6: needs a value (HOST[,HOST...])"],
  ["carp0 carppeer6 10.0.0.3", "carppeer6 10.0.0.3: not an IPv6 address (carppeer takes it)"],
  ["carp0 carppeer6 ff02::12", "carppeer6 ff02::12: not a unicast address"],
  ["carp0 peer6 2001:db8:::3", "carppeer6 2001:db8:::3: not an address"],
  ["carp0 state foo", "state foo: unknown state (master, backup, init)"],
  ["carp0 state MASTERS", "state MASTERS: unknown state (master, backup, init)"],
  ["carp0 state", "state: needs a value (master|backup|init)"],
  ["carp1 state master", "state master: carp1 does not run: it is down"],
  ["carp2 state backup", "state backup: carp2 does not run: it is down"],
  ["carp0 lladdr foo", `lladdr foo: ${MAC}`],
  ["carp0 lladdr 01:00:5e:00:01:01", `lladdr 01:00:5e:00:01:01: ${MAC}`],
  ["carp0 lladdr 00:00:00:00:00:00", `lladdr 00:00:00:00:00:00: ${MAC}`],
  ["carp0 lladdr 00:00:5e:00:01:02", "lladdr 00:00:5e:00:01:02 is already used by carp1 on eth0"],
  ["carp0 lladdr", "lladdr: needs a value (MAC)"],
  ["carp0 group www2", `group www2: ${GROUP}`],
  ["carp0 group sixteencharacter", `group sixteencharacter: ${GROUP}`],
  ["carp0 group", "group: needs a value (GROUP)"],
  ["carp0 -group www", "group www: carp0 is not in it"],
  ["carp0 -group", "-group: needs a value (GROUP)"],
  ["carp0 description", "description: needs a value (TEXT)"],
  [`carp0 descr ${LONG}`, "description: at most 63 characters"],
  ["carp0 mtu 67", "mtu 67: must be 68..65535"],
  ["carp0 mtu 65536", "mtu 65536: must be 68..65535"],
  ["carp0 mtu 9000", "mtu 9000: eth0 takes at most 1500"],
  ["carp0 mtu", "mtu: needs a value (68..65535)"],
  ["carp0 rdomain 1", "rdomain 1: not on Linux: put the engine in a network namespace instead"],
  ["carp0 rdomain", "rdomain: needs a value (N)"],
  ["carp0 10.0.0.300", "10.0.0.300: not an address"],
  ["carp0 10.0.0.9/33", "prefixlen 33: must be 0..32"],
  ["carp0 10.0.0.9/24/24", "prefixlen 24/24: must be 0..32"],
  ["carp0 10.0.0.9/", "prefixlen '': must be 0..32"],
  ["carp0 2001:db8::9/129", "prefixlen 129: must be 0..128"],
  ["carp0 224.0.0.1", "224.0.0.1: not a unicast address"],
  ["carp0 127.0.0.1/8", "127.0.0.1: not a unicast address"],
  ["carp0 ::1", "::1: not a unicast address"],
  ["carp0 10.77.0.0/24", "10.77.0.0: not a host's address (it is the address of the network 10.77.0.0/24)"],
  [
    "carp0 192.168.0.1 255.255.255.0",
    "255.255.255.0: netmask? write '192.168.0.1/24' or '192.168.0.1 netmask 255.255.255.0'",
  ],
  ["carp0 10.0.0.255/24", "10.0.0.255: not a unicast address (it is the network's broadcast address)"],
  ["carp0 10.0.0.2/24", "10.0.0.2 is eth0's own address: a shared address must be another one"],
  ["carp0 alias 10.0.0.11/24", "10.0.0.11 is already used by carp1"],
  ["carp0 10.0.0.9 10.0.0.10", "10.0.0.10: unknown parameter"],
  ["carp0 inet", "inet: needs an address"],
  ["carp0 inet 2001:db8::9", "2001:db8::9: not an IPv4 address"],
  ["carp0 inet www", "www: not an address"],
  ["carp0 inet6", "inet6: needs an address"],
  ["carp0 inet6 10.0.0.9", "10.0.0.9: not an IPv6 address"],
  ["carp0 alias", "alias: needs an address"],
  ["carp0 -alias", "-alias: needs an address"],
  ["carp0 -alias 10.0.0.9", "10.0.0.9: no such address on carp0"],
  ["carp0 delete 10.0.0.11", "10.0.0.11: no such address on carp0"],
  ["carp0 netmask 255.255.255.0", "netmask: needs an address before it"],
  ["carp0 10.0.0.9 netmask 255.0.255.0", `netmask 255.0.255.0: ${MASK}`],
  ["carp0 10.0.0.9 netmask", "netmask: needs a value (MASK)"],
  ["carp0 2001:db8::9 netmask 255.255.255.0", "netmask 255.255.255.0: only for IPv4; IPv6 takes prefixlen"],
  ["carp0 prefixlen 24", "prefixlen: needs an address before it"],
  ["carp0 10.0.0.9 prefixlen 33", "prefixlen 33: must be 0..32"],
  ["carp0 broadcast 10.0.0.255", "broadcast: needs an address before it"],
  ["carp0 10.0.0.9 broadcast all", "broadcast all: not an IPv4 address"],
  ["carp0 2001:db8::9 broadcast 10.0.0.255", "broadcast 10.0.0.255: only for IPv4"],
  ["carp0 create", "carp0: already exists"],
  ["carp0 create vhid 9", "carp0: already exists"],
  ["create carp0", "carp0: already exists"],
  ["carp0 destroy up", "destroy: takes no other parameters"],
  ["carp0 frob", "frob: unknown parameter"],
  ["carp0 vihd 3", "vihd: unknown parameter (did you mean vhid?)"],
  ["carp0 -inet4", "-inet4: unknown parameter (did you mean -inet?)"],
  ["carp7", "carp7: no such interface"],
  ["-a carp7", "carp7: no such interface"],
  ["carp7 destroy", "carp7: no such interface"],
  ["destroy carp7", "carp7: no such interface"],
  ["eth9", "eth9: no such interface"],
  ["eth9 destroy", "eth9: not a carp interface name (carp0, carp1, ...)"],
  ["eth9 10.0.0.9 -alias", "eth9: not a carp interface name (carp0, carp1, ...)"],
  ["eth9 vhid 3", "eth9: no such device"],
  ["eth0 vhid 256", "vhid 256: must be 1..255"],
  ["eth0 vhid 3 carpdev eth1", "carpdev eth1: the carpdev is eth0"],
  ["eth0 vhid 1 carpnodes 1:0,3:0", "vhid 1: cannot be combined with carpnodes"],
  ["eth0 vhid 3 10.0.0.1/24", "10.0.0.1 is already used by carp0"],
  ["eth0 vhid 1 -alias 10.0.0.9", "10.0.0.9: no such address on carp0"],
  ["eth0 vhid 1 destroy", "destroy: takes no other parameters"],
  ["eth0 vhid 3 create", "create: takes a carp interface (carp0, carp1, ...), not eth0"],
  ["carp01 vhid 3", "carp01: not a carp interface name (carp0, carp1, ...)"],
  ["create carp", "carp: not a carp interface name (carp0, carp1, ...)"],
  ["carp99999999999 up", "carp99999999999: not a carp interface name (carp0, carp1, ...)"],
  ["-g nosuch", "group nosuch: no such group"],
  ["-g nosuch carpdemote", "group nosuch: no such group"],
  ["-g www3 carpdemote", `group www3: ${GROUP}`],
  ["-g carp carpdemote 129", "carpdemote 129: must be 0..128"],
  ["-g carp carpdemote -1", "carpdemote -1: must be 0..128"],
  ["-g carp -carpdemote x", "carpdemote x: must be 0..128"],
  ["-g carp frob", "frob: unknown parameter"],
  ["statsu", "statsu: no such interface (did you mean stats?)"],
  ["sysctl net.inet.carp.foo", "net.inet.carp.foo: no such variable"],
  ["sysctl net.inet.carp.foo=1", "net.inet.carp.foo: no such variable"],
  ["sysctl net.inet.car", "net.inet.car: no such variable"],
  ["sysctl =1", "=1: no such variable"],
  ["sysctl net.inet.carp=1", "net.inet.carp: no such variable"],
  ["sysctl net.inet.carp.allow=2", "net.inet.carp.allow=2: must be 0..1"],
  ["sysctl net.inet.carp.preempt=-1", "net.inet.carp.preempt=-1: must be 0..1"],
  ["sysctl net.inet.carp.preempt=yes", "net.inet.carp.preempt=yes: not a number"],
  ["sysctl net.inet.carp.preempt=", "net.inet.carp.preempt=: not a number"],
  ["sysctl net.inet.carp.log=8", "net.inet.carp.log=8: must be 0..7"],
  ["sysctl net.inet.carp.dscp=64", "net.inet.carp.dscp=64: must be 0..63"],
  ["sysctl net.inet.carp.strict_replay=2", "net.inet.carp.strict_replay=2: must be 0..1"],
  ["sysctl net.inet.carp.signed_header=2", "net.inet.carp.signed_header=2: must be 0..1"],
  [
    "sysctl net.inet.carp.ifdown_demotion_factor=-1",
    "net.inet.carp.ifdown_demotion_factor=-1: must be 0..2147483647",
  ],
  [
    "sysctl net.inet.carp.senderr_demotion_factor=2147483648",
    "net.inet.carp.senderr_demotion_factor=2147483648: must be 0..2147483647",
  ],
  ["sysctl net.pfsync.carp_demotion_factor=-1", "net.pfsync.carp_demotion_factor=-1: must be 0..2147483647"],
  [
    "sysctl net.inet.carp.demotion=2147483648",
    "net.inet.carp.demotion=2147483648: must be -2147483647..2147483647",
  ],
  [`sysctl net.inet.carp.demotion=${"9".repeat(17)}`, `net.inet.carp.demotion=${"9".repeat(17)}: too large`],
];

/** Good words with one bad word: the message names that word, and none of the others is applied. */
const ONE_BAD_WORD: readonly (readonly [words: string, message: string])[] = [
  ["carp0 advbase 5 vhid 256 advskew 7 down", "vhid 256: must be 1..255"],
  ["carp0 10.0.0.9/24 description new carpdev eth9 mtu 1400 up", "carpdev eth9: no such device"],
  ["carp0 alias 10.0.0.9/24 alias 10.0.0.11/24 alias 10.0.0.12/24", "10.0.0.11 is already used by carp1"],
  ["carp0 group db -group www advskew 9", "group www: carp0 is not in it"],
  ["carp0 -inet -inet6 -alias 10.0.0.1", "10.0.0.1: no such address on carp0"],
  ["carp0 pass changed advskew 255", "advskew 255: must be 0..254"],
  ["carp0 lladdr 02:00:00:00:00:77 mtu 9000 carppeer 10.0.0.3", "mtu 9000: eth0 takes at most 1500"],
  ["carp2 10.0.0.21/24 vhid 3 advskew 10 frob carpdev eth0", "frob: unknown parameter"],
  ["carp2 create 10.0.0.21/24 vhid 1 carpdev eth0", "vhid 1 is already used by carp0 on eth0"],
  ["carp0 down state master", "state master: carp0 does not run: it is down"],
  ["eth0 advskew 100 pass x", `advskew: ${needsVhid("advskew")}`],
  ["eth0 10.0.0.9/24 up", `10.0.0.9/24: ${needsVhid("10.0.0.9/24")}`],
  ["eth0 destroy", "destroy: takes a carp interface (carp0, carp1, ...), not eth0"],
  ["eth0 inet 10.0.0.9 -alias", "10.0.0.9: no carp interface on eth0 has it"],
  ["eth0 vhid 3 pass x advskew 255", "advskew 255: must be 0..254"],
  ["eth0 vhid 3 advskew 7 state master", "state master: carp2 does not run: it is down"],
  ["lo", "lo: there is no carp interface on it (carpctl lo vhid N ADDRESS/LENGTH ... makes one)"],
  [
    "sysctl net.inet.carp.preempt=1 net.inet.carp.demotion=5 net.inet.carp.allow=9",
    "net.inet.carp.allow=9: must be 0..1",
  ],
  ["sysctl net.inet.carp.preempt=1 net.inet.carp.foo=1", "net.inet.carp.foo: no such variable"],
];

const USAGE = "usage: carpctl [-aAC] [-g GROUP [carpdemote [N]]] [INTERFACE [PARAMETERS...]]\n";
const OPTIONS_USAGE = "usage: carpctl [OPTIONS] [INTERFACE [PARAMETERS...]]\n";
const PLAN_USAGE = "usage: carpctl plan [--timeline] [--svg FILE] NAME=PATH NAME=PATH...\n";
const SYSCTL_USAGE = "usage: carpctl sysctl [-a] [-n] [-q] NAME[=VALUE]...\n";

/** Words that are no command: a message and one line of usage, exit 2. */
const MISUSED: readonly (readonly [words: string, stderr: string])[] = [
  ["-x", `carpctl: -x: unknown option\n${USAGE}`],
  ["-g", USAGE],
  ["-g carp carpdemote 1 2", USAGE],
  ["-a carp0 vhid 3", USAGE],
  ["-C carp0", USAGE],
  ["destroy", `carpctl: destroy: needs an interface\n${USAGE}`],
  ["--frob", `carpctl: --frob: unknown option\n${OPTIONS_USAGE}`],
  ["--run-dir", `carpctl: --run-dir: needs a value (DIR)\n${OPTIONS_USAGE}`],
  ["sysctl", SYSCTL_USAGE],
  ["sysctl -x net.inet.carp", `carpctl: -x: unknown option\n${SYSCTL_USAGE}`],
  [
    "netstart --frob",
    "carpctl: --frob: unknown option\nusage: carpctl netstart [-n] [--wait] [--prune | INTERFACE...]\n",
  ],
  ["dump carp0 carp1", "carpctl: carp1: unknown argument\nusage: carpctl dump [--sysctl | INTERFACE]\n"],
  ["demote", "carpctl: a word is missing\nusage: carpctl demote REASON N | --unit UNIT N\n"],
  ["demote backup", "carpctl: a word is missing\nusage: carpctl demote REASON N | --unit UNIT N\n"],
  ["promote", "carpctl: a word is missing\nusage: carpctl promote REASON | --unit UNIT\n"],
  ["maintenance maybe", 'carpctl: mode maybe: must be "on", "off"\nusage: carpctl maintenance [on|off]\n'],
  ["monitor carp0", "carpctl: carp0: unknown argument\nusage: carpctl monitor\n"],
  [
    "history --since",
    "carpctl: --since: needs a value\nusage: carpctl history [--since TIME] [--until TIME] [INTERFACE]\n",
  ],
  [
    "history carp0 carp1",
    "carpctl: carp1: unknown argument\nusage: carpctl history [--since TIME] [--until TIME] [INTERFACE]\n",
  ],
  ["doctor carp0", "carpctl: carp0: unknown argument\nusage: carpctl doctor [--listen SECONDS]\n"],
  ["check", "carpctl: a word is missing\nusage: carpctl check NAME=PATH NAME=PATH...\n"],
  ["check a=/etc", "carpctl: at least two hosts are compared\nusage: carpctl check NAME=PATH NAME=PATH...\n"],
  ["plan", `carpctl: a word is missing\n${PLAN_USAGE}`],
  ["plan a=/etc b", `carpctl: b: expected NAME=DIRECTORY or NAME=FILE\n${PLAN_USAGE}`],
  ["plan a=/etc b=/etc --svg", `carpctl: --svg: needs a value\n${PLAN_USAGE}`],
  [
    "plan --timeline --json a=/etc b=/etc",
    `carpctl: --json and --timeline: one of them can be printed\n${PLAN_USAGE}`,
  ],
  ["booted now", "carpctl: now: unknown argument\nusage: carpctl booted\n"],
  [
    "ifstated now",
    "carpctl: now: unknown argument\nusage: carpctl ifstated [-d] [-n] [-v] [-D MACRO=VALUE] [-f FILE]\n",
  ],
  ["units now", "carpctl: now: unknown argument\nusage: carpctl units\n"],
  ["demote --unit db", "carpctl: a word is missing\nusage: carpctl demote REASON N | --unit UNIT N\n"],
  ["service-status now", "carpctl: now: unknown argument\nusage: carpctl service-status\n"],
  [
    "netstat carp0",
    "carpctl: carp0: unknown argument\nusage: carpctl netstat [-s] [-p carp] [-I INTERFACE]\n",
  ],
  ["netstat -I", "carpctl: -I: needs a value\nusage: carpctl netstat [-s] [-p carp] [-I INTERFACE]\n"],
  ["status carp0", "carpctl: carp0: unknown argument\nusage: carpctl status [--watch]\n"],
  ["metrics carp0", "carpctl: carp0: unknown argument\nusage: carpctl metrics [--textfile PATH]\n"],
  ["metrics --textfile", "carpctl: --textfile: needs a value\nusage: carpctl metrics [--textfile PATH]\n"],
  [
    "engine --metrics 10.0.0.2",
    "carpctl: --metrics 10.0.0.2: expected ADDRESS:PORT, [IPV6]:PORT or unix:PATH\nusage: carpctl engine [--log syslog|stderr] [--boot-demotion SECONDS] [--metrics ADDRESS:PORT|unix:PATH]\n",
  ],
  [
    "engine now",
    "carpctl: now: unknown argument\nusage: carpctl engine [--log syslog|stderr] [--boot-demotion SECONDS] [--metrics ADDRESS:PORT|unix:PATH]\n",
  ],
  [
    "engine --boot-demotion soon",
    "carpctl: --boot-demotion soon: must be 1..86400\nusage: carpctl engine [--log syslog|stderr] [--boot-demotion SECONDS] [--metrics ADDRESS:PORT|unix:PATH]\n",
  ],
];

describe("a refused command changes nothing", () => {
  let lan: Network;
  let a: Host;
  let untouched: Awaited<ReturnType<typeof wholeState>>;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] });
    await lan.attach(a, { addresses: ["10.0.1.2/24"] });
    await a.startEngine();
    await a.carpctl(..."carp1 10.0.0.11/24 carpdev eth0 vhid 2 group www down".split(" "));
    await a.carpctl(
      ..."carp0 10.0.0.1/24 inet6 2001:db8::1/64 carpdev eth0 vhid 1 advskew 3 pass sesame description www".split(
        " ",
      ),
    );
    await a.carpctl("carp0", "state", "master");
    await a.waitForState("carp0", "MASTER");
    await a.waitForAddresses("carp0", ["10.0.0.1/24", "2001:db8::1/64"]);
    untouched = await wholeState(a);
  });
  after(() => lan.destroy());

  async function refused(output: Promise<Output>, exitCode: number, stderr: string) {
    assert.deepEqual(await output, { stdout: "", stderr, exitCode });
    assert.deepEqual(await wholeState(a), untouched);
  }

  for (const [words, message] of REFUSED)
    test(`carpctl ${words.length > 80 ? `${words.slice(0, 80)}...` : words}`, () =>
      refused(a.tryCommand(...words.split(" ")), 1, `carpctl: ${message}\n`));

  for (const [words, message] of ONE_BAD_WORD)
    test(`carpctl ${words}`, () => refused(a.tryCarpctl(...words.split(" ")), 1, `carpctl: ${message}\n`));

  for (const [words, stderr] of MISUSED)
    test(`carpctl ${words}: usage`, () => refused(a.tryCarpctl(...words.split(" ")), 2, stderr));

  test("every parameter that takes a value has a refusal above", () => {
    const words = REFUSED.flatMap(([each]) => each.split(" ").slice(1));
    const missing = KEYWORDS.filter(({ name, argument }) => argument && !words.includes(name));
    assert.deepEqual(missing, []);
  });

  test("every command has a refusal above", () => {
    const words = [...REFUSED, ...MISUSED].map(([each]) => each.split(" ")[0]);
    assert.deepEqual(
      VERBS.filter(({ names }) => !words.includes(names[0])).map(({ names }) => names[0]),
      [],
    );
  });

  test("an empty word is named as ''", async () => {
    const { stderr } = await a.tryCarpctl("carp0", "");
    assert.equal(stderr, "carpctl: '': unknown parameter\n");
    assert.equal((await a.tryCarpctl("carp0", "vhid", "")).stderr, "carpctl: vhid '': must be 1..255\n");
    assert.equal((await a.tryCarpctl("")).stderr, "carpctl: '': no such interface\n");
    assert.deepEqual(await wholeState(a), untouched);
  });

  test("passfile: a file without text in its first line is refused", async () => {
    const file = join(a.etcDirectory, "binary");
    writeFileSync(file, Buffer.from([0x70, 0xff, 0x0a]));
    const { stderr, exitCode } = await a.tryCarpctl("carp0", "advskew", "9", "passfile", file);
    rmSync(file);
    assert.deepEqual([exitCode, stderr], [1, `carpctl: passfile ${file}: its first line is not UTF-8\n`]);
    assert.deepEqual(await wholeState(a), untouched);
  });

  test("without an engine every command names the missing socket", async () => {
    const elsewhere = join(a.etcDirectory, "no-engine");
    const stderr = `carpctl: the engine is not running (no ${elsewhere}/engine.sock): start it with 'systemctl start carpd' or 'carpctl engine'\n`;
    const commands = [
      "",
      "carp0",
      "carp0 vhid 1",
      "carp0 destroy",
      "create",
      "-g carp",
      "sysctl -a",
      "netstat",
      "status",
    ];
    for (const words of commands) {
      const expected = { stdout: "", stderr, exitCode: 1 };
      const given = words.split(" ").filter(Boolean);
      assert.deepEqual(await a.tryCarpctl("--run-dir", elsewhere, ...given), expected, words);
      const environment = { CARP_RUN_DIR: elsewhere };
      assert.deepEqual(await a.exec(CARPCTL, given, { environment }), expected, words);
    }
    assert.deepEqual(await wholeState(a), untouched);
  });
});
