/**
 * Another program changes carp's devices: the engine repairs them, logs each repair once and announces the
 * addresses again, and only the MASTER ever answers for the addresses.
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  createNetwork,
  eventually,
  eventuallyEqual,
  type Host,
  type Network,
  summary,
} from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";
import { assertOnlyVirtualMac, isAnnouncement, virtualMac } from "../hosts/virtual-mac.ts";

/** A BACKUP with this advbase waits three minutes before it takes over from a silent MASTER. */
const ADVBASE = "60";

/** Several, because the engine repairs one that is changed again and again less often. */
const interfaces = [1, 2, 3].map((vhid) => {
  const addresses = [`10.0.0.10${vhid}`, `2001:db8::10${vhid}`] as const;
  const [ipv4, ipv6] = addresses;
  return { name: `carp${vhid}`, vhid: String(vhid), mac: virtualMac(vhid), addresses, ipv4, ipv6 };
});
type Interface = (typeof interfaces)[number];
const [first, second, third] = interfaces as [Interface, Interface, Interface];

/** The interfaces that DAMAGE is done to, each with its own subnets, in which the carpdev has no address. */
const tabled = [11, 12, 13, 14, 15, 16].map((vhid) => ({
  name: `carp${vhid}`,
  vhid,
  ipv4: `10.${vhid}.0.1`,
  ipv6: `2001:db8:${vhid}::1`,
}));
type Tabled = (typeof tabled)[number];

/** A command that changes a device, and the repair that is logged. */
const DAMAGE: readonly [(on: Tabled) => string, (on: Tabled) => string][] = [
  [({ name }) => `ip link delete ${name}`, () => "device was deleted"],
  [({ name }) => `ip link set ${name} name other0`, () => "device was renamed to other0"],
  [({ name }) => `ip link set ${name} type macvlan mode private`, () => "device was replaced"],
  [({ name }) => `ip link set ${name} mtu 1400`, () => "mtu was changed to 1400"],
  [({ name }) => `ip link set ${name} arp off`, () => "ARP was switched off"],
  [({ name }) => `ip link set ${name} multicast off`, () => "multicast was switched off"],
  [({ name }) => `ip link set ${name} alias mine`, () => "alias was changed"],
  [
    ({ name }) => `ip link add br-${name} type bridge && ip link set ${name} master br-${name}`,
    ({ name }) => `device was put into br-${name}`,
  ],
  [
    ({ name, ipv4 }) => `ip address delete ${ipv4}/24 dev ${name}`,
    ({ ipv4 }) => `address ${ipv4} was removed`,
  ],
  [
    ({ name, ipv6 }) => `ip address delete ${ipv6}/64 dev ${name}`,
    ({ ipv6 }) => `address ${ipv6} was removed`,
  ],
  [
    ({ name, ipv4 }) => `ip address change ${ipv4}/24 dev ${name} valid_lft 99 preferred_lft 9`,
    ({ ipv4 }) => `address ${ipv4} was given a lifetime`,
  ],
  [
    ({ name, vhid }) => `ip route delete 10.${vhid}.0.0/24 dev ${name}`,
    ({ vhid }) => `route to 10.${vhid}.0.0/24 was removed`,
  ],
  [
    ({ name, ipv4 }) => `ip route delete local ${ipv4} dev ${name} table local`,
    ({ ipv4 }) => `route to ${ipv4}/32 was removed`,
  ],
  [
    ({ name, vhid }) => `ip -6 route delete 2001:db8:${vhid}::/64 dev ${name}`,
    ({ vhid }) => `route to 2001:db8:${vhid}::/64 was removed`,
  ],
  [
    ({ name, ipv6 }) => `ip -6 route delete ${ipv6} dev ${name} table local`,
    ({ ipv6 }) => `route to ${ipv6}/128 was removed`,
  ],
  [({ name }) => `ip -6 route delete fe80::/64 dev ${name}`, () => "route to fe80::/64 was removed"],
  [
    ({ name }) => `ip -6 route delete multicast ff00::/8 dev ${name} table local`,
    () => "route to ff00::/8 was removed",
  ],
  [({ name }) => `ip link set ${name} addrgenmode eui64`, () => "addr_gen_mode was changed to 0"],
  [({ name }) => set(`ipv4/conf/${name}/arp_ignore`, 0), () => "arp_ignore was changed to 0"],
  [({ name }) => set(`ipv4/conf/${name}/arp_announce`, 1), () => "arp_announce was changed to 1"],
  [({ name }) => set(`ipv4/conf/${name}/rp_filter`, 1), () => "rp_filter was changed to 1"],
  [({ name }) => set(`ipv6/conf/${name}/accept_ra`, 2), () => "accept_ra was changed to 2"],
  [({ name }) => set(`ipv6/conf/${name}/accept_dad`, 1), () => "accept_dad was changed to 1"],
  [({ name }) => set(`ipv6/conf/${name}/disable_ipv6`, 1), ({ ipv6 }) => `address ${ipv6} was removed`],
];

