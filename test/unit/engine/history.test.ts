/**
 * The history in the engine: events are appended to bounded files, in the background, over restarts, and whatever lies
 * at their paths; what is repeated is told with its number, and what others provoke displaces nothing.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { readHistory } from "../../../src/cli/commands/history/read.ts";
import {
  type HistoryRecord,
  MAX_RECORD_BYTES,
  OWN_FILE,
  PROVOKED_FILE,
} from "../../../src/control/history.ts";
import { History } from "../../../src/engine/history/history.ts";
import { HistoryFile } from "../../../src/engine/history/history-file.ts";
import { eventually } from "../../hosts/eventually.ts";

let directory: string;
let nowMs: number;
let complaints: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-history-"));
  nowMs = 1_000_000;
  complaints = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const path = (name: string) => join(directory, name);

/** An engine's history, in this directory. */
function started({ bootId = "0123456789", pid = 7 } = {}): History {
  const history = new History({
    directory,
    bootId,
    now: () => ({ us: nowMs * 1000, epochUs: (nowMs + 1_700_000_000_000) * 1000 }),
    steadyMs: () => nowMs,
    complain: (text) => complaints.push(text),
  });
  history.begin("1.2.3", pid);
  return history;
}

/** Events as a reader has them when everything is written. */
function read(): readonly HistoryRecord[] {
  const { records, warnings } = readHistory(directory);
  assert.deepEqual(warnings, []);
  return records;
}

const transition = (n: number, name = "carp0") =>
  ({
    kind: "transition",
    interface: name,
    vhid: 1,
    from: n % 2 === 0 ? "BACKUP" : "MASTER",
    to: n % 2 === 0 ? "MASTER" : "BACKUP",
    reason: `number ${n}`,
    addresses: [],
  }) as const;
const discarded = (n: number) =>
  ({ kind: "discarded", counter: "badAuthentication", interface: "carp0", text: `number ${n}` }) as const;
const withoutAddresses = ({ addresses: _, ...event }: ReturnType<typeof transition>) => event;
const kinds = (records: readonly HistoryRecord[]) => records.map(({ event }) => event.kind);

