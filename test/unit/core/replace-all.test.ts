/**
 * `replace-all`: interfaces that exchange vhids or addresses are judged by the result; one that conflicts with it is
 * refused alone.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { ipv4, link, Station, World } from "./driver.ts";

type Files = Readonly<Record<string, InterfaceChange>>;

function station(files: Files): Station {
  const made = new Station(new World(), { links: [link("eth0"), link("eth1")] });
  for (const [name, change] of Object.entries(files))
    assert.ok(!("error" in made.command({ kind: "replace", name, change })), name);
  return made;
}

function replaceAll(of: Station, files: Files) {
  const replacements = Object.entries(files).map(([name, change]) => ({ name, change }));
  const outcome = of.command({ kind: "replace-all", replacements });
  assert.ok(!("error" in outcome) && outcome.replaced);
  return Object.fromEntries(
    outcome.replaced.map((each) => [each.name, "error" in each ? each.error : each.changed]),
  );
}

const configuration = (of: Station) =>
  of.host.configuration.interfaces.toSorted((a, b) => a.name.localeCompare(b.name));

const on = (vhid: number, address: string, more: InterfaceChange = {}): InterfaceChange => ({
  carpdev: "eth0",
  vhid,
  addAddresses: [ipv4(address)],
  ...more,
});

const before: Files = {
  carp0: on(1, "10.0.0.11"),
  carp1: on(2, "10.0.0.12"),
  carp2: on(3, "10.0.0.13"),
};

describe("interfaces that exchange", () => {
  for (const [what, files] of Object.entries<Files>({
    "their vhids": { carp0: on(2, "10.0.0.11"), carp1: on(1, "10.0.0.12") },
    "their addresses": { carp0: on(1, "10.0.0.12"), carp1: on(2, "10.0.0.11") },
    "their vhids, in a circle of three": {
      carp0: on(2, "10.0.0.11"),
      carp1: on(3, "10.0.0.12"),
      carp2: on(1, "10.0.0.13"),
    },
    "everything, with one that is new and one that goes down": {
      carp0: on(3, "10.0.0.12", { up: false }),
      carp1: on(4, "10.0.0.13"),
      carp2: on(2, "10.0.0.14"),
      carp3: on(1, "10.0.0.11"),
    },
    "their carpdevs": {
      carp0: on(3, "10.0.0.11"),
      carp1: on(1, "10.0.0.12", { carpdev: "eth1" }),
      carp2: on(1, "10.0.0.13"),
    },
    "their MACs": {
      carp0: on(1, "10.0.0.11", { lladdr: "00:00:5e:00:01:02" }),
      carp1: on(2, "10.0.0.12", { lladdr: "00:00:5e:00:01:01" }),
    },
  }))
    it(`${what}: the result is that of the files alone`, () => {
      const made = station(before);
      made.world.run(5_000_000);
      const expected = station({ ...before, ...files });
      const done = replaceAll(made, files);
      assert.deepEqual(done, Object.fromEntries(Object.keys(files).map((name) => [name, true])));
      assert.deepEqual(configuration(made), configuration(expected));
      made.world.run(5_000_000);
      for (const { name, nodes, up } of made.host.interfaces())
        assert.equal(nodes[0]?.state, up ? "MASTER" : "INIT", name);
      assert.deepEqual(
        replaceAll(made, files),
        Object.fromEntries(Object.keys(files).map((name) => [name, false])),
      );
    });
});

describe("the kernel", () => {
  it("is asked to set every device down before it is asked to change one", () => {
    const made = station(before);
    made.world.run(5_000_000);
    const replacements = [
      { name: "carp0", change: on(2, "10.0.0.11") },
      { name: "carp1", change: on(1, "10.0.0.12") },
    ];
    const effects = made.does({ kind: "replace-all", replacements });
    const asked = effects.flatMap((effect) => {
      if (effect.kind === "join") return `join ${effect.interfaces}`;
      if (effect.kind !== "device") return [];
      return `${effect.interface} ${effect.device?.mac} ${effect.device?.active}`;
    });
    assert.deepEqual(asked, [
      "carp0 00:00:5e:00:01:01 false",
      "carp1 00:00:5e:00:01:02 false",
      "join carp0,carp1",
      "carp0 00:00:5e:00:01:02 false",
      "carp1 00:00:5e:00:01:01 false",
    ]);
  });
});

describe("an interface that cannot be replaced", () => {
  it("is refused alone, and what it keeps is not given away", () => {
    const made = station(before);
    const was = configuration(made);
    const done = replaceAll(made, {
      carp0: on(2, "10.0.0.11"),
      carp1: on(1, "10.0.0.12", { mtu: 9000 }),
      carp2: on(4, "10.0.0.13"),
    });
    assert.deepEqual(done, {
      carp0: "vhid 2 is already used by carp1 on eth0",
      carp1: "mtu 9000: eth0 takes at most 1500",
      carp2: true,
    });
    assert.deepEqual(configuration(made).slice(0, 2), was.slice(0, 2));
    assert.equal(configuration(made)[2]?.nodes[0]?.vhid, 4);
  });

  it("of two that want the same, is the later one", () => {
    const made = station(before);
    assert.deepEqual(replaceAll(made, { carp0: on(7, "10.0.0.11"), carp1: on(7, "10.0.0.12") }), {
      carp0: true,
      carp1: "vhid 7 is already used by carp0 on eth0",
    });
  });

  it("may be one that is in the way of another circle only", () => {
    const made = station(before);
    const done = replaceAll(made, { carp0: on(2, "10.0.0.11"), carp1: on(1, "10.0.0.13") });
    assert.deepEqual(done, {
      carp0: "vhid 2 is already used by carp1 on eth0",
      carp1: "10.0.0.13 is already used by carp2",
    });
  });
});
