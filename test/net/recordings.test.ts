/**
 * Recorded advertisements, sent again by a host on the segment that holds no pass. The tests hold it, to make
 * recordings of any age; and one of them sends frames that were really captured.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { signedCounter, timeCounter } from "../hosts/counters.ts";
import { type Capture, createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";
import { captured } from "../unit/protocol/vectors.ts";

const SHARED = "10.0.0.1";
const PASS = "sesame";
const A = { source: "10.0.0.11", lastByte: 11, advskew: 0 };
const B = { source: "10.0.0.12", lastByte: 12, advskew: 100 };

interface Fields {
  readonly advbase?: number;
  readonly advskew?: number;
  readonly demote?: number;
}

/** What moves a host that believes it, and how the sender shows itself. */
const RECORDINGS: readonly [title: string, Fields, source: string][] = [
  ["unchanged", {}, "its own address"],
  ["with advbase 0 and advskew 1", { advbase: 0, advskew: 1 }, "10.0.0.66"],
  ["with advbase 0 and advskew 1, from the sender's address", { advbase: 0, advskew: 1 }, "its own address"],
  ["with advskew 254", { advskew: 254 }, "10.0.0.66"],
  ["with a demote count", { demote: 255 }, "10.0.0.66"],
  ["as a bow-out", { advbase: 255, advskew: 255 }, "its own address"],
  ["as a bow-out, over IPv6", { advbase: 255, advskew: 255 }, "fe80::66"],
  ["with advbase 0 and advskew 1, over IPv6", { advbase: 0, advskew: 1 }, "fe80::66"],
];

