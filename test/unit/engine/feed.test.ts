/** The event feed: a flood of events is told once a second, and a subscriber's backlog is bounded. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventNotification, HostEvent } from "../../../src/control/messages.ts";
import { Backlog, Feed } from "../../../src/engine/control/feed.ts";

const discarded = (text: string, name?: string): HostEvent => ({
  kind: "discarded",
  counter: "badAuthentication",
  interface: name,
  text,
});
const created = (n: number): HostEvent => ({ kind: "created", interface: `carp${n}` });

const read = (lines: string): EventNotification[] =>
  lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const { jsonrpc, method, params } = JSON.parse(line);
      assert.deepEqual([jsonrpc, method], ["2.0", "event"]);
      return params;
    });

function following(feed: Feed) {
  const told: EventNotification[] = [];
  const end = feed.subscribe({ push: (line) => told.push(...read(line)) });
  return { told, end };
}

test("every subscriber gets every event until it unsubscribes", () => {
  const feed = new Feed(() => 42);
  const first = following(feed);
  const second = following(feed);
  feed.tell(created(1));
  first.end();
  feed.tell(created(2));
  assert.deepEqual(first.told, [{ atMs: 42, times: 1, event: created(1) }]);
  assert.equal(second.told.length, 2);
});

test("a flood is told of at once, and then once a second with how often and what was last", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const feed = new Feed(() => 42);
  const { told } = following(feed);
  const summary = () => told.splice(0).map(({ times, event }) => [times, "text" in event && event.text]);
  for (let n = 1; n <= 1000; n++) feed.tell(discarded(`number ${n}`));
  assert.deepEqual(summary(), [[1, "number 1"]]);
  context.mock.timers.tick(1000);
  assert.deepEqual(summary(), [[999, "number 1000"]]);
  feed.tell(discarded("number 1001"));
  assert.deepEqual(summary(), []);
  context.mock.timers.tick(1000);
  assert.deepEqual(summary(), [[1, "number 1001"]]);
  context.mock.timers.tick(2000);
  assert.deepEqual(summary(), []);
  feed.tell(discarded("number 1002"));
  assert.deepEqual(summary(), [[1, "number 1002"]]);
});

test("a flood of one kind holds nothing else back", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const feed = new Feed(() => 42);
  const { told } = following(feed);
  const failed = { kind: "send-failed", interface: "carp0", vhid: 1, error: "ENOBUFS" } as const;
  const events = [
    discarded("a"),
    discarded("b", "carp0"),
    discarded("c", "carp1"),
    failed,
    { ...failed, vhid: 2 },
    created(1),
    created(1),
  ];
  for (const event of events) feed.tell(event);
  assert.deepEqual(
    told.map(({ event }) => event),
    JSON.parse(JSON.stringify(events)),
  );
});

test("events without a subscriber are forgotten at once", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const feed = new Feed(() => 42);
  for (let n = 0; n < 10; n++) feed.tell(discarded("before"));
  const { told } = following(feed);
  context.mock.timers.tick(5000);
  assert.deepEqual(told, []);
});

test("a backlog holds 1024 events, and says in their place how many are missing", () => {
  let woken = 0;
  const feed = new Feed(() => 42);
  const backlog = new Backlog(
    () => woken++,
    () => 43,
  );
  feed.subscribe(backlog);
  for (let n = 0; n < 1100; n++) feed.tell(created(n));
  assert.equal(woken, 1);
  const first = read(backlog.take());
  assert.equal(first.length, 64);
  for (let n = 1100; n < 1110; n++) feed.tell(created(n));
  const rest: EventNotification[] = [];
  while (!backlog.isEmpty) rest.push(...read(backlog.take()));
  const all = [...first, ...rest].map(({ event }) => event);
  assert.deepEqual(all, [
    ...Array.from({ length: 1024 }, (_, n) => created(n)),
    { kind: "left-out", count: 76 },
    ...Array.from({ length: 10 }, (_, n) => created(1100 + n)),
  ]);
});

test("events left out at the end are reported as well", () => {
  const backlog = new Backlog(() => {});
  const feed = new Feed(() => 42);
  feed.subscribe(backlog);
  for (let n = 0; n < 1030; n++) feed.tell(created(n));
  const all: EventNotification[] = [];
  while (!backlog.isEmpty) all.push(...read(backlog.take()));
  assert.deepEqual(all.at(-1)?.event, { kind: "left-out", count: 6 });
});

test("changes of a virtual host are told one by one up to a burst, then once a second with the last", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const feed = new Feed(() => 42);
  const { told } = following(feed);
  const transition = (n: number, vhid: number): HostEvent => ({
    kind: "transition",
    interface: "carp0",
    vhid,
    from: n % 2 === 0 ? "BACKUP" : "MASTER",
    to: n % 2 === 0 ? "MASTER" : "BACKUP",
    reason: "",
    addresses: [],
  });
  for (let vhid = 1; vhid <= 250; vhid++) for (let n = 0; n < 16; n++) feed.tell(transition(n, vhid));
  assert.equal(told.splice(0).length, 250 * 16);
  for (let n = 0; n < 1500; n++) feed.tell(transition(n, 1));
  assert.deepEqual(told, []);
  context.mock.timers.tick(1000);
  assert.deepEqual(told, [{ atMs: 42, times: 1500, event: transition(1499, 1) }]);
  context.mock.timers.tick(2000);
  assert.equal(told.length, 1);
  feed.tell(transition(0, 1));
  assert.equal(told.length, 2);
});
