/**
 * Scripts of the runner's: whatever is the matter with one, there is a result; and no order says in which directories
 * they are.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runScript } from "../../../src/engine/scripts/runner/run-script.ts";
import { CARPCTL } from "../../hosts/program.ts";

const directory = mkdtempSync(join(tmpdir(), "carpctl-script-"));
after(() => rmSync(directory, { recursive: true }));

function run(path: string, environment: Readonly<Record<string, string>> = {}) {
  const options = { limitMs: 10_000, environment, began: () => {}, ended: () => {} };
  return runScript({ name: "script", file: path, path }, options);
}

const failed = (path: string, why: string) => ({
  name: "script",
  file: path,
  path,
  outcome: "failed",
  why,
  output: "",
});

test("a script that is not there has failed", async () => {
  assert.deepEqual(await run("/nonexistent"), failed("/nonexistent", "cannot be run (ENOENT)"));
});

test("a script that is being written has failed", async () => {
  const path = join(directory, "busy");
  writeFileSync(path, "#!/bin/sh\n", { mode: 0o755 });
  const writer = openSync(path, "a");
  assert.deepEqual(await run(path), failed(path, "cannot be run (ETXTBSY)"));
  closeSync(writer);
  assert.equal((await run(path)).outcome, "passed");
});

test("a script whose environment is larger than the kernel allows has failed", async () => {
  const path = "/bin/true";
  const environment = { CARP_ADDRESSES: "10.0.0.1/24 ".repeat(20_000) };
  assert.deepEqual(await run(path, environment), failed(path, "cannot be run (E2BIG)"));
});

for (const more of [{}, { kind: "checks" }])
  test(`an order that names directories ends the runner: with ${Object.keys(more).join() || "nothing else"}`, async () => {
    const theirs = join(directory, "theirs");
    const ran = join(directory, "ran");
    mkdirSync(theirs, { recursive: true });
    writeFileSync(join(theirs, "script"), `#!/bin/sh\ntouch ${ran}\n`, { mode: 0o755 });
    const env = { CARP_RUN_DIR: directory, CARP_ETC_DIR: directory };
    const runner = spawn(CARPCTL, ["runner"], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      env,
    });
    const socket = runner.stdio[3] as Socket;
    const order = { id: 1, directories: [theirs], together: true, limitMs: 10_000, environment: {}, ...more };
    socket.write(`${JSON.stringify(order)}\n`);
    const answered = once(socket.setEncoding("utf8"), "data").then(([line]) => line);
    const said = await Promise.race([answered, once(runner, "exit").then(() => "nothing")]);
    runner.kill("SIGKILL");
    assert.equal(said, "nothing");
    assert.equal(existsSync(ran), false);
  });
