/**
 * `carpctl plan`: what it prints, its pictures, and its exit status. What it predicts is tried in test/unit/cluster.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Cluster, PUBLISHED, written } from "../cluster/clusters.ts";
import { called, MAIN } from "./called.ts";

function words(cluster: Cluster): string[] {
  const base = written(cluster);
  return Object.keys(cluster).map((name) => `${name}=${join(base, name)}`);
}

async function plan(cluster: Cluster, options: readonly string[] = [], environment: NodeJS.ProcessEnv = {}) {
  return called(["plan", ...options, ...words(cluster)], environment);
}

const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const README = PUBLISHED.readme as Cluster;

test("a table with a row for each failure and its end, exit 0", async () => {
  const { status, err, out } = await plan(README);
  assert.deepEqual([status, err], [0, ""]);
  assert.equal(
    out,
    `FAILURE                 ADDRESS   VHID  MASTER          NONE FOR  SETTLED IN
fw1 dies                10.0.0.1  1     fw1 -> fw2      4.2s      4.2s
  fw1 0%, fw2 100%
fw1 is back             10.0.0.1  1     fw2 -> fw1      -         1.4s
  fw1 100%, fw2 0%
fw1 loses eth0          10.0.0.1  1     fw1 -> fw2      4.2s      4.2s
  fw1 0%, fw2 100%
fw1 has eth0 again      10.0.0.1  1     fw2 -> fw1      -         1.4s
  fw1 100%, fw2 0%
fw1 is demoted          10.0.0.1  1     fw1 -> fw2      -         0.1s
  fw1 0%, fw2 100%
fw1 is promoted         10.0.0.1  1     fw2 -> fw1      -         1.4s
  fw1 100%, fw2 0%
fw1 enters maintenance  10.0.0.1  1     fw1 -> fw2      -         0.1s
  fw1 0%, fw2 100%
fw1 leaves maintenance  10.0.0.1  1     fw2 -> fw1      -         1.4s
  fw1 100%, fw2 0%
fw2 dies                                unchanged       -         -
  fw1 100%, fw2 0%
fw2 is back                             unchanged       -         -
  fw1 100%, fw2 0%
fw2 loses eth0                          unchanged       -         -
  fw1 100%, fw2 0%
fw2 has eth0 again                      unchanged       -         -
  fw1 100%, fw2 0%
fw2 is demoted                          unchanged       -         -
  fw1 100%, fw2 0%
fw2 is promoted                         unchanged       -         -
  fw1 100%, fw2 0%
fw2 enters maintenance                  unchanged       -         -
  fw1 100%, fw2 0%
fw2 leaves maintenance                  unchanged       -         -
  fw1 100%, fw2 0%
eth0 splits fw1 | fw2   10.0.0.1  1     fw1 -> fw1+fw2  4.2s      4.2s
  fw1 100%, fw2 100%
eth0 joins fw1 | fw2    10.0.0.1  1     fw1+fw2 -> fw1  -         1.0s
  fw1 100%, fw2 0%
`,
  );
});

test("two interfaces: a row for each, and the shares below the last", async () => {
  const { out } = await plan(PUBLISHED["openbsd-faq"] as Cluster);
  assert.deepEqual(out.split("\n").slice(1, 4), [
    "fw1 dies                192.0.2.100   1     fw1 -> fw2      4.5s      4.5s",
    "                        172.16.0.100  2     fw1 -> fw2      4.5s      4.5s",
    "  fw1 0%, fw2 100%",
  ]);
});

test("--json: every virtual host of every failure", async () => {
  const { status, out } = await plan(README, ["--json"]);
  assert.equal(status, 0);
  const { failures } = JSON.parse(out);
  assert.equal(failures.length, 18);
  const { virtualHosts, lastedSeconds, ...loses } = failures[2];
  assert.equal(lastedSeconds, 30);
  assert.deepEqual(loses, {
    failure: "loses",
    host: "fw1",
    carpdev: "eth0",
    parts: null,
    isOver: false,
    shares: { fw1: 0, fw2: 1 },
  });
  const [{ noneSeconds, settledSeconds, answers, ...others }] = virtualHosts;
  assert.deepEqual(others, { vhid: 1, addresses: ["10.0.0.1"], before: ["fw1"], after: ["fw2"] });
  // The master-down time of fw2.
  for (const seconds of [noneSeconds, settledSeconds])
    assert.ok(seconds > 4 && seconds <= 3 * (1 + 100 / 256), String(seconds));
  assert.equal(answers.length, 1);
  assert.deepEqual([answers[0].host, answers[0].fromSeconds], ["fw2", noneSeconds]);
  const { failure, host, carpdev, parts } = failures[16];
  assert.deepEqual([failure, host, carpdev, parts], ["split", null, "eth0", [["fw1"], ["fw2"]]]);
});

describe("--timeline", () => {
  const firstOf = async (environment: NodeJS.ProcessEnv) => {
    const { status, out } = await plan(README, ["--timeline"], environment);
    assert.equal(status, 0);
    return out.split("\n").slice(0, 7);
  };

  test("a line for each host that answers, and for the time in which none does", async () => {
    assert.deepEqual(await firstOf({ LANG: "en_GB.UTF-8" }), [
      "       0s            1s            2s            3s            4s             5s",
      "fw1 dies: 10.0.0.1 vhid 1: fw1 -> fw2, none for 4.2s",
      `  fw2  ${"·".repeat(59)}${"━".repeat(14)}`,
      `  none ${"×".repeat(59)}${"·".repeat(14)}`,
      "fw1 is back: 10.0.0.1 vhid 1: fw2 -> fw1",
      `  fw1  ${"·".repeat(20)}${"━".repeat(53)}`,
      `  fw2  ${"━".repeat(20)}${"·".repeat(53)}`,
    ]);
  });

  test("in ASCII where the locale has nothing else", async () => {
    for (const environment of [{}, { LANG: "en_GB.UTF-8", LC_ALL: "C" }]) {
      const lines = await firstOf(environment);
      assert.equal(lines[2], `  fw2  ${".".repeat(59)}${"=".repeat(14)}`);
      assert.equal(lines[3], `  none ${"x".repeat(59)}${".".repeat(14)}`);
    }
  });

  test("a split: both masters, and what does not change is one line", async () => {
    const { out } = await plan(README, ["--timeline"]);
    const lines = out.split("\n");
    const at = lines.findIndex((line) => line.startsWith("eth0 splits fw1 | fw2: "));
    assert.deepEqual(
      lines.slice(at + 1, at + 4).map((line) => line.trim().split(" ")[0]),
      ["fw1", "fw2", "none"],
    );
    assert.ok(lines.includes("fw2 dies: unchanged"));
    assert.ok(lines.every((line) => line.length <= 80));
  });
});

describe("--svg", () => {
  test("to a file: one document without scripts or anything from elsewhere, beside the table", async () => {
    const file = join(directory, "plan.svg");
    const { status, out } = await plan(README, ["--svg", file]);
    assert.equal(status, 0);
    assert.match(out, /^FAILURE /);
    const svg = readFileSync(file, "utf8");
    assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 960 \d+" /);
    assert.match(svg, /<\/svg>\n$/);
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.doesNotMatch(svg, /<script|href|url\(|@import|\son\w+=/);
    for (const words of ["fw1 dies", "fw1 -&gt; fw2, none for 4.2s", "eth0 splits fw1 | fw2", "unchanged"])
      assert.ok(svg.includes(`>${words}</text>`), words);
    // Every element is closed.
    const opened = [...svg.matchAll(/<(\w+)[^>]*?(\/?)>/g)].filter(([, , closed]) => closed === "");
    assert.equal(opened.length, [...svg.matchAll(/<\/\w+>/g)].length);
  });

  test("long names do not reach into the bars, and only some hosts are in the title", async () => {
    const files = (skew: number) => ({
      "hostname.carp0": `vhid 1 carpdev eth0 advskew ${skew}\n10.0.0.1/24\n`,
    });
    const names = Array.from({ length: 9 }, (_, at) => `${"firewall-".repeat(4)}${at}`);
    const cluster = Object.fromEntries(names.map((name, at) => [name, files(10 * at)]));
    const { out } = await plan(cluster, ["--svg", "-"]);
    assert.match(out, /<title>Every single failure of 9 hosts<\/title>/);
    const bars = [...out.matchAll(/<rect class="empty" x="(\d+)"/g)].map(([, x]) => Number(x));
    const words = [...out.matchAll(/<text class="small" x="310"/g)];
    assert.equal(bars.length, words.length);
    // 37 characters of at most 7 pixels each.
    assert.deepEqual([...new Set(bars)], [310 + 37 * 7]);
  });

  test("-: to standard output, instead of the table", async () => {
    for (const option of [["--svg", "-"], ["--svg=-"]]) {
      const { status, out } = await plan(README, option);
      assert.equal(status, 0);
      assert.match(out, /^<svg .*<\/svg>\n$/s);
    }
  });

  test("a file that cannot be written, and one in no directory: one line, exit 1", async () => {
    for (const [file, code] of [
      [directory, "EISDIR"],
      [join(directory, "none/plan.svg"), "ENOENT"],
    ]) {
      const { status, out, err } = await plan(README, ["--svg", file ?? ""]);
      assert.deepEqual([status, out, err], [1, "", `carpctl: --svg ${file}: cannot be written (${code})\n`]);
    }
  });
});

const USAGE = "usage: carpctl plan [--timeline] [--svg FILE] NAME=PATH NAME=PATH...\n";

test("words that are wrong: one line, and the usage, exit 2", async () => {
  const svg = join(directory, "not-written.svg");
  for (const [options, why] of [
    [["--json", "--timeline"], "--json and --timeline: one of them can be printed"],
    [["--timeline", "--svg", "-"], "--timeline and --svg -: one of them can be printed"],
    [["--svg="], "--svg: needs a value (FILE)"],
    [["--svg", svg, "frob"], "frob: expected NAME=DIRECTORY or NAME=FILE"],
  ] as const) {
    const { status, err } = await plan(README, options);
    assert.deepEqual([status, err], [2, `carpctl: ${why}\n${USAGE}`]);
  }
  const { status, err } = await plan(README, ["--frob"]);
  assert.deepEqual([status, err.split("\n")[0]], [2, "carpctl: --frob: unknown option"]);
});

test("a directory that is not there: one line, exit 1", async () => {
  const { status, out, err } = await called(["plan", ...words(README).slice(0, 1), `fw2=${directory}/none`]);
  assert.deepEqual([status, out], [1, ""]);
  assert.match(err, /^carpctl: .*\/none: .*\n$/);
});

test("files with errors are refused: one line, exit 1", async () => {
  const fw2 = { "hostname.carp0": "vhid 1 carpdev eth0 pass other advskew 100\n10.0.0.1/24\nfrob\n" };
  const { status, err, out } = await plan({ fw1: README.fw1 ?? {}, fw2 });
  assert.deepEqual([status, out], [1, ""]);
  assert.equal(err, "carpctl: the files have 1 error: 'carpctl check' names them\n");
});

test("a reader that has gone is no failure", async () => {
  const child = spawn(process.execPath, [MAIN, "plan", "--timeline", ...words(README)]);
  child.stdout.destroy();
  let err = "";
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  const status = await new Promise((resolve) => child.on("close", resolve));
  assert.deepEqual([status, err], [0, ""]);
});
