/** The doctor's judgement of service checks that are not run. */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { passedOver } from "../../../src/doctor/service-check-facts.ts";
import { type ExaminedCheck, examineChecks, examinePassedOver } from "../../../src/doctor/service-checks.ts";

const passed: ExaminedCheck = { name: "web", outcome: "passed", why: undefined, demotes: false };
const refused: ExaminedCheck = { ...passed, name: "disk", outcome: "refused", why: "/etc/x:2: evry" };
const texts = (checks: readonly ExaminedCheck[]) =>
  examineChecks(checks).map(({ level, kind, subject, text }) => [level, kind, `${subject}: ${text}`]);

test("a check that is refused, whether it demotes or not", () => {
  assert.deepEqual(texts([]), []);
  assert.deepEqual(texts([passed, { ...passed, outcome: "waiting" }]), [
    ["ok", undefined, "service checks: 2, all of which are run"],
  ]);
  assert.deepEqual(texts([passed, refused, { ...refused, demotes: true }]), [
    ["warning", "check-refused", "service check disk: it is not run, and demotes nothing: /etc/x:2: evry"],
    [
      "warning",
      "check-refused",
      "service check disk: it is not run, and demotes until it is: /etc/x:2: evry",
    ],
  ]);
});

test("scripts that are not executable", () => {
  const etc = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  try {
    assert.deepEqual(passedOver(etc), []);
    const directory = join(etc, "carp/service_status.d");
    mkdirSync(directory, { recursive: true });
    for (const [name, text, mode] of [
      ["web", "#!/bin/sh\n", 0o644],
      ["disk", "#!/bin/sh\n", 0o755],
      [".web.swp", "#!/bin/sh\n", 0o644],
      ["README", "What is here.\n", 0o644],
      ["empty", "", 0o644],
    ] as const) {
      writeFileSync(join(directory, name), text);
      chmodSync(join(directory, name), mode);
    }
    symlinkSync("nowhere", join(directory, "gone"));
    const web = join(directory, "web");
    assert.deepEqual(passedOver(etc), [web]);
    assert.deepEqual(examinePassedOver([web]), [
      {
        level: "warning",
        kind: "check-not-executable",
        subject: "service checks",
        text: `${web} is not executable, and not run`,
        todo: `'chmod 755 ${web}', or remove it`,
      },
    ]);
  } finally {
    rmSync(etc, { recursive: true });
  }
});
