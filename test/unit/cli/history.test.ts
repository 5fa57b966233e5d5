/** `history`: the moments that --since accepts, the states at such a moment, damaged files, and no engine. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { readMoment } from "../../../src/cli/commands/history/moment.ts";
import { readHistory } from "../../../src/cli/commands/history/read.ts";
import { localTime } from "../../../src/cli/show/event.ts";
import type { HistoryEvent, HistoryRecord } from "../../../src/control/history.ts";
import { called } from "./called.ts";
import { scriptedEngine } from "./scripted-engine.ts";

/** Noon, and some seconds, of a day in the local time. */
const NOW_MS = new Date(2026, 10, 21, 12, 0, 7).getTime();
const HOUR_MS = 3_600_000;

describe("--since", () => {
  const local = (...of: [number, number, number?, number?]) => {
    const [day, hour, minute = 0, second = 0] = of;
    return new Date(2026, 10, day, hour, minute, second).getTime();
  };
  const accepted: readonly (readonly [string, number])[] = [
    ["03:12", local(21, 3, 12)],
    ["3:12:05", local(21, 3, 12, 5)],
    ["12:00", local(21, 12)],
    ["23:59", local(20, 23, 59)],
    ["2026-11-20", local(20, 0)],
    ["2026-11-20 03:12", local(20, 3, 12)],
    ["2026-11-20T03:12:05.5", local(20, 3, 12, 5) + 500],
    ["2026-11-20T03:12:05.123Z", Date.UTC(2026, 10, 20, 3, 12, 5, 123)],
    ["2026-11-20 03:12:05+01:30", Date.UTC(2026, 10, 20, 1, 42, 5)],
    ["2026-11-20 03:12:05-0100", Date.UTC(2026, 10, 20, 4, 12, 5)],
    ["today", local(21, 0)],
    ["yesterday", local(20, 0)],
    ["now", NOW_MS],
    ["45s", NOW_MS - 45_000],
    ["10m", NOW_MS - HOUR_MS / 6],
    ["2h", NOW_MS - 2 * HOUR_MS],
    ["-2h", NOW_MS - 2 * HOUR_MS],
    ["1h30m", NOW_MS - 1.5 * HOUR_MS],
    ["3d", NOW_MS - 72 * HOUR_MS],
  ];
  for (const [text, atMs] of accepted)
    it(`${text} is accepted`, () => assert.deepEqual(readMoment("--since", text, NOW_MS), { atMs }));

  it("the times that the command prints are accepted", () => {
    assert.deepEqual(readMoment("--since", localTime(NOW_MS + 123), NOW_MS), { atMs: NOW_MS + 123 });
    assert.deepEqual(readMoment("--since", new Date(NOW_MS).toISOString(), NOW_MS), { atMs: NOW_MS });
  });

  for (const text of [
    ...["", "foo", "24:00", "12:60", "3", "2026-02-30", "2026-13-01", "2026-11-20 25:00", "10", "10min"],
    ...["2h ago", "1e3s", "2026-11-20T", "-03:12", "9999999999d"],
  ])
    it(`'${text}' is refused: one line says what is accepted`, async () => {
      const { status, out, err } = await called(["history", `--since=${text}`]);
      const named = text === "" ? "''" : text;
      assert.deepEqual([status, out], [1, ""]);
      assert.equal(
        err,
        `carpctl: --since ${named}: expected a time like 03:12, 2026-11-21 or '2026-11-21 03:12', or how long ago, like 45s, 10m, 2h or 3d\n`,
      );
    });

  it("is a moment or a refusal, whatever is typed", () => {
    const piece = fc.constantFrom(
      "1",
      "09",
      "2026",
      "-",
      ":",
      "T",
      " ",
      "Z",
      "+",
      ".",
      "h",
      "m",
      "d",
      "s",
      "é",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const read = readMoment("--since", pieces.join(""), NOW_MS);
        assert.ok("refusal" in read || Number.isFinite(read.atMs));
      }),
    );
  });
});

const directory = mkdtempSync(join(tmpdir(), "carpctl-history-"));
after(() => rmSync(directory, { recursive: true }));

