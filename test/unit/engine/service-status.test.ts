/** Service checks on request, shared by those who ask meanwhile, and by themselves; and what follows from the results. */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ServiceStatus } from "../../../src/control/messages.ts";
import type { FailedCheck } from "../../../src/core/service-demotion.ts";
import type { Result } from "../../../src/engine/scripts/runner/messages.ts";
import type { Job, Ran } from "../../../src/engine/scripts/runner/runner.ts";
import { ServiceChecks } from "../../../src/engine/scripts/service-checks.ts";

interface Given {
  readonly exist?: () => boolean;
  /** What the host is demoted for at first. */
  readonly failed?: readonly FailedCheck[];
}

function made({ exist = () => true, failed = [] }: Given = {}) {
  const running: { job: Job; end: (ran: Ran) => void }[] = [];
  const judged: (readonly string[])[] = [];
  const lines: string[] = [];
  const host = { failed, stamp: "1" };
  const checks = new ServiceChecks({
    exist,
    stamp: (files) => [host.stamp, ...files].join(),
    run: (job) => new Promise((end) => running.push({ job, end })),
    log: (priority, text) => lines.push(`${priority} ${text}`),
    failed: () => host.failed,
    judge: async (wanted) => {
      judged.push(
        wanted.map(({ name, by, group }) =>
          [name, by, group].filter((each) => each !== 2 ** 20 && each !== undefined).join(" "),
        ),
      );
      host.failed = wanted;
      return { demoted: wanted.some(({ group }) => group === undefined) };
    },
  });
  return { checks, running, judged, lines, host };
}

const result = (name: string, outcome: Result["outcome"], settings: Result["settings"] = {}): Result => ({
  name,
  file: `/a/${name}`,
  path: `/a/${name}`,
  outcome,
  output: "",
  settings,
  ...(outcome === "failed" ? { why: "exit status 1" } : {}),
  ...(outcome === "refused" ? { why: `/a/${name}:2: evry: unknown word` } : {}),
});
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const outcomes = (evaluation: unknown) =>
  (evaluation as ServiceStatus).checks.map(({ name, outcome, count }) => `${name} ${outcome} ${count}`);

test("without a directory of checks none runs, and what a former one demoted for is over", async () => {
  const { checks, running, judged } = made({
    exist: () => false,
    failed: [{ file: "/a/dns", name: "dns", by: 5 }],
  });
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
  running[0]?.end({ results: [result("web", "failed")] });
  assert.equal(((await first) as { demoted: boolean }).demoted, true);
  await turn();
  context.mock.timers.tick(999);
  await turn();
  assert.equal(running.length, 1);
  context.mock.timers.tick(1);
  await turn();
  assert.equal(running.length, 2);
  running[1]?.end({ results: [] });
  for (const other of others) assert.deepEqual(await other, { demoted: false, checks: [] });
  assert.deepEqual(judged, [["web"], []]);
});

test("a check that may not be run keeps the demotion, and one that failed demotes all the same", async () => {
  const before = { file: "/a/gone", name: "gone", by: 2 ** 20 };
  for (const [results, judgement] of [
    [[result("a", "refused"), result("b", "passed")], ["gone"]],
    [[result("a", "refused"), result("b", "failed")], ["b"]],
    [
      [result("a", "refused"), result("b", "failed", { group: "www" })],
      ["b www", "gone"],
    ],
    [[result("b", "passed")], []],
    [[], []],
  ] as const) {
    const { checks, running, judged } = made({ failed: [before] });
    const evaluation = checks.evaluate();
    await turn();
    running[0]?.end({ results });
    assert.deepEqual(
      outcomes(await evaluation),
      results.map(({ name, outcome }) => `${name} ${outcome} 1`),
    );
    assert.deepEqual(judged, [judgement]);
  }
});

test("a run that was interrupted changes nothing and is an error", async () => {
  const { checks, running, judged } = made();
  const evaluation = checks.evaluate();
  await turn();
  running[0]?.end({ interrupted: "it died", again: true });
  assert.deepEqual(await evaluation, { error: "the service checks did not run to their end: it died" });
  assert.deepEqual(judged, []);
});

/** Ends the last run with one result. */
async function end({ running }: ReturnType<typeof made>, ...results: Result[]): Promise<void> {
  running.at(-1)?.end({ results });
  for (let n = 0; n < 3; n++) await turn();
}

function timers(context: TestContext): (ms: number) => Promise<void> {
  let nowMs = 1000;
  context.mock.method(performance, "now", () => nowMs);
  context.mock.timers.enable({ apis: ["setTimeout"] });
  return async (ms) => {
    nowMs += ms;
    context.mock.timers.tick(ms);
    await turn();
  };
}

test("a scheduled check is run by itself, and demotes and promotes after as many results as it says", async (context) => {
  const pass = timers(context);
  const engine = made();
  const { checks, running, judged, lines } = engine;
  const settings = { every: 5, fall: 3, rise: 2, demote: 50, group: "web" };
  checks.look();
  assert.deepEqual(running.at(-1)?.job, { kind: "checks", list: true });
  await end(engine, result("web", "listed", settings));
  assert.deepEqual(running.at(-1)?.job, { kind: "checks", only: ["/a/web"] });
  const wanted: (string | undefined)[] = [];
  for (const outcome of [
    "failed",
    "failed",
    "passed",
    "failed",
    "failed",
    "failed",
    "passed",
    "failed",
    "passed",
    "passed",
  ] as const) {
    const before = running.length;
    await end(engine, result("web", outcome, settings));
    wanted.push(judged.at(-1)?.[0]);
    await pass(4999);
    assert.equal(running.length, before);
    await pass(1);
    assert.equal(running.length, before + 1);
  }
  const down = "web 50 web";
  assert.deepEqual(wanted, [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    down,
    down,
    down,
    down,
    undefined,
  ]);
  assert.deepEqual(lines, [
    "4 service check web failed, 1 of 3 failures: exit status 1",
    "6 service check web passes again",
    "4 service check web failed, 1 of 3 failures: exit status 1",
    "6 service check web passes again",
    "4 service check web failed, 1 of 3 failures: exit status 1",
    "6 service check web passes again",
  ]);
  checks.stop();
  await pass(60_000);
});

