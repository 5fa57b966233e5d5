/** Findings read one below the other, with what to do, in a terminal of 80 columns. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { findingsText } from "../../../src/cli/commands/doctor.ts";
import type { Finding } from "../../../src/control/messages.ts";
import { called } from "./called.ts";

const FINDINGS: readonly Finding[] = [
  { level: "ok", subject: "kernel", text: "Linux 6.1.0" },
  {
    level: "unknown",
    kind: "needs-root",
    subject: "eBPF",
    text: "only root may load programs",
    todo: "ask again as root",
  },
  {
    level: "warning",
    kind: "arp-by-another",
    subject: "enp0s31f6np1.42",
    text: "enp0s31f6np2.4242 has 192.168.100.100 in the same subnet and answers for shared addresses too",
    todo: "sysctl net.ipv4.conf.enp0s31f6np2/4242.arp_ignore=1",
  },
  {
    level: "error",
    kind: "no-carrier",
    subject: "carp0",
    text: "does not run: carpdev eth0 has no carrier",
  },
];

test("a finding has its level in front, its name behind it, and what to do below it", () => {
  assert.equal(
    findingsText(FINDINGS, { colour: false, columns: 80 }),
    `ok       kernel: Linux 6.1.0
unknown  eBPF: only root may load programs [needs-root]
         -> ask again as root
warning  enp0s31f6np1.42: enp0s31f6np2.4242 has 192.168.100.100 in the same
         subnet and answers for shared addresses too [arp-by-another]
         -> sysctl net.ipv4.conf.enp0s31f6np2/4242.arp_ignore=1
error    carp0: does not run: carpdev eth0 has no carrier [no-carrier]
'carpctl help NAME' says more of each finding whose name is in brackets
1 error, 1 warning
`,
  );
});

test("listens for a minute at most", async () => {
  for (const seconds of ["0", "61", "1.5", "-1", "soon"]) {
    const { err, status } = await called(["doctor", "--listen", seconds]);
    assert.equal(err, `carpctl: --listen ${seconds}: must be 1..60\n`);
    assert.equal(status, 1);
  }
});

test("only the level is coloured, where colour is welcome", () => {
  const text = findingsText(FINDINGS, { colour: true, columns: 80 });
  assert.ok(text.includes("\x1b[31merror\x1b[39m    carp0: does not run"));
  assert.ok(text.includes("\x1b[32mok\x1b[39m       kernel"));
  assert.ok(findingsText([], { colour: false, columns: 80 }).endsWith("no errors, no warnings\n"));
});
