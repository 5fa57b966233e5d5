/** The rate limit for log lines that any host can cause, and its line about the rest. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { LimitedLog } from "../../../src/engine/limited-log.ts";

test("fifty lines a second are logged, then the number of lines left out", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const lines: string[] = [];
  const log = new LimitedLog((priority, text) => void lines.push(`<${priority}>${text}`));
  for (let n = 0; n < 50; n++) log.line(6, `forged ${n}`);
  assert.equal(lines.length, 50);
  for (let n = 0; n < 1000; n++) log.line(n === 500 ? 4 : 6, "forged");
  assert.equal(lines.length, 50);
  t.mock.timers.tick(1000);
  assert.deepEqual(lines.splice(0).slice(50), ["<4>1000 more lines like these were left out"]);
  log.line(6, "forged again");
  t.mock.timers.tick(1000);
  assert.deepEqual(lines, ["<6>forged again"]);
});
