/** The lease after a peer has advertised a shorter interval: shorter, until that is not heard any more. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { QuickPeers } from "../../../src/core/election/quick-peers.ts";
import { master, SECOND } from "./driver.ts";
import { advertisement } from "./peer.ts";

describe("a peer that advertised a shorter interval", () => {
  it("shortens the lease, and is forgotten when it is silent for a minute", () => {
    const station = master({ advbase: 4 });
    assert.equal(station.leaseLeft(), 12 * SECOND);
    station.hear(advertisement({ advbase: 2, demote: 9 }));
    station.world.run(4 * SECOND);
    assert.equal(station.leaseLeft(), 6 * SECOND);
    station.world.run(50 * SECOND);
    assert.ok(station.leaseLeft() <= 6 * SECOND);
    station.world.run(14 * SECOND);
    assert.ok(station.leaseLeft() > 6 * SECOND);
    assert.equal(station.state(), "MASTER");
  });

  it("is remembered as long as it is heard, and longer where its interval is long", () => {
    const peers = new QuickPeers();
    for (let us = 0; us <= 600 * SECOND; us += 50 * SECOND) {
      peers.heard(2 * SECOND, us);
      assert.equal(peers.shortestUs(us), 2 * SECOND);
    }
    assert.equal(peers.shortestUs(659 * SECOND), 2 * SECOND);
    assert.equal(peers.shortestUs(660 * SECOND), undefined);
    peers.heard(100 * SECOND, 700 * SECOND);
    assert.equal(peers.shortestUs(1_099 * SECOND), 100 * SECOND);
    assert.equal(peers.shortestUs(1_100 * SECOND), undefined);
  });

  it("is forgotten before longer ones that were heard after it", () => {
    const peers = new QuickPeers();
    peers.heard(1 * SECOND, 0);
    peers.heard(3 * SECOND, 20 * SECOND);
    peers.heard(2 * SECOND, 30 * SECOND);
    assert.equal(peers.shortestUs(59 * SECOND), 1 * SECOND);
    assert.equal(peers.shortestUs(60 * SECOND), 2 * SECOND);
    assert.equal(peers.shortestUs(90 * SECOND), undefined);
  });

  it("does not make a slower one be forgotten, which is remembered longer", () => {
    const peers = new QuickPeers();
    peers.heard(62 * SECOND, 0);
    peers.heard(1 * SECOND, 20 * SECOND);
    peers.heard(2 * SECOND, 21 * SECOND);
    assert.equal(peers.shortestUs(79 * SECOND), 1 * SECOND);
    assert.equal(peers.shortestUs(80 * SECOND), 2 * SECOND);
    assert.equal(peers.shortestUs(81 * SECOND), 62 * SECOND);
    assert.equal(peers.shortestUs(247 * SECOND), 62 * SECOND);
    assert.equal(peers.shortestUs(248 * SECOND), undefined);
  });

  it("is the shortest that is remembered, or a shorter one where more than 32 are to be", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ s: fc.integer({ min: 1, max: 255 }), afterS: fc.integer({ min: 0, max: 30 }) }),
          {
            maxLength: 200,
          },
        ),
        (all) => {
          const peers = new QuickPeers();
          const untilUs = new Map<number, number>();
          let us = 0;
          for (const { s, afterS } of all) {
            us += afterS * SECOND;
            peers.heard(s * SECOND, us);
            untilUs.set(s, us + Math.max(60, 4 * s) * SECOND);
            const shortestS = Math.min(...[...untilUs].flatMap(([each, until]) => (until > us ? each : [])));
            const remembered = [...untilUs].filter(([, until]) => until > us).length;
            const found = (peers.shortestUs(us) ?? 0) / SECOND;
            assert.ok(found === shortestS || (remembered > 32 && found > 0 && found < shortestS));
          }
        },
      ),
    );
  });

  it("is one of any number: only the shortest ones count", () => {
    const peers = new QuickPeers();
    for (let n = 1; n <= 1_000; n++) peers.heard(n * 1_000, n);
    assert.equal(peers.shortestUs(1_000), 1_000);
    peers.heard(10, 2_000);
    assert.equal(peers.shortestUs(2_000), 10);
    peers.forget();
    assert.equal(peers.shortestUs(2_000), undefined);
  });
});
