/**
 * carp-demotion(7): each file of the page, as it stands there, demotes the host or its group when what it looks after
 * fails, and promotes it when that is over; FRR, the web server and its backends are real.
 */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import { makeDirectory, removeDirectory } from "../hosts/resources.ts";
import type { Spawned } from "../hosts/spawned.ts";

const tree = join(import.meta.dirname, "../..");
const page = readFileSync(join(tree, "man/carp-demotion.7"), "utf8");
/** The files of the page, by path. */
const files = new Map(
  [...page.matchAll(/^\.Bd -literal[^\n]*\n# cat \/etc\/(\S+)\n(.*?)^\.Ed$/gms)].map(
    ([, path = "", text = ""]) => [path, text],
  ),
);
const WEB_SERVER = `
import http.server, socketserver, sys, threading
# HTTPServer would look for its own name.
socketserver.TCPServer.allow_reuse_address = True
for address in sys.argv[1:]:
  server = socketserver.ThreadingTCPServer((address, 80), http.server.SimpleHTTPRequestHandler)
  threading.Thread(target=server.serve_forever).start()`;

let inner: Network;
let outer: Network;
let a: Host;
let b: Host;
let router: Host;
/** What the page has in places that belong to the whole machine. */
let place: string;

before(async () => {
  [inner, outer] = await Promise.all([createNetwork(), createNetwork()]);
  a = await inner.host("a", { addresses: ["10.0.0.2/24"] });
  b = await inner.host("b", { addresses: ["10.0.0.3/24"] });
  await outer.attach(a, { addresses: ["192.0.2.2/24"] });
  router = await outer.host("router", { addresses: ["192.0.2.9/24"] });
  place = makeDirectory("give-way");
  chmodSync(place, 0o755);
  await Promise.all([a.startEngine(), b.startEngine()]);
  for (const [host, advskew] of [
    [a, "0"],
    [b, "100"],
  ] as const) {
    await host.carpctl("sysctl", "net.inet.carp.preempt=1");
    for (const [n, group] of ["web", "mail"].entries())
      await host.carpctl(
        ...[`carp${n}`, `10.0.0.${n + 10}/24`, "carpdev", "eth0", "vhid", `${n + 1}`, "pass", "sesame"],
        ...["advskew", advskew, "group", group],
      );
  }
});
after(async () => {
  await a?.exec("umount", [join(place, "data")]);
  for (const each of [inner, outer]) each?.destroy();
  removeDirectory(place);
});

type FrrDaemon = "zebra" | "bgpd" | "ospfd";

const bgp = (as: number, peer: string, peerAs: number) =>
  `router bgp ${as}\n no bgp ebgp-requires-policy\n neighbor ${peer} remote-as ${peerAs}\n neighbor ${peer} timers connect 1\n`;
const ospf = (device: string, id: string) => `interface ${device}
 ip ospf network point-to-point
 ip ospf hello-interval 1
 ip ospf dead-interval 3
router ospf
 ospf router-id ${id}
 network 192.0.2.0/24 area 0
`;

/** Starts a daemon of FRR on a host, with files of the host's own. */
async function startFrr(host: Host, name: FrrDaemon, configuration = ""): Promise<Spawned> {
  const directory = join(place, `frr-${host.name}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.conf`), configuration);
  await host.run("chown", "-R", "frr:frrvty", directory);
  return host.spawn(`/usr/lib/frr/${name}`, [
    ...["-z", join(directory, "zserv.api"), "--vty_socket", directory],
    ...["-i", join(directory, `${name}.pid`), "-f", join(directory, `${name}.conf`), "--log", "stdout"],
  ]);
}

const PATHS = { "/run/give-way": "give-way", "/srv/data": "data", vtysh: "frr-a" };

/** Writes a file of the page as it stands there, but for places that belong to the whole machine. */
function install(path: string): void {
  const { "/run/give-way": file, "/srv/data": data, vtysh } = PATHS;
  const text = (files.get(path) ?? "")
    .replaceAll("/run/give-way", join(place, file))
    .replaceAll("/srv/data", join(place, data))
    .replace("vtysh -c", `vtysh --vty_socket ${join(place, vtysh)} -c`);
  const full = join(a.etcDirectory, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text, { mode: path.startsWith("carp/") ? 0o755 : 0o644 });
}

interface Status {
  readonly checks: readonly { readonly name: string; readonly outcome: string; readonly demotes: boolean }[];
  readonly groups: readonly { readonly name: string; readonly carpDemoteCount: number }[];
  readonly demotion: {
    readonly counter: number;
    readonly reasons: readonly { reason: string; by: number }[];
  };
}
const status = async (): Promise<Status> => JSON.parse((await a.carpctl("status", "--json")).stdout);

/** What each check looks after: how that fails, and how it is mended. */
interface Need {
  readonly fails: () => unknown;
  readonly mends: () => unknown;
}

