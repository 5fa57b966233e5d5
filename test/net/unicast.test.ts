/** Unicast peers (carppeer) on two networks, with a router between them. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Capture, createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";

const SHARED = "192.0.2.1";
const SHARED6 = "2001:db8:99::1";
const PASS = "sesame";

describe("unicast peers across a router", () => {
  const networks: Network[] = [];
  let a: Host;
  let b: Host;
  let router: Host;
  let wires: Capture[];

  before(async () => {
    const near = await createNetwork();
    networks.push(near);
    const far = await createNetwork();
    networks.push(far);
    a = await near.host("a");
    router = await near.host("router", { addresses: ["10.0.1.1/24", "2001:db8:1::1/64"] });
    await far.attach(router, { addresses: ["10.0.2.1/24", "2001:db8:2::1/64"] });
    await router.becomeRouter();
    b = await far.host("b", { addresses: ["10.0.2.2/24", "2001:db8:2::2/64"] });
    wires = await Promise.all([near.capture(), far.capture()]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    // After the link-local address: the engine must not take what it saw first for what reaches furthest.
    await a.namespace.ip([
      "address add 10.0.1.2/24 dev eth0",
      "address add 2001:db8:1::2/64 dev eth0 nodad",
      "route add default via 10.0.1.1",
      "route add ::/0 via 2001:db8:1::1",
    ]);
    await b.namespace.ip(["route add default via 10.0.2.1", "route add ::/0 via 2001:db8:2::1"]);
  });
  after(() => {
    for (const network of networks) network.destroy();
  });

  const share = (host: Host, advskew: number, carppeer: string, carppeer6: string) =>
    host.command(
      ...["carp0", "inet", `${SHARED}/32`, "inet6", `${SHARED6}/128`, "carpdev", "eth0", "vhid", "5"],
      ...["pass", PASS, "carppeer", carppeer, "carppeer6", carppeer6, "advbase", "1"],
      ...["advskew", String(advskew)],
    );

  test("a BACKUP accepts a master whose packets a router has forwarded, over either family", async () => {
    await share(a, 20, "10.0.2.2", "2001:db8:2::2");
    await a.waitForState("carp0", "MASTER");
    await share(b, 60, "10.0.1.2", "2001:db8:1::2");
    await b.waitForState("carp0", "BACKUP");

    const atB = await b.capture("eth0", "ip proto 112 or ip6 proto 112");
    const over4 = await atB.waitFor(({ ipv4, carp }) => ipv4 !== undefined && carp?.vhid === 5);
    const over6 = await atB.waitFor(({ ipv6, carp }) => ipv6 !== undefined && carp?.vhid === 5);
    const again = await atB.waitFor(({ carp }) => carp !== undefined, { from: atB.frames.length + 4 });
    await atB.stop();
    const { ipv4 } = over4;
    const { ipv6 } = over6;
    assert.deepEqual(
      [ipv4?.source, ipv4?.destination, ipv4?.ttl, ipv4?.tos],
      ["10.0.1.2", "10.0.2.2", 254, 0x10],
    );
    assert.deepEqual(
      [ipv6?.source, ipv6?.destination, ipv6?.hopLimit, ipv6?.trafficClass],
      ["2001:db8:1::2", "2001:db8:2::2", 254, 0x10],
    );
    assert.ok(again.carp?.checksumIsGood);
    assert.equal(await b.engine.state("carp0"), "BACKUP");
    const { badTtl, badVhid, badAuthentication, receivedIpv4, receivedIpv6 } = await statistics(b);
    assert.deepEqual([badTtl, badVhid, badAuthentication], [0, 0, 0]);
    assert.ok(receivedIpv4 > 0 && receivedIpv6 > 0);
    const [shown] = (await b.engine.request("interfaces", {})).interfaces;
    assert.ok(["10.0.1.2", "2001:db8:1::2"].includes(shown?.nodes[0]?.heard?.source ?? ""));
    assert.match((await b.command("carp0")).stdout, /advskew 60 carppeer 10\.0\.1\.2\b/);
  });

  test("advertisements of one family alone keep a BACKUP from taking over", async () => {
    for (const [lost, prefix, other] of [
      [4, "10.0.2.2/32", "ip6 proto 112"],
      [6, "2001:db8:2::2/128", "ip proto 112"],
    ] as const) {
      await router.run("ip", "route", "add", "blackhole", prefix);
      const atB = await b.capture("eth0", `ip proto 112 or ip6 proto 112`);
      const alone = await b.capture("eth0", other);
      // The first may pass with one of the other family that was under way; the others take longer than
      // master-down.
      await alone.waitFor(() => alone.frames.length === 8);
      const cut = (await alone.stop())[2]?.timeUs ?? 0;
      const ofLost = (await atB.stop()).filter(({ ipv4 }) => (ipv4 !== undefined) === (lost === 4));
      assert.deepEqual(
        ofLost.filter(({ timeUs }) => timeUs > cut),
        [],
        `IPv${lost} still gets through`,
      );
      await router.run("ip", "route", "delete", "blackhole", prefix);
    }
    assert.deepEqual(
      b.engine.transitions.filter(({ to }) => to === "MASTER"),
      [],
    );
  });

  test("no advertisement is multicast", () => {
    const multicast = wires.flatMap((wire) =>
      wire.frames.filter(
        ({ carp, ipv4, ipv6 }) =>
          carp && (ipv4?.destination === "224.0.0.18" || ipv6?.destination === "ff02::12"),
      ),
    );
    assert.deepEqual(multicast, []);
  });

  test("an interface with a unicast peer ignores multicast advertisements, one without a peer unicast ones", async () => {
    await a.command(
      "carp1",
      "192.0.2.6/32",
      "carpdev",
      "eth0",
      "vhid",
      "6",
      "pass",
      PASS,
      "advbase",
      "1",
      "advskew",
      "100",
    );
    await a.waitForState("carp1", "MASTER");
    const forged = (vhid: number, address: string) =>
      forge.advertisement({ vhid, pass: PASS, addresses: [address], counter: 1n, advbase: 0, advskew: 1 });
    const frames = [
      forge.ipv4Frame({ source: "10.0.1.1", payload: forged(5, SHARED) }),
      forge.ipv4Frame({
        source: "10.0.2.2",
        destination: "10.0.1.2",
        mac: await a.mac(),
        hops: 254,
        payload: forged(6, "192.0.2.6"),
      }),
    ];
    const before = (await statistics(a)).badVhid;
    await router.injectAll("eth0", frames);
    await eventually(
      () => statistics(a),
      ({ badVhid }) => badVhid === before + frames.length,
    );
    assert.deepEqual([await a.engine.state("carp0"), await a.engine.state("carp1")], ["MASTER", "MASTER"]);

    // The destination was their only fault: sent to the group, the second is accepted.
    await router.inject("eth0", forge.ipv4Frame({ source: "10.0.1.1", payload: forged(6, "192.0.2.6") }));
    await a.waitForState("carp1", "BACKUP");
    await a.command("carp1", "destroy");
  });

  test("CARP is never answered with an ICMP error", async () => {
    const seen = await a.capture("eth0", "icmp or icmp6");
    const to = { source: "10.0.1.1", destination: "10.0.1.2", mac: await a.mac() };
    const to6 = { source: "2001:db8:1::1", destination: "2001:db8:1::2", mac: await a.mac() };
    const unknown = forge.advertisement({ vhid: 77, pass: PASS, addresses: [SHARED], counter: 1n });
    const before = await statistics(a);
    await router.injectAll("eth0", [
      forge.ipv4Frame({ ...to, payload: unknown }),
      forge.ipv6Frame({ ...to6, payload: unknown }),
      forge.ipv4Frame({ ...to, payload: unknown.subarray(0, 11) }),
      forge.ipv6Frame({ ...to6, payload: unknown.subarray(0, 11) }),
      forge.ipv4Frame({ ...to, destination: SHARED, payload: unknown }),
    ]);
    await eventually(
      () => statistics(a),
      ({ badVhid, tooShort }) => badVhid >= before.badVhid + 3 && tooShort === before.tooShort + 2,
    );
    // Errors would have been sent before the answers to these.
    for (const address of ["10.0.1.2", "2001:db8:1::2"]) await router.ping(address);
    const frames = await seen.stop();
    assert.ok(frames.some(({ icmp }) => icmp?.type === 0));
    assert.deepEqual(icmpErrors(frames), []);
  });

  test("CARP on a device without a carp interface is not answered with an ICMP error either", async () => {
    const side = await createNetwork();
    try {
      const other = await side.host("other", { addresses: ["10.0.3.3/24", "2001:db8:3::3/64"] });
      const device = await side.attach(a, { addresses: ["10.0.3.2/24", "2001:db8:3::2/64"] });
      const seen = await other.capture("eth0", "icmp or icmp6");
      const mac = await a.mac(device);
      const payload = forge.advertisement({ vhid: 5, pass: PASS, addresses: [SHARED], counter: 1n });
      const before = (await statistics(a)).badInterface;
      await other.injectAll("eth0", [
        forge.ipv4Frame({ source: "10.0.3.3", destination: "10.0.3.2", mac, payload }),
        forge.ipv6Frame({ source: "2001:db8:3::3", destination: "2001:db8:3::2", mac, payload }),
      ]);
      await eventually(
        () => statistics(a),
        ({ badInterface }) => badInterface === before + 2,
      );
      for (const address of ["10.0.3.2", "2001:db8:3::2"]) await other.ping(address);
      assert.deepEqual(icmpErrors(await seen.stop()), []);
      assert.ok(a.engine.log.lines.some(({ text }) => /^<6>carp packet received on eth1\b/.test(text)));
    } finally {
      side.destroy();
    }
  });

  test("a peer that is down is not a send error", async () => {
    await b.command("carp0", "down");
    const sends = async (count: number) => {
      const { sentIpv4, sentIpv6 } = await statistics(a);
      return eventually(
        () => statistics(a),
        (now) => now.sentIpv4 >= sentIpv4 + count && now.sentIpv6 >= sentIpv6 + count,
      );
    };
    const stays = async (why: string) => {
      const { sendFailed } = await sends(4);
      assert.equal(sendFailed, 0, why);
      assert.equal(await a.engine.state("carp0"), "MASTER", why);
    };
    const answers = await a.capture("eth0", "icmp or icmp6");
    // The peer's engine is dead: its kernel knows no protocol 112 and says so.
    await b.engine.kill("SIGKILL");
    await answers.waitFor(({ icmp }) => icmp?.type === 3 && icmp.code === 2);
    await stays("protocol unreachable");
    // The peer is off: the router reports that it cannot reach it.
    await b.pullCable();
    await router.run("ip", "neighbour", "flush", "all");
    await answers.waitFor(({ icmp }) => icmp?.type === 3 && icmp.code === 1);
    await stays("host unreachable");
    await answers.stop();
    // There is no way there.
    await a.namespace.ip(["route del default", "route del ::/0"]);
    await stays("no route");
    await a.namespace.ip(["route add unreachable default", "route add unreachable ::/0"]);
    await stays("an unreachable route");
    assert.deepEqual(
      a.engine.log.lines.filter(({ text }) => text.includes("demoted")),
      [],
    );
  });
});

async function statistics(host: Host) {
  return host.engine.request("statistics", {});
}

/** Destination unreachable and parameter problem, of either family. */
function icmpErrors(frames: Capture["frames"]) {
  return frames.filter(
    ({ icmp, ipv6 }) =>
      icmp && (ipv6 ? icmp.type === 1 || icmp.type === 4 : icmp.type === 3 || icmp.type === 12),
  );
}
