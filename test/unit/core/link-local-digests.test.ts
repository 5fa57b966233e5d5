/**
 * Link-local addresses in digests: which form a virtual host sends, what it learns that from, when it goes
 * back, and what a recording can do about it.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Authentication, type LinkLocals } from "../../../src/protocol/authentication.ts";
import { fromHex, live } from "../protocol/vectors.ts";
import { ipv4, ipv6, logged, SECOND, Station, World } from "./driver.ts";
import { advertisement, bowOut, read, type Said } from "./peer.ts";

const ADDRESSES = ["10.0.0.1", "fe80::1"];
const authentication = new Authentication({ pass: "", vhid: 1, addresses: ADDRESSES });

function stationWith(addresses: readonly string[] = ADDRESSES, pass = "", world = new World()): Station {
  const station = new Station(world);
  const addAddresses = addresses.map((each) => (each.includes(":") ? ipv6(each) : ipv4(each)));
  station.set("carp0", { carpdev: "eth0", vhid: 1, pass, addAddresses });
  return station;
}

function masterWith(addresses?: readonly string[]): Station {
  const station = stationWith(addresses);
  station.set("carp0", { state: "master" });
  station.take();
  return station;
}

/** Lets a peer advertise once a second, with a counter that it counts on. */
function speaker(station: Station, linkLocals: LinkLocals, said: Said = {}) {
  let counter = linkLocals === "covered" ? 0x1234_0000_0000_0000n : 77n;
  return (seconds: number) =>
    Array.from({ length: seconds }, () => {
      if (linkLocals === "covered") counter++;
      const frame = advertisement({ addresses: ADDRESSES, advskew: 200, ...said, linkLocals, counter });
      station.hear(frame);
      station.world.run(SECOND);
      return frame;
    });
}

/** The form of what a host sent last. */
function sentForm(station: Station, of = authentication): LinkLocals | undefined {
  const sent = station.effects.findLast((effect) => effect.kind === "advertise");
  const { counter, digest } = read(sent?.kind === "advertise" ? sent.transmissions[0] : undefined);
  return of.verify(counter, digest)?.linkLocals;
}

/** The log lines about link-local addresses since the last look. */
const told = (station: Station) => logged(station.take()).filter((line) => line.includes("link-local"));

const FOLLOWS = "2 carp0: 10.0.0.9 signs the link-local addresses: this host signs them too";

describe("the digests of live BSDs", () => {
  for (const [at, vector] of live.entries()) {
    const hasLinkLocals = vector.addresses.some((each) => each.startsWith("fe80:"));
    const form = hasLinkLocals ? (vector.linkLocalsInDigest ? "covered" : "left-out") : "none";
    it(`${at} ${vector.sender.split(" ")[0]}, ${vector.name}: link-local addresses are ${form}`, () => {
      const signer = new Authentication(vector);
      for (const hex of vector.frames) {
        const message = fromHex(hex).subarray(-36);
        const view = new DataView(message.buffer, message.byteOffset);
        assert.equal(signer.verify(view.getBigUint64(8), message.subarray(16))?.linkLocals, form);
      }
    });
  }

  for (const vector of live.filter(({ linkLocalsInDigest }) => linkLocalsInDigest))
    it(`teach a host to sign link-local addresses: ${vector.name}, advskew ${vector.advskew}`, () => {
      const station = stationWith(vector.addresses, vector.pass);
      for (const hex of vector.frames) {
        station.hear(fromHex(hex));
        station.world.run(SECOND);
      }
      station.set("carp0", { state: "master" });
      assert.equal(sentForm(station, new Authentication(vector)), "covered");
      assert.equal(station.node().signsLinkLocals, true);
    });
});

