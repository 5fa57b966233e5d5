/** What a host on the segment can do to unicast peers with advertisements of any source, destination and TTL. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createNetwork, eventually, forge, type Host } from "../hosts/index.ts";

const SHARED = "10.0.0.1";
const PASS = "sesame";

test("unicast peers believe only each other: by source, destination and TTL", async () => {
  const lan = await createNetwork();
  try {
    const [a, b, attacker] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.11/24"] }),
      lan.host("b", { addresses: ["10.0.0.12/24"] }),
      lan.host("attacker", { addresses: ["10.0.0.66/24"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    const share = (host: Host, advskew: number, peer: string) =>
      host.command(
        ...["carp0", `${SHARED}/24`, "carpdev", "eth0", "vhid", "1", "pass", PASS, "advbase", "1"],
        ...["advskew", String(advskew), "carppeer", peer],
      );
    await share(a, 20, "10.0.0.12");
    await a.waitForState("carp0", "MASTER");
    await share(b, 60, "10.0.0.11");
    await b.waitForState("carp0", "BACKUP");
    const wire = await b.capture("eth0", "ip proto 112");
    await wire.waitFor(({ carp }) => carp !== undefined, { from: wire.frames.length });
    await wire.stop();

    // Each would move the host that believes it: the pass is right, and the counter new.
    let counter = 1n;
    const tempting = (advbase: number, advskew: number) =>
      forge.advertisement({ vhid: 1, pass: PASS, addresses: [SHARED], counter: counter++, advbase, advskew });
    const [ofA, ofB] = await Promise.all([a.mac(), b.mac()]);
    const group = "01:00:5e:00:00:12";
    const wrong: readonly [source: string, destination: string, mac: string, hops: number][] = [
      ["10.0.0.66", "10.0.0.11", ofA, 255],
      ["10.0.0.66", "10.0.0.12", ofB, 255],
      ["10.0.0.12", "10.0.0.99", ofA, 255],
      ["10.0.0.11", "10.0.0.99", ofB, 255],
      ["10.0.0.12", SHARED, ofA, 255],
      ["10.0.0.11", "10.0.0.255", "ff:ff:ff:ff:ff:ff", 255],
      ["10.0.0.12", "10.0.0.11", ofA, 64],
      ["10.0.0.11", "10.0.0.12", ofB, 254],
      ["10.0.0.12", "224.0.0.18", group, 255],
      ["10.0.0.11", "224.0.0.18", group, 255],
      ["10.0.0.11", "224.0.0.5", group, 255],
    ];
    const frames = wrong.flatMap(([source, destination, mac, hops]) =>
      [tempting(0, 1), tempting(255, 255)].map((payload) =>
        forge.ipv4Frame({ source, destination, mac, hops, payload }),
      ),
    );
    const refused = async () => {
      const counts = await Promise.all([a, b].map((host) => host.engine.request("statistics", {})));
      return counts.reduce((sum, { badVhid, badTtl }) => sum + badVhid + badTtl, 0);
    };
    const before = await refused();
    await attacker.injectAll("eth0", frames, { pauseUs: 20_000 });
    await eventually(refused, (now) => now >= before + frames.length);
    const entered = (host: Host) => host.engine.transitions.map(({ to }) => to);
    assert.deepEqual([entered(a), entered(b)], [["BACKUP", "MASTER"], ["BACKUP"]]);

    // Source, destination and TTL were their only faults.
    const right = { source: "10.0.0.11", destination: "10.0.0.12", mac: ofB, payload: tempting(255, 255) };
    await attacker.inject("eth0", forge.ipv4Frame(right));
    await b.engine.waitForLog(/BACKUP -> MASTER/);
  } finally {
    lan.destroy();
  }
});
