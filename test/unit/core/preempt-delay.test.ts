/** The delay before preemption: when it begins, what it holds back, and what it does not. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { backup, link, only, SECOND, type Station } from "./driver.ts";
import { advertisement, bowOut, type Said } from "./peer.ts";

const SLOWER: Said = { advskew: 100 };

/** A BACKUP that preempts. */
function preempting(change: InterfaceChange = {}, sysctl = 0): Station {
  const station = backup(change);
  station.sysctl("preempt", 1);
  station.sysctl("preempt_delay", sysctl);
  return station;
}

/** Hears a master each second. @returns the seconds until it is MASTER; undefined: it is not within `most` */
function secondsToPreempt(station: Station, said = SLOWER, most = 100): number | undefined {
  for (let seconds = 0; seconds <= most; seconds++) {
    station.hear(advertisement(said));
    if (station.state() === "MASTER") return seconds;
    station.world.run(SECOND);
  }
  return undefined;
}

describe("a host with a preemptdelay", () => {
  it("leaves a healthy master alone for so long once it runs, and then preempts it", () => {
    for (const [own, host, expected] of [
      [undefined, 0, 0],
      [undefined, 30, 30],
      [20, 0, 20],
      [20, 30, 20],
      [0, 30, 0],
    ] as const)
      assert.equal(
        secondsToPreempt(preempting(own === undefined ? {} : { preemptdelay: own }, host)),
        expected,
        `${own} ${host}`,
      );
  });

  it("tells until when, as long as it matters", () => {
    const station = preempting({ preemptdelay: 20 });
    assert.equal(station.node().mayPreemptAtUs, station.world.us + 20 * SECOND);
    station.sysctl("preempt", 0);
    assert.equal(station.node().mayPreemptAtUs, undefined);
    assert.equal(secondsToPreempt(station), undefined);
  });

  it("takes over at once where there is no healthy master", () => {
    for (const [what, happens] of [
      ["silence", (station: Station) => station.world.run(3 * SECOND)],
      ["a bow-out", (station: Station) => station.hear(bowOut())],
      ["a more demoted master", (station: Station) => station.hear(advertisement({ ...SLOWER, demote: 1 }))],
      ["a master too slow", (station: Station) => station.hear(advertisement({ advbase: 4 }))],
      ["a command", (station: Station) => station.set("carp0", { state: "master" })],
    ] as const) {
      const station = preempting({ preemptdelay: 3600 });
      station.hear(advertisement(SLOWER));
      assert.equal(station.state(), "BACKUP");
      happens(station);
      assert.equal(station.state(), "MASTER", what);
    }
  });

  it("waits again when its carpdev is back", () => {
    const station = preempting({ preemptdelay: 20 });
    station.world.run(0.5 * SECOND);
    station.link(link("eth0", { carrier: false }));
    station.world.run(100 * SECOND);
    station.link(link("eth0"));
    assert.equal(secondsToPreempt(station), 20);
  });

  it("waits again when its demotion falls, not when it rises, nor for a promotion from nothing", () => {
    const demote = (station: Station, by: number) => station.sysctl("demotion", by);
    const settled = () => {
      const station = preempting({ preemptdelay: 20 });
      for (let n = 0; n < 30; n++) {
        station.hear(advertisement());
        station.world.run(SECOND);
      }
      return station;
    };
    const back = settled();
    demote(back, 50);
    assert.equal(secondsToPreempt(back, SLOWER, 10), undefined);
    demote(back, -10);
    assert.equal(secondsToPreempt(back, SLOWER, 10), undefined);
    demote(back, -40);
    assert.equal(secondsToPreempt(back), 20);
    const more = settled();
    demote(more, 50);
    assert.equal(secondsToPreempt(more, { advskew: 200, demote: 50 }), 0);
    const promoted = settled();
    demote(promoted, -50);
    assert.equal(secondsToPreempt(promoted), 0);
  });

  it("waits again when it gave way because its lease had expired", () => {
    const station = preempting({ preemptdelay: 20 });
    station.set("carp0", { state: "master" });
    station.isStalled = true;
    station.world.run(60 * SECOND);
    station.hear(advertisement(SLOWER));
    station.resume();
    assert.equal(station.state(), "BACKUP");
    assert.equal(secondsToPreempt(station), 20);
  });

  it("waits again when half a minute without a failed send ends a demotion, also for that advertisement", () => {
    const station = preempting({ preemptdelay: 20 });
    station.set("carp0", { state: "master" });
    station.sending = () => "ENOBUFS";
    while (station.node().demote === 0) station.world.run(SECOND);
    station.sending = () => undefined;
    station.hear(advertisement(SLOWER));
    assert.equal(station.state(), "BACKUP");
    station.take();
    const seconds = secondsToPreempt(station) ?? 0;
    const ended = only(station.effects, "demotion").some(({ by }) => by < 0);
    assert.ok(ended && seconds >= 30 + 20, `${seconds} s`);
  });

  it("is of no account to a MASTER", () => {
    const station = preempting({ preemptdelay: 20 });
    station.set("carp0", { state: "master" });
    station.hear(advertisement(SLOWER));
    assert.equal(station.state(), "MASTER");
  });
});
