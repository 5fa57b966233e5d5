/** A service manager that restarts an engine, or starts it again after a crash, loses nothing. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createNetwork } from "../hosts/index.ts";
import { childrenOf, commandOf } from "../hosts/processes.ts";
import { CARPCTL } from "../hosts/program.ts";
import { Supervised } from "../hosts/supervised.ts";
import { assertNothingLost, configure } from "./carp-hosts.ts";
import { type Restart, restartInEveryWay, WAYS } from "./restarts.ts";

test("restarted in its lease, in whatever way it ended, an engine goes on as MASTER, as it was configured", async () => {
  const restarts: Restart[] = [];
  await restartInEveryWay({ times: 1 }, (restart) => restarts.push(restart));
  assert.equal(restarts.length, WAYS.length);
  for (const { way, ended, pings, peer, own, isConfigured } of restarts) {
    const found = { ended, peer, backup: own.includes("BACKUP"), isConfigured };
    assert.deepEqual(found, { ended: way.ended, peer: [], backup: false, isConfigured: true }, way.name);
    assertNothingLost(pings);
  }
});

test("an engine whose runner cannot be started any more leaves everything in place and exits with status 75", async () => {
  const lan = await createNetwork();
  try {
    const a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    const supervised = await Supervised.start(a, { program: [CARPCTL] });
    await configure(a, { addresses: ["10.0.0.1"], advbase: 4 });
    await supervised.engine.request("change", { name: "carp0", change: { state: "master" } });
    const before = await a.addresses("carp0");
    const [shell] = childrenOf(supervised.pid).filter((pid) => commandOf(pid).includes("carp-runner"));
    assert.ok(shell !== undefined);
    assert.equal(await supervised.restarts(() => process.kill(shell, "SIGKILL")), "exited 75");
    assert.deepEqual(await a.addresses("carp0"), before);
    assert.equal(await supervised.engine.state("carp0"), "MASTER");
    await supervised.engine.request("service-status", {});
    await supervised.engine.stop();
  } finally {
    lan.destroy();
  }
});
