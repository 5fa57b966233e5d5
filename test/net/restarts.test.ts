/** A service manager that restarts an engine, or starts it again after a crash, loses nothing. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { assertNothingLost } from "./carp-hosts.ts";
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
