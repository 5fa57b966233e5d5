/** One evaluation of the service checks at a time, shared by those who ask meanwhile, and what follows from it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Ran } from "../../../src/engine/scripts/runner/runner.ts";
import { ServiceChecks } from "../../../src/engine/scripts/service-checks.ts";

function made(exist = () => true) {
  const running: ((ran: Ran) => void)[] = [];
  const judged: (readonly string[] | undefined)[] = [];
  const checks = new ServiceChecks({
    exist,
    run: () => new Promise((end) => running.push(end)),
    judge: async (failed) => {
      judged.push(failed);
      return { demoted: (failed?.length ?? 0) > 0 };
    },
  });
  return { checks, running, judged };
}

const result = (name: string, outcome: "passed" | "failed" | "refused") => ({
  name,
  path: `/a/${name}`,
  outcome,
  output: "",
});
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("without a directory of checks none runs, and what a former one demoted for is over", async () => {
  const { checks, running, judged } = made(() => false);
  assert.deepEqual(await checks.evaluate(), { demoted: false, checks: [] });
  assert.deepEqual([running.length, judged], [0, [[]]]);
});

test("all who ask while checks run share one more run, which begins a while after the first has ended", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { checks, running, judged } = made();
  const first = checks.evaluate();
  await turn();
  const others = [checks.evaluate(), checks.evaluate(), checks.evaluate()];
  await turn();
  assert.equal(running.length, 1);
  running[0]?.({ results: [result("web", "failed")] });
  assert.equal(((await first) as { demoted: boolean }).demoted, true);
  await turn();
  context.mock.timers.tick(999);
  await turn();
  assert.equal(running.length, 1);
  context.mock.timers.tick(1);
  await turn();
  assert.equal(running.length, 2);
  running[1]?.({ results: [] });
  for (const other of others) assert.deepEqual(await other, { demoted: false, checks: [] });
  assert.deepEqual(judged, [["web"], []]);
});

test("a check that may not be run keeps the demotion, and one that failed demotes all the same", async () => {
  for (const [results, judgement] of [
    [[result("a", "refused"), result("b", "passed")], undefined],
    [[result("a", "refused"), result("b", "failed")], ["b"]],
    [[result("b", "passed")], []],
    [[], []],
  ] as const) {
    const { checks, running, judged } = made();
    const evaluation = checks.evaluate();
    await turn();
    running[0]?.({ results });
    assert.deepEqual(((await evaluation) as { checks: unknown }).checks, results);
    assert.deepEqual(judged, [judgement]);
  }
});

test("a run that was interrupted changes nothing and is an error", async () => {
  const { checks, running, judged } = made();
  const evaluation = checks.evaluate();
  await turn();
  running[0]?.({ interrupted: "it died", again: true });
  assert.deepEqual(await evaluation, { error: "the service checks did not run to their end: it died" });
  assert.deepEqual(judged, []);
});