/** A directory with these files. */
let made = 0;
function withFiles(files: Readonly<Record<string, string>>): string {
  const path = join(directory, String(++made));
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

const record = (seq: number, event: HistoryEvent, others: Partial<HistoryRecord> = {}): HistoryRecord => ({
  seq,
  boot: "01234567",
  upUs: seq * 1_000_000,
  atMs: NOW_MS + seq * 1000,
  times: 1,
  event,
  ...others,
});
const started = (seq: number) => record(seq, { kind: "engine-started", version: "1.2.3", pid: 7 });
const transition = (seq: number, to: "INIT" | "BACKUP" | "MASTER", name = "carp0", vhid = 1) =>
  record(seq, {
    kind: "transition",
    interface: name,
    vhid,
    from: "INIT",
    to,
    reason: "the master is silent",
    cause: { kind: "timer", timer: "master-down", heard: { source: "10.0.0.3", seconds: 3.2 } },
  });
const lines = (...records: readonly unknown[]) => records.map((each) => `${JSON.stringify(each)}\n`).join("");
const seqs = (records: readonly HistoryRecord[]) => records.map(({ seq }) => seq);

describe("the files", () => {
  it("are read in the order of events, each once, with what the engine has not written", () => {
    const path = withFiles({
      "history.jsonl.old": lines(started(1), transition(3, "MASTER")),
      "history.jsonl": lines(transition(3, "MASTER"), started(9)),
      "history-provoked.jsonl": lines(record(2, { kind: "complaint", text: "x" })),
    });
    const { records, warnings } = readHistory(path, [started(9), transition(4, "BACKUP")]);
    assert.deepEqual([seqs(records), warnings], [[1, 2, 3, 4, 9], []]);
  });

  it("cost no more than a line where they are damaged, and it is said", () => {
    const path = withFiles({
      "history.jsonl": [
        lines(started(1)),
        '{"seq":2,"bo\n',
        "\0\0\0\n",
        lines({ ...started(3), times: "often" }, { ...started(4), event: { kind: "of a newer version" } }),
        lines(started(5)),
        '{"seq":6',
      ].join(""),
    });
    const { records, warnings } = readHistory(path);
    assert.deepEqual(seqs(records), [1, 5]);
    assert.deepEqual(warnings, [`${path}/history.jsonl: 5 lines are damaged and left out`]);
  });

  it("that are none are named and not read", () => {
    const path = withFiles({ "history.jsonl.old": lines(started(1)) });
    symlinkSync("/etc/passwd", join(path, "history.jsonl"));
    mkdirSync(join(path, "history-provoked.jsonl"));
    const { records, warnings } = readHistory(path);
    assert.deepEqual(seqs(records), [1]);
    assert.deepEqual(warnings, [
      `${path}/history.jsonl: cannot be read (ELOOP)`,
      `${path}/history-provoked.jsonl: not a file`,
    ]);
  });

  it("of any bytes are read without an error", () => {
    const path = withFiles({});
    const whole = lines(started(1), transition(2, "MASTER"), transition(3, "BACKUP"));
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(damage, fc.nat(whole.length), (bytes, length) => {
        const text = Buffer.from(whole);
        for (const [at, byte] of bytes) text[at] = byte;
        writeFileSync(join(path, "history.jsonl"), text.subarray(0, length));
        const { records } = readHistory(path);
        assert.ok(records.length <= 8 + 3);
      }),
      { numRuns: 200 },
    );
  });
});

