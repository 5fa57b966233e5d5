/** The engine's end of the runner against runners that misbehave: every job is settled, and nothing else happens. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { type Job, Runner } from "../../../src/engine/scripts/runner/runner.ts";
import { spawnRunner } from "../../../src/engine/scripts/runner/runner-process.ts";

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-runner-"));
});
after(() => rmSync(directory, { recursive: true }));

const JOB: Job = { directories: ["/nonexistent"], together: true, limitMs: 1000, environment: {} };

/** A runner that does as told: `say` sends a line, `heard` is called with each message. */
function made(context: TestContext, body: string) {
  const program = join(directory, `${Math.random()}.mjs`);
  const text = `
    import { Socket } from "node:net";
    const socket = new Socket({ fd: 3, readable: true, writable: true });
    socket.on("error", () => process.exit(0)).on("end", () => process.exit(0));
    const say = (what) => socket.write(typeof what === "string" ? what : JSON.stringify(what) + "\\n");
    let heard = () => {};
    socket.on("data", (bytes) => {
      for (const line of String(bytes).split("\\n").filter(Boolean)) heard(JSON.parse(line));
    });
    ${body}`;
  writeFileSync(program, text);
  const lines: string[] = [];
  const runner = new Runner({
    log: (priority, text) => lines.push(`${priority} ${text}`),
    start: () => spawnRunner([process.execPath, program]),
  });
  context.after(() => runner.stop());
  return { runner, lines };
}

const ENDED = "3 the runner of hooks and service checks ended (SIGKILL), starting it again";

const misbehaviours: readonly (readonly [what: string, body: string, why: string])[] = [
  ["that talks nonsense", `heard = () => say("nonsense\\n");`, "sent a line that is not a message"],
  [
    "that sends what is no report",
    `heard = ({ id }) => say({ kind: "ran", id });`,
    "sent a line that is not a message",
  ],
  [
    "that would have pid 1 killed",
    `heard = ({ id }) => say({ kind: "began", id, pid: 1 });`,
    "sent a line that is not a message",
  ],
  [
    "that answers what was not asked",
    `heard = () => say({ kind: "ran", id: 77, results: [] });`,
    "reported on an unknown job",
  ],
  [
    "that never ends a line",
    `heard = () => { const flood = () => { while (say("x".repeat(65536))); socket.once("drain", flood); }; flood(); };`,
    "sent a line that is too long",
  ],
  [
    "that floods",
    `heard = ({ id }) => { say({ kind: "ran", id, results: [] }); const flood = () => { while (say('{"kind":"ended","id":1,"pid":9}\\n')); socket.once("drain", flood); }; flood(); };`,
    "reported on an unknown job",
  ],
];

for (const [what, body, why] of misbehaviours)
  test(`a runner ${what} is killed, and its job is settled`, async (context) => {
    const { runner, lines } = made(context, body);
    const ran = await runner.run(JOB);
    if (what === "that floods") assert.deepEqual(ran, { results: [] });
    else assert.deepEqual(ran, { interrupted: "the runner ended (SIGKILL)", again: true });
    while (!lines.includes(ENDED)) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(lines.slice(0, 2), [`3 the runner ${why}: killed`, ENDED]);
  });

test("one that says nothing is killed when a script must long have ended", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { runner, lines } = made(context, "");
  const ran = runner.run(JOB);
  context.mock.timers.tick(11_000);
  assert.deepEqual(await ran, { interrupted: "the runner ended (SIGKILL)", again: true });
  assert.equal(lines[0], "3 the runner does not report: killed");
});

test("one that dies is started again, later each time", async (context) => {
  const { runner, lines } = made(context, "process.exit(3);");
  const waits: number[] = [];
  const { setTimeout: after } = globalThis;
  context.mock.method(globalThis, "setTimeout", (call: () => void, ms: number) => {
    waits.push(ms);
    return after(call, ms < 30_000 ? 0 : ms);
  });
  runner.start();
  while (waits.filter((ms) => ms >= 100).length < 4) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(waits.filter((ms) => ms >= 100).slice(0, 4), [100, 200, 400, 800]);
  assert.match(lines[0] ?? "", /ended \(exit status 3\), starting it again$/);
  await runner.stop();
});

test("a job that is given while there is none waits for the next", async (context) => {
  const flag = join(directory, "second");
  const { runner } = made(
    context,
    `
    import { existsSync, writeFileSync } from "node:fs";
    if (!existsSync("${flag}")) { writeFileSync("${flag}", ""); process.exit(1); }
    heard = ({ id }) => say({ kind: "ran", id, results: [] });`,
  );
  assert.deepEqual(await runner.run(JOB), { interrupted: "the runner ended (exit status 1)", again: true });
  assert.deepEqual(await runner.run(JOB), { results: [] });
  await runner.stop();
});

test("one that does not leave is killed, and what is asked afterwards is not done", async (context) => {
  const { runner, lines } = made(
    context,
    `
    socket.removeAllListeners("end");
    heard = ({ id }) => say({ kind: "began", id, pid: 4194303 });
    setInterval(() => {}, 1000);`,
  );
  const asked = runner.run(JOB);
  await runner.stop();
  assert.deepEqual(await asked, { interrupted: "the runner ended (SIGKILL)", again: false });
  assert.deepEqual(await runner.run(JOB), { interrupted: "the engine is stopping", again: false });
  assert.deepEqual(lines, []);
});

test("a program that is not there is an interrupted job, not an exception", async () => {
  const lines: string[] = [];
  const runner = new Runner({
    log: (_, text) => lines.push(text),
    start: () => spawnRunner(["/nonexistent/program"]),
  });
  const ran = await runner.run(JOB);
  assert.ok("interrupted" in ran);
  assert.match(ran.interrupted, /ENOENT/);
  assert.equal(lines.length, 1);
  await runner.stop();
});
