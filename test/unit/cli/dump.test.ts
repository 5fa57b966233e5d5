/** netstart makes the same configuration of the output of dump, for every possible configuration. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hostnameLines } from "../../../src/cli/commands/dump.ts";
import { readInterfaceFile } from "../../../src/cli/commands/netstart/interface-file.ts";
import { checkParams, type InterfaceChange } from "../../../src/control/messages.ts";
import { Host } from "../../../src/core/host.ts";
import { netmask } from "../../../src/protocol/subnet.ts";
import { link } from "../core/driver.ts";
import { configurationChange } from "./arbitraries.ts";

const now = { us: 0, epochUs: 0 };

/** The configuration after that change of a new interface; undefined when it is refused. */
function configured(change: InterfaceChange) {
  const host = new Host({ balancing: true });
  for (const name of ["eth0", "eth1"]) host.handle({ kind: "link", link: link(name) }, now);
  const outcome = host.command({ kind: "replace", name: "carp0", change }, now);
  return "error" in outcome ? undefined : host.configuration.interfaces[0];
}

const plain = configured({
  carpdev: "eth0",
  vhid: 1,
  addAddresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24, alias: false }],
});

test("a plain interface is two lines", () => {
  assert.ok(plain);
  assert.deepEqual(hostnameLines(plain), ["carpdev eth0 vhid 1", "inet 10.0.0.1 255.255.255.0"]);
});

test("everything has its line, as one would write it", () => {
  const all = configured({
    carpdev: "eth0",
    vhid: 7,
    advskew: 100,
    advbase: 2,
    pass: "it's a secret",
    carppeer: ["10.0.0.3", "10.0.0.4"],
    carppeer6: ["2001:db8::3"],
    lladdr: "02:00:00:00:00:07",
    announce: 30,
    preemptdelay: 120,
    mtu: 1400,
    description: "the web's",
    leaveGroups: ["carp"],
    joinGroups: ["www", "db"],
    up: false,
    addAddresses: [
      { family: 6, address: "2001:db8::1", prefixLength: 48, alias: false },
      { family: 4, address: "10.0.0.1", prefixLength: 24, broadcast: "10.0.0.127", alias: false },
      { family: 4, address: "10.0.0.5", prefixLength: 32, alias: true },
    ],
  });
  assert.ok(all);
  assert.deepEqual(hostnameLines(all), [
    "description 'the web'\\''s'",
    "carpdev eth0 vhid 7 advbase 2 advskew 100 pass 'it'\\''s a secret'",
    "carppeer 10.0.0.3,10.0.0.4 carppeer6 2001:db8::3",
    "lladdr 02:00:00:00:00:07",
    "announce 30",
    "preemptdelay 120",
    "mtu 1400",
    "-group carp",
    "group www",
    "group db",
    "inet6 2001:db8::1 48",
    "inet 10.0.0.1 255.255.255.0 10.0.0.127",
    "inet alias 10.0.0.5 255.255.255.255",
    "down",
  ]);
});

test("a user who may not see the pass is told that it is omitted", () => {
  assert.ok(plain);
  const { pass: _, ...others } = plain;
  assert.deepEqual(hostnameLines(others)[0], "# pass omitted: only root may see it");
});

test("an interface that has nothing but its name is down", () => {
  const bare = configured({});
  assert.ok(bare);
  assert.deepEqual(hostnameLines(bare), ["down"]);
});

test("netstart makes of the dump the configuration that was dumped", async () => {
  let made = 0;
  await fc.assert(
    fc.asyncProperty(configurationChange, async (change) => {
      const before = configured(change);
      if (before === undefined) return;
      made += 1;
      const text = hostnameLines(before).join("\n");
      const file = await readInterfaceFile(Buffer.from(text), "carp0");
      assert.ok(!("errors" in file), `${text}\n${JSON.stringify(file)}`);
      assert.deepEqual(
        file.warnings.filter(({ message }) => !message.startsWith("pass: only")),
        [],
      );
      const checked = checkParams("replace", { name: "carp0", change: file.whole });
      assert.ok("params" in checked, JSON.stringify(checked));
      assert.deepEqual(configured(checked.params.change), before, text);
    }),
    { numRuns: 500 },
  );
  assert.ok(made > 300, `only ${made} could be configured`);
});

test("every netmask is read as the prefix length that it was", async () => {
  for (let length = 1; length <= 32; length++) {
    const file = await readInterfaceFile(Buffer.from(`inet 10.0.0.1 ${netmask(length)}`), "carp0");
    assert.equal("whole" in file && file.whole.addAddresses?.[0]?.prefixLength, length);
  }
});
