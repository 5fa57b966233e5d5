/**
 * Packets that no CARP host sends, of every length and content, from a host on the segment: the engines go
 * on, the MASTER keeps advertising and the BACKUP stays BACKUP.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClock } from "../../src/kernel/process/clock.ts";
import {
  type Capture,
  createNetwork,
  eventually,
  type Frame,
  forge,
  type Host,
  macBytes,
  type Network,
} from "../hosts/index.ts";

const SHARED = "10.0.0.1";
const PASS = "sesame";
const SEED = Number(process.env.CARPCTL_TEST_SEED ?? Date.now() % 2 ** 31);
const OURS = "00:00:5e:00:01:01";

describe(`hostile packets (CARPCTL_TEST_SEED=${SEED})`, () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let attacker: Host;
  /** The MASTER's advertisements without the injected frames. */
  let advertised: Capture;
  const random = randomness(SEED);

  before(async () => {
    lan = await createNetwork();
    [a, b, attacker] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("attacker", { addresses: ["10.0.0.66/24", "2001:db8::66/64"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    // A starved machine keeps both states: the MASTER's lease lasts 3 s, the BACKUP waits for 9 s.
    await share(a, "1", "0");
    await a.waitForState("carp0", "MASTER");
    await share(b, "3", "100");
    advertised = await b.capture("eth0", `ether src ${OURS} and ip proto 112`);
    await advertised.waitFor(() => advertised.frames.length >= 2);
  });
  after(() => lan.destroy());

  const share = (host: Host, advbase: string, advskew: string) =>
    host.command(
      ...["carp0", `${SHARED}/24`, "carpdev", "eth0", "vhid", "1", "pass", PASS],
      ...["advbase", advbase, "advskew", advskew],
    );

  /** When b last heard the MASTER. */
  async function heardUs(): Promise<number> {
    const { interfaces } = await b.engine.request("interfaces", {});
    return interfaces[0]?.nodes[0]?.heard?.atUs ?? 0;
  }

  /**
   * Injects the frames and checks that neither host changed its state. @returns by how much b's statistics
   * grew.
   */
  async function withstood(frames: readonly Uint8Array[], pauseUs = 0): Promise<Record<string, number>> {
    const before = await b.engine.request("statistics", {});
    const begin = advertised.frames.length;
    await attacker.injectAll("eth0", frames, { pauseUs });
    const settled = advertised.frames.length;
    const injectedUs = createClock().now().us;
    await advertised.waitFor(() => advertised.frames.length >= settled + 2);
    // Frames are handled in order: when b has heard a later advertisement, it has handled all that was
    // injected.
    await eventually(heardUs, (atUs) => atUs > injectedUs);
    assert.deepEqual([await a.engine.state("carp0"), await b.engine.state("carp0")], ["MASTER", "BACKUP"]);
    for (const host of [a, b]) {
      assert.deepEqual(
        host.engine.transitions.filter(
          ({ from, to }) => from === "MASTER" || (host === b && to === "MASTER"),
        ),
        [],
      );
      assert.deepEqual(
        host.engine.log.lines.filter(({ text }) => /^<[0-3]>(?!.*state transition)/.test(text)),
        [],
      );
    }
    const counters = advertised.frames.slice(begin).map(({ carp }) => carp?.counter ?? 0n);
    assert.ok(counters.every((counter, n) => n === 0 || counter > (counters[n - 1] ?? 0n)));
    const now = await b.engine.request("statistics", {});
    return Object.fromEntries(
      Object.entries(now).map(([name, value]) => [name, value - before[name as keyof typeof before]]),
    );
  }

  /** An authentic bow-out of the MASTER. */
  const believable = () =>
    forge.advertisement({
      vhid: 1,
      pass: PASS,
      addresses: [SHARED],
      counter: 1n,
      advbase: 255,
      advskew: 255,
    });

  test("frames cut at every length", async () => {
    const whole4 = forge.ipv4Frame({ source: "10.0.0.66", payload: believable() });
    const whole6 = forge.ipv6Frame({ source: "2001:db8::66", payload: believable() });
    const frames = [whole4, whole6].flatMap((whole) =>
      // The kernel sends nothing shorter than an Ethernet header.
      Array.from({ length: whole.length - 14 }, (_, n) => whole.subarray(0, 14 + n)),
    );
    const { shorterThanHeader, receivedIpv4, receivedIpv6 } = await withstood(frames, 50);
    assert.ok((shorterThanHeader ?? 0) > 80, String(shorterThanHeader));
    assert.equal(receivedIpv6, 0);
    // The MASTER's own advertisements count; none of the cut frames does.
    assert.ok((receivedIpv4 ?? 0) < 60, String(receivedIpv4));
  });

  test("payloads of every length, the IP header true", async () => {
    const frames = Array.from({ length: 36 }, (_, length) => believable().subarray(0, length)).flatMap(
      (payload) => [
        forge.ipv4Frame({ source: "10.0.0.66", payload }),
        forge.ipv6Frame({ source: "2001:db8::66", payload }),
      ],
    );
    assert.equal((await withstood(frames, 50)).tooShort, 72);
  });

  test("IP headers with a wrong length", async () => {
    const payload = believable();
    const source = "10.0.0.66";
    const frames = [
      ...Array.from({ length: 16 }, (_, headerWords) => headerWords)
        .filter((headerWords) => headerWords !== 5)
        .map((headerWords) => forge.ipv4Frame({ source, payload, headerWords })),
      ...[0, 1, 19, 20, 21, 36, 55, 57, 100, 1500, 0xffff].map((totalLength) =>
        forge.ipv4Frame({ source, payload, totalLength }),
      ),
      ...[0, 1, 35, 37, 72, 0xffff].map((totalLength) =>
        forge.ipv6Frame({ source: "2001:db8::66", payload, totalLength }),
      ),
    ];
    const { shorterThanHeader, tooShort } = await withstood(frames, 50);
    assert.ok((shorterThanHeader ?? 0) + (tooShort ?? 0) >= frames.length - 2);
  });

  test("fragments, extension headers, VLAN tags and jumbo frames", async () => {
    const payload = believable();
    const source = "10.0.0.66";
    const source6 = "2001:db8::66";
    /** An extension header of eight bytes that announces CARP. */
    const extension = (...bytes: number[]) => Buffer.concat([Buffer.from([112, 0, ...bytes]), payload]);
    const jumbo = Buffer.concat([payload, Buffer.alloc(8000, 0x5a)]);
    for (const host of [a, b, attacker]) await host.setMtu(9000);
    const frames = [
      forge.ipv4Frame({ source, payload, fragment: 0x2000 }),
      forge.ipv4Frame({ source, payload, fragment: 0x0001 }),
      forge.ipv4Frame({ source, payload, fragment: 0x2003 }),
      forge.ipv6Frame({ source: source6, protocol: 44, payload: extension(0, 1, 0, 0, 0, 1) }),
      forge.ipv6Frame({ source: source6, protocol: 0, payload: extension(1, 4, 0, 0, 0, 0) }),
      forge.ipv6Frame({ source: source6, protocol: 60, payload: extension(1, 4, 0, 0, 0, 0) }),
      forge.ipv6Frame({ source: source6, protocol: 43, payload: extension(0, 0, 0, 0, 0, 0) }),
      forge.tagged(forge.ipv4Frame({ source, payload }), 7),
      forge.tagged(forge.ipv6Frame({ source: source6, payload }), 7),
      forge.tagged(forge.tagged(forge.ipv4Frame({ source, payload }), 7), 8),
      forge.ipv4Frame({ source, payload: Buffer.concat([jumbo.subarray(1), jumbo]).subarray(0, 8900) }),
    ];
    await withstood(frames, 50);
  });

  test("random bytes", async () => {
    const bytes = (length: number) => Buffer.from(Array.from({ length }, () => random(256)));
    const frames = Array.from({ length: 3000 }, (_, n) => {
      const payload = bytes(random(120));
      const kind = n % 4;
      if (kind === 0) return forge.ipv4Frame({ source: "10.0.0.66", payload });
      if (kind === 1) return forge.ipv6Frame({ source: "2001:db8::66", payload });
      // The right protocol in an otherwise random header.
      const frame = Buffer.concat([macBytes("01:00:5e:00:00:12"), macBytes("02:00:00:00:66:66"), bytes(100)]);
      frame.set(kind === 2 ? [0x08, 0x00] : [0x86, 0xdd], 12);
      frame[kind === 2 ? 14 + 9 : 14 + 6] = 112;
      return frame;
    });
    await withstood(frames, 50);
  });

  test("every value of every byte of an otherwise valid advertisement", async () => {
    const recorded: Frame = await advertised.waitFor(() => true, { from: advertised.frames.length });
    const frames = Array.from({ length: 36 }, (_, offset) => offset)
      .filter((offset) => offset !== 6 && offset !== 7)
      .flatMap((offset) =>
        Array.from({ length: 256 }, (_, value) => {
          const changed = forge.withByte(recorded.bytes, offset, value);
          changed.set(macBytes("02:00:00:00:66:66"), 6);
          return changed;
        }),
      )
      // The digest does not cover advbase, advskew and demote: CARP accepts any value of them.
      .filter((frame) => ![2, 3, 4, 5].some((offset) => frame[34 + offset] !== recorded.bytes[34 + offset]));
    // Below the rate limit for unauthenticated packets.
    const { badAuthentication, badVhid, badVersion } = await withstood(frames, 500);
    assert.ok((badAuthentication ?? 0) > 7000, String(badAuthentication));
    assert.ok((badVhid ?? 0) >= 250 && (badVersion ?? 0) >= 250, `${badVhid} ${badVersion}`);
  });

  test("a flood of forgeries, as fast as they come", async () => {
    const begin = advertised.frames.length;
    const forged = forge.advertisement({ vhid: 1, pass: "wrong", addresses: [SHARED], counter: 1n });
    // More a second than a host can examine.
    const frames = Array<Buffer>(150_000).fill(forge.ipv4Frame({ source: "10.0.0.66", payload: forged }));
    for (const host of [a, b]) await host.command("sysctl", "net.inet.carp.log=2");
    const before = await b.engine.request("statistics", {});
    await withstood(frames);
    // The rate limit adds to the statistics once a second.
    await eventually(
      () => b.engine.request("statistics", {}),
      ({ badAuthentication, unexamined }) =>
        badAuthentication > before.badAuthentication &&
        badAuthentication + unexamined - before.badAuthentication > frames.length / 2,
    );
    assert.ok(advertised.frames.length > begin + 2);
  });

  test("a log flood: the first lines of each second, and how many more there were", async () => {
    const forged = forge.advertisement({ vhid: 1, pass: "wrong", addresses: [SHARED], counter: 1n });
    const frames = Array<Buffer>(5000).fill(forge.ipv4Frame({ source: "10.0.0.66", payload: forged }));
    for (const host of [a, b]) await host.command("sysctl", "net.inet.carp.log=7");
    const begin = b.engine.log.length;
    await withstood(frames);
    const leftOut = /^<6>(\d+) more lines like these were left out, the last: /;
    const { text } = await b.engine.waitForLog(leftOut, { from: begin });
    assert.ok(Number(leftOut.exec(text)?.[1]) > 100, text);
    const { badAuthentication } = await b.engine.request("statistics", {});
    assert.ok(b.engine.log.length - begin < badAuthentication / 10);
  });

  test("the advertisement that the others were made from is accepted when it is whole", async () => {
    const begin = b.engine.log.length;
    await attacker.inject("eth0", forge.ipv4Frame({ source: "10.0.0.66", payload: believable() }));
    await b.engine.waitForLog(/carp0: state transition: BACKUP -> MASTER/, { from: begin });
    await b.waitForState("carp0", "BACKUP");
  });

  test("commands are answered as before", async () => {
    assert.match((await b.command("status")).stdout, /^carp0\s+1\s+BACKUP\s/m);
    assert.match((await a.command("status")).stdout, /^carp0\s+1\s+MASTER\s/m);
  });
});

/** Numbers below n, the same for the same seed (mulberry32). */
function randomness(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}
