/**
 * Two Debian machines with the package: one takes over from the other and gives back, and neither a restart nor an
 * upgrade moves the address.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeDirectory } from "../hosts/resources.ts";
import { tried } from "./available.ts";
import { higherVersionOf } from "./package.ts";
import { assertNothingLost, Pair } from "./pair.ts";

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("two hosts fail over in order, and a restart and an upgrade move nothing", async () => {
      await using pair = await Pair.boot(release, deb);
      const { a, b } = pair;
      const threads = await a.run("chrt", "--all-tasks", "--pid", String(await a.enginePid()));
      for (const line of threads.split("\n").filter((each) => each.includes("policy")))
        assert.match(line, /: SCHED_RR$/);

      assertNothingLost(
        `${name}, systemctl stop`,
        await pair.pingedDuring(async () => {
          await Promise.all([a.run("systemctl", "stop", "carpd"), b.waitForState("carp0", "MASTER")]);
        }),
      );
      await a.run("systemctl", "start", "carpd");
      await a.waitForState("carp0", "BACKUP");
      assertNothingLost(
        `${name}, back`,
        await pair.pingedDuring(async () => {
          await Promise.all([b.run("systemctl", "stop", "carpd"), a.waitForState("carp0", "MASTER")]);
        }),
      );
      await b.run("systemctl", "start", "carpd");
      await b.waitForState("carp0", "BACKUP");

      const quiet = await b.mark();
      const first = await a.enginePid();
      assertNothingLost(
        `${name}, systemctl restart`,
        await pair.pingedDuring(() => a.run("systemctl", "restart", "carpd")),
      );
      const second = await a.enginePid();
      assert.notEqual(second, first);

      const higher = await higherVersionOf(deb, makeDirectory("higher"));
      assertNothingLost(`${name}, upgrade`, await pair.pingedDuring(() => a.install(higher)));
      assert.notEqual(await a.enginePid(), second);
      assert.match(await a.run("dpkg-query", "--show", "carpctl"), /later$/m);
      assert.equal(await a.state("carp0"), "MASTER");
      assert.deepEqual(await b.transitions(quiet), []);
    });
  });
