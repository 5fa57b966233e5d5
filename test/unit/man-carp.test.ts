/**
 * carp(4) compared with the program: variables, modes, the hash, and the messages that the core logs. And all pages
 * are valid mdoc.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { BALANCING_MODES } from "../../src/control/messages.ts";
import type { Command } from "../../src/core/command.ts";
import { signedCounter, unitAt } from "../../src/core/counters/counter-format.ts";
import { DigestSearch } from "../../src/core/digests/search.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event, Part } from "../../src/core/event.ts";
import { Host } from "../../src/core/host.ts";
import type { Link } from "../../src/core/model.ts";
import { SYSCTL_VARIABLES } from "../../src/core/sysctl.ts";
import * as forge from "../hosts/forge.ts";
import { fold, nodeIndex } from "../oracle/load-sharing.ts";
import { advertisement, PEER_MAC } from "./core/peer.ts";
import { assertDescribed, diagnostics, heads, type Logged, readPage, section, tree } from "./mdoc.ts";

const page = readPage("carp.4");

test("every variable has a row with its default", () => {
  const rows = heads(page, "SYSCTL VARIABLES").slice(1);
  assert.deepEqual(
    rows.map((row) => row.split(" Ta ").slice(0, 2)),
    SYSCTL_VARIABLES.map(({ name, initial }) => [`Va ${name}`, String(initial)]),
  );
});

test("every balancing mode is explained", () => {
  assert.deepEqual(
    heads(page, "Modes"),
    BALANCING_MODES.map((mode) => `Cm ${mode}`),
  );
});

test("what people stumble over is told", () => {
  const text = page.replace(/^\.(Cm|Va|Ox|Pa|Nm) ?/gm, "").replaceAll("\n", " ");
  for (const told of [
    /Packets for a shared address arrive on the carp interface, not on the carpdev/,
    /A BACKUP does not have the address\..*net\.ipv4\.ip_nonlocal_bind/,
    /no packets between a device and the macvlan devices on it/,
    /256 advertisements a second/,
    /Such hosts advertise from the shared address/,
    /sends from the shared MAC address in the modes ip and ip-stealth as well/,
  ])
    assert.match(text, told);
  assert.match(readPage("hostname.carp.5"), /^\.Cm destroy\b/m);
  assert.match(section(readPage("carpctl.8"), "INTERFACES"), /fail over alone leaves the group/);
});

test("the examples of the hash are right", () => {
  const lines = [...section(page, "The hash").matchAll(/^(\S+) -> (\S+): (\d+), node (\d+)$/gm)];
  assert.equal(lines.length, 3);
  for (const [line, source = "", destination = "", folded, node] of lines)
    assert.deepEqual(
      [fold(source, destination), nodeIndex(source, destination, 2)],
      [Number(folded), Number(node)],
      line,
    );
});

const ETH0: Link = {
  name: "eth0",
  index: 2,
  mac: "02:00:00:00:00:10",
  mtu: 1500,
  up: true,
  carrier: true,
  addresses: [{ family: 4, address: "10.0.0.2", prefixLength: 24 }],
};

/** The lines that a host logs in every situation that DIAGNOSTICS names. */
function everyLogLine(): Logged[] {
  const host = new Host({ balancing: true });
  const lines: Logged[] = [];
  let us = 1_000_000_000;
  const now = () => ({ us: ++us, epochUs: 1_700_000_000_000_000 + us });
  const note = (effects: readonly Effect[]) => {
    for (const effect of effects)
      if (effect.kind === "log") lines.push({ priority: effect.priority, text: effect.text });
    return effects;
  };
  const handle = (event: Event) => note(host.handle(event, now()));
  const command = (given: Command) => {
    const outcome = host.command(given, now());
    assert.ok(!("error" in outcome), JSON.stringify(outcome));
    return note(outcome.effects);
  };
  const hear = (bytes: Uint8Array) => handle({ kind: "frame", carpdev: "eth0", bytes, receivedUs: us });
  const setSysctl = (name: string, value: number) =>
    command({ kind: "set-sysctl", writes: [{ name: `net.inet.carp.${name}`, value }] });

  setSysctl("log", 7);
  handle({ kind: "link", link: ETH0 });
  hear(advertisement());
  command({
    kind: "change",
    name: "carp0",
    change: {
      carpdev: "eth0",
      vhid: 1,
      addAddresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24, alias: true }],
    },
  });

  const replayed = advertisement({ counter: 7n });
  setSysctl("strict_replay", 1);
  hear(replayed);
  hear(replayed);
  hear(advertisement({ counter: 30_000_000n }));
  hear(replayed);
  const signed = signedCounter(unitAt(1_700_000_000_000_000n), { advbase: 1, advskew: 0, demote: 0 });
  hear(advertisement({ counter: signed, advskew: 1 }));
  hear(advertisement({ hopLimit: 254 }));
  hear(advertisement({ vhid: 2 }));
  hear(advertisement({ pass: "guessed" }));
  hear(advertisement({ length: 35 }));
  const vrrp = forge.vrrp({ version: 2, number: 51, shared: ["10.0.0.51"], source: "10.0.0.9" });
  hear(forge.ipv4Frame({ source: "10.0.0.9", payload: vrrp }));
  hear(advertisement({ destination: "10.0.0.2" }));
  hear(advertisement().subarray(0, 30));
  hear(advertisement({ tamper: (message) => message.fill(0x31, 0, 1) }));
  hear(advertisement({ corrupt: (message) => message.fill(1, 20, 21) }));
  command({ kind: "change", name: "carp0", change: { carppeer: ["10.0.0.9"] } });
  hear(advertisement());
  hear(advertisement({ source: "10.0.0.8", destination: "10.0.0.2" }));
  hear(advertisement({ destination: "10.0.0.7" }));
  command({ kind: "change", name: "carp0", change: { carppeer: null } });
  handle({ kind: "stray", device: "eth1", family: 4 });
  handle({ kind: "rate-limited", device: "eth0", family: 4, count: 5 });

  const parts: readonly Part[] = [
    { kind: "listening", carpdev: "eth0" },
    { kind: "filter", interface: "carp0" },
    { kind: "membership", interface: "carp0" },
    { kind: "saved-state" },
  ];
  for (const part of parts) handle({ kind: "performed", part, errors: ["a reason"] });
  for (const part of parts) handle({ kind: "performed", part, errors: [] });

  const effects = command({ kind: "change", name: "carp0", change: { state: "master" } });
  const own = effects.flatMap((effect) => (effect.kind === "advertise" ? effect.transmissions : []));
  for (const each of own) if ("frame" in each) hear(each.frame);
  handle({ kind: "repaired", interface: "carp0", what: "the device was deleted" });
  setSysctl("demotion", 5);
  setSysctl("demotion", -5);
  command({ kind: "demote-group", group: "carp", by: 1 });
  command({ kind: "demote-group", group: "carp", by: -1 });

  setSysctl("strict_replay", 0);
  const linkLocal = { family: 6 as const, address: "fe80::1", prefixLength: 64, alias: true };
  command({ kind: "change", name: "carp0", change: { addAddresses: [linkLocal] } });
  const addresses = ["10.0.0.1", "fe80::1"];
  for (const forms of [["covered"], ["left-out"], ["covered", "left-out"]] as const) {
    us += 60_000_000;
    for (let i = 0; i < 15; i++, us += 1_000_000)
      for (const linkLocals of forms) hear(advertisement({ addresses, linkLocals }));
  }
  command({ kind: "change", name: "carp0", change: { pass: "one", state: "master" } });
  command({ kind: "change", name: "carp0", change: { pass: "two" } });
  hear(advertisement({ addresses, pass: "two" }));
  command({ kind: "change", name: "carp0", change: { pass: "three" } });
  us += 300_000_000;
  handle({ kind: "timer", timer: { kind: "grace", interface: "carp0" } });

  const add = (name: string, vhid: number, pass: string, address: string) => {
    const addAddresses = [{ family: 4 as const, address, prefixLength: 24, alias: true }];
    command({ kind: "change", name, change: { carpdev: "eth0", vhid, pass, addAddresses } });
  };
  add("carp7", 7, "sesame", "10.0.0.7");
  add("carp8", 8, "open ", "10.0.0.8");
  add("carp9", 9, "", "10.0.0.9");
  add("carp10", 10, "a pass that is longer than that", "10.0.0.10");
  const ours = { vhid: 7, pass: "sesame", addresses: ["10.0.0.7"], source: "10.0.0.3" };
  const eight = { ...ours, vhid: 8, addresses: ["10.0.0.8"] };
  const wholePass = (message: Uint8Array) => {
    const hmac = createHmac("sha1", "a pass that is longer than that");
    hmac.update(Uint8Array.from([2, 1, 10, 10, 0, 0, 10])).update(message.subarray(8, 16));
    message.set(hmac.digest(), 16);
  };
  for (const wrong of [
    { ...ours, addresses: ["10.0.0.7", "10.0.0.77"] },
    { ...ours, handSetLladdr: PEER_MAC },
    { ...ours, pass: "sesame\n" },
    { ...ours, pass: "" },
    { ...eight, pass: "open" },
    { ...eight, pass: "sesame" },
    { ...ours, pass: "open ", addresses: ["10.0.0.8"] },
    { ...ours, vhid: 10, tamper: wholePass },
    { ...ours, pass: "guessed" },
    { ...ours, vhid: 9, pass: "guessed" },
  ])
    for (let n = 0; n < 12; n++, us += 1_000_000)
      for (const effect of hear(advertisement(wrong)))
        if (effect.kind === "explain-digest") {
          const search = new DigestSearch(effect.question);
          let explanation = search.step();
          while (explanation === undefined) explanation = search.step();
          handle({ kind: "digest-explained", id: effect.id, explanation });
        }
  handle({ kind: "link", link: { ...ETH0, carrier: false } });
  return lines;
}

test("every message has its priority, and every message that the core logs has an entry", () => {
  const failed = 3;
  assertDescribed(everyLogLine(), diagnostics(page), failed);
});

for (const path of globSync(join(tree, "man/*")))
  test(`${basename(path)} is good mdoc`, () => {
    const { error, stdout, stderr } = spawnSync("mandoc", ["-T", "lint", path], { encoding: "utf8" });
    assert.ifError(error);
    // References to manuals that are not installed on this machine are no errors of the page.
    const complaints = `${stdout}${stderr}`
      .split("\n")
      .filter((line) => line !== "" && !/referenced manual not found|mandoc\.db/.test(line));
    assert.deepEqual(complaints, []);
  });