describe("the history", () => {
  it("is kept over restarts: numbers go on, and the start says how the engine before ended", async () => {
    const first = started();
    first.note(transition(0));
    await first.end("stopped");
    await started({ pid: 8 }).end("left");
    const killed = started({ pid: 9 });
    killed.note(transition(1));
    await eventually(
      async () => read().length,
      (length) => length === 7,
    );
    const after = started({ pid: 10 });
    await after.end("stopped");
    const booted = started({ bootId: "9876543210", pid: 11 });
    await booted.end("stopped");
    const records = read();
    assert.deepEqual(
      records.map(({ seq }) => seq),
      records.map((_, at) => at + 1),
    );
    assert.deepEqual(
      records.flatMap(({ event }) => (event.kind === "engine-started" ? [[event.pid, event.after]] : [])),
      [
        [7, undefined],
        [8, undefined],
        [9, undefined],
        [10, "end"],
        [11, "boot"],
      ],
    );
    assert.deepEqual(records.at(1)?.event, {
      kind: "transition",
      interface: "carp0",
      vhid: 1,
      from: "BACKUP",
      to: "MASTER",
      reason: "number 0",
    });
    assert.equal(statSync(path(OWN_FILE.name)).mode & 0o777, 0o644);
    assert.deepEqual(complaints, []);
  });

  it("is ordered by what happened first, also when the clock is set back", async () => {
    const history = started();
    history.note(transition(0));
    nowMs -= 500_000;
    history.note(transition(1));
    await history.end("stopped");
    const told = read().filter(({ event }) => event.kind === "transition");
    assert.deepEqual(
      told.map(({ atMs, event }) => [atMs - 1_700_000_000_000, "reason" in event && event.reason]),
      [
        [1_000_000, "number 0"],
        [500_000, "number 1"],
      ],
    );
  });

  it("tells what it has not written yet, and writes it soon", async () => {
    const history = started();
    history.note(transition(0));
    const { records, ...others } = await history.unwritten();
    assert.deepEqual(kinds(records), ["engine-started", "transition"]);
    assert.deepEqual(others, {
      directory,
      boot: "01234567",
      nowUs: nowMs * 1000,
      failure: undefined,
    });
    await eventually(
      async () => (await history.unwritten()).records.length,
      (length) => length === 0,
    );
    assert.deepEqual(kinds(read()), ["engine-started", "transition"]);
  });

  it("has changes of a virtual host one by one up to a burst, and then together with their number", async () => {
    const history = started();
    for (let n = 0; n < 150; n++) history.note(transition(n));
    history.note(transition(0, "carp1"));
    const told = (records: readonly HistoryRecord[]) =>
      records.flatMap(({ times, event }) =>
        event.kind === "transition" && event.interface === "carp0" ? [[times, event.reason]] : [],
      );
    const { records } = await history.unwritten();
    assert.deepEqual(told(records).length, 101);
    assert.deepEqual(told(records).at(-1), [50, "number 149"]);
    await history.end("stopped");
    const written = read();
    assert.deepEqual(told(written).slice(-2), [
      [1, "number 99"],
      [50, "number 149"],
    ]);
    assert.deepEqual(written.map(({ seq }) => seq).slice(-3), [151, 152, 153]);
  });

  it("is not displaced by what others provoke: a flood costs a record in a while, in a file of its own", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const history = started();
    history.note(transition(0));
    for (let minute = 0; minute < 60; minute++) {
      for (let n = 0; n < 1000; n++) history.note(discarded(n));
      nowMs += 60_000;
      context.mock.timers.tick(60_000);
    }
    context.mock.timers.reset();
    await history.end("stopped");
    const flood = read().filter(({ event }) => event.kind === "discarded");
    assert.ok(flood.length < 10, `${flood.length} records`);
    assert.equal(
      flood.reduce((sum, { times }) => sum + times, 0),
      60_000,
    );
    assert.doesNotMatch(readFileSync(path(OWN_FILE.name), "utf8"), /discarded/);
    assert.match(readFileSync(path(PROVOKED_FILE.name), "utf8"), /discarded/);
  });

  it("is not displaced by many subjects either, by commands or not: what has no room is told together", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const history = started();
    for (let n = 0; n < 30; n++) history.note(transition(n));
    for (let n = 0; n < 30_000; n++) {
      const name = `carp${1 + (n % 9000)}`;
      for (const kind of ["created", "destroyed"] as const) history.note({ kind, interface: name });
      history.noteChange(name, `${name}: changed by uid 1000`, 1000);
      history.note(transition(n, name));
    }
    // Whatever root configured, or has configured since, has room.
    history.noteChange("carp2", "carp2: changed by root", 0);
    for (let n = 0; n < 3; n++) for (const name of ["carp2", "carp0"]) history.note(transition(n, name));
    nowMs += 86_400_000;
    context.mock.timers.tick(86_400_000);
    context.mock.timers.reset();
    history.note(transition(0, "carp1"));
    await history.end("stopped");
    const records = read();
    assert.ok(records.length < OWN_FILE.most - 2000, `${records.length} records`);
    assert.deepEqual(records[1]?.event, withoutAddresses(transition(0)));
    const late = records.filter(({ seq, event }) => seq > 120_000 && event.kind === "transition");
    assert.ok(late.filter(({ times }) => times === 1).length >= 6);
    // Afterwards there is room again, and no event is missing.
    assert.deepEqual(records.at(-2)?.event, withoutAddresses(transition(0, "carp1")));
    assert.equal(
      records.reduce((sum, { times }) => sum + times, 0),
      4 * 30_000 + 30 + 7 + 3,
    );
  });

  it("keeps the newest in memory while they cannot be written, and says once that it is so", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    rmSync(directory, { recursive: true });
    writeFileSync(directory, "");
    const history = started();
    for (let n = 0; n < OWN_FILE.most + 500; n++) {
      history.note(transition(n, `carp${n}`));
      // Many at once would be told together.
      nowMs += 100_000;
    }
    const fails = async () => {
      context.mock.timers.tick(5000);
      return (await history.unwritten()).failure;
    };
    assert.equal(await eventually(fails, (failure) => failure !== undefined), "ENOTDIR");
    assert.deepEqual(complaints, ["the history cannot be written: ENOTDIR"]);
    const { records } = await history.unwritten();
    assert.equal(records.length, OWN_FILE.most);
    assert.deepEqual(records[0]?.event, { kind: "unwritten", count: 502 });
    // It makes the directory itself.
    rmSync(directory);
    await eventually(fails, (failure) => failure === undefined);
    assert.deepEqual(complaints.slice(1), ["the history can be written again"]);
    context.mock.timers.reset();
    await history.end("stopped");
    assert.equal(read().at(-2)?.event.kind, "transition");
    assert.equal(read().length, OWN_FILE.most);
  });

  it("cuts a text that would make a record too long", async () => {
    const history = started();
    history.note({ kind: "complaint", text: "é\n".repeat(1_000_000) });
    await history.end("stopped");
    const lines = readFileSync(path(OWN_FILE.name), "utf8").split("\n");
    for (const line of lines) assert.ok(Buffer.byteLength(line) < MAX_RECORD_BYTES);
    assert.deepEqual(kinds(read()), ["engine-started", "complaint", "engine-stopped"]);
  });
});

