/** Log lines to the system log and standard error, and notifications to the service manager. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, test } from "node:test";
import { MESSAGE_IDS } from "../../../src/kernel/process/journal.ts";
import { oneLine } from "../../../src/kernel/process/log-line.ts";
import {
  isSupervised,
  notifyReady,
  notifyStopping,
  notifyWatchdog,
  watchdogMs,
} from "../../../src/kernel/process/notify.ts";
import { createLog, syslogHeader } from "../../../src/kernel/process/syslog.ts";
import { datagramsAt } from "./datagrams.ts";

const directory = mkdtempSync(join(tmpdir(), "carpctl-log-"));
after(() => rmSync(directory, { recursive: true }));

afterEach(() => {
  delete process.env.NOTIFY_SOCKET;
});

test("a syslog line begins with facility daemon, its priority, local time, program and pid", () => {
  assert.equal(syslogHeader(2, new Date(2026, 0, 3, 4, 5, 6), 77), "<26>Jan  3 04:05:06 carpd[77]: ");
  assert.equal(syslogHeader(7, new Date(2026, 11, 31, 23, 59, 59), 1), "<31>Dec 31 23:59:59 carpd[1]: ");
});

test("a log line reaches syslogd, also one that was started later or anew", async () => {
  const socket = join(directory, "log");
  const log = createLog("syslog", { syslog: socket, journal: join(directory, "none"), ident: "named" });
  log(2, "no listener yet");
  for (const text of ["carp0: state transition: BACKUP -> MASTER", "again"]) {
    const datagrams = await datagramsAt(socket);
    log(4, text);
    assert.match(
      await datagrams.next(),
      new RegExp(`^<28>[A-Z][a-z]{2} [ 0-9]\\d .* named\\[${process.pid}\\]: ${text}$`),
    );
    await datagrams.close();
    rmSync(socket);
  }
});

test("the journal gets the line with its fields, and syslogd nothing", async () => {
  const [journal, syslog] = [join(directory, "journal"), join(directory, "log")];
  const entries = await datagramsAt(journal);
  const lines = await datagramsAt(syslog);
  const log = createLog("syslog", { journal, syslog });
  log(2, "carp0: state transition: BACKUP -> MASTER\n", {
    event: "transition",
    interface: "carp0",
    vhid: 1,
    state: "MASTER",
    previousState: "BACKUP",
    reason: "the master\nis silent",
  });
  log(6, "no fields\nPRIORITY=0");
  assert.deepEqual((await entries.next()).split("\n"), [
    "MESSAGE=carp0: state transition: BACKUP -> MASTER",
    "PRIORITY=2",
    "SYSLOG_FACILITY=3",
    "SYSLOG_IDENTIFIER=carpd",
    `MESSAGE_ID=${MESSAGE_IDS.transition}`,
    "CARP_INTERFACE=carp0",
    "CARP_VHID=1",
    "CARP_STATE=MASTER",
    "CARP_PREVIOUS_STATE=BACKUP",
    "CARP_REASON=the master?is silent",
    "",
  ]);
  assert.match(await entries.next(), /^MESSAGE=no fields\?PRIORITY=0\nPRIORITY=6\n/);
  await entries.close();
  // A journal that is gone.
  log(3, "for syslogd");
  assert.match(await lines.next(), /: for syslogd$/);
  await lines.close();
  for (const each of [journal, syslog]) rmSync(each);
});

test("standard error that is the journal's: its protocol, and no second line", async () => {
  const journal = join(directory, "journal");
  const entries = await datagramsAt(journal);
  const module = new URL("../../../src/kernel/process/syslog.ts", import.meta.url).href;
  const run = (stream: string) => {
    const script = `
      const { fstatSync } = await import("node:fs");
      const { dev, ino } = fstatSync(2);
      process.env.JOURNAL_STREAM = ${stream};
      const { createLog } = await import(${JSON.stringify(module)});
      createLog("stderr", { journal: ${JSON.stringify(journal)} })(4, "once");`;
    return spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }).stderr;
  };
  // biome-ignore lint/suspicious/noTemplateCurlyInString: of the script
  assert.equal(run("`${dev}:${ino}`"), "");
  assert.match(await entries.next(), /^MESSAGE=once\nPRIORITY=4\n/);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: of the script
  assert.equal(run("`${dev}:${ino + 1}`"), "<4>once\n");
  await entries.close();
  rmSync(journal);
});

test("a log without a reader does not block", async () => {
  const socket = join(directory, "stuck");
  const datagrams = await datagramsAt(socket);
  const log = createLog("syslog", { syslog: socket, journal: socket });
  for (let line = 0; line < 20_000; line++) log(6, "x".repeat(900));
  await datagrams.close();
});

test("standard error without a reader does not block, and the lines that fit are read later", async () => {
  const module = new URL("../../../src/kernel/process/syslog.ts", import.meta.url).href;
  const script = `
    const log = (await import(${JSON.stringify(module)})).createLog("stderr");
    for (let line = 0; line < 500; line++) log(6, line + "x".repeat(900));
    process.stdout.write("went on\\n");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  try {
    await once(child.stdout, "data");
    let lines = 0;
    for await (const line of createInterface({ input: child.stderr })) {
      assert.match(line, new RegExp(`^<6>${lines}x{900}$`));
      lines += 1;
      if (lines === 500) break;
    }
  } finally {
    child.kill("SIGKILL");
  }
});

test("on standard error the priority stands in front", () => {
  const module = new URL("../../../src/kernel/process/syslog.ts", import.meta.url).href;
  const script = `(await import(${JSON.stringify(module)})).createLog("stderr")(3, "two\\nlines");`;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(stderr, "<3>two?lines\n");
});

test("text stays one line of bounded length, whatever it quotes", () => {
  assert.equal(oneLine("plain text, ünicode\n"), "plain text, ünicode");
  assert.equal(oneLine("a\nb\rc\u0000d\u001b[31me\u007f\u0085\u2028f"), "a?b?c?d?[31me???f");
  for (const long of ["x".repeat(5000), "ü".repeat(5000), "€".repeat(5000), "😀".repeat(5000)]) {
    const line = oneLine(long);
    assert.ok(Buffer.byteLength(line) <= 960 && Buffer.byteLength(line) > 950);
    assert.ok(line.endsWith("...") && !line.includes("\uFFFD"));
  }
});

test("the service manager hears of readiness, of a running event loop, and of stopping", async () => {
  for (const socket of [join(directory, "notify"), `@${join(directory, "notify")}`]) {
    const datagrams = await datagramsAt(socket);
    process.env.NOTIFY_SOCKET = socket;
    notifyReady();
    assert.equal(await datagrams.next(), "READY=1");
    notifyWatchdog();
    assert.equal(await datagrams.next(), "WATCHDOG=1");
    notifyStopping();
    assert.equal(await datagrams.next(), "STOPPING=1");
    await datagrams.close();
  }
});

test("without a service manager nothing happens", () => {
  delete process.env.NOTIFY_SOCKET;
  notifyReady();
  assert.equal(isSupervised(), false);
});

test("the watchdog's time is for this process alone", () => {
  process.env.NOTIFY_SOCKET = join(directory, "notify");
  process.env.WATCHDOG_USEC = "2000000";
  for (const [pid, ms] of [
    [undefined, 2000],
    [String(process.pid), 2000],
    ["1", undefined],
  ] as const) {
    if (pid === undefined) delete process.env.WATCHDOG_PID;
    else process.env.WATCHDOG_PID = pid;
    assert.equal(watchdogMs(), ms);
  }
  delete process.env.WATCHDOG_PID;
  for (const wrong of ["", "0", "-5", "soon"]) {
    process.env.WATCHDOG_USEC = wrong;
    assert.equal(watchdogMs(), undefined);
  }
  delete process.env.WATCHDOG_USEC;
});
