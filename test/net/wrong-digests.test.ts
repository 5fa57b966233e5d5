/**
 * Why another host's advertisements are not believed: two engines with a mistake for each vhid, and ucarp with another
 * pass, beside a flood of forgeries, which changes nothing.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Finding } from "../../src/control/messages.ts";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

const PASS = "Sesame, of 25 bytes or so";
const OTHER_PASS = "Open";

interface Mistake {
  readonly vhid: number;
  /** Behind `carpN`, `carpdev eth0` and `vhid N`. */
  readonly here: readonly string[];
  readonly there: readonly string[];
  /** What host a says of b, and b of a. */
  readonly said: RegExp;
  readonly saidThere: RegExp;
}

const shared = (vhid: number, pass = PASS) => [`10.0.0.${100 + vhid}/24`, "pass", pass];

const MISTAKES: readonly Mistake[] = [
  {
    vhid: 1,
    here: [...shared(1), "alias", "10.0.0.201/24"],
    there: shared(1),
    said: /^10\.0\.0\.3 has the same pass, but not 10\.0\.0\.201: add it there or remove it here$/,
    saidThere: /^10\.0\.0\.2 has the same pass, but also 10\.0\.0\.201: remove it there or add it here$/,
  },
  {
    vhid: 2,
    here: shared(2),
    there: [...shared(2), "inet6", "alias", "2001:db8::21/64"],
    said: /^10\.0\.0\.3 has the same pass, but also 2001:db8::21/,
    saidThere: /^10\.0\.0\.2 has the same pass, but not 2001:db8::21/,
  },
  {
    vhid: 3,
    here: shared(3),
    there: [...shared(3), "lladdr", "02:00:00:00:00:33"],
    said: /^10\.0\.0\.3 has the same pass and addresses, but signs the lladdr 02:00:00:00:00:33, and none/,
    saidThere: /^10\.0\.0\.2 has the same pass and addresses, but does not sign the lladdr 02:00:00:00:00:33/,
  },
  {
    vhid: 4,
    here: shared(4),
    there: shared(4, ""),
    said: /^10\.0\.0\.3 has no pass: set the pass there$/,
    saidThere:
      /^10\.0\.0\.2 has the pass that carp1 has here \(vhid 1\), and this vhid has none here: set the same pass here$/,
  },
  {
    vhid: 5,
    here: shared(5),
    there: shared(5, OTHER_PASS),
    said: /^10\.0\.0\.3 has the pass that carp6 has here \(vhid 6\)/,
    saidThere: /^10\.0\.0\.2 has the pass that carp1 has here \(vhid 1\): set the same pass on both hosts$/,
  },
  {
    vhid: 6,
    here: shared(6, OTHER_PASS),
    there: shared(6, `${OTHER_PASS} `),
    said: /^10\.0\.0\.3 has the same pass with a blank before or behind it/,
    saidThere: /^10\.0\.0\.2 has .*(pass that carp5 has here|without the blanks)/,
  },
];
const UCARP = 7;

interface Wrong {
  readonly vhid: number;
  readonly source: string;
  readonly cause: string;
  readonly text: string;
  readonly todo: string;
}

