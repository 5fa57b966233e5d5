/** What a host tells those who follow it: peers that appear and go, demotion, failures; and what is bounded in it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import { backup, ipv6, link, master, only, PLAIN, SECOND, Station, World } from "./driver.ts";
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
  it("who is heard for the first time appears, and is not told of again", () => {
    const station = backup();
    const appeared = { kind: "peer-appeared", ...AT, source: "10.0.0.9", advbase: 1, advskew: 0, demote: 0 };
    assert.deepEqual(news(station.hear(advertisement())), [appeared]);
    station.world.run(SECOND);
    assert.deepEqual(news(station.hear(advertisement())), []);
    assert.deepEqual(station.node().peers, [
      { source: "10.0.0.9", advbase: 1, advskew: 0, demote: 0, atUs: station.world.us },
    ]);
  });

  it("who bows out has left", () => {
    const station = backup();
    station.hear(advertisement());
    const effects = station.hear(advertisement({ advbase: 255, advskew: 255 }));
    assert.deepEqual(news(effects), [{ kind: "peer-gone", ...AT, source: "10.0.0.9", reason: "left" }]);
    assert.deepEqual(station.node().peers, []);
  });

  it("a bow-out of somebody who was not there is no news", () => {
    assert.deepEqual(news(backup().hear(advertisement({ advbase: 255, advskew: 255 }))), []);
  });

  it("who is silent for three of his own intervals is gone, whether this host is BACKUP or MASTER", () => {
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

  it("each family's source is one of its own", () => {
    const station = backup({ addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
    const addresses = ["10.0.0.1", "2001:db8::1"];
    station.hear(advertisement({ addresses }));
    station.hear(advertisement({ addresses, source: "fe80::9" }));
    assert.deepEqual(
      station.node().peers.map(({ source }) => source),
      ["10.0.0.9", "fe80::9"],
    );
  });

  it("no more than 16 are followed, however many there are", () => {
    const station = backup();
    for (let n = 0; n < 100; n++) station.hear(advertisement({ source: `10.0.1.${n + 1}` }));
    assert.equal(station.node().peers.length, 16);
    assert.equal(news(station.take()).length, 16);
  });

  it("an interface that does not run knows none", () => {
    const station = backup();
    station.hear(advertisement());
    station.link(link("eth0", { carrier: false }));
    assert.deepEqual(station.node().peers, []);
  });

  it("who is not believed does not appear", () => {
    const station = backup();
    assert.deepEqual(
      news(station.hear(advertisement({ pass: "guessed" }))).map(({ kind }) => kind),
      ["discarded"],
    );
    assert.deepEqual(station.node().peers, []);
  });
});

describe("everything else", () => {
  it("an interface that is created, by whatever command, and one that is gone", () => {
    const station = new Station(new World());
    assert.deepEqual(news(station.does({ kind: "create" })), [{ kind: "created", interface: "carp0" }]);
    assert.deepEqual(news(station.set("carp1", { vhid: 1 })), [{ kind: "created", interface: "carp1" }]);
    assert.deepEqual(news(station.set("carp1", { vhid: 2 })), []);
    assert.deepEqual(news(station.does({ kind: "destroy", name: "carp1" })), [
      { kind: "destroyed", interface: "carp1" },
    ]);
  });

  it("an interface that is taken up from an earlier engine was there before", () => {
    const station = backup();
    const next = new Station(new World());
    const effects = next.host.restore(station.host.configuration, () => 0, next.now);
    assert.deepEqual(news(effects), []);
  });

  it("demotion of the host and of groups, as far as it went", () => {
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

  it("an advertisement that does not leave, as long as none does", () => {
    const station = master();
    station.sending = () => "ENOBUFS";
    station.world.run(SECOND);
    assert.deepEqual(news(station.take()), [{ kind: "send-failed", ...AT, error: "ENOBUFS" }]);
    const failure = () => station.host.interfaces()[0]?.sendFailure;
    assert.deepEqual(failure(), { error: "ENOBUFS", atUs: station.world.us });
    station.sending = () => undefined;
    station.world.run(SECOND);
    assert.equal(failure(), undefined);
  });

  it("the last of each kind of what was not believed is shown with its interface", () => {
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

  it("what was repaired", () => {
    const event = { kind: "repaired", interface: "carp0", what: "addresses" } as const;
    assert.deepEqual(news(backup().handle(event)), [event]);
  });
});
