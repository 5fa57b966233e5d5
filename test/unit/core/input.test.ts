/** The checks of a received frame: their order, statistics and log lines. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import type { Effect } from "../../../src/core/effect.ts";
import { LINGER_US } from "../../../src/core/election/timing.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import type { StatisticName } from "../../../src/core/statistics.ts";
import { Authentication } from "../../../src/protocol/authentication.ts";
import * as forge from "../../hosts/forge.ts";
import {
  backup,
  ipv4,
  ipv6,
  link,
  logged,
  master,
  PLAIN,
  SECOND,
  Station,
  transitions,
  World,
} from "./driver.ts";
import { advertisement, type Said, said } from "./peer.ts";

/** The statistics that are not 0, of the host or of one interface. */
function counted(station: Station, name?: string): Partial<Record<StatisticName, number>> {
  const counts = name === undefined ? station.host.statistics : station.host.statisticsOf(name);
  assert.ok(counts, `no statistics of ${name}`);
  return Object.fromEntries(Object.entries(counts).filter(([, value]) => value !== 0));
}

/** Makes a BACKUP that would take over if it accepted the frame, and logs everything. */
function listener(change: InterfaceChange = {}): Station {
  const station = backup(change);
  station.sysctl("log", 7);
  return station;
}

/** The packets discarded by carp0. */
const discardedBy = (station: Station) => station.host.interfaces()[0]?.discarded ?? [];

const corruptVersion = (message: Uint8Array) => {
  message[0] = 0x31;
};
const corruptDigest = (message: Uint8Array) => {
  message[35] = (message[35] ?? 0) ^ 1;
};
const flip = (message: Uint8Array) => {
  message[20] = (message[20] ?? 0) ^ 1;
};

