/**
 * Debian's ucarp as the other host, in both directions. It ignores the demote byte and never leaves quietly.
 */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Capture, createNetwork, eventually, type Host } from "../hosts/index.ts";

const SHARED = "10.0.0.1";
const VHID = 7;
const PASS = "secret";

/** Each test has its own network, so that they run side by side. */
async function withUcarp(test: (network: Mixed) => Promise<void>, own = "10.0.0.2"): Promise<void> {
  const lan = await createNetwork();
  try {
    const [ours, theirs, client] = await Promise.all([
      lan.host("ours", { addresses: [`${own}/24`] }),
      lan.host("theirs", { addresses: ["10.0.0.3/24"] }),
      lan.host("client", { addresses: ["10.0.0.9/24"] }),
    ]);
    const wire = await client.capture("eth0", "ip proto 112");
    await ours.startEngine();
    await test(new Mixed(ours, theirs, client, wire));
  } finally {
    lan.destroy();
  }
}

class Mixed {
  readonly ours: Host;
  readonly theirs: Host;
  readonly #client: Host;
  readonly wire: Capture;

  constructor(ours: Host, theirs: Host, client: Host, wire: Capture) {
    this.ours = ours;
    this.theirs = theirs;
    this.#client = client;
    this.wire = wire;
  }

  carp(...words: string[]) {
    const settings = ["carpdev", "eth0", "vhid", String(VHID), "pass", PASS];
    return this.ours.carpctl("carp0", `${SHARED}/24`, ...settings, ...words);
  }

  ucarp(options: { advskew?: number; preempt?: boolean } = {}) {
    return this.theirs.startUcarp({
      vhid: VHID,
      pass: PASS,
      address: SHARED,
      source: "10.0.0.3",
      ...options,
    });
  }

  /** The next advertisement of a host. */
  advertisement(source: string) {
    const from = this.wire.frames.length;
    return this.wire.waitFor(({ carp, ipv4 }) => carp !== undefined && ipv4?.source === source, { from });
  }

  async reached(): Promise<void> {
    const ping = this.#client.startPing(SHARED);
    await ping.waitForReply();
    await ping.stop();
  }

  /** A killed ucarp leaves its address; this removes it. */
  forgetTheirs() {
    return this.theirs.run("ip", "address", "flush", "to", `${SHARED}/32`);
  }

  async refusals(): Promise<number> {
    const counted = await this.ours.engine.request("statistics", {});
    const { badAuthentication, badChecksum, badTtl, badVersion, badVhid, tooShort } = counted;
    return badAuthentication + badChecksum + badTtl + badVersion + badVhid + tooShort;
  }
}

/** Changes the saved state of a killed engine as if its clock had been ahead. */
function putAhead({ runDirectory }: Host, byUs: bigint): void {
  const file = join(runDirectory, "state.json");
  const state = JSON.parse(readFileSync(file, "utf8"));
  state.counters.upTo = String(BigInt(state.counters.upTo) + byUs);
  writeFileSync(file, JSON.stringify(state));
}

/** The level of defence against recordings: an implementation that knows none of them elects with each. */
const SIGNED = [
  { name: "", sysctl: "net.inet.carp.signed_header=0" },
  { name: ", with signed_header", sysctl: "net.inet.carp.signed_header=1" },
];

