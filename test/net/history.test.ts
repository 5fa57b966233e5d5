/**
 * `history` with real engines: the cause of a takeover, over a kill and a restart, past a damaged file, and for a user
 * who may do nothing else.
 */

import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

const PASS = "sesame-open";
const SHARED = ["carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "pass", PASS];
const NOBODY = 65534;

describe("history", () => {
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
    await a.carpctl(...SHARED, "advskew", "100");
    await a.carpctl("carp0", "state", "master");
    await a.waitForState("carp0", "MASTER");
  });
  after(() => lan.destroy());

  const ownFile = () => join(a.runDirectory, "history.jsonl");
  const isWritten = (pattern: RegExp) =>
    eventually(
      async () => readFileSync(ownFile(), "utf8"),
      (text) => pattern.test(text),
    );

  test("why is it BACKUP? By this advertisement. Why is it MASTER? The other host left", async () => {
    await b.carpctl(...SHARED, "advskew", "20");
    await b.carpctl("carp0", "state", "master");
    await a.waitForState("carp0", "BACKUP");
    const { stdout } = await a.carpctl("history", "carp0");
    assert.match(
      stdout,
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} carp0 vhid 1: MASTER -> BACKUP: a master advertises more often \(advertisement of 10\.0\.0\.3 over IPv4: advbase 1 advskew 20 demote 0\)$/m,
    );
    assert.match(stdout, / carp0: changed by root: state master$/m);
    await b.carpctl("carp0", "down");
    await a.waitForState("carp0", "MASTER");
    await a.pullCable();
    await a.waitForState("carp0", "INIT");
    await a.plugCable();
    await a.waitForState("carp0", "MASTER");
    const json = await a.carpctl("history", "--json", "--since", "1h");
    const told = json.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const left = told.find(({ reason }) => reason === "the master left");
    assert.deepEqual(left.cause, {
      kind: "advertisement",
      source: "10.0.0.3",
      family: 4,
      advbase: 255,
      advskew: 255,
      demote: 0,
    });
    const silent = told.findLast(({ reason }) => reason === "the master is silent");
    assert.deepEqual(silent.cause, { kind: "timer", timer: "master-down" });
    const demotion = told.find(({ event, group }) => event === "demotion" && group === undefined);
    assert.deepEqual([demotion.by, demotion.reason], [240, "interface down"]);
    assert.deepEqual(
      told.map(({ seq }) => seq),
      told.map((_, at) => at + 1),
    );
  });

  test("a kill, a restart and a stop are in it, and what was before them", async () => {
    await isWritten(/the master is silent[^\n]*\n$/);
    const before = (await a.carpctl("history")).stdout;
    await a.engine.kill("SIGKILL");
    const orphaned = await a.tryCarpctl("history");
    assert.deepEqual([orphaned.exitCode, orphaned.stdout], [0, before]);
    assert.match(orphaned.stderr, /^carpctl: warning: the engine is not running/);
    await a.startEngine({ logLevel: null });
    await a.waitForState("carp0", "MASTER");
    await a.engine.stop();
    await a.startEngine({ logLevel: null });
    const { stdout } = await a.carpctl("history");
    assert.ok(stdout.startsWith(before));
    const since = stdout.slice(before.length).replaceAll(/^.{24}|(?<=pid )\d+/gm, "");
    const [started = "", ...others] = since.split("\n");
    assert.match(started, /^engine started \(version \S+, pid \), the one before ended without stopping/);
    assert.match(others.join("\n"), /^carp0 vhid 1: INIT -> MASTER: its lease is in force$/m);
    assert.match(
      others.join("\n"),
      /^carp0: destroyed\nengine stopped\nengine started \(version \S+, pid \)\n$/m,
    );
  });

  test("a damaged and cut file costs its damaged lines, and numbers go on", async () => {
    await a.engine.kill("SIGKILL");
    const text = readFileSync(ownFile(), "utf8");
    const lines = text.split("\n").slice(0, -1);
    lines[1] = `\0\0${lines[1]?.slice(9)}`;
    writeFileSync(ownFile(), `${lines.join("\n")}\n`);
    truncateSync(ownFile(), Buffer.byteLength(`${lines.join("\n")}\n`) - 30);
    await a.startEngine({ logLevel: null });
    const { stdout, stderr } = await a.carpctl("history", "--json");
    assert.match(stderr, /^carpctl: warning: \S+\/history\.jsonl: 2 lines are damaged and left out\n$/);
    const seqs = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).seq as number);
    assert.deepEqual(
      [...seqs].sort((x, y) => x - y),
      seqs,
    );
    assert.equal(new Set(seqs).size, seqs.length);
  });

  test("every user may read it; a flood of forgeries is a line with its number, and no pass is in it", async () => {
    await a.carpctl(...SHARED);
    await a.carpctl("carp0", "state", "master");
    await a.waitForState("carp0", "MASTER");
    const advertised = { vhid: 1, pass: "guessed", addresses: ["10.0.0.1"], counter: 1n };
    const frame = forge.ipv4Frame({ source: "10.0.0.3", payload: forge.advertisement(advertised) });
    await b.inject("eth0", frame, { count: 500 });
    const capability = "-all,+dac_read_search";
    const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
    user.push(`--inh-caps=${capability}`, `--ambient-caps=${capability}`);
    const { stdout } = await eventually(
      async () => a.exec("setpriv", [...user, "--", CARPCTL, "history", "carp0"]),
      ({ stdout: text }) => / \(\d+ times\)$/m.test(text),
    );
    const discarded = stdout.match(/^.*incorrect hash from 10\.0\.0\.3.*$/gm) ?? [];
    assert.equal(discarded.length, 2, stdout);
    const files = ["history.jsonl", "history-provoked.jsonl"].map((name) =>
      readFileSync(join(a.runDirectory, name), "utf8"),
    );
    for (const text of [stdout, ...files]) assert.ok(!text.includes(PASS));
  });

  test("a full disk loses nothing while the engine runs, and is told", async () => {
    const full = await lan.host("full", { addresses: ["10.0.0.4/24"] });
    const state = join(full.etcDirectory, "state");
    const mount = 'mkdir "$1" && mount -t tmpfs -o size=16k none "$1" && shift && exec "$@"';
    const engine = await full.startEngine({
      through: ["unshare", "--mount", "sh", "-c", mount, "sh", state],
      environment: { CARP_STATE_DIR: state },
    });
    const writes = [{ name: "net.inet.carp.demotion", value: 1 }];
    const fill = async () => {
      await engine.request("sysctl-set", { writes });
      return (await engine.request("history", {})).failure;
    };
    assert.equal(await eventually(fill, (failure) => failure !== undefined), "ENOSPC");
    await engine.waitForLog(/the history cannot be written: ENOSPC/);
    await engine.request("demote", { reason: "told", by: 7 });
    const { stdout, stderr } = await full.carpctl("history");
    assert.match(stderr, /^carpctl: warning: the history cannot be written: ENOSPC\n/);
    assert.match(stdout, / demoted this host by 7 to \d+ \(told\)$/m);
  });
});