describe("recorded advertisements at 1,000 a second", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let client: Host;
  let attacker: Host;
  let wire: Capture;

  before(async () => {
    lan = await createNetwork();
    [a, b, client, attacker] = await Promise.all([
      lan.host("a", { addresses: [`${A.source}/24`] }),
      lan.host("b", { addresses: [`${B.source}/24`] }),
      lan.host("client", { addresses: ["10.0.0.99/24"] }),
      lan.host("attacker", { addresses: ["10.0.0.66/24"] }),
    ]);
    wire = await attacker.capture("eth0", "ip proto 112 or ip6 proto 112");
    await Promise.all([a.startEngine(), b.startEngine()]);
    // Each is MASTER for a while: the other one knows it then, and there are recordings of both.
    await share(b, B.advskew);
    await b.waitForState("carp0", "MASTER");
    await heard(B.source, 2);
    await share(a, A.advskew);
    await a.waitForState("carp0", "BACKUP");
    await heard(B.source, 2);
    await a.command("carp0", "state", "master");
    await b.waitForState("carp0", "BACKUP");
    await heard(A.source, 3);
  });
  after(() => lan.destroy());

  const share = (host: Host, advskew: number) =>
    host.command(
      ...["carp0", `${SHARED}/24`, "carpdev", "eth0", "vhid", "1", "pass", PASS],
      ...["advbase", "1", "advskew", String(advskew)],
    );

  const heard = (source: string, count: number) => {
    let seen = 0;
    return wire.waitFor(({ ipv4 }) => ipv4?.source === source && ++seen === count, {
      from: wire.frames.length,
    });
  };

  const frame = (source: string, payload: Uint8Array) =>
    source.includes(":") ? forge.ipv6Frame({ source, payload }) : forge.ipv4Frame({ source, payload });

  function recording(of: typeof A, counter: bigint, fields: Fields, source: string): Buffer {
    const { advskew } = of;
    const said = { vhid: 1, pass: PASS, addresses: [SHARED], counter, advskew, ...fields };
    return frame(source === "its own address" ? of.source : source, forge.advertisement(said));
  }

  /** Sends the frames again and again for longer than a master-down time. Nothing moves, and no ping is lost. */
  async function nothingMoves(frames: readonly Buffer[]): Promise<void> {
    const transitions = () => [a, b].map((host) => host.engine.transitions.length);
    const before = transitions();
    const ping = client.startPing(SHARED, { intervalMs: 20 });
    await ping.waitForReply();
    const many = Array.from({ length: 4000 }, (_, n) => frames[n % frames.length] as Buffer);
    await attacker.injectAll("eth0", many, { pauseUs: 1000 });
    await heard(A.source, 1);
    assert.deepEqual(await Promise.all([a, b].map((host) => host.engine.state("carp0"))), [
      "MASTER",
      "BACKUP",
    ]);
    assert.deepEqual(transitions(), before);
    const { received, lost } = await ping.stop();
    assert.ok(received > 0);
    assert.deepEqual(lost, []);
  }

  /** One recording of each kind, of each host, of each age. */
  const all = (ages: readonly number[], fields: Fields, source: string) =>
    ages.flatMap((age) => [A, B].map((of) => recording(of, timeCounter(age, of.lastByte), fields, source)));

  for (const [title, fields, source] of RECORDINGS)
    test(`${title}: seconds, hours and days old`, () =>
      nothingMoves(all([16, 60, 3_600, 86_400], fields, source)));

  test("frames that were really captured, changed or not", async () => {
    const old = wire.frames.filter(
      ({ carp, ipv4 }) => carp !== undefined && [A.source, B.source].includes(ipv4?.source ?? ""),
    );
    const last = old.at(-1)?.carp?.counter ?? 0n;
    const recorded = old.filter(({ carp }) => (carp?.counter ?? last) < last - 16_000_000n);
    assert.ok([A, B].every(({ source }) => recorded.some(({ ipv4 }) => ipv4?.source === source)));
    // From the attacker's MAC: with the virtual one as source, any frame draws the traffic to its port.
    const resent = recorded.map(({ bytes, ipv4 }) =>
      frame(ipv4?.source ?? "", bytes.subarray(bytes.length - 36)),
    );
    const changed = resent.flatMap((bytes) => [
      bytes,
      forge.withByte(forge.withByte(bytes, 5, 0), 2, 1),
      forge.withByte(forge.withByte(bytes, 5, 255), 2, 255),
    ]);
    await nothingMoves(changed);
  });

  test("the refusal is logged as a warning, and counted", async () => {
    const counted = async () => (await a.engine.request("statistics", {})).badAuthentication;
    const before = await counted();
    const from = a.engine.log.length;
    await attacker.inject("eth0", recording(B, timeCounter(60, B.lastByte), { advskew: 1 }, "10.0.0.66"));
    const { text } = await a.engine.waitForLog(/replay detected.* from 10\.0\.0\.66/, { from });
    // Those of the test before may have been counted until now.
    assert.match(
      text,
      /^<4>(\d+ more lines like these were left out, the last: )?carp0: vhid 1: replay detected: it was sent more than ten seconds ago from 10\.0\.0\.66 on eth0$/,
    );
    await eventually(counted, (now) => now > before);
  });

  for (const [title, host, signal] of [
    ["the MASTER was killed and started again", "a", "SIGKILL"],
    ["the BACKUP was killed and started again", "b", "SIGKILL"],
    ["the BACKUP was stopped and started again", "b", "SIGTERM"],
  ] as const)
    test(`from before ${title}`, async () => {
      const restarted = host === "a" ? a : b;
      const of = host === "a" ? A : B;
      await restarted.engine.kill(signal);
      await restarted.startEngine();
      if (signal === "SIGTERM") await share(restarted, of.advskew);
      await restarted.waitForState("carp0", host === "a" ? "MASTER" : "BACKUP");
      // Before it has heard anything in the latter cases.
      await nothingMoves(all([16, 60, 3_600], { advbase: 0, advskew: 1 }, "10.0.0.66"));
      await nothingMoves(all([16, 60], { advbase: 255, advskew: 255 }, "10.0.0.66"));
    });

  test("with signed_header on one host and then on both, nothing younger moves anything either", async () => {
    const entered = () => [a, b].map((host) => host.engine.transitions.length);
    const before = entered();
    for (const host of [b, a]) {
      await host.command("sysctl", "net.inet.carp.signed_header=1");
      await heard(A.source, 4);
    }
    assert.deepEqual(entered(), before);
    const changed = RECORDINGS.slice(1).flatMap(([, fields, source]) =>
      [0.1, 2, 8].flatMap((age) =>
        [A, B].map((of) => recording(of, signedCounter(age, { advskew: of.advskew }), fields, source)),
      ),
    );
    await nothingMoves(changed);
    // Really captured, as they come: unchanged, and with other fields.
    const from = wire.frames.length;
    await heard(A.source, 3);
    const fresh = wire.frames.slice(from).filter(({ ipv4 }) => ipv4?.source === A.source);
    const resent = fresh.map(({ bytes }) => frame(A.source, bytes.subarray(bytes.length - 36)));
    await nothingMoves(
      resent.flatMap((bytes) => [bytes, forge.withByte(forge.withByte(bytes, 5, 255), 2, 255)]),
    );
    for (const host of [a, b]) await host.command("sysctl", "net.inet.carp.signed_header=0");
    await heard(A.source, 4);
    assert.deepEqual(entered(), before);
  });

  for (const [level, from] of [
    [0, timeCounter(60, 8)],
    [1, signedCounter(60, A)],
  ] as const)
    test(`a host that counts by one from what it heard a minute ago is believed, every word, with signed_header=${level}`, async () => {
      for (const host of [a, b]) await host.command("sysctl", `net.inet.carp.signed_header=${level}`);
      const refusals = async () => (await a.engine.request("statistics", {})).badAuthentication;
      const before = await refusals();
      // Its low bits become the tags of both hosts on the way.
      const words = Array.from({ length: 30 }, (_, n) =>
        forge.advertisement({
          ...{ vhid: 1, pass: PASS, addresses: [SHARED], counter: from + BigInt(n + 1) },
          ...{ advbase: 0, advskew: 200 },
        }),
      );
      const entered = a.engine.transitions.length;
      await attacker.injectAll(
        "eth0",
        words.map((payload) => forge.ipv4Frame({ source: "10.0.0.66", payload })),
        { pauseUs: 300_000 },
      );
      assert.deepEqual(
        a.engine.transitions.slice(entered).map(({ to }) => to),
        ["BACKUP"],
      );
      assert.equal(await refusals(), before);
      await a.waitForState("carp0", "MASTER");
    });
});

