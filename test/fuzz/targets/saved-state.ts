/**
 * Files of saved state: whatever is in one, an engine says why it cannot use it or begins with it, and then what it
 * saves itself can be used.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { checkParams } from "../../../src/control/messages.ts";
import type { HostConfiguration } from "../../../src/core/command.ts";
import type { InterfaceConfiguration } from "../../../src/core/interface/configuration.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import { counterFloor, countersNow } from "../../../src/engine/state/counter-floor.ts";
import { StateFile } from "../../../src/engine/state/saved-state.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { change, command } from "../../unit/core/arbitraries.ts";
import { link, PLAIN, SECOND, Station, World } from "../../unit/core/driver.ts";
import { advertisement } from "../../unit/core/peer.ts";
import type { Target, Trial } from "../target.ts";
import { assertWithinBounds } from "./bounds.ts";
import { withOneChanged } from "./leaves.ts";

/** No clock comes near it: counters go on from there whatever was saved. */
const MOST_COUNTED = 10n ** 18n;
const EPOCH_US = 1_700_000_000 * SECOND;

function open(): Trial {
  const directory = makeDirectory("state");
  const path = join(directory, "state.json");
  const file = new StateFile(directory);
  return {
    async feed(input) {
      writeFileSync(path, input, { mode: 0o600 });
      const loaded = await file.load();
      assert.ok(loaded !== undefined);
      if ("unusable" in loaded) {
        assert.match(loaded.unusable, /^\S+state\.json: [^\n]+$/);
        return;
      }
      const { configuration } = loaded;
      assertWithinBounds(configuration);
      for (const each of configuration.interfaces) assertCommandable(each);
      const world = new World();
      const floor = counterFloor(loaded.counters, { us: world.us, epochUs: EPOCH_US });
      const host = new Station(world, { links: [link("eth0")], counterFloor: floor });
      assert.ok(floor >= leastFloor(JSON.parse(Buffer.from(input).toString())));
      host.host.restore(configuration, () => 0, host.now);
      assert.deepEqual(inForce(host.host.configuration), inForce(configuration));
      host.link(link("eth1"));
      host.hear(advertisement());
      host.world.run(5 * SECOND);
      assert.ok(host.host.counterFloor >= floor);
      assert.equal(host.host.configuration.interfaces.length, configuration.interfaces.length);
      const counters = countersNow(host.host.greatestCounter(host.now), host.now);
      await file.save({ configuration: host.host.configuration, counters });
      const again = await file.load();
      assert.ok(again !== undefined && "configuration" in again, inspect(again));
      assert.deepEqual(again.configuration, host.host.configuration);
    },
    close: () => removeDirectory(directory),
  };
}

/** The greatest counter that the engine which saved this may have sent, were its clock at 0. */
function leastFloor({ counters }: { counters: { upTo: string } }): bigint {
  const least = BigInt(counters.upTo);
  return least < MOST_COUNTED ? least : MOST_COUNTED;
}

/** All of what is configured, in one order. */
function inForce({ interfaces, sysctl, groups, reasons }: HostConfiguration) {
  const defaults = Object.fromEntries(SYSCTL_VARIABLES.map(({ name, initial }) => [name, initial]));
  const given = Object.fromEntries(sysctl.map(({ name, value }) => [name, value]));
  return { interfaces, variables: { ...defaults, ...given }, groups, reasons };
}

/** Nothing is in force that no command could have made so; the carpdev's MACs are learnt. */
function assertCommandable(configuration: InterfaceConfiguration): void {
  const { name, nodes, groups, addresses, carpdevMacs: _, ...others } = configuration;
  const change = { ...others, ...(nodes.length > 0 ? { carpnodes: nodes } : {}) };
  const changes = [
    change,
    ...groups.map((each) => ({ joinGroups: [each] })),
    ...addresses.map((each) => ({ addAddresses: [{ ...each, alias: true }] })),
  ];
  for (const each of changes) {
    const checked = checkParams("change", { name, change: each });
    assert.ok("params" in checked, inspect(checked));
  }
}

/** The saved state of an engine after these changes and commands. */
const saved = fc
  .tuple(
    fc.array(change, { maxLength: 3 }),
    fc.array(command, { maxLength: 3 }),
    fc.bigInt({ min: 0n, max: 10n ** 19n }),
  )
  .map(([changes, commands, upTo]) => {
    const station = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    station.set("carp7", PLAIN);
    for (const [n, each] of changes.entries())
      station.command({ kind: "change", name: `carp${n}`, change: each });
    for (const each of commands) station.command(each);
    const { interfaces, sysctl, groups, reasons } = station.host.configuration;
    const counters = { upTo: String(upTo), atUs: station.now.us };
    const all = { format: 1, counters, interfaces, sysctl, groups, reasons };
    return Buffer.from(JSON.stringify(all));
  });

export const savedState: Target = {
  name: "saved-state",
  sensible: fc.oneof({ weight: 1, arbitrary: saved }, { weight: 3, arbitrary: withOneChanged(saved) }),
  tokens: [
    ...[
      '"format":',
      '"interfaces":[',
      '"nodes":[]',
      '"vhid":',
      '"advskew":255',
      '"addresses":[]',
      '"groups":[]',
    ],
    ...[
      '"carppeer":"',
      '"carppeer6":"',
      '"carppeer":["10.0.0.9","',
      '"lladdr":"',
      '"pass":"',
      '"family":6',
      "null",
      "1e999",
      "-1",
      "[",
      "{",
    ],
    ...['"counters":{"upTo":"', '"atUs":', "\0", "\u2028", '"__proto__":{}'],
    ...SYSCTL_VARIABLES.flatMap(({ name, min, max }) =>
      [min - 1, max + 1].map((value) => `{"name":"${name}","value":${value}},`),
    ),
    ...['{"reason":"maintenance","by":240},', '{"name":"carp","carpDemoteCount":1},'],
  ],
  tries: 300,
  open,
};
