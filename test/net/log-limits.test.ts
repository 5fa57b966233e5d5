/**
 * The log of an engine that others drive: what a host on the network can make it write each second, and what it writes
 * all the same: every change of 25 virtual hosts that fail over at once.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

describe("limits of the log", () => {
  let lan: Network;
  let a: Host;
  let attacker: Host;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    attacker = await lan.host("x", { addresses: ["10.0.0.66/24"] });
    await a.startEngine();
    await a.command("sysctl", "net.inet.carp.preempt=1");
  });
  after(() => lan.destroy());

  test("25 virtual hosts that fail over at once are logged whole", async () => {
    for (let n = 0; n < 25; n++) {
      const words = ["carpdev", "eth0", "vhid", String(n + 10), "state", "master"];
      await a.command(`carp${n + 10}`, `10.0.0.${100 + n}/24`, ...words);
      await a.waitForState(`carp${n + 10}`, "MASTER");
    }
    const begin = a.engine.transitions.length;
    await a.pullCable();
    const lost = () => a.engine.transitions.slice(begin).filter(({ to }) => to === "INIT").length;
    await eventually(
      async () => lost(),
      (count) => count === 25,
    );
    await a.plugCable();
    for (let n = 0; n < 25; n++) await a.waitForState(`carp${n + 10}`, "MASTER");
    const changes = a.engine.transitions.slice(begin).map(({ interface: name, to }) => `${name} ${to}`);
    for (let n = 0; n < 25; n++)
      for (const to of ["INIT", "BACKUP", "MASTER"]) assert.ok(changes.includes(`carp${n + 10} ${to}`));
    assert.ok(!a.engine.log.lines.some(({ text }) => /left out/.test(text)), String(a.engine.log));
    for (let n = 0; n < 25; n++) await a.command(`carp${n + 10}`, "destroy");
  });

  test("changes of state that a host on the network causes: a burst, then a line a second", async () => {
    await a.command(
      "carp0",
      "10.0.0.1/24",
      "carpdev",
      "eth0",
      "vhid",
      "1",
      "advskew",
      "100",
      "pass",
      "known",
    );
    await a.waitForState("carp0", "MASTER");
    const told: string[] = [];
    const monitor = a.spawn(CARPCTL, ["monitor"]);
    await monitor.log.waitFor(/following/);
    let counter = BigInt(Date.now()) * 1000n;
    const advertisement = (advskew: number, advbase: number) =>
      forge.ipv4Frame({
        source: "10.0.0.66",
        payload: forge.advertisement({
          vhid: 1,
          pass: "known",
          addresses: ["10.0.0.1"],
          counter: ++counter,
          advskew,
          advbase,
        }),
      });
    // A better master, and one that leaves.
    const frames = Array.from({ length: 1000 }, () => [advertisement(0, 1), advertisement(255, 255)]).flat();
    const begin = a.engine.log.length;
    const beganMs = performance.now();
    const before = await transitionsOf(a);
    await attacker.injectAll("eth0", frames, { pauseUs: 1000 });
    const { text } = await a.engine.waitForLog(/carp0: state transition: MASTER -> BACKUP/, { from: begin });
    assert.ok(text);
    const changes = (await transitionsOf(a)) - before;
    assert.ok(changes > 200, `${changes} changes`);
    const leftOut = /(\d+) more lines like these were left out, the last: carp0: state transition: /;
    await a.engine.waitForLog(leftOut, { from: begin });
    const seconds = (performance.now() - beganMs) / 1000;
    const lines = a.engine.log.lines.slice(begin);
    assert.ok(lines.length <= 20 + 3 * (seconds + 1), `${lines.length} lines in ${seconds} s`);
    told.push(...monitor.log.lines.map((line) => line.text));
    assert.ok(told.length <= 40 * (seconds + 1), `${told.length} lines of monitor in ${seconds} s`);
  });
});

async function transitionsOf(host: Host): Promise<number> {
  const { interfaces } = await host.engine.request("interfaces", {});
  return interfaces.find(({ name }) => name === "carp0")?.nodes[0]?.transitions ?? 0;
}