test("one that is slower than its interval is run again when it has ended, and told of once", async (context) => {
  const pass = timers(context);
  const engine = made();
  const { checks, running, lines } = engine;
  checks.look();
  await end(engine, result("slow", "listed", { every: 2 }), result("quick", "listed", { every: 2 }));
  assert.equal(running.length, 3);
  const [, slow, quick] = running;
  assert.deepEqual(
    [slow?.job, quick?.job],
    [
      { kind: "checks", only: ["/a/slow"] },
      { kind: "checks", only: ["/a/quick"] },
    ],
  );
  for (let n = 0; n < 3; n++) {
    await end(engine, result("quick", "passed", { every: 2 }));
    await pass(2000);
    assert.deepEqual(running.at(-1)?.job, { kind: "checks", only: ["/a/quick"] });
  }
  const before = running.length;
  for (let n = 0; n < 2; n++) {
    const [its] = n === 0 ? [slow] : running.slice(-1);
    its?.end({ results: [result("slow", "passed", { every: 2 })] });
    for (let turns = 0; turns < 3; turns++) await turn();
    await pass(1);
    assert.equal(running.length, before + n + 1);
    await pass(2500);
  }
  assert.deepEqual(lines, [
    "4 service check slow takes longer than the 2 s between two runs: it is run again when it has ended",
  ]);
  checks.stop();
});

test("files that change are taken up; what was removed has ended if it was run by itself, else on request", async (context) => {
  const pass = timers(context);
  const engine = made();
  const { checks, running, judged, host, lines } = engine;
  const asked = checks.evaluate();
  await turn();
  running[0]?.end({ results: [result("asked", "failed")] });
  await asked;
  checks.look();
  await end(engine, result("asked", "listed"), result("own", "listed", { every: 5 }));
  await end(engine, result("own", "failed", { every: 5, demote: 7 }));
  assert.deepEqual(judged.at(-1), ["asked", "own 7"]);
  // The list of files is another one now.
  checks.look();
  await end(engine, result("asked", "listed"), result("own", "listed", { every: 5, demote: 7 }));
  const before = running.length;
  checks.look();
  assert.equal(running.length, before);
  host.stamp = "2";
  checks.look();
  await end(engine, result("own", "listed", { every: 5, demote: 9, group: "web" }));
  assert.deepEqual(judged.at(-1), ["asked", "own 9 web"]);
  host.stamp = "3";
  checks.look();
  const list = [{ ...result("own", "refused") }];
  await end(engine, ...list);
  assert.deepEqual(judged.at(-1), ["asked", "own 9 web"]);
  host.stamp = "4";
  checks.look();
  await end(engine, ...list);
  assert.deepEqual(lines.slice(1), ["3 service check own is not run: /a/own:2: evry: unknown word"]);
  const runs = running.length;
  await pass(60_000);
  assert.equal(running.length, runs);
  host.stamp = "5";
  checks.look();
  await end(engine);
  assert.deepEqual(judged.at(-1), ["asked"]);
  const again = checks.evaluate();
  for (let n = 0; n < 3; n++) await turn();
  running.at(-1)?.end({ results: [] });
  await again;
  assert.deepEqual(judged.at(-1), []);
});

test("what demoted when the engine started demotes until it has passed often enough", async (context) => {
  const pass = timers(context);
  const engine = made({ failed: [{ file: "/a/web", name: "web", by: 50, group: "web", isScheduled: true }] });
  const { checks, judged } = engine;
  const settings = { every: 5, rise: 2, demote: 50, group: "web" };
  checks.look();
  await end(engine, result("web", "listed", settings));
  for (const expected of [["web 50 web"], []]) {
    await end(engine, result("web", "passed", settings));
    assert.deepEqual(judged.at(-1), expected);
    await pass(5000);
  }
  checks.stop();
});

test("who asks waits for the first result of a scheduled check, and does not have it run again", async (context) => {
  timers(context);
  const engine = made();
  const { checks, running } = engine;
  const settings = { every: 5 };
  const first = checks.evaluate();
  await turn();
  running[0]?.end({ results: [result("web", "listed", settings)] });
  await turn();
  assert.deepEqual(running[1]?.job, { kind: "checks", only: ["/a/web"] });
  running[1]?.end({ results: [result("web", "failed", settings)] });
  assert.deepEqual(outcomes(await first), ["web failed 1"]);
  assert.equal(running.length, 2);
  checks.stop();
});

test("nothing is judged after the end", async (context) => {
  timers(context);
  const engine = made();
  const { checks, judged } = engine;
  checks.look();
  await end(engine, result("web", "listed", { every: 5 }));
  const before = judged.length;
  checks.stop();
  await end(engine, result("web", "failed", { every: 5 }));
  assert.equal(judged.length, before);
});