test("what a BSD kernel was captured sending elects with us, with signed_header and without", async () => {
  const [vector] = captured;
  assert.ok(vector !== undefined && vector.addresses.length === 1);
  const lan = await createNetwork();
  try {
    const [ours, theirs] = await Promise.all([
      lan.host("ours", { addresses: ["10.88.0.3/24"] }),
      lan.host("theirs", { addresses: ["10.88.0.4/24"] }),
    ]);
    await ours.startEngine();
    const { pass, vhid, addresses, advskew } = vector;
    for (const level of [0, 1]) {
      await ours.command("sysctl", `net.inet.carp.signed_header=${level}`);
      const words = ["carpdev", "eth0", "vhid", String(vhid), "pass", pass, "advskew", String(advskew + 50)];
      await ours.command("carp0", `${addresses[0]}/24`, ...words);
      await ours.waitForState("carp0", "MASTER");
      const entered = ours.engine.transitions.length;
      const frames = vector.frames.map((frame) => Buffer.from(frame, "hex"));
      await theirs.injectAll("eth0", frames, { pauseUs: 1_000_000 });
      const states = ours.engine.transitions.slice(entered).map(({ to }) => to);
      assert.deepEqual(states, ["BACKUP"]);
      assert.equal((await ours.engine.request("statistics", {})).badAuthentication, 0);
      await ours.command("carp0", "destroy");
    }
  } finally {
    lan.destroy();
  }
});
