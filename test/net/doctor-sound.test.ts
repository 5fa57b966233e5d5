/** Sound clusters of every kind: `doctor` complains of none, also while their hosts boot and hand over. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";
import { lines } from "./doctor-pairs.ts";

const KINDS: readonly (readonly [title: string, words: string])[] = [
  ["addresses of both families", "10.0.0.1/24 inet6 2001:db8::1/64"],
  ["carppeer", "10.0.0.1/24 carppeer 10.0.0.2,10.0.0.3"],
  ["the carpdevs' own MACs", "10.0.0.1/24 lladdr carpdev carppeer 10.0.0.2,10.0.0.3"],
  ["balanced nodes", "10.0.0.1/24 carpnodes 1:0,2:100 balancing ip-stealth"],
  ["intervals of a tenth of a second", "10.0.0.1/24 advbase 0"],
];

describe("sound clusters", { concurrency: true }, () => {
  for (const [title, words] of KINDS)
    describe(title, { concurrency: 1 }, () => {
      let lan: Network;
      let a: Host;
      let b: Host;
      before(async () => {
        lan = await createNetwork();
        [a, b] = await Promise.all([
          lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
          lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
        ]);
        await Promise.all([a.startEngine(), b.startEngine()]);
      });
      after(() => lan.destroy());

      test("no complaint at the start, as MASTER, as BACKUP, and at each handover", async () => {
        const isOver = new AbortController();
        const watched = Promise.all([a, b].map((host) => complaints(host, isOver.signal)));
        for (const host of [a, b]) await host.command("sysctl", "net.inet.carp.preempt=1");
        const isBalanced = words.includes("carpnodes");
        const skew = (advskew: number) => (isBalanced ? [] : ["advskew", String(advskew)]);
        const common = ["carpdev", "eth0", "pass", "sesame", ...(isBalanced ? [] : ["vhid", "1"])];
        await b.command("carp0", ...words.split(" "), ...common, ...skew(60));
        await b.waitForState("carp0", "MASTER", isBalanced ? 1 : undefined);
        const there = isBalanced ? words.replace("1:0,2:100", "1:100,2:0") : words;
        await a.command("carp0", ...there.split(" "), ...common, ...skew(26));
        await a.waitForState("carp0", "MASTER", isBalanced ? 2 : undefined);
        if (!isBalanced) {
          await b.waitForState("carp0", "BACKUP");
          await a.engine.stop();
          await b.waitForState("carp0", "MASTER");
        }
        isOver.abort();
        assert.deepEqual(await watched, [[], []]);
      });
    });
});

describe("a pair with ucarp", () => {
  let lan: Network;
  let a: Host;
  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    const b = await lan.host("b", { addresses: ["10.0.0.3/24"] });
    const ucarp = b.startUcarp({ vhid: 1, pass: "sesame", address: "10.0.0.1", source: "10.0.0.3" });
    await Promise.all([a.startEngine(), ucarp.waitForState("MASTER")]);
  });
  after(() => lan.destroy());

  test("no complaint of a master that answers with its own MAC", async () => {
    await a.command(..."carp0 10.0.0.1/24 vhid 1 carpdev eth0 pass sesame advskew 100".split(" "));
    const found = await eventually(
      () => lines(a),
      (all) => all.some((line) => line.startsWith("ok carp0 vhid 1: BACKUP, 10.0.0.3 heard")),
    );
    assert.deepEqual(
      [...found, ...(await lines(a))].filter((line) => !line.startsWith("ok ")),
      [],
    );
  });
});

/** What doctor complained of until then, asked again and again. No engine is no complaint here. */
async function complaints(host: Host, isOver: AbortSignal): Promise<string[]> {
  const found = new Set<string>();
  do for (const line of await lines(host)) if (!/^(ok |error engine: )/.test(line)) found.add(line);
  while (!isOver.aborted);
  return [...found];
}
