/** The log of an engine under systemd: entries with fields, in the journal's own protocol, to a journal of the test. */

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MESSAGE_IDS } from "../../src/kernel/process/journal.ts";
import { createNetwork } from "../hosts/index.ts";
import { type Datagrams, datagramsAt } from "../unit/kernel/datagrams.ts";

/** Runs the command behind it where this directory is the journal's. */
const WITH_JOURNAL = `
mount -t tmpfs -o mode=755 none /run && mkdir /run/systemd && ln -s "$1" /run/systemd/journal || exit
shift
exec "$@"`;

test("the journal has the fields of what happened", { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "carpctl-journal-"));
  chmodSync(directory, 0o755);
  const journal = await datagramsAt(join(directory, "socket"));
  chmodSync(join(directory, "socket"), 0o666);
  const lan = await createNetwork();
  try {
    const a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    const engine = await a.startEngine({
      through: ["unshare", "--mount", "sh", "-c", WITH_JOURNAL, "sh", directory],
      words: ["--log", "syslog"],
    });
    assert.equal((await nextOf(journal, "started")).PRIORITY, "6");
    await a.command("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "7", "description", "x\\ny");
    await nextOf(journal, "transition");
    const { MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, ...fields } = await nextOf(journal, "transition");
    assert.equal(MESSAGE, "carp0: state transition: BACKUP -> MASTER");
    assert.deepEqual([PRIORITY, SYSLOG_IDENTIFIER], ["2", "carpd"]);
    assert.deepEqual(fields, {
      SYSLOG_FACILITY: "3",
      MESSAGE_ID: MESSAGE_IDS.transition,
      CARP_INTERFACE: "carp0",
      CARP_VHID: "7",
      CARP_STATE: "MASTER",
      CARP_PREVIOUS_STATE: "BACKUP",
      CARP_REASON: "the master is silent",
    });
    await a.pullCable();
    const lost = await nextOf(journal, "demotion");
    assert.deepEqual([lost.CARP_INTERFACE, lost.CARP_REASON], ["carp0", "carpdev"]);
    // Answered when what the lost carrier changed is done: a device that is deleted meanwhile is no repair.
    await a.command("carp0", "description", "z");
    await a.run("ip", "link", "delete", "carp0");
    const repaired = await nextOf(journal, "repaired");
    assert.equal(repaired.CARP_INTERFACE, "carp0");
    await engine.stop();
    assert.deepEqual(
      engine.log.lines.map(({ text }) => text),
      [],
    );
  } finally {
    lan.destroy();
    await journal.close();
    rmSync(directory, { recursive: true });
  }
});

/** The fields of the next entry about this kind of event. */
async function nextOf(journal: Datagrams, event: keyof typeof MESSAGE_IDS) {
  for (;;) {
    const lines = (await journal.next()).split("\n").slice(0, -1);
    const fields = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    if (fields.MESSAGE_ID === MESSAGE_IDS[event]) return fields as Record<string, string | undefined>;
  }
}