describe("a virtual host with link-local addresses", () => {
  it("leaves them out of its digests, as OpenBSD does, while no peer covers them", () => {
    const station = masterWith();
    station.world.run(3 * SECOND);
    assert.equal(sentForm(station), "left-out");
    speaker(station, "left-out")(30);
    assert.equal(sentForm(station), "left-out");
    assert.deepEqual(told(station), []);
    assert.equal(station.node().signsLinkLocals, false);
  });

  it("covers them once a peer does so, at once, and says so once", () => {
    const station = masterWith();
    const hear = speaker(station, "covered");
    hear(1);
    assert.equal(sentForm(station), "left-out");
    hear(1);
    assert.equal(sentForm(station), "covered");
    hear(60);
    assert.deepEqual(told(station), [FOLLOWS]);
    assert.equal(station.state(), "MASTER");
    assert.equal(station.node().signsLinkLocals, true);
  });

  it("covers them as well where it has no other address", () => {
    const station = masterWith(["fe80::1"]);
    const alone = new Authentication({ pass: "", vhid: 1, addresses: ["fe80::1"] });
    const said = { addresses: ["fe80::1"], source: "fe80::9" };
    station.world.run(SECOND);
    assert.equal(sentForm(station, alone), "left-out");
    speaker(station, "covered", said)(2);
    assert.equal(sentForm(station, alone), "covered");
  });

  it("goes on covering them while that peer is silent: a BACKUP does not advertise", () => {
    const station = masterWith();
    speaker(station, "covered")(2);
    station.world.run(3600 * SECOND);
    assert.equal(sentForm(station), "covered");
  });

  it("keeps the form over a change of its addresses and of its carpdev's state", () => {
    const station = masterWith();
    speaker(station, "covered")(2);
    station.set("carp0", { addAddresses: [ipv4("10.0.0.7")], grace: "off" });
    station.set("carp0", { up: false });
    station.world.run(SECOND);
    station.set("carp0", { up: true, state: "master" });
    const addresses = [...ADDRESSES, "10.0.0.7"];
    assert.equal(sentForm(station, new Authentication({ pass: "", vhid: 1, addresses })), "covered");
  });

  it("keeps the form over a restart", () => {
    const station = masterWith();
    speaker(station, "covered")(2);
    station.world.run(SECOND);
    const { configuration } = station.host;
    assert.deepEqual(configuration.signsLinkLocals, [{ interface: "carp0", vhid: 1 }]);
    const next = new Station(station.world);
    next.host.restore(configuration, () => 0, next.now);
    next.set("carp0", { state: "master" });
    assert.equal(sentForm(next), "covered");
  });

  it("saves the form when it changes", () => {
    const station = masterWith();
    speaker(station, "covered")(1);
    station.take();
    speaker(station, "covered")(2);
    assert.ok(station.take().some(({ kind }) => kind === "save"));
  });

  it("leaves them out again when peers are heard that do not cover them, and none that does", () => {
    const station = masterWith();
    speaker(station, "covered")(2);
    station.world.run(60 * SECOND);
    station.take();
    const hear = speaker(station, "left-out");
    hear(3);
    assert.equal(sentForm(station), "covered");
    hear(1);
    assert.equal(sentForm(station), "left-out");
    assert.deepEqual(told(station), [
      "2 carp0: 10.0.0.9 does not sign the link-local addresses: this host no longer signs them",
    ]);
  });

  it("waits for a peer that bowed out no longer", () => {
    const station = masterWith();
    speaker(station, "covered")(8);
    station.world.run(5 * SECOND);
    const counter = 0x1234_0000_0000_0100n;
    station.hear(bowOut({ addresses: ADDRESSES, linkLocals: "covered", counter }));
    speaker(station, "left-out")(4);
    assert.equal(sentForm(station), "left-out");
  });

  it("follows a host of ours that has changed the form before", () => {
    const world = new World();
    const [a, b] = [stationWith(ADDRESSES, "", world), stationWith(ADDRESSES, "", world)];
    a.set("carp0", { state: "master" });
    speaker(a, "covered")(2);
    const frames = () =>
      a.take().flatMap((effect) => (effect.kind === "advertise" ? effect.transmissions : []));
    for (let i = 0; i < 20; i++) {
      for (const sent of frames()) if ("frame" in sent && sent.family === 4) b.hear(sent.frame);
      world.run(SECOND);
    }
    assert.equal(b.node().signsLinkLocals, true);
  });
});

describe("a host of ours", () => {
  /** Lets it advertise once a second in this form, with tag 9. */
  function hearOurs(station: Station, linkLocals: LinkLocals, seconds: number, said: Said = {}) {
    for (let i = 0; i < seconds; i++) {
      // Not in the microseconds in which this host advertised.
      station.world.run(SECOND / 3);
      const us = BigInt(Math.trunc(station.now.epochUs));
      const counter = us - (us % 256n) + 9n;
      station.hear(advertisement({ addresses: ADDRESSES, advskew: 200, ...said, linkLocals, counter }));
      station.world.run((2 * SECOND) / 3);
    }
  }

  it("that covers them is followed at once: it knows a peer that does", () => {
    const station = masterWith();
    hearOurs(station, "covered", 1);
    assert.equal(sentForm(station), "covered");
    assert.deepEqual(told(station), [FOLLOWS]);
  });

  it("that leaves them out, because it was started anew, proves nothing", () => {
    const station = masterWith();
    speaker(station, "covered")(2);
    station.world.run(60 * SECOND);
    hearOurs(station, "left-out", 60);
    assert.equal(sentForm(station), "covered");
  });

  it("is no party to a conflict, and holds nobody back", () => {
    const station = masterWith();
    const hear = speaker(station, "covered");
    for (let i = 0; i < 30; i++) {
      hearOurs(station, "left-out", 1, { source: "10.0.0.8" });
      hear(1);
      if (i === 2) assert.equal(sentForm(station), "covered");
    }
    assert.deepEqual(told(station), [FOLLOWS]);
    assert.equal(station.node().linkLocalConflict, undefined);
  });
});

