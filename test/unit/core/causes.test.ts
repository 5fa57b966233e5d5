/** The cause of a transition: the advertisement or the timer behind its reason, for the history. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import { backup, ipv6, master, only, PLAIN, SECOND, type Station } from "./driver.ts";
import { advertisement, bowOut } from "./peer.ts";

/** Each transition with its reason and its cause. */
const causes = (effects: readonly Effect[]) =>
  only(effects, "transition").map(({ to, reason, cause }) => [to, reason.kind, cause]);

const heard = (said: { advbase?: number; advskew?: number; demote?: number }) => ({
  kind: "advertisement",
  source: "10.0.0.9",
  family: 4,
  advbase: 1,
  advskew: 0,
  demote: 0,
  ...said,
});

describe("the cause of a transition", () => {
  it("is the advertisement that a BACKUP takes over at", () => {
    const cases = [
      ["master-demoted", { demote: 3 }],
      ["master-left", { advbase: 255, advskew: 255 }],
      ["master-too-slow", { advbase: 9 }],
    ] as const;
    for (const [reason, said] of cases)
      assert.deepEqual(causes(backup().hear(advertisement(said))), [["MASTER", reason, heard(said)]]);
    const preempting = backup();
    preempting.sysctl("preempt", 1);
    const slower = { advskew: 100 };
    assert.deepEqual(causes(preempting.hear(advertisement(slower))), [
      ["MASTER", "preempts-slower", heard(slower)],
    ]);
  });

  it("is the advertisement that a MASTER gives way to, with the family that it came over", () => {
    const cases = [
      ["other-more-frequent", { advskew: 0 }, 0],
      ["other-less-demoted", { advskew: 200 }, 5],
    ] as const;
    for (const [reason, said, by] of cases) {
      const station = master({ advskew: 100 });
      station.does({ kind: "demote-group", group: "carp", by });
      station.take();
      assert.deepEqual(causes(station.hear(advertisement(said))), [["BACKUP", reason, heard(said)]]);
    }
    const both = master({ advskew: 100, addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
    const addresses = ["10.0.0.1", "2001:db8::1"];
    const over6 = { ...heard({}), source: "fe80::9", family: 6 };
    assert.deepEqual(causes(both.hear(advertisement({ addresses, source: "fe80::9" }))), [
      ["BACKUP", "other-more-frequent", over6],
    ]);
  });

  it("is the master-down timer, with the host that was heard last and how long ago", () => {
    const silent = backup();
    silent.hear(advertisement());
    silent.take();
    silent.world.run(4 * SECOND);
    const timer = { kind: "timer", timer: "master-down", heard: { source: "10.0.0.9", seconds: 3 } };
    assert.deepEqual(causes(silent.take()), [["MASTER", "master-silent", timer]]);

    const alone = backup();
    alone.world.run(4 * SECOND);
    assert.deepEqual(causes(alone.take()), [
      ["MASTER", "master-silent", { kind: "timer", timer: "master-down" }],
    ]);
  });

  it("is the successor's advertisement or the leave timer, of a host that leaves", () => {
    const leaving = (leave: (station: Station) => unknown) => {
      const station = master();
      leave(station);
      station.take();
      return station;
    };
    const givesWay = (station: Station) => station.set("carp0", { state: "backup" });
    assert.deepEqual(causes(leaving(givesWay).hear(advertisement({ advskew: 7 }))), [
      ["BACKUP", "forced", heard({ advskew: 7 })],
    ]);
    const isDown = leaving((station) => station.set("carp0", { up: false }));
    assert.deepEqual(causes(isDown.hear(advertisement({ advskew: 7 }))), [
      ["INIT", "successor-heard", heard({ advskew: 7 })],
    ]);
    const unheard = leaving(givesWay);
    unheard.world.run(SECOND);
    assert.deepEqual(causes(unheard.take()), [["BACKUP", "forced", { kind: "timer", timer: "leave" }]]);
  });

  it("is the lease, of a MASTER that could not advertise in time", () => {
    const station = master();
    station.isStalled = true;
    station.world.run(10 * SECOND);
    station.resume();
    station.hear(bowOut());
    assert.deepEqual(causes(station.take()), [
      ["BACKUP", "lease-expired", { kind: "timer", timer: "lease" }],
    ]);
  });

  it("is absent where a command is the reason", () => {
    const station = backup();
    assert.deepEqual(causes(station.set("carp0", { state: "master" })), [["MASTER", "forced", undefined]]);
  });
});
