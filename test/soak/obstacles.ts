/**
 * Faults of what an engine relies on: its devices, carpdev, filter, sockets and files. A host that cannot answer during
 * one leaves its addresses to the others, and goes on by itself afterwards.
 */

import { attachForeignOn, stripPrograms } from "../hosts/foreign-program.ts";
import type { Host } from "../hosts/index.ts";
import {
  emptyRunDirectory,
  fillRunDirectory,
  freezeRunDirectory,
  thawRunDirectory,
} from "../hosts/run-directory.ts";
import type { Fault } from "./faults.ts";

/** What ends a host's current fault. */
const endings = new Map<Host, () => Promise<unknown>>();

const endNow = async (host: Host) => endings.get(host)?.();

async function namesOf(host: Host): Promise<string[]> {
  return (await host.engine.request("interfaces", {})).interfaces.map(({ name }) => name);
}

/** Runs lines of `ip` while the engine stands still, so that it finds their result and nothing between. */
async function unseen(host: Host, lines: readonly string[]): Promise<void> {
  host.engine.signal("SIGSTOP");
  try {
    await host.namespace.ip(lines);
  } finally {
    host.engine.signal("SIGCONT");
  }
}

const restart = async (host: Host) => {
  await host.engine.kill("SIGKILL");
  await host.startEngine({ logLevel: null });
};

/** The foreign devices are bridges, which every kernel has that runs these tests. */
const FOREIGN = "type bridge";

const BRIDGED = [`link add br9 ${FOREIGN}`, "link set br9 up", "link set eth0 master br9"];
const unbridge = (host: Host) => host.namespace.ip(["link set eth0 nomaster", "link delete br9"]);

const deleted = (names: readonly string[]) => names.map((name) => `link delete ${name}`);

const exchange = (host: Host) =>
  host.namespace.ip(["link set eth0 name other", "link set eth1 name eth0", "link set other name eth1"]);

/** Drops everything that leaves by the carpdev. */
const DROPPED = [
  "add table netdev everything",
  "add chain netdev everything leaving { type filter hook egress device eth0 priority -500; }",
  "add rule netdev everything leaving drop",
];

const limitFiles = (host: Host, soft: number) =>
  host.run("prlimit", "--pid", String(host.engine.pid), `--nofile=${soft}:`);
/** Below what an engine has open already. */
const NO_FILES = 3;
const ENOUGH_FILES = 1024;

/** Changes what the engine saves. */
async function describeAll(host: Host): Promise<void> {
  const change = { description: `at ${Date.now()}` };
  for (const name of await namesOf(host)) await host.engine.request("change", { name, change });
}

const nothing = async () => {};