describe("peers that do and peers that do not", () => {
  /** Hears one of each kind, once a second. */
  function hearBoth(station: Station, seconds: number) {
    const [covered, leftOut] = [
      speaker(station, "covered"),
      speaker(station, "left-out", { source: "10.0.0.8" }),
    ];
    for (let i = 0; i < seconds; i++) [covered, leftOut].map((hear) => hear(1));
  }
  const CONFLICT = "10.0.0.9 signs the link-local addresses and 10.0.0.8 does not: they cannot agree";

  it("cannot agree: that is said once, and they are covered, of which no recording can be the cause", () => {
    const station = masterWith();
    speaker(station, "left-out", { source: "10.0.0.8" })(1);
    station.take();
    hearBoth(station, 30);
    assert.deepEqual(told(station), [FOLLOWS, `2 carp0: ${CONFLICT}`]);
    assert.equal(station.node().linkLocalConflict?.text, CONFLICT);
    assert.equal(station.node().signsLinkLocals, true);
    station.world.run(60 * SECOND);
    assert.ok((station.node().linkLocalConflict?.untilUs ?? 0) < station.world.us);
  });

  it("do not make it change again and again where each is silent when it is satisfied", () => {
    const station = masterWith();
    const covered = speaker(station, "covered");
    const leftOut = speaker(station, "left-out", { source: "10.0.0.8" });
    let changes = 0;
    for (let i = 0, former = false; i < 3600; i++) {
      (former ? leftOut : covered)(1);
      const signs = station.node().signsLinkLocals === true;
      if (signs !== former) changes++;
      former = signs;
    }
    assert.ok(changes < 20, `${changes} changes in an hour`);
    assert.ok(told(station).includes(`2 carp0: ${CONFLICT}`));
  });
});

describe("a recording", () => {
  it("of OpenBSD, whose counter stays the same, changes it seldom and for seconds", () => {
    const station = masterWith();
    const freebsd = speaker(station, "covered");
    const recorded = advertisement({ addresses: ADDRESSES, advskew: 200, counter: 77n, source: "10.0.0.8" });
    freebsd(2);
    let [seconds, changes] = [0, 0];
    for (let i = 0; i < 3600; i++) {
      const before = station.node().signsLinkLocals;
      station.hear(recorded);
      // FreeBSD is MASTER three of its intervals after the last word that it understood.
      if (before) station.world.run(SECOND);
      else if (++seconds % 5 === 0) freebsd(2);
      else station.world.run(SECOND);
      if (station.node().signsLinkLocals !== before) changes++;
    }
    assert.ok(changes < 20 && seconds < 60, `${changes} changes, ${seconds} seconds`);
  });

  it("of a single advertisement changes no form, however often it is sent", () => {
    const station = masterWith();
    const [recorded = new Uint8Array()] = speaker(station, "covered")(1);
    for (let i = 0; i < 100; i++) {
      station.hear(recorded);
      station.world.run(SECOND / 3);
    }
    assert.equal(sentForm(station), "left-out");
    assert.deepEqual(told(station), []);
  });

  it("of a peer that was heard changes no form, and does not hold it back", () => {
    const station = masterWith();
    const recorded = speaker(station, "covered")(20);
    station.world.run(20 * SECOND);
    const hear = speaker(station, "left-out");
    const replay = () => recorded.map((frame) => station.hear(frame));
    for (let i = 0; i < 5; i++) {
      replay();
      hear(1);
    }
    assert.equal(sentForm(station), "left-out");
    station.world.run(60 * SECOND);
    for (let i = 0; i < 10; i++) {
      replay();
      station.world.run(SECOND);
    }
    assert.equal(sentForm(station), "left-out");
  });

  it("of a host of ours, which the replay rules refuse, changes no form", () => {
    const station = masterWith();
    const us = BigInt(Math.trunc(station.now.epochUs - 60 * SECOND));
    const ours = (at: number) => us - (us % 256n) + 9n + BigInt(at) * 256n * 4000n;
    station.hear(advertisement({ addresses: ADDRESSES, advskew: 200, counter: ours(60) }));
    station.take();
    for (let at = 1; at < 20; at++) {
      station.hear(
        advertisement({ addresses: ADDRESSES, advskew: 200, counter: ours(at), linkLocals: "covered" }),
      );
      station.world.run(SECOND);
    }
    assert.equal(sentForm(station), "left-out");
    assert.deepEqual(told(station), []);
  });
});

it("addresses without a link-local one have one form, and no word is said about it", () => {
  const station = masterWith(["10.0.0.1"]);
  speaker(station, "covered", { addresses: ["10.0.0.1"] })(10);
  assert.deepEqual(told(station), []);
  assert.equal(station.node().signsLinkLocals, undefined);
});
