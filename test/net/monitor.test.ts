/**
 * `monitor` and `status --watch` with real engines: events as they happen, across restarts, to slow and fast
 * readers.
 */

import assert from "node:assert/strict";
import { createConnection } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

const SHARED = ["carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "pass", "sesame"];
const NOBODY = 65534;

describe("monitor", () => {
  let lan: Network;
  let a: Host;
  let b: Host;

  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24"] }),
      lan.host("b", { addresses: ["10.0.0.3/24"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
  });
  after(() => lan.destroy());

  test("without an engine it says so, as every command does", async () => {
    const words = ["--run-dir", "/nonexistent", "monitor"];
    const { exitCode, stdout, stderr } = await a.tryCarpctl(...words);
    assert.equal(exitCode, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^carpctl: the engine is not running \(no \/nonexistent\/engine\.sock\)/);
  });

  test("every event is a line of text or JSON, across a kill and a restart", async () => {
    const people = a.spawn(CARPCTL, ["monitor"]);
    // Another user, who may read the directories of the tree.
    const capability = "-all,+dac_read_search";
    const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
    user.push(`--inh-caps=${capability}`, `--ambient-caps=${capability}`);
    const scripts = a.spawn("setpriv", [...user, "--", CARPCTL, "monitor", "--json"]);
    await people.log.waitFor(new RegExp(` following the engine \\(version \\S+, pid ${a.engine.pid}\\)$`));
    await scripts.log.waitFor(/"event":"following"/);

    await a.carpctl(...SHARED, "advbase", "1", "advskew", "60");
    await people.log.waitFor(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} carp0: created$/);
    await people.log.waitFor(/ carp0 vhid 1: INIT -> BACKUP: the interface runs$/);
    await people.log.waitFor(/ carp0 vhid 1: BACKUP -> MASTER: the master is silent$/);
    const master = await scripts.log.waitFor(/"to":"MASTER"/);
    const { time, addresses, ...event } = JSON.parse(master.text);
    assert.equal(addresses[0].address, "10.0.0.1");
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000, time);
    const reason = "the master is silent";
    assert.deepEqual(event, {
      event: "transition",
      interface: "carp0",
      vhid: 1,
      from: "BACKUP",
      to: "MASTER",
      reason,
      cause: { kind: "timer", timer: "master-down" },
    });

    await b.carpctl(...SHARED, "advbase", "1", "advskew", "30");
    await b.waitForState("carp0", "BACKUP");
    await a.carpctl("-g", "carp", "carpdemote", "2");
    await people.log.waitFor(/ carpctl demoted group carp by 2 to 2 \(carpdemote\)$/);
    await people.log.waitFor(/ carp0 vhid 1: 10\.0\.0\.3 advertises \(advbase 1 advskew 30 demote 0\)$/);
    await people.log.waitFor(/ carp0 vhid 1: MASTER -> BACKUP: /);
    await b.carpctl("carp0", "down");
    await people.log.waitFor(/ carp0 vhid 1: 10\.0\.0\.3 has left$/);
    await a.waitForState("carp0", "MASTER");

    await a.run("ip", "address", "flush", "dev", "carp0");
    await people.log.waitFor(/ carp0: repaired: /);

    await a.engine.kill("SIGKILL");
    await people.log.waitFor(/ engine gone$/);
    await scripts.log.waitFor(/"event":"engine-gone"/);
    const from = people.log.length;
    await a.startEngine();
    await people.log.waitFor(new RegExp(` engine back \\(version \\S+, pid ${a.engine.pid}\\)$`), { from });
    await scripts.log.waitFor(new RegExp(`"event":"engine-back","version":"[^"]+","pid":${a.engine.pid}\\b`));
    await a.carpctl("carp0", "destroy");
    await people.log.waitFor(/ carp0: destroyed$/, { from });

    // An engine that stops in order removes its interfaces.
    await a.carpctl("carp5", "create");
    await people.log.waitFor(/ carp5: created$/, { from });
    await a.engine.stop();
    await people.log.waitFor(/ carp5: destroyed$/, { from });
    const restarted = people.log.length;
    await a.startEngine();
    await people.log.waitFor(/ engine back /, { from: restarted });

    for (const [each, signal] of [
      [people, "SIGINT"],
      [scripts, "SIGTERM"],
    ] as const) {
      each.kill(signal);
      assert.deepEqual(await each.exited, { code: 0, signal: null });
    }
    for (const { text } of scripts.log.lines) assert.equal(typeof JSON.parse(text).event, "string", text);
  });

  test("a flood is one event a second, with a count", async () => {
    await a.carpctl(...SHARED, "advbase", "100");
    await a.waitForState("carp0", "BACKUP");
    const monitor = a.spawn(CARPCTL, ["monitor", "--json"]);
    await monitor.log.waitFor(/"event":"following"/);
    const from = monitor.log.length;
    const advertised = { vhid: 1, pass: "guessed", addresses: ["10.0.0.1"], counter: 1n };
    const frame = forge.ipv4Frame({ source: "10.0.0.3", payload: forge.advertisement(advertised) });
    await b.inject("eth0", frame, { count: 1000 });
    const told = () =>
      monitor.log.lines
        .slice(from)
        .map(({ text }) => JSON.parse(text))
        .filter(({ event }) => event === "discarded");
    await eventually(
      async () => told().reduce((sum, { times }) => sum + times, 0),
      (times) => times === 1000,
    );
    assert.ok(told().length < 20, `${told().length} lines`);
    const [{ counter, text }] = told();
    assert.equal(counter, "badAuthentication");
    assert.equal(text, "carp0: vhid 1: incorrect hash from 10.0.0.3 on eth0");
    monitor.kill("SIGTERM");
    await monitor.exited;
  });

  test("a subscriber that does not read costs the engine nothing, and is told how many events it missed", async () => {
    const slow = createConnection(join(a.runDirectory, "engine.sock"));
    let received = "";
    slow.setEncoding("utf8").on("data", (text: string) => (received += text));
    slow.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "monitor", params: {} })}\n`);
    await eventually(
      async () => received,
      (text) => text.includes('"id":1'),
    );
    slow.pause();
    const writes = Array.from({ length: 64 }, (_, n) => ({
      name: "net.inet.carp.demotion",
      value: n % 2 === 0 ? 1 : -1,
    }));
    for (let n = 0; n < 64; n++) await a.engine.request("sysctl-set", { writes });
    slow.resume();
    await eventually(
      async () => received.slice(-300),
      (text) => text.endsWith("}\n") && text.includes('"left-out"'),
    );
    slow.destroy();
    const events = received
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => JSON.parse(line).params.event);
    const told = events.filter(({ kind }) => kind === "demotion").length;
    const leftOut = events.reduce((sum, { count = 0 }) => sum + count, 0);
    assert.ok(told >= 1000, `${told} told`);
    assert.equal(told + leftOut, 64 * 64);
    assert.equal(events.at(-1).kind, "left-out");
  });

  test("it ends with the program that reads it, even when nothing happens any more", async () => {
    const { exitCode, stdout } = await a.exec("bash", [
      "-c",
      '"$0" monitor | head -1; exit $PIPESTATUS',
      CARPCTL,
    ]);
    assert.equal(exitCode, 0);
    assert.match(stdout, /^[^\n]+ following the engine [^\n]+\n$/);
  });

  test("status --watch: a document for every change, and again when the engine is back", async () => {
    const watch = a.spawn(CARPCTL, ["status", "--watch", "--json"]);
    await watch.log.waitFor(/"interfaces":\[/);
    const from = watch.log.length;
    await a.carpctl("carp8", "create", "description", "watched");
    await watch.log.waitFor(/"description":"watched"/, { from });
    await a.engine.kill("SIGKILL");
    await watch.log.waitFor(/^\{"error":"the engine is not running/);
    const gone = watch.log.length;
    await a.startEngine();
    await watch.log.waitFor(/"description":"watched"/, { from: gone });
    watch.kill("SIGINT");
    assert.deepEqual(await watch.exited, { code: 0, signal: null });
  });

  test("status --watch on a terminal redraws in place, and leaves the terminal as it was, also to a shell that stops it", async () => {
    const command = `sh -c 'echo pid $$; exec "${CARPCTL}" status --watch'`;
    const shell = `stty cols 80 rows 10; ${command}; echo stopped $?; fg`;
    const watch = a.spawn("script", ["-qefc", `bash -mc '${shell.replaceAll("'", "'\\''")}'`, "/dev/null"]);
    const { text: pid } = await watch.log.waitFor(/^pid \d+/);
    await watch.log.waitFor(/\[\?1049h.\[\?25l.\[H\d{4}-\d\d-\d\d /);
    await watch.log.waitFor(/^carp8 /);
    await a.carpctl("carp8", "destroy");
    const from = watch.log.length;
    await watch.log.waitFor(/^(NAME |no carp interfaces)/, { from });
    await a.run("kill", "-TSTP", pid.replace(/\D/g, ""));
    await watch.log.waitFor(/\[\?25h.\[\?1049l/, { from });
    await watch.log.waitFor(/^stopped 148/, { from });
    await watch.log.waitFor(/\[\?1049h.\[\?25l.*\[H\d{4}-\d\d-\d\d /, { from });
    await watch.log.waitFor(/^(NAME |no carp interfaces)/, { from: watch.log.length });
    await a.run("kill", "-INT", pid.replace(/\D/g, ""));
    assert.equal((await watch.exited).code, 0);
    assert.match(watch.log.lines.at(-1)?.text ?? "", /\[\?25h.\[\?1049l$/);
  });
});
