/** Engines that die or stand still under systemd, and a machine that loses power. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tried } from "./available.ts";
import { assertNothingLost, Pair } from "./pair.ts";

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("systemd starts a killed and a stopped engine again, which continues as MASTER", async () => {
      await using pair = await Pair.boot(release, deb);
      const { a, b } = pair;
      const quiet = { a: await a.mark(), b: await b.mark() };
      for (const [what, signal] of [["crash", "KILL"] as const, ["watchdog", "STOP"] as const]) {
        const pid = await a.enginePid();
        const report = await pair.pingedDuring(async () => {
          await a.run("kill", `-${signal}`, String(pid));
          await a.waitForEngineAfter(pid);
          await a.waitForState("carp0", "MASTER");
        });
        assertNothingLost(`${name}, ${what}`, report);
      }
      await a.journal.waitFor(/carpd\.service: Watchdog timeout/);
      assert.deepEqual([await a.transitions(quiet.a), await b.transitions(quiet.b)], [[], []]);
      assert.equal(await a.property("carpd.service", "NRestarts"), "2");
    });

    test("a machine that loses power is succeeded, and is BACKUP when it returns", async () => {
      await using pair = await Pair.boot(release, deb);
      const { a, b } = pair;
      await a.host.pullCable();
      await a.cutPower();
      // A namespace keeps what a kernel without power does not.
      await a.host.namespace.ip(["link delete carp0"]);
      await b.waitForState("carp0", "MASTER");
      await pair.pingedDuring(async () => {});

      await a.host.plugCable();
      const quiet = await b.mark();
      await a.powerOn();
      await a.waitForState("carp0", "BACKUP");
      assert.equal(await b.state("carp0"), "MASTER");
      assert.deepEqual(await b.transitions(quiet), []);
    });
  });