const set = (path: string, value: number) => `echo ${value} >/proc/sys/net/${path}`;

describe("another program's changes to a carp device", () => {
  let lan: Network;
  let master: Host;
  let backup: Host;
  let client: Host;

  before(async () => {
    lan = await createNetwork();
    [master, backup, client] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("c", { addresses: ["10.0.0.9/24", "2001:db8::9/64"] }),
    ]);
    await Promise.all([master.startEngine(), backup.startEngine()]);
    for (const { name, vhid, ipv4, ipv6 } of interfaces) {
      const words = [name, "inet", `${ipv4}/24`, "inet6", `${ipv6}/64`, "carpdev", "eth0", "vhid", vhid];
      words.push("advbase", ADVBASE, "advskew");
      await master.carpctl(...words, "0", "state", "master");
      await master.waitForState(name, "MASTER");
      await backup.carpctl(...words, "100");
      await backup.waitForState(name, "BACKUP");
    }
    for (const { name, vhid, ipv4, ipv6 } of tabled) {
      const addAddresses = [
        { family: 4, address: ipv4, prefixLength: 24, alias: true } as const,
        { family: 6, address: ipv6, prefixLength: 64, alias: true } as const,
      ];
      const change = { carpdev: "eth0", vhid, advbase: Number(ADVBASE), addAddresses };
      await master.engine.request("change", { name, change: { ...change, state: "master" } });
      await master.waitForAddresses(name, [`${ipv4}/24`, `${ipv6}/64`]);
      await backup.engine.request("change", { name, change: { ...change, advskew: 100 } });
    }
  });
  after(() => lan.destroy());

  /**
   * Checks that the client, which has forgotten the MACs of the addresses, is answered from the virtual MAC.
   */
  async function assertClientGetsThrough({ addresses, mac }: Interface): Promise<void> {
    await client.run("ip", "neighbour", "flush", "dev", "eth0");
    for (const address of addresses) {
      const { received, duplicates } = await client.ping(address);
      assert.deepEqual([address, received, duplicates], [address, 3, 0]);
      const neighbour = await client.run("ip", "neighbour", "show", address);
      assert.ok(neighbour.includes(`lladdr ${mac}`), neighbour);
    }
  }

  const repairs = (host: Host, from: number) =>
    host.engine.log.lines
      .slice(from)
      .flatMap(({ text }) => /^<2>(carp\d+: )repaired: (.*)/.exec(text)?.slice(1).join("") ?? []);

  for (const { what, on, change, told } of [
    { what: "deleted", on: first, change: "link delete carp1", told: "device was deleted" },
    {
      what: "without its IPv4 address",
      on: second,
      change: `address delete ${second.ipv4}/24 dev carp2`,
      told: `address ${second.ipv4} was removed`,
    },
    {
      what: "without its IPv6 address",
      on: third,
      change: `address delete ${third.ipv6}/64 dev carp3`,
      told: `address ${third.ipv6} was removed`,
    },
    { what: "set down", on: second, change: "link set carp2 down", told: "link was set down" },
    { what: "set to protodown", on: third, change: "link set carp3 protodown on", told: "protodown was set" },
    {
      what: "given another MAC",
      on: second,
      change: "link set carp2 address 02:99:00:00:00:01",
      told: "MAC was changed to 02:99:00:00:00:01",
    },
  ]) {
    test(`a MASTER's device ${what} is repaired, logged once and announced`, async () => {
      const { name, addresses, mac } = on;
      const before = await described(master, name);
      const from = master.engine.log.length;
      const transitions = master.engine.transitions.length;
      const capture = await lan.capture();
      await master.namespace.ip([change]);
      await master.engine.waitForLog(/repaired:/, { from });
      for (const address of addresses) await capture.waitFor((frame) => isAnnouncement(frame, address));
      await assertClientGetsThrough(on);

      await eventuallyEqual(() => described(master, name), before);
      assert.deepEqual(repairs(master, from), [`${name}: ${told}`]);
      assert.equal(master.engine.transitions.length, transitions);
      assertOnlyVirtualMac(await capture.stop(), { addresses, mac, packetSources: [await master.mac()] });
    });
  }

  const leftAlone = () => master.engine.waitForLog(/carp1: left alone for 10 s/);

  test("a removed control socket and a removed saved state are made again", async () => {
    const from = master.engine.log.length;
    const files = ["engine.sock", "state.json"].map((name) => join(master.runDirectory, name));
    const [, saved = ""] = files;
    const before = JSON.parse(readFileSync(saved, "utf8"));
    await master.run("rm", ...files);
    await Promise.all([
      master.engine.waitForLog(/<2>repaired: the control socket was removed/, { from }),
      master.engine.waitForLog(/<2>repaired: the saved state was removed/, { from }),
    ]);
    await eventually(
      async () => existsSync(saved),
      (exists) => exists,
    );
    assert.deepEqual(JSON.parse(readFileSync(saved, "utf8")).interfaces, before.interfaces);
    assert.equal((await master.command("status")).exitCode, 0);
    assert.equal(statSync(saved).mode & 0o777, 0o600);
    const another = await master.exec("timeout", ["60", CARPCTL, "engine", "--log", "stderr"]);
    assert.match(another.stderr, /an engine is running already/);
  });

  test("a change that another program keeps making is reported once and repaired less and less often", async () => {
    const from = master.engine.log.length;
    // SIGTERM ends it after a whole flush: nothing is changed any more when it has ended.
    const flush = `trap exit TERM; while :; do ip address flush dev ${first.name}; sleep 0.02; done`;
    const other = master.spawn("sh", ["-c", flush]);
    try {
      const complaint = /<3>carp1: changed again \(address.* removed\).*keeps changing it/;
      await master.engine.waitForLog(complaint, { from });
      await eventually(
        async () => repairs(master, from).length,
        (count) => count >= 7,
      );
    } finally {
      other.kill("SIGTERM");
      await other.exited;
    }
    await master.waitForAddresses(first.name, [`${first.ipv4}/24`, `${first.ipv6}/64`]);
    const lines = master.engine.log.lines.slice(from).map(({ text }) => text);
    assert.equal(lines.filter((text) => text.includes("changed again")).length, 1);
    // Five at once, the others after pauses that double.
    assert.ok(repairs(master, from).length <= 11, lines.join("\n"));
    assert.deepEqual(
      lines.filter((text) => text.includes("transition")),
      [],
    );
  });

  test("each change is repaired, logged once and counted, and the BACKUP stays BACKUP", async () => {
    const from = master.engine.log.length;
    const states = await statesOf(backup);
    const told: string[] = [];
    const counts = () => Promise.all(tabled.map(({ name }) => repairsOf(master, name)));
    const before = await counts();
    const sound = await Promise.all(tabled.map(({ name }) => everythingOf(master, name)));
    for (const [n, [damage, what]] of DAMAGE.entries()) {
      const on = tabled[n % tabled.length] as Tabled;
      const count = await repairsOf(master, on.name);
      const { exitCode, stderr } = await master.exec("sh", ["-c", damage(on)]);
      assert.equal(exitCode, 0, stderr);
      await eventually(
        () => repairsOf(master, on.name),
        (now) => now > count,
      );
      await eventually(
        () => everythingOf(master, on.name),
        (now) => now === sound[n % tabled.length],
      );
      told.push(`${on.name}: ${what(on)}`);
    }
    // The repairs of another interface may still come, after the pauses of the test before.
    const names = tabled.map(({ name }) => `${name}: `);
    assert.deepEqual(
      repairs(master, from).filter((text) => names.some((name) => text.startsWith(name))),
      told,
    );
    assert.deepEqual(
      await counts(),
      before.map((count) => count + DAMAGE.length / tabled.length),
    );
    assert.deepEqual(await statesOf(backup), states);
  });

  for (const [setting, to] of [
    ["arp_ignore", 0],
    ["arp_announce", 1],
  ] as const) {
    test(`${setting} of the carpdev is put back and counted for every interface there`, async () => {
      const needed = await master.run("cat", `/proc/sys/net/ipv4/conf/eth0/${setting}`);
      const counts = () => Promise.all(tabled.map(({ name }) => repairsOf(master, name)));
      const before = await counts();
      const from = master.engine.log.length;
      await master.run("sh", "-c", set(`ipv4/conf/eth0/${setting}`, to));
      await master.engine.waitForLog(/<2>eth0: repaired: /, { from });
      await eventuallyEqual(() => master.run("cat", `/proc/sys/net/ipv4/conf/eth0/${setting}`), needed);
      assert.deepEqual(
        await counts(),
        before.map((count) => count + 1),
      );
      const lines = master.engine.log.lines.slice(from).map(({ text }) => text);
      assert.deepEqual(
        lines.filter((line) => line.includes("eth0")),
        [`<2>eth0: repaired: ${setting} was changed to ${to}`],
      );
    });
  }

  test("a change among more netlink messages than the socket holds is repaired as well", async () => {
    const on = tabled[0] as Tabled;
    const sound = await Promise.all([second, on].map(({ name }) => everythingOf(master, name)));
    const from = master.engine.log.length;
    master.engine.signal("SIGSTOP");
    await master.floodNetlink([`link delete ${second.name}`, `route delete fe80::/64 dev ${on.name}`]);
    master.engine.signal("SIGCONT");
    await master.engine.waitForLog(/carp2: repaired: device was deleted/, { from });
    await master.engine.waitForLog(new RegExp(`${on.name}: repaired: route to fe80::/64 was removed`), {
      from,
    });
    await eventually(
      () => Promise.all([second, on].map(({ name }) => everythingOf(master, name))),
      (now) => now.join() === sound.join(),
    );
    assert.deepEqual(repairs(master, from).sort(), [
      `${on.name}: route to fe80::/64 was removed`,
      "carp2: device was deleted",
    ]);
  });

  test("a MASTER's addresses flushed by `ip address flush` come back, however many rounds the command needs", async () => {
    const before = await described(master, third.name);
    const from = master.engine.log.length;
    // ip gives up after some rounds, or finds nothing left while the engine waits.
    await master.exec("ip", ["address", "flush", "dev", third.name]);
    await master.engine.waitForLog(/carp3: repaired: address/, { from });
    await assertClientGetsThrough(third);
    await eventuallyEqual(() => described(master, third.name), before);
  });

  test("a BACKUP's device that was deleted is built again, as BACKUP", async () => {
    const before = await described(backup, first.name);
    const from = backup.engine.log.length;
    await backup.run("ip", "link", "delete", first.name);
    await backup.engine.waitForLog(/repaired: device was deleted/, { from });
    await eventuallyEqual(() => described(backup, first.name), before);
    await backup.waitForState(first.name, "BACKUP");
  });

  test("a BACKUP's device that was set up is set down again and answers for nothing", async () => {
    const before = await described(backup, second.name);
    const from = backup.engine.log.length;
    await backup.run("ip", "link", "set", second.name, "up");
    await backup.engine.waitForLog(/repaired: link was set up/, { from });
    await eventuallyEqual(() => described(backup, second.name), before);
    await assertBackupIsSilent(second);
    assert.deepEqual(repairs(backup, from), ["carp2: link was set up"]);
  });

  test("clearing protodown on a BACKUP opens nothing and is put back", async () => {
    const from = backup.engine.log.length;
    await backup.run("ip", "link", "set", second.name, "protodown", "off");
    assert.equal((await described(backup, second.name)).up, false);
    await assertBackupIsSilent(second);
    await backup.engine.waitForLog(/carp2: repaired: protodown was cleared/, { from });
    await eventuallyEqual(async () => {
      const { up, protodown } = await described(backup, second.name);
      return [up, protodown];
    }, [false, true]);
  });

  test("only the MASTER answers for a shared address that was added to a BACKUP's device", async () => {
    const { name, ipv4 } = third;
    const from = backup.engine.log.length;
    await backup.run("ip", "address", "add", `${ipv4}/24`, "dev", name);
    await assertBackupIsSilent(third);

    // A MASTER has the address anyway; the next time, a BACKUP loses it.
    await master.carpctl(name, "down");
    await backup.waitForState(name, "MASTER");
    await assertClientGetsThrough(third);
    await master.carpctl(name, "up", "state", "master");
    await backup.waitForState(name, "BACKUP");
    await assertBackupIsSilent(third);
    await backup.waitForAddresses(name, []);
    assert.deepEqual(repairs(backup, from), []);
  });

  test("a carpdev that is moved to another network namespace and back carries everything again", async () => {
    const names = ["carp1", ...tabled.map(({ name }) => name)];
    const states = () => Promise.all(names.map((name) => backup.engine.state(name)));
    const are = (wanted: string) => eventually(states, (all) => all.every((state) => state === wanted));
    const before = await described(backup, first.name);
    await are("BACKUP");
    const bringBack = await backup.moveAway();
    await are("INIT");
    await bringBack();
    await are("BACKUP");
    await eventuallyEqual(() => described(backup, first.name), before);
    assert.match(await backup.run("cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore"), /^[1-9]/);
    assert.match(await backup.run("cat", "/proc/net/dev_mcast"), / eth0 .* 01005e000012\n/);
  });

  test("the end of repeated changes is logged", async () => {
    await leftAlone();
  });

  /** Checks that the BACKUP sends nothing about the addresses while the client is answered. */
  async function assertBackupIsSilent(on: Interface): Promise<void> {
    const left = await backup.capture("eth0", "outbound and (arp or icmp or icmp6)");
    await assertClientGetsThrough(on);
    const said = (await left.stop()).map(summary);
    assert.deepEqual(
      said.filter((text) => on.addresses.some((address) => text.split(/[ ,]/).includes(address))),
      [],
    );
  }
});

