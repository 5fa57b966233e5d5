/** The keeper's own program, and the engine's end of it: what it does, what it does not, and who does without it. */

import assert from "node:assert/strict";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { handOn, Keeper, startKeeper, takeOver } from "../../../src/engine/scripts/runner/keeper.ts";
import { type Job, Runner } from "../../../src/engine/scripts/runner/runner.ts";
import { spawnRunner } from "../../../src/engine/scripts/runner/runner-process.ts";
import { nativeBpf } from "../../../src/kernel/data-path/native-bpf.ts";
import { nativeProcess } from "../../../src/kernel/process/native-process.ts";

const JOB: Job = { directories: ["/nonexistent"], together: true, limitMs: 10_000, environment: {} };
const EINVAL = 22;

let directory: string;
let program: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-keeper-"));
  program = join(directory, "runner.mjs");
  // Answers every job with its process id; one for directory "die" kills it.
  writeFileSync(
    program,
    `
    import { Socket } from "node:net";
    const socket = new Socket({ fd: 3, readable: true, writable: true });
    socket.on("error", () => process.exit(0)).on("end", () => process.exit(0));
    socket.on("data", (bytes) => {
      const { id, directories } = JSON.parse(String(bytes));
      if (directories[0] === "die") process.kill(process.pid, "SIGKILL");
      const name = process.argv.at(-1) + " of " + process.ppid;
      socket.write(JSON.stringify({ kind: "ran", id, results: [{ name, path: "", outcome: "passed", output: "" }] }) + "\\n");
    });`,
  );
});
after(() => rmSync(directory, { recursive: true }));

function kept(context: TestContext, words = [process.execPath, program]) {
  const ends = startKeeper(directory, words);
  assert.ok(ends !== undefined, "no keeper");
  const keeper = new Keeper(ends);
  context.after(() => keeper.end());
  return { ...ends, keeper };
}

function running(context: TestContext, keeper: Keeper) {
  const lines: string[] = [];
  const start = () => keeper.startRunner() ?? spawnRunner([process.execPath, program]);
  const runner = new Runner({ log: (_, text) => lines.push(text), start });
  context.after(() => runner.stop());
  const parent = async () => {
    const ran = await runner.run(JOB);
    assert.ok("results" in ran, JSON.stringify(ran));
    return ran.results[0]?.name;
  };
  return { runner, lines, parent };
}

const isThere = (pid: number) => {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
};

async function eventuallyEmpty(pid: number): Promise<void> {
  while (readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1") !== "")
    await new Promise((resolve) => setImmediate(resolve));
}

test("it starts the runner, and another one when that has died", async (context) => {
  const { keeper, pid } = kept(context);
  const { runner, lines, parent } = running(context, keeper);
  assert.equal(await parent(), `runner of ${pid}`);
  const ran = await runner.run({ ...JOB, directories: ["die"] });
  assert.deepEqual(ran, { interrupted: "the runner ended (SIGKILL)", again: true });
  assert.equal(await parent(), `runner of ${pid}`);
  assert.deepEqual(lines, ["the runner of hooks and service checks ended (SIGKILL), starting it again"]);
  await runner.stop();
  await keeper.end();
  assert.equal(isThere(pid), false);
});

test("a program that is not there is a runner that ends", async (context) => {
  const { keeper } = kept(context, ["/nonexistent/program"]);
  assert.equal(await keeper.startRunner()?.ended, "exit status 127");
});

test("there is one runner at a time, and one that is told to be killed is", async (context) => {
  const { keeper, pid } = kept(context);
  keeper.startRunner();
  const second = keeper.startRunner();
  assert.equal(await second?.ended, "EINVAL");
  second?.kill();
  await eventuallyEmpty(pid);
});

test("the bpffs is mounted where there is none, once, and unmounted", async (context) => {
  const { keeper } = kept(context);
  const mounts = () => readFileSync("/proc/self/mountinfo", "utf8").split(directory).length - 1;
  assert.equal(await keeper.mount(), 0);
  assert.equal(await keeper.mount(), 0);
  assert.deepEqual([nativeBpf.isBpf(directory), mounts()], [true, 1]);
  assert.equal(await keeper.unmount(), 0);
  assert.deepEqual([nativeBpf.isBpf(directory), mounts()], [false, 0]);
});

test("what is no order is none", async (context) => {
  const { keeper, fd, pid } = kept(context);
  for (let byte = 1; byte < 256; byte++)
    if (!"rkmu".includes(String.fromCharCode(byte))) nativeProcess.sendByte(fd, byte, 0);
  assert.equal(await keeper.unmount(), EINVAL);
  assert.equal(isThere(pid), true);
  const { parent } = running(context, keeper);
  assert.equal(await parent(), `runner of ${pid}`);
});

test("without it the engine starts the runner itself", async (context) => {
  const { keeper, pid } = kept(context);
  const { lines, parent } = running(context, keeper);
  assert.equal(await parent(), `runner of ${pid}`);
  process.kill(pid, "SIGKILL");
  await keeper.gone;
  assert.equal(keeper.isThere, false);
  assert.equal(await keeper.unmount(), undefined);
  assert.equal(await parent(), `runner of ${process.pid}`);
  assert.match(lines[0] ?? "", /ended \(what started it ended\), starting it again$/);
});

test("one that does not answer is killed", async (context) => {
  const { keeper, pid } = kept(context);
  process.kill(pid, "SIGSTOP");
  assert.equal(await keeper.unmount(), undefined);
  assert.equal(isThere(pid), false);
});

test("it is handed on by a variable that is removed when read, and only a socket is taken for it", (context) => {
  const { fd, pid } = kept(context);
  handOn({ fd, pid });
  assert.deepEqual(takeOver(), { fd, pid });
  assert.equal(process.env.CARPCTL_KEEPER, undefined);
  for (const wrong of ["", "x", `${fd}`, `${openSync("/dev/null", "r")}:1`, "4000000:1", "-1:1"]) {
    process.env.CARPCTL_KEEPER = wrong;
    assert.equal(takeOver(), undefined, wrong);
    assert.equal(process.env.CARPCTL_KEEPER, undefined);
  }
});