describe("a wrong digest", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let c: Host;

  before(async () => {
    lan = await createNetwork();
    [a, b, c] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
      lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
      lan.host("c", { addresses: ["10.0.0.4/24", "2001:db8::4/64"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    // What is changed is changed at once.
    for (const host of [a, b]) await host.command("sysctl", "net.inet.carp.grace=0");
  });
  after(() => lan.destroy());

  /** What the host says of each vhid's other host. */
  async function wrongs(host: Host): Promise<Map<number, Wrong>> {
    const { stdout } = await host.command("status", "--json");
    const interfaces: { wrongDigests: Wrong[] }[] = JSON.parse(stdout).interfaces;
    return new Map(
      interfaces
        .flatMap(({ wrongDigests }) => wrongDigests)
        .filter(({ source }) => source.includes("."))
        .map((each) => [each.vhid, each]),
    );
  }
  const line = (wrong: Wrong | undefined) => `${wrong?.text}: ${wrong?.todo}`;

  test("is explained by status, doctor, monitor and the log, and its host not believed", async () => {
    const monitor = a.spawn(CARPCTL, ["monitor", "--json"]);
    await monitor.log.waitFor(/"event":"following"/);
    for (const { vhid, here, there } of MISTAKES)
      for (const [host, words] of [
        [a, here],
        [b, there],
      ] as const)
        await host.command(
          `carp${vhid}`,
          ...words,
          "carpdev",
          "eth0",
          "vhid",
          String(vhid),
          "state",
          "master",
        );
    await a.command("carp7", ...shared(UCARP), "carpdev", "eth0", "vhid", String(UCARP), "state", "master");
    c.startUcarp({ vhid: UCARP, pass: "guessed", address: "10.0.0.107", source: "10.0.0.4" });

    const count = MISTAKES.length + 1;
    const said = await eventually(
      () => wrongs(a),
      ({ size }) => size === count,
    );
    const saidThere = await eventually(
      () => wrongs(b),
      ({ size }) => size === MISTAKES.length,
    );
    for (const { vhid, ...mistake } of MISTAKES) {
      assert.match(line(said.get(vhid)), mistake.said);
      assert.match(line(saidThere.get(vhid)), mistake.saidThere);
    }
    assert.match(
      line(said.get(UCARP)),
      /^10\.0\.0\.4 has another pass, neither none nor that of another .* one: give/,
    );

    const first = "10.0.0.3 has the same pass, but not 10.0.0.201";
    const { stdout: table } = await a.command("status");
    assert.ok(
      table.replaceAll(/\s+/g, " ").includes(`carp1: ${first}: add it there or remove it here`),
      table,
    );
    const { stdout: examined } = await a.tryCommand("doctor", "--json");
    const { findings } = JSON.parse(examined);
    const about = findings.filter(({ subject }: { subject: string }) => subject.startsWith("carp1 vhid 1"));
    assert.deepEqual(
      about.filter(({ level }: { level: string }) => level === "error"),
      [
        {
          level: "error",
          kind: "digest-address-missing",
          subject: "carp1 vhid 1",
          text: first,
          todo: "add it there or remove it here",
        },
      ],
    );
    assert.ok(!examined.includes("incorrect hash from 10.0.0.3"), examined);

    const events = monitor.log.lines.map(({ text }) => JSON.parse(text));
    const told = events.filter(({ event }) => event === "wrong-digest");
    assert.deepEqual(
      told
        .filter(({ vhid }) => vhid === 1)
        .map(({ interface: name, source, cause, text }) => [name, source, cause, text]),
      [["carp1", "10.0.0.3", "address-missing", first]],
    );
    const lines = a.engine.log.lines.filter(({ text }) => text.includes(first));
    assert.deepEqual(
      lines.map(({ text }) => text),
      [`<3>carp1: ${first}: add it there or remove it here`],
    );

    for (const { vhid } of MISTAKES) assert.equal(await a.engine.state(`carp${vhid}`), "MASTER");
    const everything = [examined, table, JSON.stringify([...said, ...saidThere, ...events])];
    for (const { text } of [...a.engine.log.lines, ...b.engine.log.lines]) everything.push(text);
    for (const text of everything)
      for (const pass of [PASS, OTHER_PASS, "guessed"]) assert.ok(!text.includes(pass), text);
    monitor.kill("SIGTERM");
    await monitor.exited;
  });

  test("is explained no more once the hosts agree", async () => {
    await b.command("carp1", "alias", "10.0.0.201/24");
    const believed = async (host: Host) => {
      const { interfaces } = await host.engine.request("interfaces", {});
      return interfaces.find(({ name }) => name === "carp1")?.nodes[0]?.heard !== undefined;
    };
    const [isA] = await eventually(
      async () => [await believed(a), await believed(b)],
      (both) => both.includes(true),
    );
    assert.ok(!(await wrongs(isA ? a : b)).has(1));
  });

  test("an interface under another vhid, a master with another advbase, and other groups are told", async () => {
    const carp8 = ["carp8", ...shared(8), "carpdev", "eth0", "vhid"];
    await a.command(...carp8, "8", "state", "master");
    await b.command(...carp8, "80", "advbase", "2", "state", "master");
    const advertised = { vhid: 99, pass: "other", addresses: ["10.0.0.70"], counter: 1n };
    await c.inject("eth0", forge.ipv4Frame({ source: "10.0.0.4", payload: forge.advertisement(advertised) }));
    const finds = (host: Host, pattern: RegExp) =>
      eventually(
        async () => {
          const { stdout } = await host.tryCommand("doctor", "--listen", "1", "--json");
          const { findings }: { findings: Finding[] } = JSON.parse(stdout);
          return findings.map(({ level, subject, text, todo }) => `${level} ${subject}: ${text} -> ${todo}`);
        },
        (lines) => lines.some((each) => pattern.test(each)),
      );
    await finds(
      a,
      /^error carp8: 10\.0\.0\.3 has under vhid 80 the pass and the addresses of carp8 here \(vhid 8\) -> give both/,
    );
    await finds(a, /^ok eth0: other CARP groups are here too, with vhid 99 \(10\.0\.0\.4\)/);
    await b.command("carp8", "vhid", "8");
    await finds(
      b,
      /^warning carp8 vhid 8: 10\.0\.0\.2 advertises with advbase 1, and this host would with 2/,
    );
  });

  test("is looked for beside a flood of forgeries, and no advertisement is late for it", async () => {
    const wire = await c.capture("eth0", "ether src 00:00:5e:00:01:02 and ip proto 112 and src 10.0.0.2");
    const forged = forge.advertisement({ vhid: 2, pass: "guessed", addresses: ["10.0.0.102"], counter: 1n });
    const frames = Array.from({ length: 100_000 }, (_, n) =>
      forge.ipv4Frame({ source: `10.${n % 3}.${1 + ((n >> 8) & 127)}.${n & 255}`, payload: forged }),
    );
    const before = await wrongs(a);
    await c.injectAll("eth0", frames);
    const after = await wrongs(a);
    for (const [vhid, { text }] of before) assert.equal(after.get(vhid)?.text, text);
    await wire.waitFor(() => wire.frames.length >= 3);
    const timesUs = wire.frames.map(({ timeUs }) => timeUs);
    const gapsUs = timesUs.slice(1).map((timeUs, n) => timeUs - (timesUs[n] ?? 0));
    // His next advertisement would be due, and his lease not over.
    assert.ok(Math.max(...gapsUs) < 3e6, gapsUs.join());
    assert.equal(await a.engine.state("carp2"), "MASTER");
  });
});
