/**
 * Failed parts: each new error is one complaint, and the core tries again every second until the part is in
 * place.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Part } from "../../../src/core/event.ts";
import { backup, logged, only, SECOND, type Station } from "./driver.ts";

const DEVICE: Part = { kind: "device", interface: "carp0" };
const FILTER: Part = { kind: "filter", interface: "carp0" };
const LISTENING: Part = { kind: "listening", carpdev: "eth0" };
const SAVED: Part = { kind: "saved-state" };

function performed(station: Station, part: Part, ...errors: readonly string[]) {
  return station.handle({ kind: "performed", part, errors });
}

/** The effects of one second, without those of the election. */
function asked(station: Station): string[] {
  station.take();
  station.world.run(SECOND);
  return station
    .take()
    .map(({ kind }) => kind)
    .filter((kind) => ["device", "filter", "listen", "save"].includes(kind));
}

describe("a part that is not in place", () => {
  for (const [part, effect, line] of [
    [DEVICE, "device", "carp0: no device can be made"],
    [FILTER, "filter", "carp0: its leases are not enforced: no device can be made"],
    [LISTENING, "listen", "eth0: cannot listen: no device can be made"],
    [SAVED, "save", "cannot save the state: no device can be made"],
  ] as const)
    it(`is tried again every second, at any net.inet.carp.log: ${part.kind}`, () => {
      const station = backup({ advbase: 60 });
      station.sysctl("log", 0);
      const effects = performed(station, part, "no device can be made");
      assert.deepEqual(logged(effects), [`3 ${line}`]);
      assert.deepEqual(
        only(effects, "complaint").map(({ text }) => text),
        [line],
      );
      assert.deepEqual(asked(station), [effect]);
      assert.deepEqual(asked(station), [effect]);
      performed(station, part);
      assert.deepEqual(asked(station), []);
    });

  it("causes one complaint for each error", () => {
    const station = backup();
    const texts = (...errors: string[]) => logged(performed(station, DEVICE, ...errors));
    assert.deepEqual(texts("EBUSY"), ["3 carp0: EBUSY"]);
    assert.deepEqual(texts("EBUSY"), []);
    assert.deepEqual(texts("EBUSY", "address refused"), ["3 carp0: address refused"]);
    assert.deepEqual(texts(), []);
    assert.deepEqual(texts("EBUSY"), ["3 carp0: EBUSY"]);
  });

  it("is not tried again when its interface is destroyed", () => {
    const station = backup();
    performed(station, DEVICE, "EBUSY");
    performed(station, FILTER, "full");
    station.does({ kind: "destroy", name: "carp0" });
    assert.deepEqual(asked(station), []);
    assert.deepEqual([...station.timers], []);
  });

  it("is not tried again when its carpdev is gone", () => {
    const station = backup();
    performed(station, LISTENING, "EMFILE");
    station.linkGone("eth0");
    assert.deepEqual(asked(station), []);
  });

  it("is not tried again for a device whose removal failed", () => {
    const station = backup();
    station.does({ kind: "destroy", name: "carp0" });
    performed(station, DEVICE, "EBUSY");
    assert.deepEqual(asked(station), []);
    assert.deepEqual([...station.timers], []);
  });
});

describe("an announcement that did not leave", () => {
  it("is repeated after the next advertisement", () => {
    const station = backup();
    station.set("carp0", { state: "master" });
    station.world.run(5 * SECOND);
    station.take();
    station.handle({ kind: "announcement-failed", interface: "carp0", vhid: 1, error: "ENOBUFS" });
    station.world.run(3 * SECOND);
    assert.equal(only(station.take(), "announce").length, 1);
  });
});
