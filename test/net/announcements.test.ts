/**
 * Whoever serves is found: after each kind of takeover and after a healed split, by clients that never ask
 * again and by a learning switch; with multicast, unicast peers and the carpdev's own MAC, over both families.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type Capture,
  createNetwork,
  eventuallyEqual,
  type Host,
  isAnnouncement,
  type Network,
} from "../hosts/index.ts";

/** Carp interfaces of both hosts, by number: one for each way to tell switches and clients. */
const MODES = ["multicast", "unicast", "own MAC"] as const;
const NAMES = MODES.map((_, n) => `carp${n}`);
const SHARED = MODES.flatMap((_, n) => [`10.0.0.${100 + n}`, `2001:db8::10${n}`]);
type State = "INIT" | "BACKUP" | "MASTER";

const NUMBERS: Readonly<Record<string, number>> = { a: 2, b: 3 };

const own = ({ name }: Host) => [`10.0.0.${NUMBERS[name]}`, `2001:db8::${NUMBERS[name]}`] as const;

async function configure(host: Host, peer: Host, advskew: number): Promise<void> {
  await host.command("sysctl", "net.inet.carp.preempt=1");
  const modes = [[], ["carppeer", own(peer)[0], "carppeer6", own(peer)[1]], ["lladdr", await host.mac()]];
  for (const [n, words] of modes.entries()) {
    const addresses = ["inet", `10.0.0.${100 + n}/24`, "inet6", `2001:db8::10${n}/64`];
    const common = ["carpdev", "eth0", "vhid", String(n + 1), "pass", "sesame", "advskew", String(advskew)];
    await host.command(`carp${n}`, ...addresses, ...common, ...words);
  }
}

/** The client learns an address once, believes announcements, and never asks again. */
async function neverAsks(client: Host): Promise<void> {
  const settings = { base_reachable_time_ms: 3_600_000, delay_first_probe_time: 3600, gc_stale_time: 3600 };
  for (const family of ["ipv4", "ipv6"])
    await client.namespace.sysctl(
      Object.fromEntries(
        Object.entries({ ...settings, ...(family === "ipv4" && { locktime: 0 }) }).map(([name, value]) => [
          `${family}/neigh/eth0/${name}`,
          value,
        ]),
      ),
    );
}

describe("clients that never ask again", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let client: Host;
  let bystander: Host;
  let wire: Capture;
  let asked: Capture;

  before(async () => {
    lan = await createNetwork();
    [a, b, client, bystander] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("c", { addresses: ["10.0.0.9/24", "2001:db8::9/64"] }),
      lan.host("d"),
    ]);
    await Promise.all([a.startEngine(), b.startEngine(), neverAsks(client)]);
    wire = await lan.capture("proto 112 or ip6 proto 112");
    await configure(a, b, 0);
    for (const name of NAMES) await a.command(name, "state", "master");
    await configure(b, a, 100);
    await settled([
      [a, "MASTER"],
      [b, "BACKUP"],
    ]);
    for (const address of SHARED) assert.equal((await client.ping(address)).received, 3);
    asked = await client.capture(
      "eth0",
      "outbound and (arp[6:2] = 1 or (icmp6 and ip6[40] = 135)) and not src host 0.0.0.0",
    );
  });
  after(() => lan.destroy());

  /** Resolves when the interfaces of these hosts are in these states. */
  async function settled(expected: readonly (readonly [Host, State])[]): Promise<void> {
    for (const [host, state] of expected)
      await eventuallyEqual(
        () => Promise.all(NAMES.map((name) => host.engine.state(name))),
        NAMES.map((): State | undefined => state),
      );
  }

  /** In this order: each begins where the one before it ends. `backup`: the other host's state afterwards. */
  const cases: readonly {
    readonly title: string;
    readonly happen: () => Promise<unknown>;
    readonly master: "a" | "b";
    readonly other?: State | "dead";
  }[] = [
    { title: "whose master is killed", happen: () => a.engine.kill("SIGKILL"), master: "b", other: "dead" },
    { title: "whose master is preempted", happen: () => a.startEngine(), master: "a" },
    { title: "whose master is demoted", happen: () => a.command("demote", "test", "50"), master: "b" },
    { title: "whose master is no longer demoted", happen: () => a.command("promote", "test"), master: "a" },
    {
      title: "whose master bows out",
      happen: () => Promise.all(NAMES.map((name) => a.command(name, "down"))),
      master: "b",
      other: "INIT",
    },
    {
      title: "whose former master is up again",
      happen: () => Promise.all(NAMES.map((name) => a.command(name, "up"))),
      master: "a",
    },
    { title: "that are cut off from their master", happen: () => a.silence(), master: "b", other: "MASTER" },
    {
      title: "whose network is whole again, the winner being heard first",
      happen: async () => {
        // b's next advertisements are due later than a's.
        await wire.waitFor(({ carp }) => carp?.vhid === MODES.length, { from: wire.frames.length });
        await a.unsilence();
      },
      master: "a",
    },
  ];
  for (const { title, happen, master: name, other = "BACKUP" } of cases)
    test(`${title} are answered within an interval, and by one port of the switch`, async () => {
      const [master, backup] = name === "a" ? [a, b] : [b, a];
      const pings = SHARED.map((address) => client.startPing(address, { intervalMs: 20 }));
      await happen();
      await settled([[master, "MASTER"], ...(other === "dead" ? [] : [[backup, other] as const])]);
      const from = wire.frames.length;
      await Promise.all(pings.map((each) => each.waitForReply()));
      const advertised = wire.frames
        .slice(from)
        .filter(({ carp, ipv4 }) => carp !== undefined && ipv4?.source === own(master)[0])
        .map(({ carp }) => carp?.vhid);
      for (const vhid of MODES.keys())
        assert.ok(advertised.filter((each) => each === vhid + 1).length <= 2, `${advertised}`);

      const requests = "icmp[0] = 8 or (icmp6 and ip6[40] = 128)";
      const elsewhere = await Promise.all([backup, bystander].map((each) => each.capture("eth0", requests)));
      for (let n = 0; n < 3; n++) await Promise.all(pings.map((each) => each.waitForReply()));
      await Promise.all(pings.map((each) => each.stop()));
      for (const capture of elsewhere) assert.deepEqual(await capture.stop(), []);
      const questions = asked.frames.filter(({ arp, nd }) =>
        SHARED.includes(arp?.targetAddress ?? nd?.target ?? ""),
      );
      assert.deepEqual(questions, []);
    });

  test("announcements are repeated as `announce` says, which ifconfig and dump print", async () => {
    const announced = await lan.capture("arp or icmp6");
    await a.command("carp0", "announce", "1");
    assert.match((await a.command("carp0")).stdout, /^\tannounce 1$/m);
    assert.match((await a.command("dump", "carp0")).stdout, /^announce 1$/m);
    for (const address of SHARED.slice(0, 2)) {
      let count = 0;
      await announced.waitFor((frame) => isAnnouncement(frame, address) && ++count === 3);
    }
    await announced.stop();
    await a.command("carp0", "-announce");
    assert.doesNotMatch((await a.command("dump", "carp0")).stdout, /announce/);
  });
});
