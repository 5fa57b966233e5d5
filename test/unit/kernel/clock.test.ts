/** The engine's clock against the kernel's own readings. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createClock } from "../../../src/kernel/process/clock.ts";

test("the clock counts whole microseconds since boot and since the epoch", () => {
  const bootSeconds = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const earliest = { boot: bootSeconds() * 1e6, epoch: Date.now() * 1000 };
  const { us, epochUs } = createClock().now();
  // /proc/uptime counts hundredths, Date.now thousandths: each may be that much behind.
  const latest = { boot: bootSeconds() * 1e6 + 10_000, epoch: Date.now() * 1000 + 1000 };
  assert.ok(Number.isSafeInteger(us) && Number.isSafeInteger(epochUs));
  assert.ok(
    us >= earliest.boot && us <= latest.boot,
    `${us} is not within ${JSON.stringify([earliest, latest])}`,
  );
  assert.ok(epochUs >= earliest.epoch && epochUs <= latest.epoch);
});

test("the clock never goes back", () => {
  const clock = createClock();
  let before = clock.now().us;
  for (let reading = 0; reading < 10_000; reading++) {
    const { us } = clock.now();
    assert.ok(us >= before);
    before = us;
  }
});