describe("a file of the history", () => {
  const record = (seq: number) => `{"seq":${seq},"rest":"${"x".repeat(40)}"}\n`;
  const open = async () => {
    const file = new HistoryFile(path("h"), { name: "h", most: 10 });
    return { file, ...(await file.open()) };
  };

  it("is renamed when it is full, in the place of the one before", async () => {
    const { file } = await open();
    for (let n = 1; n <= 25; n++) await file.append([record(n)]);
    assert.equal(
      readFileSync(path("h.old"), "utf8"),
      [...Array(10).keys()].map((n) => record(n + 11)).join(""),
    );
    assert.equal(readFileSync(path("h"), "utf8"), [...Array(5).keys()].map((n) => record(n + 21)).join(""));
  });

  it("is counted anew by the next engine, and may be missing after a kill between rename and write", async () => {
    const first = (await open()).file;
    for (let n = 1; n <= 9; n++) await first.append([record(n)]);
    const { file, greatestSeq, lastLine } = await open();
    assert.deepEqual([greatestSeq, lastLine], [9, record(9).trimEnd()]);
    await file.append([record(10)]);
    await file.append([record(11)]);
    assert.equal(readFileSync(path("h"), "utf8"), record(11));
    rmSync(path("h"));
    assert.deepEqual(await open().then(({ greatestSeq: seq }) => seq), 10);
  });

  it("goes on behind a line that was cut, and past bytes that are no lines", async () => {
    writeFileSync(
      path("h"),
      `${record(1)}\0\0${"y".repeat(5000)}\n{"seq":99999999999999999999,\n{"seq":5,"re`,
    );
    const { file, greatestSeq } = await open();
    assert.equal(greatestSeq, 1);
    await file.append([record(2)]);
    assert.ok(readFileSync(path("h"), "utf8").endsWith(`\n{"seq":5,"re\n${record(2)}`));
  });

  it("is made anew when it was removed", async () => {
    const { file } = await open();
    await file.append([record(1)]);
    rmSync(path("h"));
    await file.append([record(2)]);
    assert.equal(readFileSync(path("h"), "utf8"), record(2));
  });

  for (const [what, make] of [
    ["a directory", () => mkdirSync(path("h"))],
    ["a symbolic link", () => symlinkSync(path("target"), path("h"))],
    ["a pipe", () => assert.equal(spawnSync("mkfifo", [path("h")]).status, 0)],
    ["a file with a second name", () => linkSync(path("target"), path("h"))],
    [
      "a file that others may write",
      () => {
        writeFileSync(path("h"), record(7));
        chmodSync(path("h"), 0o666);
      },
    ],
  ] as const)
    it(`is set aside where it is ${what}`, async () => {
      writeFileSync(path("target"), "untouched");
      make();
      const { file, greatestSeq } = await open();
      assert.equal(greatestSeq, 0);
      await file.append([record(1)]);
      assert.equal(readFileSync(path("h"), "utf8"), record(1));
      assert.equal(readFileSync(path("target"), "utf8"), "untouched");
      assert.ok(existsSync(path("h.unusable")) || what === "a symbolic link");
    });

  it("is renamed also where a directory is in the way", async () => {
    const { file } = await open();
    for (let n = 1; n <= 10; n++) await file.append([record(n)]);
    mkdirSync(path("h.old"));
    appendFileSync(path("h.old/in-the-way"), "");
    await file.append([record(11)]);
    assert.equal(readFileSync(path("h.old"), "utf8").split("\n").length, 11);
  });
});