async function statesOf(host: Host) {
  const { interfaces } = await host.engine.request("interfaces", {});
  return interfaces.map(({ name, nodes }) => [name, nodes[0]?.state, nodes[0]?.transitions]);
}

async function repairsOf(host: Host, device: string): Promise<number> {
  const { interfaces } = await host.engine.request("interfaces", {});
  return interfaces.find(({ name }) => name === device)?.repairs ?? -1;
}

/**
 * All that Linux shows of a device and that does not change by itself; in one command, because it is called
 * often.
 */
async function everythingOf(host: Host, device: string): Promise<string> {
  const settings = ["arp_ignore", "arp_announce", "rp_filter", "accept_ra", "accept_dad", "addr_gen_mode"];
  const script = [
    `ip -d -o link show ${device} | sed 's/^[0-9]*//'`,
    `ip -o address show ${device} | sed 's/^[0-9]*//' | sort`,
    `ip -4 route show table all dev ${device} | sort`,
    `ip -6 route show table all dev ${device} | sort`,
    `cd /proc/sys/net; grep . ${settings.map((name) => `ipv[46]/conf/${device}/${name}`).join(" ")} 2>&-`,
  ];
  return (await host.exec("sh", ["-c", script.join("\n")])).stdout;
}

/** A carp device as Linux shows it, without what does not matter here. */
async function described(host: Host, device: string) {
  interface Shown {
    readonly flags: readonly string[];
    readonly address: string;
    readonly mtu: number;
    readonly proto_down?: boolean;
    readonly ifalias?: string;
    readonly linkinfo: { readonly info_kind: string; readonly info_data: { readonly mode: string } };
    readonly addr_info: readonly Record<string, unknown>[];
  }
  const [shown]: Shown[] = JSON.parse(await host.run("ip", "-details", "-json", "address", "show", device));
  assert.ok(shown);
  const { address, mtu, ifalias, linkinfo } = shown;
  const settings = ["ipv4/conf/*/arp_ignore", "ipv4/conf/*/arp_announce", "ipv6/conf/*/accept_ra"];
  const paths = settings.map((path) => `/proc/sys/net/${path.replace("*", device)}`);
  return {
    up: shown.flags.includes("UP"),
    protodown: shown.proto_down ?? false,
    address,
    mtu,
    ifalias,
    kind: linkinfo.info_kind,
    mode: linkinfo.info_data.mode,
    addresses: shown.addr_info
      .map(({ local, prefixlen, broadcast, noprefixroute, scope }) =>
        JSON.stringify({ local, prefixlen, broadcast, noprefixroute, scope }),
      )
      .sort(),
    settings: await host.run("grep", ".", ...paths),
  };
}
