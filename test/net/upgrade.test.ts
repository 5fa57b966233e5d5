/** An engine that is told to start anew: another version goes on in the same process, and nobody on the wire notices. */

import assert from "node:assert/strict";
import { chmodSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  advertises,
  assertHolder,
  assertNothingLost,
  configure,
  IPV4,
  IPV6,
  onCarpHosts,
  statesEntered,
} from "./carp-hosts.ts";

const CARPCTL = join(import.meta.dirname, "../../bin/carpctl");

test("SIGUSR2: what is installed goes on as MASTER, in the same process, without a lost packet", async () => {
  await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
    const [a, b] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
    // Started by a name that leads to what is installed.
    const program = join(a.etcDirectory, "carpctl");
    symlinkSync(CARPCTL, program);
    await a.engine.stop();
    const engine = await a.startEngine({ program });
    await configure(a);
    await a.carpctl("carp0", "state", "master");
    await configure(b, { advskew: 50 });
    await b.waitForState("carp0", "BACKUP");
    const pings = [IPV4, IPV6].map((address) => client.startPing(address, { intervalMs: 1.1 }));
    for (const ping of pings) await ping.waitForReply();

    // An upgrade that does not run is not started.
    unlinkSync(program);
    writeFileSync(program, "#!/bin/sh\necho 'carpctl: not built yet' >&2\nexit 1\n");
    chmodSync(program, 0o755);
    engine.signal("SIGUSR2");
    await engine.waitForLog(/^<3>not started anew: .*carpctl --version: carpctl: not built yet$/);

    // One that does, is: it says so in its own way.
    writeFileSync(
      program,
      `#!/bin/sh\n[ "$1" = --version ] || echo 'the next one' >&2\nexec ${CARPCTL} "$@"\n`,
    );
    const from = engine.log.length;
    const pid = (await engine.request("hello", {})).pid;
    engine.signal("SIGUSR2");
    await engine.waitForLog(/^the next one$/, { from });
    await engine.waitForLog(/carpd .* started$/, { from });
    assert.equal((await engine.request("hello", {})).pid, pid);
    await advertises(wire, a, 3);
    assertNothingLost(await Promise.all(pings.map((ping) => ping.stop())));
    assert.deepEqual(statesEntered(b.engine), ["BACKUP"]);
    assert.equal(statesEntered(engine).includes("BACKUP"), true);
    await assertHolder(a, [b]);
    assert.equal(
      childrenOf(pid).some((state) => state === "Z"),
      false,
    );
    assert.deepEqual(await engine.stop(), { code: 0, signal: null });
    await b.waitForState("carp0", "MASTER");
  });
});

/** The states of the processes that it started. */
function childrenOf(pid: number): string[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean);
  return children.map((child) => readFileSync(`/proc/${child}/stat`, "utf8").replace(/^.*\) /, "")[0] ?? "");
}
