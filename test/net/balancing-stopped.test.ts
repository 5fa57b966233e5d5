/**
 * A balanced host whose engine is stopped for ten seconds: its node moves once, and it claims nothing
 * afterwards.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createNetwork, type Frame, type Host, macBytes, virtualMac } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { answer, Conversations } from "./conversations.ts";
import { balance, vhidOf } from "./shared-load.ts";

const IPV4 = "10.0.0.1";
const SOURCES = Array.from({ length: 12 }, (_, n) => `10.0.0.${100 + n}`);
/** At an advbase of 1. */
const LEASE_US = 3_000_000;

const usesTheAddress = ({ carp, ipv4, arp, ethernetSource }: Frame) =>
  carp !== undefined ||
  ipv4?.source === IPV4 ||
  arp?.senderAddress === IPV4 ||
  ethernetSource === virtualMac(vhidOf(0));

test("SIGSTOP until its heir has advertised ten times, then SIGCONT", async () => {
  const lan = await createNetwork();
  try {
    const hosts = await Promise.all(
      ["a", "b"].map((name, n) => lan.host(name, { addresses: [`10.0.0.${2 + n}/24`] })),
    );
    const [a, b] = hosts as [Host, Host];
    const client = await lan.host("client", { addresses: SOURCES.map((each) => `${each}/24`) });
    await Promise.all(hosts.flatMap((host) => [host.startEngine(), answer(host)]));
    await balance(hosts, { addresses: [`${IPV4}/24`], mode: "ip-stealth" });
    // Without preempt it does not take its node back.
    await a.command("sysctl", "net.inet.carp.preempt=0");
    const talk = new Conversations(client, IPV4, SOURCES);
    await talk.answered();

    const wire = await lan.capture("proto 112");
    const advertises = (address: string) => (frame: Frame) =>
      frame.carp?.vhid === vhidOf(0) && frame.ipv4?.source === address;
    const sent = await a.capture("eth0", "outbound");
    await wire.waitFor(advertises("10.0.0.2"));
    const entered = hosts.map(({ engine }) => engine.transitions.length);
    a.engine.signal("SIGSTOP");
    await b.waitForState("carp0", "MASTER", vhidOf(0));
    const orphans = SOURCES.filter((source) => nodeIndex(source, IPV4, 2) === 0);
    await talk.answered(orphans, { by: "b" });
    // Both kernels receive the request for the address.
    await client.run("ip", "neighbour", "flush", "dev", "eth0");
    await talk.goesOn();
    const byHeir = () => wire.frames.filter(advertises("10.0.0.3"));
    await wire.waitFor(() => byHeir().length >= 10);
    const own = wire.frames.findLast(advertises("10.0.0.2"));
    assert.ok(own);
    const stoppedUs = (byHeir().at(-1)?.timeUs ?? 0) - own.timeUs;
    assert.ok(stoppedUs > 10_000_000, `only ${stoppedUs} us`);

    // Every frame that is sent through the device has its MAC, even one that is too short for a packet.
    const mac = macBytes(virtualMac(vhidOf(0)));
    for (const type of [0x0800, 0x0806, 0x86dd]) {
      const frame = Buffer.concat([Buffer.alloc(6, 0xff), mac, Buffer.from([type >> 8, type & 0xff, 0x45])]);
      await assert.rejects(a.inject("carp0", frame), /No buffer space/);
    }
    a.engine.signal("SIGCONT");
    await a.waitForState("carp0", "BACKUP", vhidOf(0));
    const count = byHeir().length;
    await wire.waitFor(() => byHeir().length >= count + 3);
    await talk.goesOn();

    const frames = await sent.stop();
    assert.ok(frames.some(usesTheAddress), "until then it answered");
    assert.deepEqual(
      frames.filter((frame) => frame.timeUs > own.timeUs + LEASE_US && usesTheAddress(frame)),
      [],
    );
    const since = hosts.map(({ engine }, n) =>
      engine.transitions.slice(entered[n]).map(({ vhid, to }) => `${vhid} ${to}`),
    );
    assert.deepEqual(since, [["1 BACKUP"], ["1 MASTER"]]);
    for (const [source, { answeredBy }] of await talk.stop())
      assert.deepEqual(answeredBy, orphans.includes(source) ? ["a", "b"] : ["b"], source);
  } finally {
    lan.destroy();
  }
});