describe("the command", () => {
  const files = {
    "history.jsonl": lines(
      started(1),
      transition(2, "BACKUP"),
      transition(3, "BACKUP", "carp1"),
      transition(4, "MASTER"),
      record(5, { kind: "destroyed", interface: "carp1" }),
      record(6, { kind: "demotion", by: 240, to: 240, reason: "\u001b[31minterface down" }),
      record(7, { kind: "repaired", interface: "eth0", what: "its settings" }),
      transition(8, "BACKUP", "carp2", 7),
    ),
    "history-provoked.jsonl": lines(
      record(9, { kind: "discarded", counter: "badVhid", text: "no such vhid" }, { times: 12 }),
    ),
  };
  const path = withFiles(files);
  const here = { CARP_RUN_DIR: path };
  const noEngine = (runDir: string) =>
    `the engine is not running (no ${runDir}/engine.sock): start it with 'systemctl start carpd' or 'carpctl engine'\n`;
  const texts = (out: string) =>
    out
      .split("\n")
      .slice(0, -1)
      .map((line) => line.slice("2026-11-21 12:00:08.000 ".length));

  it("prints time, interface, event and cause, also when no engine runs", async () => {
    const { status, out, err } = await called(["history"], here);
    assert.deepEqual([status, err], [0, `carpctl: warning: ${noEngine(path)}`]);
    const silent = "the master is silent (master-down timer: 10.0.0.3 was last heard 3.2 seconds before)";
    assert.equal(out.split("\n")[3], `2026-11-21 12:00:11.000 carp0 vhid 1: INIT -> MASTER: ${silent}`);
    assert.deepEqual(texts(out).slice(4), [
      "carp1: destroyed",
      "demoted this host by 240 to 240 (\\x1b[31minterface down)",
      "eth0: repaired: its settings",
      `carp2 vhid 7: INIT -> BACKUP: ${silent}`,
      "discarded: no such vhid (12 times)",
    ]);
  });

  it("of one interface prints its events and the whole host's", async () => {
    const { out } = await called(["history", "carp2"], here);
    assert.deepEqual(
      texts(out).map((text) => text.split(/[: ]/, 1)[0]),
      ["engine", "demoted", "eth0", "carp2"],
    );
    const { status, err } = await called(["history", "carp7"], here);
    assert.deepEqual([status, err], [1, "carpctl: carp7: no such interface, and no event of one\n"]);
  });

  it("begins with the states at the time of --since, and their causes", async () => {
    const { out } = await called(["history", "--since", "2026-11-21 12:00:13.500"], here);
    const silent = "the master is silent (master-down timer: 10.0.0.3 was last heard 3.2 seconds before)";
    assert.equal(
      out.split("\n")[0],
      `2026-11-21 12:00:13.500 carp0 vhid 1: MASTER since 2026-11-21 12:00:11.000: ${silent}`,
    );
    assert.deepEqual(
      texts(out)
        .slice(1)
        .map((text) => text.split(/[: ]/, 1)[0]),
      ["eth0", "carp2", "discarded"],
    );
  });

  it("ends with the time of --until, and tells the states at that of --since", async () => {
    const until = ["--until", "2026-11-21 12:00:13.500"];
    const words = async (...options: string[]) =>
      texts((await called(["history", ...options, ...until], here)).out).map(
        (text) => text.split(/[: ]/, 1)[0],
      );
    const all = texts((await called(["history"], here)).out).map((text) => text.split(/[: ]/, 1)[0]);
    assert.deepEqual(await words(), all.slice(0, 6));
    assert.deepEqual(await words("--since", "2026-11-21 12:00:13"), ["carp0", "demoted"]);
    const { status, out, err } = await called(["history", "--since", "2026-11-22", ...until], here);
    assert.deepEqual(
      [status, out, err],
      [1, "", "carpctl: --until 2026-11-21 12:00:13.500: is before --since 2026-11-22\n"],
    );
    const wrong = await called(["history", "--until", "soon"], here);
    assert.match(wrong.err, /^carpctl: --until soon: expected a time like 03:12, /);
  });

  it("--json prints an object a line, as monitor does", async () => {
    const { out } = await called(["history", "--json", "--since", "2026-11-21 12:00:13.500"], here);
    const told = out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    const cause = { kind: "timer", timer: "master-down", heard: { source: "10.0.0.3", seconds: 3.2 } };
    assert.deepEqual(told[0], {
      time: new Date(NOW_MS + 6500).toISOString(),
      event: "state",
      interface: "carp0",
      vhid: 1,
      state: "MASTER",
      since: new Date(NOW_MS + 4000).toISOString(),
      reason: "the master is silent",
      cause,
    });
    assert.deepEqual(told[2], {
      time: new Date(NOW_MS + 8000).toISOString(),
      event: "transition",
      interface: "carp2",
      vhid: 7,
      from: "INIT",
      to: "BACKUP",
      reason: "the master is silent",
      cause,
      seq: 8,
      boot: "01234567",
    });
    assert.equal(told[3].times, 12);
  });

  it("asks the engine for the rest, says why it could not write, and finds what happened before the clock was set", async (t) => {
    const engine = await scriptedEngine(({ method }) =>
      method === "history"
        ? {
            directory: path,
            boot: "01234567",
            nowUs: 12_000_000,
            records: [transition(12, "MASTER", "carp3")],
            failure: "ENOSPC",
          }
        : {},
    );
    t.after(() => engine.close());
    const environment = { CARP_RUN_DIR: engine.runDir };
    const { out, err, status } = await called(["history", "carp3"], environment);
    assert.deepEqual([status, err], [0, "carpctl: warning: the history cannot be written: ENOSPC\n"]);
    assert.match(out, / carp3 vhid 1: INIT -> MASTER: /);
    // In 2026 by the clock of then, and seconds ago by the clock that cannot be set.
    const recent = await called(["history", "--since", "5s"], environment);
    assert.match(recent.out, / eth0: repaired: /);
    assert.doesNotMatch(recent.out, / demoted this host /);
  });

  it("without an engine and without files is refused as every command is", async () => {
    const { status, out, err } = await called(["history"]);
    assert.deepEqual([status, out, err], [1, "", `carpctl: ${noEngine("/nonexistent/run")}`]);
  });
});
