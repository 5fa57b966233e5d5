/** The test hosts themselves, with plain Linux and ucarp: the other net tests rely on them. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  createNetwork,
  eventuallyEqual,
  type Frame,
  type Host,
  macBytes,
  type Network,
} from "../hosts/index.ts";

const VIRTUAL = "10.0.0.1";

describe("test hosts", () => {
  let lan: Network;
  let a: Host;
  let b: Host;

  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
    ]);
  });
  after(() => lan.destroy());

  test("hosts on one network reach each other at once, over both families", async () => {
    for (const address of ["10.0.0.3", "2001:db8::3"]) {
      const report = await a.ping(address, { count: 5 });
      assert.deepEqual([report.sent, report.received, report.lost], [5, 5, []]);
    }
  });

  test("a capture holds every frame from its start to its stop, dissected", async () => {
    await a.run("ip", "neighbour", "flush", "dev", "eth0");
    const capture = await a.capture("eth0", "arp or icmp");
    await a.ping("10.0.0.3", { count: 20 });
    const frames = await capture.stop();

    const ofType = (type: number) => frames.filter(({ icmp }) => icmp?.type === type);
    assert.deepEqual(
      ofType(8).map(({ icmp }) => icmp?.sequence),
      ofType(8).map((_, n) => n + 1),
    );
    assert.ok(ofType(8).length >= 20);
    assert.ok(ofType(0).length >= 20);
    assert.ok(frames.every(({ ipv4, icmp }) => !icmp || (icmp.checksumIsGood && ipv4?.checksumIsGood)));
    const reply = frames.find(({ arp }) => arp?.operation === "reply" && arp.senderAddress === "10.0.0.3");
    assert.equal(reply?.arp?.senderMac, await b.mac());
    assert.equal(reply?.ethernetDestination, await a.mac());
  });

  test("neighbour discovery is dissected", async () => {
    await a.run("ip", "neighbour", "flush", "dev", "eth0");
    const capture = await b.capture("eth0", "icmp6");
    await a.ping("2001:db8::3", { count: 1 });
    const advertised = await capture.waitFor(
      ({ nd }) => nd?.type === "advertisement" && nd.target === "2001:db8::3",
    );
    await capture.stop();
    assert.deepEqual(
      [advertised.nd?.linkLayerAddress, advertised.nd?.solicited, advertised.nd?.checksumIsGood],
      [await b.mac(), true, true],
    );
  });

  test("an injected frame arrives byte for byte", async () => {
    const frame = Buffer.concat([
      macBytes(await b.mac()),
      macBytes(await a.mac()),
      Buffer.from("88b5c0ffee", "hex"),
    ]);
    const capture = await b.capture("eth0", "ether proto 0x88b5");
    await a.inject("eth0", frame, { count: 3 });
    await capture.waitFor((_) => capture.frames.length === 3);
    for (const { bytes } of await capture.stop()) assert.deepEqual(bytes.subarray(0, frame.length), frame);
  });

  test("a pulled cable takes the carrier away, a silenced port does not; both cut the host off and heal", async () => {
    const hasCarrier = async () => {
      const [link] = JSON.parse(await a.run("ip", "-json", "link", "show", "eth0"));
      return !link.flags.includes("NO-CARRIER");
    };
    for (const [cut, heal, carrierStays] of [
      [() => a.pullCable(), () => a.plugCable(), false],
      [() => a.silence(), () => a.unsilence(), true],
    ] as const) {
      const ping = b.startPing("10.0.0.2");
      await ping.waitForReply();
      await cut();
      await ping.waitForLoss();
      await eventuallyEqual(hasCarrier, carrierStays);
      await heal();
      await eventuallyEqual(hasCarrier, true);
      await ping.waitForReply();
      assert.notDeepEqual((await ping.stop()).lost, []);
    }
  });

  test("a host plugged into two networks routes between them", async () => {
    const far = await createNetwork();
    try {
      const router = await far.host("router", { addresses: ["10.0.9.1/24"] });
      const c = await far.host("c", { addresses: ["10.0.9.2/24"] });
      assert.equal(await lan.attach(router, { addresses: ["10.0.0.9/24"] }), "eth1");
      await router.becomeRouter();
      await a.run("ip", "route", "add", "10.0.9.0/24", "via", "10.0.0.9");
      await c.run("ip", "route", "add", "default", "via", "10.0.9.1");
      assert.equal((await a.ping("10.0.9.2")).received, 3);
    } finally {
      far.destroy();
    }
  });

  test("two ucarps fail over when the master's cable is pulled, and the client gets through again", async () => {
    const client = await lan.host("client", { addresses: ["10.0.0.9/24"] });
    const shared = { vhid: 7, pass: "secret", address: VIRTUAL };
    const capture = await client.capture("eth0", "ip proto 112 or arp");
    const first = a.startUcarp({ ...shared, source: "10.0.0.2" });
    await first.waitForState("MASTER");
    const second = b.startUcarp({ ...shared, source: "10.0.0.3", advskew: 50 });
    await second.waitForState("BACKUP");

    const ping = client.startPing(VIRTUAL);
    await ping.waitForReply();
    const before = capture.frames.length;
    await a.pullCable();
    await second.waitForState("MASTER");
    const fromSecond = ({ carp, ipv4 }: Frame) => carp?.vhid === 7 && ipv4?.source === "10.0.0.3";
    const { carp, ipv4 } = await capture.waitFor(fromSecond, { from: before });
    await ping.waitForReply();
    const report = await ping.stop();

    assert.deepEqual(
      [carp?.version, carp?.type, carp?.advbase, carp?.advskew, carp?.checksumIsGood, ipv4?.ttl],
      [2, 1, 1, 50, true, 255],
    );
    assert.ok(report.longestGapMs > 0 && report.lost.length > 0);
    assert.ok(
      capture.frames.some(({ arp }) => arp?.senderAddress === VIRTUAL && arp.targetAddress === VIRTUAL),
    );
    await a.plugCable();
    // ucarp sleeps for ten seconds when its interface fails, and ignores SIGTERM meanwhile.
    first.kill("SIGKILL");
    await Promise.all([capture.stop(), second.stop()]);
  });
});
