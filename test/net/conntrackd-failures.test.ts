/** A conntrackd that is hung, dead or hears no other host is told of, and never waited for longer than the limit. */

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createFirewalls, type Firewalls } from "./firewalls.ts";

describe("a conntrackd that does not work", () => {
  let pair: Firewalls;
  before(async () => {
    pair = await createFirewalls();
  });
  after(() => pair?.destroy());

  const LIMIT = { CONNTRACKD_LIMIT: "2" };
  const failure = async ({ a }: Firewalls, reason: RegExp) => {
    const start = a.startHook(LIMIT);
    assert.deepEqual(await start.exited, { code: 1, signal: null });
    assert.match(`${start.log}`, /pfsync bulk start/);
    assert.match(`${start.log}`, reason);
    const { stdout } = await a.host.carpctl("sysctl", "-n", "net.inet.carp.demotion");
    assert.equal(stdout, "0\n");
  };

  test("a host that becomes MASTER while the other is silent waits no longer", async () => {
    const { a, b } = pair;
    b.conntrackd.kill("SIGKILL");
    await b.conntrackd.exited;
    const start = a.startHook();
    await start.log.waitFor(/pfsync bulk start/);
    await a.share("advbase 0 advskew 50");
    assert.deepEqual(await start.exited, { code: 0, signal: null });
    assert.match(`${start.log}`, /pfsync bulk fail: this host is MASTER, and the other host was not heard/);
    for (const { carp } of a.legs) await a.host.carpctl(carp, "destroy");
  });

  test("a host without the other's states is demoted no longer than the limit", async () => {
    const { a } = pair;
    await failure(pair, /pfsync bulk fail: the other host was not heard within 2 s/);
    a.conntrackd.kill("SIGSTOP");
    await failure(pair, /pfsync bulk fail: conntrackd did not answer within 2 s/);
    assert.match((await a.doctor())[1] ?? "", /^error conntrackd: it runs, but does not answer/);
  });

  test("a change of state is told of, with the reason", async () => {
    const { a } = pair;
    await a.share("advbase 0 advskew 50");
    await a.host.engine.log.waitFor(
      /hook conntrackd failed for carp0 vhid 1: INIT -> BACKUP: exit status 1: conntrackd -n: no answer within 2 s/,
    );
    a.conntrackd.kill("SIGKILL");
    await a.conntrackd.exited;
    await a.host.engine.log.waitFor(
      /hook conntrackd failed for carp\d vhid \d: BACKUP -> MASTER: exit status 1: conntrackd -c: .*can't connect/,
    );
    await a.host.run("nft", "flush", "ruleset");
    rmSync(a.hook);
    assert.deepEqual(await a.doctor(), [
      "warning conntrackd: no hook has it take over the states of connections",
      "error conntrackd: it does not run: connections break at a failover",
      "warning nftables: packets are forwarded that belong to no known connection: no chain at the hook forward drops by default",
    ]);
  });
});