describe("a frame that is wrong in one way", () => {
  const wrongs: { title: string; frame: Said; counter: StatisticName; log: string }[] = [
    {
      title: "a TTL that a router has decremented",
      frame: { hopLimit: 254 },
      counter: "badTtl",
      log: "5 TTL 254 instead of 255 from 10.0.0.9 on eth0",
    },
    {
      title: "fewer than 36 bytes",
      frame: { length: 35 },
      counter: "tooShort",
      log: "6 carp packet of 35 bytes from 10.0.0.9 on eth0",
    },
    {
      title: "a wrong checksum",
      frame: { corrupt: flip },
      counter: "badChecksum",
      log: "6 wrong checksum from 10.0.0.9 on eth0",
    },
    {
      title: "an unknown vhid",
      frame: { vhid: 2 },
      counter: "badVhid",
      log: "7 unknown vhid 2 from 10.0.0.9 on eth0",
    },
    {
      title: "unicast to an interface that expects multicast",
      frame: { destination: "10.0.0.2" },
      counter: "badVhid",
      log: "7 carp0: vhid 1: carppeer is set on the other host only: unicast advertisement from 10.0.0.9 on eth0",
    },
    {
      title: "another version",
      frame: { tamper: corruptVersion },
      counter: "badVersion",
      log: "5 carp0: vhid 1: version 3 type 1 from 10.0.0.9 on eth0",
    },
    {
      title: "another pass",
      frame: { pass: "guessed" },
      counter: "badAuthentication",
      log: "6 carp0: vhid 1: incorrect hash from 10.0.0.9 on eth0",
    },
    {
      title: "other addresses",
      frame: { addresses: ["10.0.0.1", "10.0.0.7"] },
      counter: "badAuthentication",
      log: "6 carp0: vhid 1: incorrect hash from 10.0.0.9 on eth0",
    },
    {
      title: "a digest with one bit flipped",
      frame: { tamper: corruptDigest },
      counter: "badAuthentication",
      log: "6 carp0: vhid 1: incorrect hash from 10.0.0.9 on eth0",
    },
  ];
  for (const { title, frame, counter, log } of wrongs)
    it(`is counted, logged and changes nothing: ${title}`, () => {
      const station = listener();
      const dueIn = station.dueIn("carp0/1/master-down");
      const effects = station.hear(advertisement({ ...frame, demote: 9 }));
      assert.deepEqual(counted(station), { receivedIpv4: 1, [counter]: 1 });
      // A packet with an unknown vhid belongs to no interface.
      const own = frame.vhid === undefined ? { receivedIpv4: 1, [counter]: 1 } : {};
      assert.deepEqual(counted(station, "carp0"), own);
      assert.deepEqual(logged(effects), [log]);
      const [, text = ""] = log.split(/^\d /);
      const told = {
        kind: "discarded",
        counter,
        interface: frame.vhid === undefined ? "carp0" : undefined,
        text,
      };
      assert.deepEqual(
        effects.filter(({ kind }) => kind !== "log"),
        [told],
      );
      assert.equal(station.dueIn("carp0/1/master-down"), dueIn);
    });

  it("is counted for the first check that it fails", () => {
    const all: Said = { vhid: 2, hopLimit: 1, length: 20, corrupt: flip, pass: "guessed" };
    const order: [StatisticName, Said][] = [
      ["badTtl", all],
      ["tooShort", { ...all, hopLimit: 255 }],
      ["badChecksum", { ...all, hopLimit: 255, length: 36 }],
      ["badVhid", { vhid: 2, tamper: corruptVersion, pass: "guessed" }],
      ["badVersion", { tamper: corruptVersion, pass: "guessed" }],
      ["badAuthentication", { pass: "guessed" }],
    ];
    for (const [counter, frame] of order) {
      const station = listener();
      station.hear(advertisement(frame));
      assert.deepEqual(counted(station), { receivedIpv4: 1, [counter]: 1 });
    }
  });

  it("is not logged above net.inet.carp.log", () => {
    for (const [level, lines] of [
      [4, 0],
      [5, 1],
      [6, 1],
    ] as const) {
      const station = listener();
      station.sysctl("log", level);
      assert.equal(logged(station.hear(advertisement({ hopLimit: 1 }))).length, lines);
    }
  });

  it("is counted by family", () => {
    const station = listener({ addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")] });
    station.hear(advertisement({ source: "fe80::9", hopLimit: 64 }));
    assert.deepEqual(counted(station), { receivedIpv6: 1, badTtl: 1 });
  });
});

it("packets of two interfaces are counted for each, and for the host", () => {
  const station = master();
  station.set("carp1", { carpdev: "eth0", vhid: 2, addAddresses: [ipv4("10.0.0.7")] });
  const { sentIpv4 = 0 } = counted(station, "carp0");
  assert.ok(sentIpv4 > 0);
  assert.deepEqual(counted(station, "carp0"), { sentIpv4, transitionsToMaster: 1 });
  station.hear(advertisement({ vhid: 2, addresses: ["10.0.0.7"] }));
  station.sending = () => "ENOBUFS";
  station.world.run(SECOND);
  assert.deepEqual(counted(station, "carp1"), { receivedIpv4: 1 });
  assert.deepEqual(counted(station, "carp0"), { sentIpv4, transitionsToMaster: 1, sendFailed: 1 });
  assert.deepEqual(counted(station), { receivedIpv4: 1, sentIpv4, transitionsToMaster: 1, sendFailed: 1 });
  assert.equal(station.host.statisticsOf("carp2"), undefined);
});

describe("a frame", () => {
  it("on a carpdev without a carp interface is a bad interface", () => {
    const station = listener();
    station.link(link("eth1"));
    const effects = station.hear(advertisement(), undefined, "eth1");
    assert.deepEqual(counted(station), { receivedIpv4: 1, badInterface: 1 });
    assert.deepEqual(logged(effects), ["6 carp packet without a carp interface from 10.0.0.9 on eth1"]);
  });

  it("on a device that no socket listens on is a bad interface", () => {
    const station = listener();
    const effects = station.handle({ kind: "stray", device: "eth5", family: 6 });
    assert.deepEqual(counted(station), { receivedIpv6: 1, badInterface: 1 });
    assert.deepEqual(logged(effects), ["6 carp packet received on eth5, which carries no carp interface"]);
  });

  it("that the rate limit dropped is counted and logged", () => {
    const station = listener();
    const effects = [
      station.handle({ kind: "rate-limited", device: "eth0", family: 4, count: 70_000 }),
      station.handle({ kind: "rate-limited", device: "eth5", family: 6, count: 1 }),
    ].flat();
    assert.deepEqual(counted(station), { receivedIpv4: 70_000, receivedIpv6: 1, unexamined: 70_001 });
    assert.deepEqual(logged(effects), [
      "4 eth0: rate limit: 70000 unauthenticated carp packets dropped",
      "4 eth5: rate limit: 1 unauthenticated carp packets dropped",
    ]);
    assert.deepEqual(counted(station, "carp0"), {});
  });

  it("for an interface that does not run has an unknown vhid", () => {
    const station = listener();
    station.set("carp1", { carpdev: "eth0", vhid: 2, up: false });
    station.hear(advertisement({ vhid: 2 }));
    assert.deepEqual(counted(station), { receivedIpv4: 1, badVhid: 1 });
  });

  it("for the same vhid on another carpdev belongs to another virtual host", () => {
    const station = listener();
    station.link(link("eth1"));
    station.set("carp1", { carpdev: "eth1", vhid: 1, addAddresses: [ipv6("2001:db8::1")] });
    station.hear(advertisement({ demote: 9 }), undefined, "eth1");
    assert.deepEqual(counted(station), { receivedIpv4: 1, badAuthentication: 1 });
    station.hear(advertisement({ demote: 9 }));
    assert.deepEqual([station.state(1, "carp0"), station.state(1, "carp1")], ["MASTER", "BACKUP"]);
  });
});

describe("net.inet.carp.allow=0", () => {
  it("counts received packets and drops them unchecked", () => {
    const station = listener();
    station.sysctl("allow", 0);
    const effects = [
      station.hear(advertisement({ demote: 9 })),
      station.hear(advertisement({ hopLimit: 1 })),
      station.hear(advertisement().subarray(0, 30)),
      station.handle({ kind: "stray", device: "eth5", family: 4 }),
      station.handle({ kind: "rate-limited", device: "eth0", family: 4, count: 4 }),
    ].flat();
    assert.deepEqual(effects, []);
    assert.deepEqual(counted(station), { receivedIpv4: 7 });
  });
});

describe("expected digests", () => {
  /** The digests that the effects name for carp0 with this counter. */
  const named = (effects: readonly Effect[], counter: bigint) =>
    effects
      .filter((effect) => effect.kind === "expect-digests")
      .map(({ forms }) =>
        forms.map(({ vhid, key, message }) => {
          const bytes = Buffer.from(message);
          bytes.writeBigUInt64BE(counter, bytes.length - 8);
          return `${vhid} ${createHmac("sha1", key).update(bytes).digest("hex")}`;
        }),
      );
  const right = (vhid: number, counter: bigint, pass = "") => {
    const of = { pass, vhid, addresses: ["10.0.0.1"] };
    return `${vhid} ${Buffer.from(new Authentication(of).sign(counter)).toString("hex")}`;
  };
  const change = { carpdev: "eth0", addAddresses: [ipv4("10.0.0.1")] };

  it("are the ones that a node accepts, and an effect names them when they change", () => {
    const station = new Station(new World());
    const carpnodes = [
      { vhid: 1, advskew: 0 },
      { vhid: 2, advskew: 100 },
    ];
    assert.deepEqual(named(station.set("carp0", { ...change, carpnodes }), 7n).at(-1), [
      right(1, 7n),
      right(2, 7n),
    ]);
    assert.deepEqual(named(station.set("carp0", { advbase: 3 }), 7n), []);
    assert.deepEqual(named(station.set("carp0", { pass: "sesame" }), 7n), [
      [right(1, 7n, "sesame"), right(2, 7n, "sesame")],
    ]);
  });

  it("are none when the interface is destroyed", () => {
    const station = new Station(new World());
    station.set("carp0", { ...change, vhid: 1, up: false });
    assert.deepEqual(named(station.does({ kind: "destroy", name: "carp0" }), 7n), [[]]);
  });
});

describe("an incomplete packet", () => {
  it("is counted as shorter than its header, or ignored when it is not CARP", () => {
    const station = listener();
    const frame = advertisement();
    station.hear(frame.subarray(0, 10));
    station.hear(frame.subarray(0, 30));
    assert.deepEqual(counted(station), { shorterThanHeader: 2 });
    const tcp = frame.slice();
    tcp[14 + 9] = 6;
    assert.deepEqual(station.hear(tcp), []);
    assert.deepEqual(counted(station), { shorterThanHeader: 2 });
  });
});

describe("an interface with a unicast peer", () => {
  it("accepts unicast in that family and no multicast", () => {
    const station = listener({ carppeer: ["10.0.0.9"] });
    station.hear(advertisement({ demote: 9 }));
    assert.deepEqual(counted(station), { receivedIpv4: 1, badVhid: 1 });
    station.hear(advertisement({ demote: 9, destination: "10.0.0.2" }));
    assert.equal(station.state(), "MASTER");
  });

  it("accepts routed unicast and no routed multicast", () => {
    const station = listener({ carppeer: ["192.0.2.7"] });
    station.hear(advertisement({ demote: 9, hopLimit: 63 }));
    assert.deepEqual(counted(station), { receivedIpv4: 1, badTtl: 1 });
    station.hear(advertisement({ demote: 9, hopLimit: 63, source: "192.0.2.7", destination: "10.0.0.2" }));
    assert.equal(station.state(), "MASTER");
  });

  for (const [title, said, counter, log] of [
    [
      "another source",
      { source: "10.0.0.8" },
      "badVhid",
      "7 carp0: vhid 1: carppeer is 10.0.0.9: advertisement from 10.0.0.8",
    ],
    [
      "another host's address as destination",
      { destination: "10.0.0.3" },
      "badVhid",
      "7 carp0: vhid 1: advertisement to 10.0.0.3, not an address of this host, from 10.0.0.9",
    ],
    [
      "the shared address as destination",
      { destination: "10.0.0.1" },
      "badVhid",
      "7 carp0: vhid 1: advertisement to 10.0.0.1, not an address of this host, from 10.0.0.9",
    ],
    [
      "a broadcast as destination",
      { destination: "10.0.0.255" },
      "badVhid",
      "7 carp0: vhid 1: advertisement to 10.0.0.255, not an address of this host, from 10.0.0.9",
    ],
    [
      "a TTL that a router has decremented, though its peer is on the segment",
      { hopLimit: 254 },
      "badTtl",
      "5 TTL 254 instead of 255 from 10.0.0.9",
    ],
  ] as const)
    it(`refuses ${title}`, () => {
      const station = listener({ carppeer: ["10.0.0.9"] });
      const frame = advertisement({ demote: 9, destination: "10.0.0.2", ...said });
      assert.deepEqual(logged(station.hear(frame)), [`${log} on eth0`]);
      assert.deepEqual(counted(station), { receivedIpv4: 1, [counter]: 1 });
      assert.equal(station.state(), "BACKUP");
    });

  it("is believed at the shared address where it has no other one", () => {
    const station = listener({ carppeer: ["10.0.0.9"] });
    station.link(link("eth0", { addresses: [] }));
    station.hear(advertisement({ demote: 9, destination: "10.0.0.1", source: "10.0.0.9" }));
    assert.equal(station.state(), "MASTER");
  });

  it("advertises from the address in its peer's subnet, which the peer knows it by", () => {
    const addresses = [
      { family: 4 as const, address: "10.0.0.2", prefixLength: 24 },
      { family: 4 as const, address: "192.168.7.2", prefixLength: 24 },
      { family: 6 as const, address: "2001:db8::2", prefixLength: 64 },
      { family: 6 as const, address: "fe80::2", prefixLength: 64 },
    ];
    for (const [change, source] of [
      [{ carppeer: ["192.168.7.3"] }, "192.168.7.2"],
      [{ carppeer: ["192.0.2.3"] }, "10.0.0.2"],
      [{ carppeer6: ["fe80::3"], addAddresses: [ipv6("2001:db8::1")] }, "fe80::2"],
      [{ carppeer6: ["2001:db8::3"], addAddresses: [ipv6("2001:db8::1")] }, "2001:db8::2"],
    ] as const) {
      const station = backup(change, { links: [link("eth0", { addresses })] });
      assert.equal(said(station.set("carp0", { state: "master" }))[0]?.source, source);
    }
  });

  it("still accepts multicast in the other family", () => {
    const addresses = ["10.0.0.1", "2001:db8::1"];
    const station = listener({
      carppeer: ["10.0.0.9"],
      addAddresses: [...(PLAIN.addAddresses ?? []), ipv6("2001:db8::1")],
    });
    station.hear(advertisement({ demote: 9, source: "fe80::9", addresses }));
    assert.equal(station.state(), "MASTER");
  });
});

describe("carppeer at one end only", () => {
  const causes = (station: Station) => discardedBy(station).map(({ cause, source }) => [cause, source]);

  it("is told from another group of hosts by the digest", () => {
    const station = listener({ carppeer: ["10.0.0.9"] });
    const text =
      "carp0: vhid 1: carppeer is set on this host only: multicast advertisement from 10.0.0.9 on eth0";
    assert.deepEqual(logged(station.hear(advertisement())), [`7 ${text}`]);
    assert.deepEqual(causes(station), [["peer-here", "10.0.0.9"]]);
    const other = station.hear(advertisement({ pass: "guessed", source: "10.0.0.8" }));
    assert.deepEqual(logged(other), ["7 unknown vhid 1 from 10.0.0.8 on eth0"]);
    assert.deepEqual(causes(station), [
      ["peer-here", "10.0.0.9"],
      [undefined, "10.0.0.8"],
    ]);
    assert.deepEqual(counted(station), { receivedIpv4: 2, badVhid: 2 });
  });
});

describe("VRRP", () => {
  const vrrp = (number: number) => {
    const payload = forge.vrrp({ version: 2, number, shared: ["10.0.0.50"], source: "10.0.0.9" });
    return forge.ipv4Frame({ source: "10.0.0.9", payload });
  };

  it("is counted as ever, named, and remembered by carpdev and number", () => {
    const station = listener();
    assert.deepEqual(logged(station.hear(vrrp(1))), [
      "6 VRRP of virtual router 1, not CARP, from 10.0.0.9 on eth0",
    ]);
    station.hear(vrrp(51));
    station.hear(vrrp(51));
    assert.deepEqual(counted(station), { receivedIpv4: 3, tooShort: 3 });
    assert.deepEqual(discardedBy(station), []);
    const heard = station.host.virtualRouters();
    assert.deepEqual(
      heard.map(({ carpdev, family, version, number, source }) => [carpdev, family, version, number, source]),
      [
        ["eth0", 4, 2, 1, "10.0.0.9"],
        ["eth0", 4, 2, 51, "10.0.0.9"],
      ],
    );
    station.linkGone("eth0");
    assert.deepEqual(station.host.virtualRouters(), []);
  });
});

describe("our own advertisement that comes back", () => {
  it("is recognised by its counter, and discarded", () => {
    const station = master();
    station.sysctl("log", 4);
    station.world.run(2.5 * SECOND);
    station.take();
    for (const source of ["10.0.0.2", "10.0.0.9"]) {
      const effects = station.hear(advertisement({ counter: station.host.counterFloor, source, advskew: 0 }));
      assert.deepEqual(logged(effects), [
        `4 carp0: vhid 1: replay or network loop detected from ${source} on eth0`,
      ]);
    }
    assert.equal(station.host.statistics.badAuthentication, 2);
    assert.equal(station.state(), "MASTER");
    const causes = discardedBy(station).map(({ cause, source }) => [cause, source]);
    assert.deepEqual(causes, [
      ["own", "10.0.0.2"],
      ["recorded", "10.0.0.9"],
    ]);
  });

  it("from another address is answered by a MASTER once: it may be another master's", () => {
    const station = master();
    const told = station.host.counterFloor;
    const answers = (effects: readonly Effect[]) =>
      effects.flatMap((each) => (each.kind === "advertise" ? each : []));
    const hear = (overrides: Parameters<typeof advertisement>[0]) =>
      answers(station.hear(advertisement({ counter: told, source: "10.0.0.9", ...overrides })));
    const [answer, ...more] = hear({});
    assert.ok(answer !== undefined && more.length === 0);
    assert.ok(station.host.counterFloor > told);
    assert.deepEqual(hear({}), []);
    assert.deepEqual(hear({ counter: station.host.counterFloor, source: "10.0.0.2" }), []);
    assert.deepEqual(hear({ counter: station.host.counterFloor, advbase: 255, advskew: 255 }), []);
    assert.equal(station.state(), "MASTER");
    station.set("carp0", { state: "backup" });
    assert.deepEqual(hear({}), []);
    station.world.run(LINGER_US);
    assert.deepEqual(hear({}), []);
    assert.equal(station.state(), "BACKUP");
  });

  it("is recognised after it has become BACKUP: its own bow-out does not make it take over", () => {
    const station = master();
    station.set("carp0", { state: "backup" });
    station.world.run(LINGER_US);
    station.hear(advertisement({ counter: station.host.counterFloor, advbase: 255, advskew: 255 }));
    assert.equal(station.state(), "BACKUP");
  });
});

describe("our own bow-out that comes back", () => {
  it("is recognised even when the nodes were made again since", () => {
    for (const change of [{ addAddresses: [ipv4("10.0.0.1", 25)] }, { balancing: "ip-unicast" as const }]) {
      const station = master();
      station.sysctl("grace", 0);
      station.set("carp0", change);
      station.hear(advertisement({ counter: station.host.counterFloor, advbase: 255, advskew: 255 }));
      assert.equal(station.state(), "BACKUP");
      assert.equal(station.host.statistics.badAuthentication, 1);
    }
  });
});

describe("net.inet.carp.strict_replay", () => {
  it("off accepts any counter", () => {
    const station = listener();
    for (const counter of [5n, 5n, 4n]) station.hear(advertisement({ counter }));
    assert.deepEqual(counted(station), { receivedIpv4: 3 });
  });

  const strict = () => {
    const station = listener();
    station.sysctl("strict_replay", 1);
    station.take();
    return station;
  };
  const refusals = (station: Station) => station.host.statistics.badAuthentication;

  it("on refuses a counter that was heard before, from any address", () => {
    const station = strict();
    station.hear(advertisement({ counter: 5n }));
    for (const source of ["10.0.0.9", "10.0.0.8"])
      assert.deepEqual(logged(station.hear(advertisement({ counter: 5n, source, demote: 9 }))), [
        `4 carp0: vhid 1: replay detected: the counter is not new from ${source} on eth0`,
      ]);
    assert.deepEqual(counted(station), { receivedIpv4: 3, badAuthentication: 2 });
    station.hear(advertisement({ counter: 6n, source: "10.0.0.8" }));
    assert.equal(refusals(station), 2);
  });

  it("on accepts counters of one time in any order, and none that is 10 seconds behind", () => {
    const station = strict();
    const last = 3_600n * 1_000_000n;
    for (const counter of [last, last - 1n, last + 1n, last - 9_999_998n])
      station.hear(advertisement({ counter }));
    assert.equal(refusals(station), 0);
    for (const counter of [last - 9_999_999n, 5n]) station.hear(advertisement({ counter, demote: 9 }));
    assert.equal(refusals(station), 2);
  });

  it("on recognises replays after any number of advertisements", () => {
    const station = strict();
    station.sysctl("log", 0);
    const many = 5000n;
    for (let counter = 1n; counter <= many; counter++) station.hear(advertisement({ counter }));
    for (const counter of [1n, many - 4096n, many - 4095n, many])
      station.hear(advertisement({ counter, demote: 9 }));
    assert.equal(refusals(station), 4);
    assert.equal(station.state(), "BACKUP");
  });

  it("on accepts the same counter once over the other family, at once and with the same fields", () => {
    const station = strict();
    const over4 = (counter: bigint) => station.hear(advertisement({ counter }));
    const over6 = (said: Said) => station.hear(advertisement({ source: "fe80::9", ...said }));
    over4(5n);
    over6({ counter: 5n });
    assert.equal(refusals(station), 0);
    over6({ counter: 5n });
    assert.equal(refusals(station), 1);
    over4(6n);
    over6({ counter: 6n, demote: 9 });
    assert.equal(refusals(station), 2);
    station.world.run(SECOND);
    over6({ counter: 6n });
    assert.equal(refusals(station), 3);
    assert.equal(station.state(), "BACKUP");
  });

  it("on refuses this host's own advertisements, however old", () => {
    const station = master();
    station.sysctl("strict_replay", 1);
    const early = station.host.counterFloor;
    station.world.run(1100 * 1.1 * SECOND);
    station.hear(advertisement({ counter: early, source: "10.0.0.8", advskew: 0 }));
    assert.equal(refusals(station), 1);
  });

  it("on makes this host's counters greater than the counters that it hears", () => {
    const ahead = 10n ** 17n;
    const station = strict();
    station.hear(advertisement({ counter: ahead }));
    const [first] = said(station.hear(advertisement({ counter: ahead + 7n, demote: 1 })));
    assert.ok(first !== undefined && first.counter > ahead + 7n);
  });

  it("on does not follow a counter that cannot be a time", () => {
    const station = strict();
    station.hear(advertisement({ counter: 2n ** 64n - 1n, demote: 9 }));
    assert.equal(refusals(station), 1);
    station.hear(advertisement({ counter: 5n }));
    assert.equal(refusals(station), 1);
    assert.ok(station.host.greatestCounter(station.now) < 10n ** 18n);
  });

  it("on saves counters that jump after a peer's, but not at each advertisement", () => {
    const station = strict();
    const clock = () => BigInt(Math.trunc(station.now.epochUs));
    const isSaved = (counter: bigint) =>
      station.hear(advertisement({ counter })).some(({ kind }) => kind === "save");
    const hour = 3_600_000_000n;
    for (const ahead of [0n, hour, 3n * hour]) {
      assert.equal(isSaved(clock() + ahead), true);
      for (let n = 0; n < 30; n++) {
        station.world.run(SECOND);
        const counter = clock() + ahead;
        assert.equal(isSaved(counter), false);
        assert.ok(station.host.greatestCounter(station.now) > counter);
      }
    }
  });

  it("on makes a MASTER answer once an interval: another master's counters may be behind", () => {
    const station = master();
    station.sysctl("strict_replay", 1);
    const answers = (counter: bigint) =>
      said(station.hear(advertisement({ counter, source: "10.0.0.9", advskew: 0 }))).length;
    assert.deepEqual([answers(5n), answers(6n), answers(7n)], [1, 0, 0]);
    assert.equal(station.state(), "MASTER");
    station.world.run(2 * SECOND);
    assert.equal(answers(8n), 1);
  });

  it("on remembers no counter without a valid digest", () => {
    const station = listener();
    station.sysctl("strict_replay", 1);
    station.hear(advertisement({ counter: 2n ** 63n, pass: "guessed" }));
    station.hear(advertisement({ counter: 5n, demote: 9 }));
    assert.deepEqual(transitions(station.take()), ["BACKUP -> MASTER"]);
  });
});

describe("the view of the host last heard", () => {
  it("has the last advertisement accepted", () => {
    const station = listener();
    assert.equal(station.node().heard, undefined);
    station.hear(advertisement({ advskew: 7, demote: 0 }));
    const { us: atUs } = station.now;
    const heard = { source: "10.0.0.9", advbase: 1, advskew: 7, demote: 0, atUs };
    assert.deepEqual(station.node().heard, heard);
    station.hear(advertisement({ pass: "guessed", source: "10.0.0.66" }));
    assert.deepEqual(station.node().heard, heard);
  });
});
