/**
 * SIGUSR2: the installed version goes on in the same process, without a lost packet, with the same reduced
 * privileges; its hooks keep theirs.
 */

import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { commandOf, descendantsOf, privilegesOf } from "../hosts/processes.ts";
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

/** NET_ADMIN, NET_RAW, PERFMON and BPF, on each thread, and no means to gain others. */
const NEEDED = [
  "CapAmb 0000000000000000",
  "CapBnd 000000c000003000",
  "CapEff 000000c000003000",
  "CapInh 0000000000000000",
  "CapPrm 000000c000003000",
  "NoNewPrivs 1",
];

test("SIGUSR2: the installed version goes on as MASTER, in the same process, without a lost packet", async () => {
  await onCarpHosts({ count: 2 }, async ({ hosts, client, wire }) => {
    const [a, b] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
    // Started by a link to the installed version.
    const program = join(a.etcDirectory, "carpctl");
    symlinkSync(CARPCTL, program);
    await a.engine.stop();
    const hooks = join(a.etcDirectory, "carp/hooks.d");
    const told = join(a.etcDirectory, "told");
    mkdirSync(hooks, { recursive: true });
    const hook = `#!/bin/sh\n{ grep -Eh '^(Cap|NoNewPrivs)' /proc/self/status; tr '\\0' '\\n' </proc/$PPID/environ; echo; } >>${told}\n`;
    writeFileSync(join(hooks, "hook"), hook, { mode: 0o755 });
    const engine = await a.startEngine({ program });
    // A lease of 12 s, in which an engine starts anew on a busy machine too.
    await configure(a, { advbase: 4 });
    await a.carpctl("carp0", "state", "master");
    await configure(b, { advbase: 4, advskew: 50 });
    await b.waitForState("carp0", "BACKUP");
    const pings = [IPV4, IPV6].map((address) => client.startPing(address, { intervalMs: 1.1 }));
    for (const ping of pings) await ping.waitForReply();
    assert.deepEqual(privilegesOf(engine.pid), NEEDED);

    // A version that does not run is not started.
    unlinkSync(program);
    writeFileSync(program, "#!/bin/sh\necho 'carpctl: not built yet' >&2\nexit 1\n");
    chmodSync(program, 0o755);
    engine.signal("SIGUSR2");
    await engine.waitForLog(/^<3>not started anew: .*carpctl --version: carpctl: not built yet$/);

    // A version that runs is started, and logs a line of its own.
    writeFileSync(
      program,
      `#!/bin/sh\n[ "$1" = --version ] || echo 'the next one' >&2\nVERSION=next exec ${CARPCTL} "$@"\n`,
    );
    const from = engine.log.length;
    const pid = (await engine.request("hello", {})).pid;
    engine.signal("SIGUSR2");
    await engine.waitForLog(/^the next one$/, { from });
    await engine.waitForLog(/carpd .* started$/, { from });
    assert.equal((await engine.request("hello", {})).pid, pid);
    assert.deepEqual(privilegesOf(engine.pid), NEEDED);
    const started = descendantsOf(engine.pid);
    assert.deepEqual(started.filter((each) => commandOf(each).includes("carp-keeper")).length, 1);
    await advertises(wire, a, 2);
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

    const heard = readFileSync(told, "utf8").replaceAll(":\t", " ").trim().split("\n\n");
    const own = privilegesOf(process.pid);
    for (const each of heard) assert.deepEqual(each.split("\n").slice(0, own.length).sort(), own);
    const versions = heard.map((each) => each.includes("VERSION=next"));
    assert.deepEqual([versions[0], versions.at(-1)], [false, true]);
    for (const pid of started) assert.equal(commandOf(pid), "");
    assert.deepEqual(readdirSync(a.runDirectory), []);
    assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(a.runDirectory));
  });
});

/** The states of its child processes. */
function childrenOf(pid: number): string[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean);
  return children.map((child) => readFileSync(`/proc/${child}/stat`, "utf8").replace(/^.*\) /, "")[0] ?? "");
}
