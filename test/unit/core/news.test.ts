/**
 * News for subscribers: peers that appear and are gone, demotion, failures, repairs; and the limits
 * on their number.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import { backup, ipv4, ipv6, link, master, only, PLAIN, SECOND, Station, World } from "./driver.ts";
import { advertisement } from "./peer.ts";

const KINDS = new Set([
  "demotion",
  "discarded",
  "send-failed",
  "peer-appeared",
  "peer-gone",
  "repaired",
  "created",
  "destroyed",
]);

/** The news but for transitions. */
const news = (effects: readonly Effect[]) => effects.filter(({ kind }) => KINDS.has(kind));

const AT = { interface: "carp0", vhid: 1 };

describe("peers", () => {
  it("a peer appears when it is first heard, and is not reported again", () => {
    const station = backup();
    const appeared = { kind: "peer-appeared", ...AT, source: "10.0.0.9", advbase: 1, advskew: 0, demote: 0 };
    assert.deepEqual(news(station.hear(advertisement())), [appeared]);
    station.world.run(SECOND);
    assert.deepEqual(news(station.hear(advertisement())), []);
    assert.deepEqual(station.node().peers, [
      {
        ...{ source: "10.0.0.9", advbase: 1, advskew: 0, demote: 0 },
        ...{ atUs: station.world.us, sinceUs: station.world.us - SECOND },
      },
    ]);
  });

  it("a peer that bows out has left", () => {
    const station = backup();
    station.hear(advertisement());
    const effects = station.hear(advertisement({ advbase: 255, advskew: 255 }));
    assert.deepEqual(news(effects), [{ kind: "peer-gone", ...AT, source: "10.0.0.9", reason: "left" }]);
    assert.deepEqual(station.node().peers, []);
  });

  it("a bow-out of an unknown peer is no news", () => {
    assert.deepEqual(news(backup().hear(advertisement({ advbase: 255, advskew: 255 }))), []);
  });

  it("a peer that is silent for three of its intervals is gone, for a BACKUP and a MASTER", () => {
    const gone = { kind: "peer-gone", ...AT, source: "10.0.0.9", reason: "silent" };
    const waiting = backup({ advskew: 200 });
    waiting.hear(advertisement());
    waiting.world.run(3 * SECOND);
    assert.deepEqual(news(waiting.take()).slice(1), []);
    waiting.world.run(9 * SECOND);
    assert.deepEqual(news(waiting.take()), [gone]);

    const holding = master();
    holding.hear(advertisement({ advskew: 100 }));
    holding.take();
    holding.world.run(4 * SECOND);
    assert.deepEqual(news(holding.take()), []);
    holding.world.run(2 * SECOND);
    assert.deepEqual(news(holding.take()), [gone]);
  });

  it("the sources of both families are two peers", () => {
    const station = backup({ addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
    const addresses = ["10.0.0.1", "2001:db8::1"];
    station.hear(advertisement({ addresses }));
    station.hear(advertisement({ addresses, source: "fe80::9" }));
    assert.deepEqual(
      station.node().peers.map(({ source }) => source),
      ["10.0.0.9", "fe80::9"],
    );
  });

  it("at most 16 peers are followed", () => {
    const station = backup();
    for (let n = 0; n < 100; n++) station.hear(advertisement({ source: `10.0.1.${n + 1}` }));
    assert.equal(station.node().peers.length, 16);
    assert.equal(news(station.take()).length, 16);
  });

  it("an interface that does not run has no peers", () => {
    const station = backup();
    station.hear(advertisement());
    station.link(link("eth0", { carrier: false }));
    assert.deepEqual(station.node().peers, []);
  });

  it("a sender without a valid digest does not appear", () => {
    const station = backup();
    assert.deepEqual(
      news(station.hear(advertisement({ pass: "guessed" }))).map(({ kind }) => kind),
      ["discarded"],
    );
    assert.deepEqual(station.node().peers, []);
  });
});

describe("other news", () => {
  it("an interface that is created, by any command, and one that is destroyed", () => {
    const station = new Station(new World());
    assert.deepEqual(news(station.does({ kind: "create" })), [{ kind: "created", interface: "carp0" }]);
    assert.deepEqual(news(station.set("carp1", { vhid: 1 })), [{ kind: "created", interface: "carp1" }]);
    assert.deepEqual(news(station.set("carp1", { vhid: 2 })), []);
    assert.deepEqual(news(station.does({ kind: "destroy", name: "carp1" })), [
      { kind: "destroyed", interface: "carp1" },
    ]);
  });

  it("an interface that is restored from an earlier engine is no news", () => {
    const station = backup();
    const next = new Station(new World());
    const effects = next.host.restore(station.host.configuration, () => 0, next.now);
    assert.deepEqual(news(effects), []);
  });

  it("demotion of the host and of groups, by the amount that took effect", () => {
    const station = backup();
    assert.deepEqual(news(station.sysctl("demotion", 7)), [
      { kind: "demotion", by: 7, to: 7, reason: "sysctl" },
    ]);
    const by = (by: number) => news(station.does({ kind: "demote-group", group: "carp", by }));
    const told = { kind: "demotion", group: "carp", who: "carpctl", reason: "carpdemote" };
    assert.deepEqual(by(3), [{ ...told, by: 3, to: 3 }]);
    assert.deepEqual(by(-9), [{ ...told, by: -3, to: 0 }]);
    assert.deepEqual(by(-1), []);
  });

  it("a carpdev that is lost demotes with its reason", () => {
    const told = only(backup().link(link("eth0", { carrier: false })), "demotion");
    assert.deepEqual(
      told.map(({ group, who, reason }) => [group, who, reason]),
      [
        ["carp", "carp0", "carpdev"],
        [undefined, undefined, "interface down"],
      ],
    );
  });

  it("an advertisement that does not leave, which the view shows until one has left", () => {
    const station = master();
    station.sending = () => "ENOBUFS";
    station.world.run(SECOND);
    assert.deepEqual(news(station.take()), [{ kind: "send-failed", ...AT, error: "ENOBUFS" }]);
    const failure = () => station.host.interfaces()[0]?.sendFailure;
    assert.deepEqual(failure(), { error: "ENOBUFS", atUs: station.world.us, left: [] });
    station.sending = () => undefined;
    station.world.run(SECOND);
    assert.equal(failure(), undefined);
  });

  it("an advertisement that leaves over one family alone counts as sent, and the view shows the other's error", () => {
    const station = master({ addAddresses: [ipv4("10.0.0.1"), ipv6("2001:db8::1")] });
    station.sending = ({ family }) => (family === 6 ? "ENOBUFS" : undefined);
    station.world.run(5 * SECOND);
    assert.deepEqual(news(station.take()), []);
    const failure = () => station.host.interfaces()[0]?.sendFailure;
    assert.deepEqual(failure(), { error: "ENOBUFS", atUs: station.world.us, left: [4] });
    station.sending = () => undefined;
    station.world.run(SECOND);
    assert.equal(failure(), undefined);
  });

  it("the interface's view has the last discarded packet for each reason", () => {
    const station = backup();
    for (const source of ["10.0.0.7", "10.0.0.8"]) station.hear(advertisement({ source, pass: "guessed" }));
    station.hear(advertisement({ hopLimit: 64 }));
    assert.deepEqual(
      station.host.interfaces()[0]?.discarded.map(({ counter, text }) => [counter, text]),
      [
        ["badAuthentication", "carp0: vhid 1: incorrect hash from 10.0.0.8 on eth0"],
        ["badTtl", "TTL 64 instead of 255 from 10.0.0.9 on eth0"],
      ],
    );
  });

  it("a repair", () => {
    const event = { kind: "repaired", interface: "carp0", what: "addresses" } as const;
    assert.deepEqual(news(backup().handle(event)), [event]);
  });
});
