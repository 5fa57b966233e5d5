/**
 * Faults of a host that may interrupt its clients no longer than the protocol allows: each begins, lasts and
 * ends, and leaves the host as it was. Judges nothing: judge.ts watches the answers.
 */

import { stripPrograms } from "../hosts/foreign-program.ts";
import type { Host } from "../hosts/index.ts";
import { OBSTACLES } from "./obstacles.ts";

export interface Fault {
  readonly name: string;
  /** Hosts do not hear each other during the fault: two of them may be MASTER. */
  readonly deaf?: boolean;
  readonly shortestMs: number;
  readonly longestMs: number;
  /** @param configure sets the host up as it was */
  begin(host: Host, configure: () => Promise<void>): Promise<unknown>;
  end(host: Host, configure: () => Promise<void>): Promise<unknown>;
}

const CARP_TABLE = "soak";

/** Drops CARP in one direction, and nothing else. */
async function deafen(host: Host, hook: "ingress" | "egress"): Promise<void> {
  const rules = [
    `add table netdev ${CARP_TABLE}`,
    `add chain netdev ${CARP_TABLE} carp { type filter hook ${hook} device eth0 priority -500; }`,
    `add rule netdev ${CARP_TABLE} carp ip protocol 112 drop`,
    `add rule netdev ${CARP_TABLE} carp ip6 nexthdr 112 drop`,
  ];
  await host.run("nft", rules.join("; "));
}

/** Functions that bring a host's carpdev back. */
const moved = new Map<Host, () => Promise<void>>();

const undeafen = (host: Host) => host.run("nft", `delete table netdev ${CARP_TABLE}`);
const nothing = async () => {};

export const FAULTS: readonly Fault[] = [
  {
    name: "kill -9, started again",
    shortestMs: 0,
    longestMs: 6000,
    begin: (host) => host.engine.kill("SIGKILL"),
    end: (host) => host.startEngine({ logLevel: null }),
  },
  {
    name: "SIGSTOP",
    shortestMs: 500,
    longestMs: 8000,
    begin: async (host) => host.engine.signal("SIGSTOP"),
    end: async (host) => host.engine.signal("SIGCONT"),
  },
  {
    name: "started anew",
    shortestMs: 1000,
    longestMs: 1000,
    begin: (host) => host.engine.kill("SIGUSR2"),
    end: (host) => host.startEngine({ logLevel: null }),
  },
  {
    name: "stopped, set up again",
    shortestMs: 0,
    longestMs: 4000,
    begin: (host) => host.engine.stop(),
    end: async (host, configure) => {
      await host.startEngine({ logLevel: null });
      await configure();
    },
  },
  {
    name: "cable pulled",
    shortestMs: 100,
    longestMs: 6000,
    begin: (host) => host.pullCable(),
    end: (host) => host.plugCable(),
  },
  {
    name: "cut off by the switch",
    deaf: true,
    shortestMs: 1000,
    longestMs: 8000,
    begin: (host) => host.silence(),
    end: (host) => host.unsilence(),
  },
  {
    name: "its advertisements are dropped",
    shortestMs: 1000,
    longestMs: 8000,
    begin: (host) => deafen(host, "egress"),
    end: undeafen,
  },
  {
    name: "the others' advertisements are dropped",
    deaf: true,
    shortestMs: 1000,
    longestMs: 8000,
    begin: (host) => deafen(host, "ingress"),
    end: undeafen,
  },
  {
    name: "demoted",
    shortestMs: 500,
    longestMs: 5000,
    begin: (host) => demote(host, 50),
    end: (host) => demote(host, -50),
  },
  {
    name: "interfaces down",
    shortestMs: 100,
    longestMs: 4000,
    begin: (host) =>
      eachInterface(host, (name) => host.engine.request("change", { name, change: { up: false } })),
    end: (host) =>
      eachInterface(host, (name) => host.engine.request("change", { name, change: { up: true } })),
  },
  {
    name: "devices deleted",
    shortestMs: 1000,
    longestMs: 1000,
    begin: (host) => eachInterface(host, (name) => host.exec("ip", ["link", "delete", name])),
    end: nothing,
  },
  {
    name: "addresses flushed",
    shortestMs: 1000,
    longestMs: 1000,
    begin: (host) => eachInterface(host, (name) => host.exec("ip", ["address", "flush", "dev", name])),
    end: nothing,
  },
  {
    name: "devices given another MAC and MTU",
    shortestMs: 1000,
    longestMs: 1000,
    begin: (host) =>
      eachInterface(host, (name) =>
        host.exec("ip", ["link", "set", name, "address", "02:99:00:00:00:01", "mtu", "1400"]),
      ),
    end: nothing,
  },
  {
    name: "routes flushed",
    shortestMs: 1000,
    longestMs: 1000,
    begin: (host) =>
      eachInterface(host, async (name) => {
        for (const family of ["-4", "-6"])
          await host.exec("ip", [family, "route", "flush", "table", "all", "dev", name]);
      }),
    end: nothing,
  },
  {
    name: "eBPF programs removed",
    shortestMs: 1000,
    longestMs: 1000,
    begin: stripPrograms,
    end: nothing,
  },
  {
    name: "the carpdev's MTU lowered",
    shortestMs: 500,
    longestMs: 3000,
    begin: (host) => host.setMtu(1400),
    end: (host) => host.setMtu(1500),
  },
  {
    name: "netlink sockets overflow while devices are deleted",
    shortestMs: 1000,
    longestMs: 1000,
    begin: async (host) => {
      const { interfaces } = await host.engine.request("interfaces", {});
      await host.floodNetlink(interfaces.map(({ name }) => `link delete ${name}`));
    },
    end: nothing,
  },
  {
    name: "carpdev moved to another network namespace",
    shortestMs: 500,
    longestMs: 6000,
    begin: async (host) => moved.set(host, await host.moveAway()),
    end: async (host) => moved.get(host)?.(),
  },
  ...OBSTACLES,
];

async function demote(host: Host, value: number): Promise<void> {
  await host.engine.request("sysctl-set", { writes: [{ name: "net.inet.carp.demotion", value }] });
}

async function eachInterface(host: Host, act: (name: string) => Promise<unknown>): Promise<void> {
  const { interfaces } = await host.engine.request("interfaces", {});
  for (const { name } of interfaces) await act(name);
}