const running: { bgpd?: Spawned; ospfd?: Spawned; web?: Spawned } = {};
const backends = ["10.0.1.11", "10.0.1.12", "10.0.1.13"];
const needs: Readonly<Record<string, Need>> = {
  uplink: {
    fails: () => a.run("ip", "link", "set", "eth1", "down"),
    mends: () => a.run("ip", "link", "set", "eth1", "up"),
  },
  route: {
    fails: () => a.run("ip", "route", "del", "default"),
    mends: () => a.run("ip", "route", "add", "default", "via", "10.0.0.3"),
  },
  bgp: {
    fails: () => running.bgpd?.kill("SIGKILL"),
    mends: async () => {
      running.bgpd = await startFrr(router, "bgpd", bgp(65009, "192.0.2.2", 65001));
    },
  },
  ospf: {
    fails: () => running.ospfd?.kill("SIGKILL"),
    mends: async () => {
      running.ospfd = await startFrr(router, "ospfd", ospf("eth0", "192.0.2.9"));
    },
  },
  web: {
    fails: () => running.web?.kill("SIGKILL"),
    mends: () => {
      running.web = a.spawn("python3", ["-ISc", WEB_SERVER, "127.0.0.1"]);
    },
  },
  disk: {
    fails: () => a.run("mount", "-o", "remount,ro", join(place, "data")),
    mends: () => a.run("mount", "-o", "remount,rw", join(place, "data")),
  },
  backends: {
    fails: () =>
      Promise.all(backends.slice(1).map((each) => a.run("ip", "address", "del", `${each}/32`, "dev", "lo"))),
    mends: () =>
      Promise.all(backends.slice(1).map((each) => a.run("ip", "address", "add", `${each}/32`, "dev", "lo"))),
  },
  file: {
    fails: () => writeFileSync(join(place, "give-way"), ""),
    mends: () => rmSync(join(place, "give-way"), { force: true }),
  },
};

test("every file of the page is tried", () => {
  const tried = Object.keys(needs).map((name) => `carp/service_status.d/${name}`);
  assert.deepEqual([...files.keys()].sort(), [...tried, "ifstated.conf"].sort());
});

test("each check demotes the host or its group when what it looks after fails, and promotes it afterwards", async () => {
  mkdirSync(join(place, "data"));
  await a.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", join(place, "data"));
  for (const address of backends) await a.run("ip", "address", "add", `${address}/32`, "dev", "lo");
  a.spawn("python3", ["-ISc", WEB_SERVER, ...backends]);
  await Promise.all([a, router].map((host) => startFrr(host, "zebra")));
  await startFrr(a, "bgpd", bgp(65001, "192.0.2.9", 65009));
  await startFrr(a, "ospfd", ospf("eth1", "192.0.2.2"));
  for (const name of ["route", "bgp", "ospf", "web"]) await needs[name]?.mends();
  for (const name of Object.keys(needs)) install(`carp/service_status.d/${name}`);
  const goOn = async (demotes: boolean) =>
    eventually(
      status,
      ({ checks }) =>
        checks.length === Object.keys(needs).length &&
        checks.every((each) => each.demotes === demotes && (each.outcome === "passed") === !demotes),
    );
  const demotion = async () => {
    const { demotion, groups } = await status();
    return [demotion.counter, groups.find(({ name }) => name === "web")?.carpDemoteCount];
  };
  await goOn(false);
  await Promise.all(["carp0", "carp1"].map((name) => a.waitForState(name, "MASTER")));
  for (const { fails } of [...Object.values(needs)].reverse()) await fails();
  await goOn(true);
  // Two of the eight are the group's.
  assert.deepEqual(await demotion(), [300, 100]);
  await Promise.all(["carp0", "carp1"].map((name) => b.waitForState(name, "MASTER")));
  for (const { mends } of Object.values(needs)) await mends();
  await goOn(false);
  assert.deepEqual(await demotion(), [0, 0]);
  await Promise.all(["carp0", "carp1"].map((name) => a.waitForState(name, "MASTER")));
  rmSync(join(a.etcDirectory, "carp/service_status.d"), { recursive: true });
});

test("ifstated demotes the host while the link of the uplink is down", async () => {
  install("ifstated.conf");
  a.spawn(join(tree, "bin/carpctl"), ["ifstated", "-d", "-f", join(a.etcDirectory, "ifstated.conf")], {
    environment: { PATH: `${tree}/bin:${process.env.PATH}` },
  });
  const uplink = async () =>
    (await status()).demotion.reasons.find(({ reason }) => reason === "uplink")?.by ?? 0;
  for (const [how, by] of [
    ["fails", 50],
    ["mends", 0],
  ] as const) {
    await needs.uplink?.[how]();
    await eventually(uplink, (now) => now === by);
  }
});
