/** The engine's end of the runner against runners that misbehave: every job is settled, and nothing else happens. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { type Job, Runner } from "../../../src/engine/scripts/runner/runner.ts";
import { connectRunner } from "../../../src/engine/scripts/runner/runner-connection.ts";
import { spawnRunner } from "../../../src/engine/scripts/runner/runner-process.ts";

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-runner-"));
});
after(() => rmSync(directory, { recursive: true }));

const JOB: Job = { kind: "checks" };

/** A runner that does as told: `say` sends a line, `heard` is called with each message. */
function made(context: TestContext, body: string, start: typeof spawnRunner = spawnRunner) {
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
  const { promise: lost, resolve } = Promise.withResolvers<void>();
  const runner = new Runner({
    log: (priority, text) => lines.push(`${priority} ${text}`),
    process: start([process.execPath, program]),
    lost: resolve,
  });
  context.after(() => runner.stop());
  return { runner, lines, lost };
}

/** As the service manager does: starts a runner for each connection, which is its socket. */
const ACCEPT = `
import os, signal, socket, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print(flush=True)
while True:
  connection, _ = server.accept()
  if os.fork() == 0:
    os.dup2(connection.fileno(), 3)
    os.execv(sys.argv[2], [sys.argv[2], sys.argv[3]])
  connection.close()`;

test("one behind a socket does jobs, and is started again when it dies in the middle of a line", async (context) => {
  const [socket, link] = [join(directory, "runner.sock"), join(directory, "runner.mjs")];
  const words = ["-ISc", ACCEPT, socket, process.execPath, link];
  const server = spawn("python3", words, { stdio: ["ignore", "pipe", "inherit"] });
  context.after(() => server.kill("SIGKILL"));
  await once(server.stdout, "data");
  const { runner, lines } = made(
    context,
    `heard = ({ id }) => { if (id !== 2) return say({ kind: "ran", id, results: [] });
      say('{"kind":"ran",'); setTimeout(() => process.kill(process.pid, "SIGKILL"), 20); };`,
    ([, program = ""]) => {
      symlinkSync(program, link);
      return connectRunner(socket);
    },
  );
  assert.deepEqual(await runner.run(JOB), { results: [] });
  const ended = { interrupted: "the runner ended (exit status 0)", again: true };
  assert.deepEqual(await runner.run(JOB), ended);
  assert.deepEqual(await runner.run(JOB), { results: [] });
  assert.deepEqual(lines, [
    "3 the runner of hooks and service checks ended (exit status 0), starting it again",
  ]);
});

test("one behind a socket that nobody listens at is tried again", async (context) => {
  const { runner } = made(context, "", () => connectRunner(join(directory, "absent.sock")));
  for (let time = 0; time < 3; time++)
    assert.deepEqual(await runner.run(JOB), {
      interrupted: "the runner ended (exit status 0)",
      again: true,
    });
});

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
  test(`a runner ${what} is given up, and its job is settled`, async (context) => {
    const { runner, lines, lost } = made(context, body);
    const ran = await runner.run(JOB);
    if (what === "that floods") assert.deepEqual(ran, { results: [] });
    else assert.deepEqual(ran, { interrupted: `the runner was given up: it ${why}`, again: false });
    await lost;
    assert.deepEqual(lines, [`3 the runner of hooks and service checks is given up: it ${why}`]);
    assert.deepEqual(await runner.run(JOB), { interrupted: "no runner can be started", again: false });
  });

test("one that says nothing is given up when a script must long have ended", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { runner, lines, lost } = made(context, "");
  const ran = runner.run(JOB);
  context.mock.timers.tick(70_000);
  const interrupted = "the runner was given up: it does not report";
  assert.deepEqual(await ran, { interrupted, again: false });
  await lost;
  assert.equal(lines[0], "3 the runner of hooks and service checks is given up: it does not report");
});

test("one that is killed while it writes is started again", async (context) => {
  const { runner, lines } = made(
    context,
    `heard = ({ id }) => { say('{"kind":"ran",'); setTimeout(() => process.kill(process.pid, "SIGKILL"), 20); };`,
  );
  assert.deepEqual(await runner.run(JOB), { interrupted: "the runner ended (SIGKILL)", again: true });
  assert.deepEqual(lines, ["3 the runner of hooks and service checks ended (SIGKILL), starting it again"]);
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
    const first = Number(process.env.CARP_FIRST_JOB);
    heard = ({ id }) => { if (id >= first) say({ kind: "ran", id, results: [] }); };`,
  );
  assert.deepEqual(await runner.run(JOB), { interrupted: "the runner ended (exit status 1)", again: true });
  assert.deepEqual(await runner.run(JOB), { results: [] });
  await runner.stop();
});

test("one that does not leave is left, and what is asked afterwards is not done", async (context) => {
  const { runner, lines } = made(
    context,
    `
    socket.removeAllListeners("end");
    heard = ({ id }) => say({ kind: "began", id, pid: 4194303 });
    setTimeout(() => process.exit(0), 3000);`,
  );
  const asked = runner.run(JOB);
  await runner.stop();
  assert.deepEqual(await asked, { interrupted: "the engine is stopping", again: false });
  assert.deepEqual(await runner.run(JOB), { interrupted: "the engine is stopping", again: false });
  assert.deepEqual(lines, []);
});

test("a program that is not there is an interrupted job, not an exception", async () => {
  const lines: string[] = [];
  const runner = new Runner({
    log: (_, text) => lines.push(text),
    process: spawnRunner(["/nonexistent/program"]),
    lost: () => {},
  });
  const ran = await runner.run(JOB);
  assert.ok("interrupted" in ran);
  assert.match(ran.interrupted, /exit status 127/);
  assert.equal(lines.length, 1);
  await runner.stop();
});
