/** The texts of events, for people and for scripts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventJson, eventText, localTime, type TimedEvent } from "../../../src/cli/show/event.ts";

const AT_MS = Date.UTC(2026, 10, 21, 12, 3, 45, 7);
const node = { interface: "carp0", vhid: 1 };

const shown = (event: TimedEvent["event"], times = 1): TimedEvent => ({ atMs: AT_MS, times, event });

const READ: readonly (readonly [TimedEvent["event"], string, number?])[] = [
  [
    {
      kind: "transition",
      ...node,
      from: "BACKUP",
      to: "MASTER",
      reason: "the master is silent",
      addresses: [],
    },
    "carp0 vhid 1: BACKUP -> MASTER: the master is silent",
  ],
  [
    { kind: "demotion", by: 240, to: 240, reason: "interface down" },
    "demoted this host by 240 to 240 (interface down)",
  ],
  [
    { kind: "demotion", group: "carp", by: -1, to: 0, who: "carp0", reason: "carpdev" },
    "carp0 promoted group carp by 1 to 0 (carpdev)",
  ],
  [
    { kind: "discarded", counter: "badTtl", interface: undefined, text: "TTL 1 from 10.0.0.9" },
    "discarded: TTL 1 from 10.0.0.9 (12 times)",
    12,
  ],
  [
    { kind: "send-failed", ...node, error: "ENOBUFS" },
    "carp0 vhid 1: an advertisement was not sent: ENOBUFS",
  ],
  [
    { kind: "peer-appeared", ...node, source: "fe80::9", advbase: 1, advskew: 100, demote: 2 },
    "carp0 vhid 1: fe80::9 advertises (advbase 1 advskew 100 demote 2)",
  ],
  [{ kind: "peer-gone", ...node, source: "10.0.0.9", reason: "left" }, "carp0 vhid 1: 10.0.0.9 has left"],
  [
    { kind: "contested", ...node, source: "10.0.0.9", addresses: [] },
    "carp0 vhid 1: stays MASTER: 10.0.0.9, which was MASTER too, has to give way",
  ],
  [
    { kind: "peer-gone", ...node, source: "10.0.0.9", reason: "silent" },
    "carp0 vhid 1: 10.0.0.9 no longer advertises",
  ],
  [{ kind: "repaired", interface: "carp0", what: "addresses" }, "carp0: repaired: addresses"],
  [{ kind: "created", interface: "carp0" }, "carp0: created"],
  [{ kind: "destroyed", interface: "carp0" }, "carp0: destroyed"],
  [{ kind: "complaint", text: "eth0: no\nroom" }, "eth0: no\\nroom"],
  [{ kind: "left-out", count: 1 }, "1 event left out here: the reader was too slow"],
  [{ kind: "following", version: "1.2", pid: 7 }, "following the engine (version 1.2, pid 7)"],
  [{ kind: "engine-gone" }, "engine gone"],
  [{ kind: "engine-back", version: "1.2", pid: 7 }, "engine back (version 1.2, pid 7)"],
];

for (const [event, words, times] of READ)
  test(words, () => {
    const text = eventText(shown(event, times), { colour: false });
    assert.equal(text, `${localTime(AT_MS)} ${words}\n`);
    assert.equal(eventText(shown(event, times), { colour: true }).split("\n").length, 2);
  });

test("the time is this host's, to the millisecond", () => {
  assert.match(localTime(AT_MS), /^2026-11-2[012] \d\d:\d3:45\.007$/);
});

test("states are coloured where colour is welcome", () => {
  const event = {
    kind: "transition",
    ...node,
    from: "BACKUP",
    to: "MASTER",
    reason: "r",
    addresses: [],
  } as const;
  assert.ok(eventText(shown(event), { colour: true }).includes("\x1b[32mcarp0 vhid 1"));
  assert.ok(!eventText(shown(event), { colour: false }).includes("\x1b"));
});

test("a script gets the fields as they are, the time in UTC, and how often where it can be more than once", () => {
  assert.deepEqual(eventJson(shown({ kind: "peer-gone", ...node, source: "10.0.0.9", reason: "left" })), {
    time: "2026-11-21T12:03:45.007Z",
    event: "peer-gone",
    ...node,
    source: "10.0.0.9",
    reason: "left",
  });
  assert.equal(eventJson(shown({ kind: "send-failed", ...node, error: "EPERM" }, 3)).times, 3);
});