export const OBSTACLES: readonly Fault[] = [
  {
    name: "devices taken by foreign ones",
    shortestMs: 1000,
    longestMs: 6000,
    begin: async (host) => {
      const names = await namesOf(host);
      endings.set(host, () => host.namespace.ip(deleted(names)));
      await unseen(host, [...deleted(names), ...names.map((name) => `link add ${name} ${FOREIGN}`)]);
    },
    end: endNow,
  },
  {
    name: "virtual MACs taken by foreign devices",
    shortestMs: 1000,
    longestMs: 6000,
    begin: async (host) => {
      const { interfaces } = await host.engine.request("interfaces", {});
      const foreign = interfaces.map(({ name, lladdr }) => ({ name: `vrrp-${name}`, lladdr }));
      endings.set(host, () => host.namespace.ip(deleted(foreign.map(({ name }) => name))));
      await unseen(host, [
        ...deleted(interfaces.map(({ name }) => name)),
        ...foreign.flatMap(({ name, lladdr }) => [
          `link add ${name} link eth0 address ${lladdr} type macvlan mode bridge`,
          `link set ${name} addrgenmode none up`,
        ]),
      ]);
    },
    end: endNow,
  },
  {
    name: "devices renamed",
    shortestMs: 1000,
    longestMs: 1000,
    begin: async (host) =>
      host.namespace.ip((await namesOf(host)).map((name) => `link set ${name} name was-${name}`)),
    end: nothing,
  },
  {
    name: "carpdev put into a bridge",
    shortestMs: 1000,
    longestMs: 6000,
    // The kernel lets no device with a macvlan on it in.
    begin: async (host) => unseen(host, [...deleted(await namesOf(host)), ...BRIDGED]),
    end: unbridge,
  },
  {
    name: "started while its carpdev is in a bridge",
    shortestMs: 1000,
    longestMs: 6000,
    begin: async (host, configure) => {
      await host.engine.stop();
      await host.namespace.ip(BRIDGED);
      await host.startEngine({ logLevel: null });
      await configure();
    },
    end: unbridge,
  },
  {
    name: "IPv6 off and on",
    shortestMs: 0,
    longestMs: 6000,
    begin: async (host) => {
      const lost = (await host.addresses()).filter((each) => each.includes(":"));
      endings.set(host, async () => {
        await host.namespace.sysctl({ "ipv6/conf/all/disable_ipv6": 0 });
        await host.namespace.ip(lost.map((each) => `address add ${each} dev eth0 nodad`));
      });
      await host.namespace.sysctl({ "ipv6/conf/all/disable_ipv6": 1 });
    },
    end: endNow,
  },
  {
    name: "names of two carpdevs swapped",
    shortestMs: 500,
    longestMs: 6000,
    begin: async (host) => {
      await host.namespace.ip([
        "link add eth1 type veth peer name nowhere",
        "link set eth1 up",
        "link set nowhere up",
      ]);
      const added = { family: 4, address: "10.20.0.1", prefixLength: 24, alias: true } as const;
      const change = { carpdev: "eth1", vhid: 20, pass: "other", addAddresses: [added] };
      await host.engine.request("change", { name: "carp20", change });
      await exchange(host);
    },
    end: async (host) => {
      await exchange(host);
      await host.engine.request("destroy", { name: "carp20" });
      await host.namespace.ip(["link delete eth1"]);
    },
  },
  {
    name: "carpdev renamed, and back",
    shortestMs: 500,
    longestMs: 6000,
    begin: (host) => host.namespace.ip(["link set eth0 name other"]),
    end: (host) => host.namespace.ip(["link set other name eth0"]),
  },
  {
    name: "carpdev gone, started again, carpdev late",
    shortestMs: 500,
    longestMs: 6000,
    begin: async (host) => {
      endings.set(host, await host.moveAway());
      await restart(host);
    },
    end: endNow,
  },
  {
    name: "set up before its carpdev is there",
    shortestMs: 500,
    longestMs: 6000,
    begin: async (host, configure) => {
      await host.engine.stop();
      endings.set(host, await host.moveAway());
      await host.startEngine({ logLevel: null });
      await configure();
    },
    end: endNow,
  },
  {
    name: "foreign TCX programs in front, all removed later",
    shortestMs: 500,
    longestMs: 5000,
    begin: async (host) => {
      for (const hook of ["ingress", "egress"] as const) await attachForeignOn(host, hook);
    },
    end: stripPrograms,
  },
  {
    name: "queue full",
    shortestMs: 500,
    longestMs: 8000,
    begin: (host) => host.run(...("tc qdisc replace dev eth0 root pfifo limit 0".split(" ") as [string])),
    end: (host) => host.run(...("tc qdisc delete dev eth0 root".split(" ") as [string])),
  },
  {
    name: "everything it sends is dropped",
    shortestMs: 500,
    longestMs: 8000,
    begin: (host) => host.run("nft", DROPPED.join("; ")),
    end: (host) => host.run("nft", "delete table netdev everything"),
  },
  {
    name: "no file descriptors left while devices are deleted",
    shortestMs: 1000,
    longestMs: 6000,
    begin: async (host) => {
      const names = await namesOf(host);
      await limitFiles(host, NO_FILES);
      await host.namespace.ip(deleted(names));
    },
    end: (host) => limitFiles(host, ENOUGH_FILES),
  },
  {
    name: "no file descriptors left when its carpdev is back",
    shortestMs: 1000,
    longestMs: 6000,
    begin: async (host) => {
      const bringBack = await host.moveAway();
      await limitFiles(host, NO_FILES);
      await bringBack();
    },
    end: (host) => limitFiles(host, ENOUGH_FILES),
  },
  {
    name: "run directory full",
    shortestMs: 500,
    longestMs: 3000,
    begin: async (host) => {
      await fillRunDirectory(host);
      await describeAll(host);
    },
    end: emptyRunDirectory,
  },
  {
    name: "run directory full, kill -9, started again",
    shortestMs: 500,
    longestMs: 3000,
    begin: async (host) => {
      await fillRunDirectory(host);
      await describeAll(host);
      await restart(host);
    },
    end: emptyRunDirectory,
  },
  {
    name: "run directory read-only",
    shortestMs: 500,
    longestMs: 3000,
    begin: async (host) => {
      await freezeRunDirectory(host);
      await describeAll(host);
    },
    end: thawRunDirectory,
  },
  {
    name: "run directory read-only, stopped, set up again",
    shortestMs: 0,
    longestMs: 3000,
    begin: async (host) => {
      await freezeRunDirectory(host);
      await host.engine.stop();
    },
    end: async (host, configure) => {
      await thawRunDirectory(host);
      await host.startEngine({ logLevel: null });
      await configure();
    },
  },
];
