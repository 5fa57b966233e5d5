/**
 * Another user who answers in the engine's place: a run directory or a socket that he made is refused in one line, and
 * nothing is sent to it, least of all a pass.
 */

import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";
import type { Spawned } from "../hosts/spawned.ts";

const NOBODY = 65_534;

/** Answers everything with an empty result, and writes down what it was asked. */
const FALSE_ENGINE = `
import os, socket, sys
path, uid = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_UNIX); s.bind(path); os.chmod(path, 0o666); os.chown(path, uid, uid); s.listen()
print("listening", flush=True)
while True:
    c, _ = s.accept()
    for line in c.makefile():
        print("asked", line, flush=True)
        c.sendall(b'{"jsonrpc":"2.0","id":1,"result":{}}\\n')
`;

describe("a false engine", () => {
  let lan: Network;
  let a: Host;
  let runDir: string;
  let name = 0;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
  });
  after(() => lan.destroy());
  beforeEach(() => {
    runDir = join(a.runDirectory, `false${name++}`);
    mkdirSync(runDir, { mode: 0o755 });
  });

  async function falseEngine(socket: string, owner: number): Promise<Spawned> {
    const engine = a.spawn("/usr/bin/python3", ["-ISc", FALSE_ENGINE, join(runDir, socket), String(owner)]);
    await engine.log.waitFor(/listening/);
    return engine;
  }

  async function assertRefused(engine: Spawned, why: string): Promise<void> {
    for (const words of [["carp0", "pass", "sesame"], ["sysctl", "-a"], ["status"]]) {
      const { stdout, stderr, exitCode } = await a.tryCarpctl("--run-dir", runDir, ...words);
      assert.deepEqual(
        [stdout, stderr, exitCode],
        ["", `carpctl: run directory ${runDir}: ${why}: another user could answer there\n`, 1],
      );
    }
    assert.ok(!/asked/.test(String(engine.log)), String(engine.log));
    engine.kill("SIGKILL");
    await engine.exited;
  }

  for (const socket of ["engine.sock", "admin.sock"]) {
    test(`${socket} in a run directory of another user`, async () => {
      const engine = await falseEngine(socket, NOBODY);
      chownSync(runDir, NOBODY, NOBODY);
      await assertRefused(engine, `directory ${runDir} is not owned by root`);
    });

    test(`${socket} in a run directory that others may write`, async () => {
      const engine = await falseEngine(socket, NOBODY);
      chmodSync(runDir, 0o777);
      await assertRefused(engine, `directory ${runDir} can be written by others than root`);
    });

    test(`${socket} of another user in a run directory of root`, async () => {
      const engine = await falseEngine(socket, NOBODY);
      await assertRefused(engine, `${join(runDir, socket)} is not owned by root`);
    });
  }

  test("a run directory of the engine's own user is trusted", async () => {
    const passwd = join(a.etcDirectory, "passwd");
    writeFileSync(passwd, `${readFileSync("/etc/passwd", "utf8")}_carpd:x:${NOBODY - 1}:1::/:/bin/false\n`);
    const engine = await falseEngine("engine.sock", NOBODY - 1);
    chownSync(runDir, NOBODY - 1, NOBODY - 1);
    const script = 'mount --bind "$0" /etc/passwd && exec "$@"';
    await a.exec("unshare", [
      ...["--mount", "--propagation", "private", "sh", "-ec", script, passwd],
      ...[CARPCTL, "--run-dir", runDir, "sysctl", "-a"],
    ]);
    await engine.log.waitFor(/asked .*"method":"sysctl-get"/);
    engine.kill("SIGKILL");
    await engine.exited;
  });
});
