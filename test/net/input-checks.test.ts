/**
 * Advertisements that are discarded: each reason has its statistic, its log line and priority, and no effect.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
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

describe("advertisements that are discarded", () => {
  let lan: Network;
  /** MASTER of vhid 1. */
  let a: Host;
  /** BACKUP of vhid 1. */
  let b: Host;
  let attacker: Host;
  let wire: Capture;

  before(async () => {
    lan = await createNetwork();
    [a, b, attacker] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("attacker", { addresses: ["10.0.0.66/24", "2001:db8::66/64"] }),
    ]);
    wire = await attacker.capture("eth0", "ip proto 112");
    await Promise.all([a.startEngine(), b.startEngine()]);
    await share(a, 0);
    await a.waitForState("carp0", "MASTER");
    await share(b, 20);
    await b.waitForState("carp0", "BACKUP");
    await heard(2);
  });
  after(() => lan.destroy());

  const share = (host: Host, advskew: number) =>
    host.command(
      ...["carp0", `${SHARED}/24`, "carpdev", "eth0", "vhid", "1", "pass", PASS],
      ...["advbase", "1", "advskew", String(advskew)],
    );

  /** Waits for further advertisements of the MASTER. @returns the last of them */
  const heard = async (count: number): Promise<Frame> => {
    const from = wire.frames.length;
    let seen = 0;
    return wire.waitFor(({ ipv4 }) => ipv4?.source === "10.0.0.2" && ++seen === count, { from });
  };

  /** Injects frames and checks by how much b's statistics grew and the line that it logged of each frame. */
  async function refused(
    frames: readonly Buffer[],
    counted: Partial<Statistics>,
    line: RegExp,
  ): Promise<void> {
    const begin = b.engine.log.length;
    const before = await statistics(b);
    await attacker.injectAll("eth0", frames);
    const lines = () => b.engine.log.lines.slice(begin).map(({ text }) => text);
    await eventually(
      async () => lines(),
      ({ length }) => length >= frames.length,
    );
    assert.deepEqual(
      lines().filter((text) => !line.test(text)),
      [],
    );
    const now = await statistics(b);
    for (const name of REFUSALS) assert.equal(now[name] - before[name], counted[name] ?? 0, name);
    await undisturbed();
  }

  async function undisturbed(): Promise<void> {
    await heard(1);
    assert.deepEqual([await a.engine.state("carp0"), await b.engine.state("carp0")], ["MASTER", "BACKUP"]);
    assert.deepEqual(
      b.engine.transitions.filter(({ to }) => to === "MASTER"),
      [],
    );
  }

  /** An advertisement that would make a BACKUP take over, and a MASTER yield. */
  const tempting = (pass: string, counter = 1n) =>
    forge.advertisement({ vhid: 1, pass, addresses: [SHARED], counter, advbase: 255, advskew: 255 });
  const from = (payload: Uint8Array) => forge.ipv4Frame({ source: "10.0.0.66", payload });

  test("with a wrong pass", async () => {
    const line = /^<6>carp0: vhid 1: incorrect hash from 10\.0\.0\.66 on eth0$/;
    await refused([from(tempting("wrong"))], { badAuthentication: 1 }, line);
  });

  test("with a TTL or hop limit of 254", async () => {
    const recorded = await heard(1);
    const payload = tempting(PASS);
    const line = /^<5>TTL 254 instead of 255 from /;
    const frames = [
      forge.withTtl(recorded.bytes, 254),
      forge.ipv4Frame({ source: "10.0.0.66", payload, hops: 254 }),
      forge.ipv6Frame({ source: "2001:db8::66", payload, hops: 254 }),
    ];
    await refused(frames, { badTtl: 3 }, line);
  });

  test("with another address list", async () => {
    const payload = forge.advertisement({ vhid: 1, pass: PASS, addresses: ["10.0.0.9"], counter: 1n });
    await refused([from(payload)], { badAuthentication: 1 }, /^<6>carp0: vhid 1: incorrect hash/);
  });

  test("that are too short, damaged, of another version or another vhid", async () => {
    const whole = tempting(PASS);
    const damaged = Buffer.from(whole);
    damaged[5] = 7;
    const other = forge.advertisement({ vhid: 9, pass: PASS, addresses: [SHARED], counter: 1n });
    const version = forge.advertisement({
      vhid: 1,
      pass: PASS,
      addresses: [SHARED],
      counter: 1n,
      version: 3,
    });
    await refused([from(whole.subarray(0, 35))], { tooShort: 1 }, /^<6>carp packet of 35 bytes from /);
    await refused([from(damaged)], { badChecksum: 1 }, /^<6>wrong checksum from /);
    await refused([from(version)], { badVersion: 1 }, /^<5>carp0: vhid 1: version 3 type 1 from /);
    await refused([from(other)], { badVhid: 1 }, /^<7>unknown vhid 9 from /);
  });

  test("netstat shows the statistics, as text and as JSON", async () => {
    const counted = await statistics(b);
    const { stdout } = await b.command("netstat");
    for (const text of [
      `\t\t${counted.badTtl} packets discarded for wrong TTL\n`,
      `\t\t${counted.badAuthentication} discarded for bad authentication\n`,
      `\t\t${counted.badVhid} discarded for unknown vhid\n`,
      `\t\t${counted.tooShort} discarded because packet too short\n`,
    ])
      assert.ok(stdout.includes(text), `${text} in\n${stdout}`);
    const shown: Statistics = JSON.parse((await b.command("netstat", "--json")).stdout);
    for (const name of REFUSALS) assert.equal(shown[name], counted[name], name);
  });

  test("a host's own advertisement that comes back is reported as a replay or a loop", async () => {
    const own = await heard(1);
    const from = a.engine.log.length;
    const before = await statistics(a);
    await attacker.inject("eth0", own.bytes, { count: 3 });
    const { text } = await a.engine.waitForLog(/replay or network loop detected/, { from });
    assert.equal(text, "<4>carp0: vhid 1: replay or network loop detected from 10.0.0.2 on eth0");
    const now = await eventually(
      () => statistics(a),
      ({ badAuthentication }) => badAuthentication === before.badAuthentication + 3,
    );
    assert.equal(now.badAuthentication, before.badAuthentication + 3);
    await undisturbed();
  });

  test("thousands of forgeries change nothing, and the MASTER's advertisements keep coming", async () => {
    const begin = wire.frames.length;
    const recorded = await heard(1);
    // Each with another counter, from a MAC that is not the MASTER's.
    const wrong = (Number.parseInt(recorded.carp?.digest.slice(0, 2) ?? "", 16) + 1) & 0xff;
    const frames = Array.from({ length: 20_000 }, (_, n) => {
      const counted = forge.withByte(forge.withByte(recorded.bytes, 14, n >> 8), 15, n & 0xff);
      const forged = forge.withByte(counted, 16, wrong);
      forged.set(macBytes("02:00:00:00:66:66"), 6);
      return forged;
    });
    const before = await Promise.all([statistics(a), statistics(b)]);
    await attacker.injectAll("eth0", frames, { pauseUs: 200 });
    for (const [n, host] of [a, b].entries())
      await eventually(
        () => statistics(host),
        ({ badAuthentication, unexamined }) =>
          badAuthentication + unexamined ===
          (before[n]?.badAuthentication ?? 0) + (before[n]?.unexamined ?? 0) + frames.length,
      );
    await undisturbed();
    const genuine = wire.frames
      .slice(begin)
      .filter((frame) => frame.ethernetSource === recorded.ethernetSource);
    const counters = genuine.map(({ carp }) => carp?.counter ?? 0n);
    assert.ok(counters.every((counter, n) => n === 0 || counter > (counters[n - 1] ?? 0n)));
    const amid = wire.frames.findLastIndex((frame) => frame.ethernetSource !== recorded.ethernetSource);
    assert.ok(genuine.filter((frame) => wire.frames.indexOf(frame) < amid).length >= 3);
  });

  test("net.inet.carp.allow=0 ignores every advertisement, and counts only what was received", async () => {
    const before = await statistics(b);
    await b.command("sysctl", "net.inet.carp.allow=0");
    // It hears no MASTER, so it takes over.
    await b.waitForState("carp0", "MASTER");
    await attacker.inject("eth0", from(tempting("wrong")), { count: 5 });
    const now = await eventually(
      () => statistics(b),
      ({ receivedIpv4 }) => receivedIpv4 >= before.receivedIpv4 + 5,
    );
    for (const name of REFUSALS) assert.equal(now[name], before[name], name);
    await b.command("sysctl", "net.inet.carp.allow=1");
    await b.waitForState("carp0", "BACKUP");
  });

  test("a recorded advertisement keeps a BACKUP down, unless net.inet.carp.strict_replay=1", async () => {
    /** Silences the MASTER while its last advertisement is repeated for several master-down times. */
    const replay = async (source: (n: number) => string) => {
      const recorded = await heard(1);
      const begin = wire.frames.length;
      const payload = recorded.bytes.subarray(34);
      const frames = Array.from({ length: 14 }, (_, n) => forge.ipv4Frame({ source: source(n), payload }));
      const ended = attacker.injectAll("eth0", frames, { pauseUs: 500_000 });
      await wire.waitFor(({ carp }) => carp?.counter === recorded.carp?.counter, { from: begin });
      await a.silence();
      return { ended };
    };
    const before = await statistics(b);
    await (await replay(() => "10.0.0.2")).ended;
    assert.equal(await b.engine.state("carp0"), "BACKUP");
    assert.equal((await statistics(b)).badAuthentication, before.badAuthentication);
    await a.unsilence();
    await b.waitForState("carp0", "BACKUP");
    await heard(2);

    await b.command("sysctl", "net.inet.carp.strict_replay=1");
    const begin = b.engine.log.length;
    let over = false;
    // No digest covers the address.
    const { ended } = await replay((n) => (n % 2 === 0 ? "10.0.0.2" : `10.0.0.${100 + n}`));
    ended.finally(() => {
      over = true;
    });
    await b.engine.waitForLog(/carp0: state transition: BACKUP -> MASTER/, { from: begin });
    assert.equal(over, false);
    const { text } = await b.engine.waitForLog(/replay detected/, { from: begin });
    assert.match(text, /^<4>carp0: vhid 1: replay detected: .* from 10\.0\.0\.2 on eth0$/);
    await ended;
    await a.unsilence();
    await b.waitForState("carp0", "BACKUP");
  });
});

type Statistics = Awaited<ReturnType<typeof statistics>>;

const REFUSALS = [
  "badInterface",
  "badTtl",
  "shorterThanHeader",
  "badChecksum",
  "badVersion",
  "tooShort",
  "badAuthentication",
  "badVhid",
  "badAddressList",
] as const;

async function statistics(host: Host) {
  return host.engine.request("statistics", {});
}
