/**
 * Connections through two firewalls outlast their failovers: real conntrackd, nftables that accept only known
 * connections, NAT to the shared address, and the hook of the examples.
 */

import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { eventually } from "../hosts/index.ts";
import { createFirewalls, type Firewall, type Firewalls, SERVER } from "./firewalls.ts";
import { nameFtpPort, serve, Transfer, waitQuietly } from "./transfers.ts";

/** Connection tracking reads the control connections of FTP. */
const HELPER = `
add ct helper inet firewall ftp { type "ftp" protocol tcp; }
add chain inet firewall helpers { type filter hook prerouting priority filter; }
add rule inet firewall helpers tcp dport 21 ct helper set "ftp"
`;

/** What conntrackd is asked for by a host that has become MASTER, or BACKUP of all. */
const AS_MASTER =
  /committing all .*flushing caches.*resync with master conntrack table.*sending bulk update/s;
const AS_BACKUP = /resync requested\n.*flushing conntrack table in 60 secs/s;

class Transfers {
  readonly #all: Readonly<Record<string, Transfer>>;
  readonly #context: TestContext;

  constructor(all: Record<string, Transfer>, context: TestContext) {
    this.#all = all;
    this.#context = context;
  }

  /** Resolves when all have gone on, and tells how long each stalled. */
  async goOn(after: string): Promise<void> {
    for (const [name, each] of Object.entries(this.#all)) {
      const { stallMs } = await each.goesOn();
      this.#context.diagnostic(`${after}: ${name} stalled for ${stallMs} ms`);
    }
  }

  /** Each went on to the end, without a reset and with all its bytes in order. */
  async end(): Promise<void> {
    for (const [name, each] of Object.entries(this.#all)) {
      const { bytes, error } = await each.stop();
      assert.equal(error, null, name);
      this.#context.diagnostic(`${name}: ${(bytes / 1e6).toFixed(1)} MB`);
    }
  }
}

describe("two firewalls with conntrackd, one of them MASTER", () => {
  let pair: Firewalls;
  let a: Firewall;
  let b: Firewall;
  before(async () => {
    pair = await createFirewalls();
    ({ a, b } = pair);
    await a.share("advbase 0 advskew 50");
    await a.waitForState("MASTER");
    await b.share("advbase 0 advskew 100");
    await b.waitForState("BACKUP");
  });
  after(() => pair?.destroy());

  test("the doctor has no complaint", async () => {
    const [hook, sync = "", rules] = await b.doctor();
    assert.equal(hook, "ok conntrackd: the hook conntrackd has it take over the states of connections");
    assert.match(sync, /^ok conntrackd: in sync: \d+ states of this host, \d+ of other hosts$/);
    assert.equal(
      rules,
      "ok nftables: only packets of known connections, and those that begin one, are forwarded",
    );
  });

  test("a connection that a helper expects is let in by the new MASTER", async () => {
    const { client, server } = pair;
    for (const { host } of [a, b]) await host.run("nft", HELPER);
    const { fetch } = await nameFtpPort(client, server, SERVER[6], "2001:db8:1::9");
    await a.host.carpctl("maintenance", "on");
    await b.waitForState("MASTER");
    await fetch();
    await a.host.carpctl("maintenance", "off");
    await a.waitForState("MASTER");
    await b.waitForState("BACKUP");
  });

  test("connections outlast planned and unplanned failovers in both directions", async (context) => {
    const { client, server } = pair;
    const { tellQuiet } = await serve(server);
    const quiet = await waitQuietly(client, SERVER[4]);
    const download = await Transfer.start(client, { target: SERVER[4], rate: 40 });
    const transfers = new Transfers(
      {
        "TCP with NAT": download,
        "TCP over IPv6": await Transfer.start(client, { target: SERVER[6] }),
        "UDP with NAT": await Transfer.start(client, { kind: "udp", target: SERVER[4] }),
      },
      context,
    );
    await transfers.goOn("before");

    const before = b.log.length;
    await a.die();
    await b.waitForState("MASTER");
    await transfers.goOn("a died");
    await eventually(
      async () => b.log.slice(before),
      (log) => AS_MASTER.test(log),
    );

    await a.boot();
    const received = a.startHook();
    await a.host.engine.log.waitFor(/demoted by 240 to 240 \(pfsync\)/);
    await a.share("advbase 0 advskew 50");
    await a.waitForState("MASTER");
    await transfers.goOn("a is back");
    const log = a.host.engine.log.lines.map(({ text }) => text);
    const at = (pattern: RegExp) => log.findIndex((text) => pattern.test(text));
    assert.ok(at(/promoted by 240 to 0 \(pfsync\)/) < at(/-> MASTER/), "MASTER only with the states of b");
    assert.deepEqual(await received.exited, { code: 0, signal: null });
    assert.match(`${received.log}`, /pfsync bulk start\n.*pfsync bulk done: [1-9]\d* states in \d+ s/);

    const since = a.log.length;
    await a.host.carpctl("maintenance", "on");
    await b.waitForState("MASTER");
    await transfers.goOn("a in maintenance");
    await eventually(
      async () => a.log.slice(since),
      (log) => AS_BACKUP.test(log),
    );

    await b.die();
    await a.waitForState("MASTER");
    await transfers.goOn("b died");

    // Only a firewall that has the state lets this in: no packet from inside could make one.
    tellQuiet();
    await quiet.told();
    await eventually(
      () => download.goesOn(),
      ({ bytes }) => bytes >= 200e6,
    );
    await transfers.end();
  });
});

describe("two firewalls with conntrackd, both of them MASTER", () => {
  let pair: Firewalls;
  const sources = Array.from({ length: 4 }, (_, n) => `2001:db8:1::${10 + n}`);
  before(async () => {
    pair = await createFirewalls("conntrackd-two-active.conf");
    const { a, b, client, inside, outside } = pair;
    await Promise.all([inside.flood(), outside.flood()]);
    await client.namespace.ip(sources.map((each) => `address add ${each}/64 dev eth0 nodad`));
    for (const [firewall, skews] of [
      [a, [50, 100]],
      [b, [100, 50]],
    ] as const)
      await firewall.share(`advbase 0 balancing ip carpnodes 1:${skews[0]},2:${skews[1]}`);
    for (const { carp } of a.legs) {
      await a.host.waitForState(carp, "MASTER", 1);
      await b.host.waitForState(carp, "MASTER", 2);
    }
  });
  after(() => pair?.destroy());

  test("connections of both go on when one dies and when it is back", async (context) => {
    const { a, b, client, server } = pair;
    await serve(server);
    const all: Record<string, Transfer> = {};
    for (const each of sources)
      all[`TCP from ${each}`] = await Transfer.start(client, { target: SERVER[6], source: each });
    const transfers = new Transfers(all, context);
    await transfers.goOn("before");

    await b.die();
    for (const { carp } of a.legs) await a.host.waitForState(carp, "MASTER", 2);
    await transfers.goOn("b died");

    await b.boot();
    const received = b.startHook();
    await received.log.waitFor(/pfsync bulk start/);
    await b.share("advbase 0 balancing ip carpnodes 1:100,2:50");
    await received.log.waitFor(/pfsync bulk done/);
    for (const { carp } of b.legs) await b.host.waitForState(carp, "MASTER", 2);
    await transfers.goOn("b is back");
    await transfers.end();
  });
});