describe("interop with ucarp", { concurrency: true }, () => {
  for (const signed of SIGNED)
    test(`ucarp is MASTER and carpctl BACKUP; ucarp dies, carpctl takes over; ucarp returns and takes the address back${signed.name}`, () =>
      withUcarp(async (it) => {
        await it.ours.carpctl("sysctl", signed.sysctl);
        const first = it.ucarp({ advskew: 10 });
        await first.waitForState("MASTER");
        await it.carp("advskew", "100");
        await it.ours.waitForState("carp0", "BACKUP");
        // BACKUP after two further advertisements.
        for (let n = 0; n < 2; n += 1) await it.advertisement("10.0.0.3");
        await eventually(
          () => it.ours.engine.request("interfaces", {}),
          ({ interfaces }) => interfaces[0]?.nodes[0]?.heard?.source === "10.0.0.3",
        );
        assert.equal(await it.ours.engine.state("carp0"), "BACKUP");
        assert.equal(await it.refusals(), 0);

        first.kill("SIGKILL");
        await it.forgetTheirs();
        await it.ours.waitForState("carp0", "MASTER");
        await it.advertisement("10.0.0.2");
        await it.reached();

        const second = it.ucarp({ advskew: 10, preempt: true });
        await second.waitForState("MASTER");
        await it.ours.waitForState("carp0", "BACKUP");
        await it.advertisement("10.0.0.3");
        await it.reached();
        assert.equal(await it.refusals(), 0);
        assert.deepEqual(
          it.ours.engine.transitions.map(({ to }) => to),
          ["BACKUP", "MASTER", "BACKUP"],
        );
      }));

  test("carpctl is MASTER and ucarp BACKUP; carpctl dies, ucarp takes over; carpctl returns and takes the address back", () =>
    withUcarp(async (it) => {
      await it.ours.carpctl("sysctl", "net.inet.carp.preempt=1");
      await it.carp("advskew", "10");
      await it.ours.waitForState("carp0", "MASTER");
      const peer = it.ucarp({ advskew: 100 });
      await peer.waitForState("BACKUP");
      // Longer than ucarp's master-down time: it accepts the advertisements.
      for (let n = 0; n < 5; n += 1) await it.advertisement("10.0.0.2");
      assert.equal(peer.state, "BACKUP");
      await it.reached();

      await it.ours.engine.kill("SIGKILL");
      await peer.waitForState("MASTER");
      await it.advertisement("10.0.0.3");

      await it.ours.startEngine();
      await it.ours.waitForState("carp0", "MASTER");
      await peer.waitForState("BACKUP");
      await it.reached();
      assert.equal(await it.refusals(), 0);
    }));

  for (const { own, stays } of [
    { own: "10.0.0.2", stays: "carpctl" },
    { own: "10.0.0.4", stays: "ucarp" },
  ])
    test(`both MASTER with equal settings after a partition, carpctl as ${own}: ${stays} stays MASTER`, () =>
      withUcarp(async (it) => {
        const peer = it.ucarp();
        await peer.waitForState("MASTER");
        await it.theirs.silence();
        await it.carp();
        await it.ours.waitForState("carp0", "MASTER");
        await it.theirs.unsilence();
        if (stays === "carpctl") await peer.waitForState("BACKUP");
        else await it.ours.waitForState("carp0", "BACKUP");
        // Longer than either's master-down time.
        for (let n = 0; n < 5; n += 1) await it.advertisement(stays === "carpctl" ? own : "10.0.0.3");
        const states = [await it.ours.engine.state("carp0"), peer.state];
        assert.deepEqual(states, stays === "carpctl" ? ["MASTER", "BACKUP"] : ["BACKUP", "MASTER"]);
        await it.reached();
      }, own));

  for (const signed of SIGNED)
    test(`ucarp is believed after a split of a minute in which only its advertisements come back${signed.name}`, () =>
      withUcarp(async (it) => {
        await it.ours.carpctl("sysctl", signed.sysctl);
        await it.carp("advskew", "100");
        await it.ours.waitForState("carp0", "MASTER");
        const peer = it.ucarp({ advskew: 10 });
        await peer.waitForState("BACKUP");
        for (let n = 0; n < 3; n += 1) await it.advertisement("10.0.0.2");
        // Our counters are a minute ahead of those that it has heard, as after a minute without each other.
        await it.theirs.deafen();
        await it.ours.engine.kill("SIGKILL");
        putAhead(it.ours, 60_000_000n);
        await it.ours.startEngine();
        await peer.waitForState("MASTER");
        await it.ours.waitForState("carp0", "BACKUP");
        const entered = it.ours.engine.transitions.length;
        for (let n = 0; n < 8; n += 1) await it.advertisement("10.0.0.3");
        assert.deepEqual(it.ours.engine.transitions.slice(entered), []);
        assert.equal(await it.refusals(), 0);
      }));

  test("carpctl stops in order, and ucarp takes over at once", () =>
    withUcarp(async (it) => {
      await it.carp("advskew", "10");
      await it.ours.waitForState("carp0", "MASTER");
      const peer = it.ucarp({ advskew: 100 });
      await peer.waitForState("BACKUP");
      await it.advertisement("10.0.0.2");
      await it.ours.carpctl("carp0", "down");
      await peer.waitForState("MASTER");
      await it.reached();
    }));

  test("net.inet.carp.demotion moves the address and back, although ucarp ignores the demote byte", () =>
    withUcarp(async (it) => {
      await it.ours.carpctl("sysctl", "net.inet.carp.preempt=1");
      await it.carp("advskew", "0");
      await it.ours.waitForState("carp0", "MASTER");
      const peer = it.ucarp({ advskew: 100, preempt: true });
      await peer.waitForState("BACKUP");
      for (let n = 0; n < 4; n += 1) await it.advertisement("10.0.0.2");
      assert.equal(peer.state, "BACKUP");

      // ucarp ignores the byte alone.
      const { stdout } = await it.ours.carpctl("sysctl", "net.inet.carp.demotion=240");
      assert.equal(stdout, "net.inet.carp.demotion: 0 -> 240\n");
      const demoted = await it.wire.waitFor(({ carp }) => carp?.demote === 240);
      assert.deepEqual([demoted.carp?.advskew, demoted.carp?.advbase], [240, 1]);
      await peer.waitForState("MASTER");
      await it.ours.waitForState("carp0", "BACKUP");
      await it.reached();

      await it.ours.carpctl("sysctl", "net.inet.carp.demotion=-240");
      await it.ours.waitForState("carp0", "MASTER");
      await peer.waitForState("BACKUP");
      await it.reached();
    }));
});
