/**
 * Unicast peers on a learning switch that forgets soon: their advertisements teach it where the shared MAC is, and reach
 * the peer whatever becomes of its MAC.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  createNetwork,
  eventually,
  type Frame,
  type Host,
  macBytes,
  type Network,
  virtualMac,
} from "../hosts/index.ts";

const FORGETS_AFTER_S = 3;
const PEERS = "10.0.0.11,10.0.0.12";
const PEERS6 = "fd00::11,fd00::12";

describe("unicast peers on a learning switch", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let c: Host;

  before(async () => {
    lan = await createNetwork();
    await lan.forgetAfter(FORGETS_AFTER_S);
    [a, b, c] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.11/24", "fd00::11/64"] }),
      lan.host("b", { addresses: ["10.0.0.12/24", "fd00::12/64"] }),
      lan.host("c", { addresses: ["10.0.0.13/24", "fd00::13/64"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    for (const [host, advskew, state] of [
      [a, 0, "MASTER"],
      [b, 100, "BACKUP"],
    ] as const) {
      const common = ["carpdev", "eth0", "pass", "sesame", "advskew", String(advskew)];
      await host.carpctl("carp1", "10.0.0.1/24", "vhid", "1", ...common, "carppeer", PEERS);
      await host.carpctl("carp2", "fd00::1/64", "vhid", "2", ...common, "carppeer6", PEERS6);
      await Promise.all(["carp1", "carp2"].map((name) => host.waitForState(name, state)));
    }
  });
  after(() => lan.destroy());

  const isOf = (vhid: number) => (frame: Frame) => frame.carp?.vhid === vhid;

  /** The next advertisements of both vhids that reach b, so many of each. */
  async function atB(count: number): Promise<Frame[]> {
    const capture = await b.capture("eth0", "ip proto 112 or ip6 proto 112");
    const reached = (vhid: number) => capture.frames.filter(isOf(vhid)).length;
    await capture.waitFor(() => reached(1) >= count && reached(2) >= count);
    return capture.stop();
  }

  test("advertise from the shared MAC to the peer's own, with TTL 255", async () => {
    const mac = await b.mac();
    await eventually(
      () => atB(1),
      (frames) =>
        [1, 2].every((vhid) => frames.filter(isOf(vhid)).at(-1)?.ethernetSource === virtualMac(vhid)),
    );
    const refused = async () => {
      const { badVhid, badTtl, badAuthentication } = await b.engine.request("statistics", {});
      return [badVhid, badTtl, badAuthentication];
    };
    // The other host may advertise its second interface before this one has that.
    const before = await refused();
    const frames = await atB(2);
    for (const { carp, ethernetSource, ethernetDestination, ipv4, ipv6 } of frames) {
      assert.deepEqual([ethernetSource, ethernetDestination], [virtualMac(carp?.vhid ?? 0), mac]);
      assert.equal(ipv4?.ttl ?? ipv6?.hopLimit, 255);
      assert.equal(ipv4?.source ?? ipv6?.source, carp?.vhid === 1 ? "10.0.0.11" : "fd00::11");
      assert.equal(ipv4?.destination ?? ipv6?.destination, carp?.vhid === 1 ? "10.0.0.12" : "fd00::12");
      assert.equal(ipv4?.tos ?? ipv6?.trafficClass, 0x10);
      assert.equal(carp?.checksumIsGood && (ipv4?.checksumIsGood ?? true), true);
    }
    assert.deepEqual(await refused(), before);
  });

  test("keep a frame to a shared address on one port, longer than the switch remembers", async () => {
    // A MAC that is heard once and then no more: when it is forgotten, so is every other one like it.
    await c.inject("eth0", probe("ff:ff:ff:ff:ff:ff", "02:00:00:00:99:99"));
    await eventually(
      () => lan.portOf("02:00:00:00:99:99"),
      (port) => port === undefined,
    );
    const [onA, onB] = await Promise.all([
      a.capture("eth0", "ether proto 0x88b5"),
      b.capture("eth0", "ether proto 0x88b5"),
    ]);
    const frames = [1, 2].map((vhid) => probe(virtualMac(vhid), "02:00:00:00:99:98"));
    await c.injectAll("eth0", Array.from({ length: 5 }, () => frames).flat());
    await onA.waitFor(() => onA.frames.filter(isProbe).length === 10);
    assert.equal((await onB.stop()).filter(isProbe).length, 0);
    await onA.stop();
  });

  test("go on when the kernel has forgotten the peer's MAC, and use it again when it knows it", async () => {
    const mac = await a.mac();
    const capture = await b.capture("eth0", "ip proto 112 or ip6 proto 112");
    await a.run("ip", "neighbour", "flush", "dev", "eth0");
    await capture.waitFor(({ ethernetSource }) => ethernetSource === mac);
    const from = capture.frames.length;
    for (const vhid of [1, 2])
      await capture.waitFor((frame) => isOf(vhid)(frame) && frame.ethernetSource === virtualMac(vhid), {
        from,
      });
    await capture.stop();
    for (const host of [a, b]) {
      assert.equal((await host.engine.request("statistics", {})).sendFailed, 0);
      assert.equal(await host.engine.state("carp1"), host === a ? "MASTER" : "BACKUP");
    }
  });

  test("follow a peer whose MAC changes without a word", async () => {
    // The kernel doubts a MAC soon, and asks again at once.
    for (const family of ["ipv4", "ipv6"])
      await a.namespace.sysctl({
        [`${family}/neigh/eth0/base_reachable_time_ms`]: 500,
        [`${family}/neigh/eth0/delay_first_probe_time`]: 1,
        [`${family}/neigh/eth0/retrans_time_ms`]: 100,
      });
    const changed = "02:00:00:00:99:12";
    await b.namespace.ip([`link set eth0 address ${changed}`]);
    const capture = await b.capture("eth0", "ip proto 112 or ip6 proto 112");
    for (const vhid of [1, 2])
      await capture.waitFor(
        ({ carp, ethernetSource, ethernetDestination }) =>
          carp?.vhid === vhid && ethernetSource === virtualMac(vhid) && ethernetDestination === changed,
      );
    await capture.stop();
    for (const name of ["carp1", "carp2"]) {
      await b.waitForState(name, "BACKUP");
      assert.equal(await a.engine.state(name), "MASTER");
    }
  });
});

/** A frame that no host answers. */
function probe(destination: string, source: string): Buffer {
  return Buffer.concat([
    macBytes(destination),
    macBytes(source),
    Buffer.from("88b5", "hex"),
    Buffer.alloc(46),
  ]);
}

const isProbe = ({ etherType, ethernetDestination }: Frame) =>
  etherType === 0x88b5 && ethernetDestination.startsWith("00:00:5e");
