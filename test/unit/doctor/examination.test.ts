/** The doctor's findings, from facts made up here: each fault is found, and nothing else. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Finding } from "../../../src/control/messages.ts";
import type { DiscardView, InterfaceView } from "../../../src/core/view.ts";
import { type DemotionExamined, examineDemotion } from "../../../src/doctor/demotion.ts";
import { examineHost, type HostExamined } from "../../../src/doctor/host.ts";
import { examineInterfaces, type InterfacesExamined } from "../../../src/doctor/interfaces.ts";
import type { DeviceFacts, HostFacts } from "../../../src/kernel/inspection.ts";
import type { Capability } from "../../../src/kernel/process/privileges.ts";
import { node, view } from "../cli/scripted-engine.ts";

const SECOND = 1_000_000;
const NOW_US = 1000 * SECOND;
const EPOCH_US = 1_790_000_000 * SECOND;

/** `level subject: text` of every finding that is not ok. */
const complaints = (findings: readonly Finding[]) =>
  findings
    .filter(({ level }) => level !== "ok")
    .map(({ level, subject, text }) => `${level} ${subject}: ${text}`);

const NEEDED: readonly Capability[] = ["NET_ADMIN", "NET_RAW"];
const privileges = (capabilities = NEEDED, surplus = 0, final = true) => ({
  uid: 999,
  capabilities,
  surplus,
  final,
  landlock: true,
  seccomp: true,
});

const GOOD_HOST: HostFacts = {
  release: "6.1.0-18-amd64",
  hasBtf: true,
  privileges: privileges(),
  hasEngineUser: true,
  clockIsSynchronised: true,
};

describe("a host", () => {
  const host = (facts: Partial<HostFacts> = {}, rest: Partial<HostExamined> = {}) =>
    complaints(
      examineHost({
        facts: { ...GOOD_HOST, ...facts },
        obstacle: undefined,
        scriptsDoNotRun: false,
        notSaved: undefined,
        isSupervised: true,
        needsClock: false,
        ...rest,
      }),
    );

  test("that has everything", () => {
    assert.deepEqual(host(), []);
    assert.deepEqual(
      host({ hasBtf: false, privileges: { ...privileges(), uid: 0 }, hasEngineUser: false }),
      [],
    );
    const old = privileges(["NET_ADMIN", "NET_RAW", "BPF"]);
    assert.deepEqual(host({ release: "5.10.0", privileges: old }), []);
    assert.deepEqual(host({}, { isSupervised: false }), []);
  });

  test("with an old kernel", () => {
    for (const release of ["5.9.16", "4.19.0-rc1"])
      assert.match(host({ release })[0] ?? "", /^warning kernel: Linux/);
  });

  test("whose engine lacks a capability", () => {
    assert.deepEqual(host({ privileges: privileges(["NET_ADMIN"]) }), [
      "error privileges: the engine lacks CAP_NET_RAW",
    ]);
  });

  test("whose engine has more than it needs, or could gain it", () => {
    assert.deepEqual(host({ privileges: privileges(NEEDED, 2) }), [
      "warning privileges: the engine has 2 capabilities that it does not need",
    ]);
    assert.deepEqual(host({ privileges: privileges(NEEDED, 37, false) }), [
      "warning privileges: the engine has 37 capabilities that it does not need, or may gain them",
    ]);
    // A command that examines a host usually has them all.
    assert.deepEqual(host({ privileges: privileges(NEEDED, 37, false) }, { isSupervised: undefined }), [
      "unknown privileges: without CAP_SYS_ADMIN it cannot be determined whether an engine could run",
    ]);
    const all: readonly Capability[] = ["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "BPF"];
    assert.deepEqual(host({ privileges: privileges(all, 37, false) }, { isSupervised: undefined }), []);
  });

  test("whose engine is root, though it need not be, or reaches every file", () => {
    assert.deepEqual(host({ privileges: { ...privileges(), uid: 0 } }), [
      "warning user: the engine runs as root, not as _carpd",
    ]);
    assert.deepEqual(host({ privileges: { ...privileges(), landlock: false } }), [
      "warning landlock: the engine reaches every file that its user may reach",
    ]);
  });

  test("whose hooks do not run", () => {
    assert.deepEqual(host({}, { scriptsDoNotRun: true }), [
      "warning hooks: hooks and service checks do not run: the runner is gone",
    ]);
  });

  test("examined without the privileges to see everything", () => {
    const found = host(
      { privileges: privileges([]) },
      { isSupervised: undefined, obstacle: "this process may not use eBPF" },
    );
    assert.equal(found.length, 2);
    for (const each of found) assert.match(each, /^unknown (privileges|eBPF): /);
  });

  test("without eBPF works, but without leases", () => {
    assert.match(
      host({}, { obstacle: "this kernel has no eBPF" }).join("\n"),
      /^warning eBPF: this kernel has no eBPF: addresses fail over without leases.*$/,
    );
  });

  test("whose clock is not synchronised", () => {
    assert.deepEqual(host({ clockIsSynchronised: false }), []);
    assert.match(
      host({ clockIsSynchronised: false }, { needsClock: true }).join("\n"),
      /^warning clock: the system clock is not synchronised: strict_replay and signed_header need counters/,
    );
    assert.match(host({ clockIsSynchronised: undefined }).join("\n"), /^unknown clock: /);
  });
});

const GOOD_DEVICE: DeviceFacts = {
  isWireless: false,
  arpIgnore: 1,
  arpAnnounce: 2,
  rpFilter: 2,
  ipv6IsDisabled: false,
  multicast: new Set(["01:00:5e:00:00:12", "33:33:00:00:00:12"]),
};

const heard = { source: "10.0.0.3", advbase: 1, advskew: 100, demote: 0, atUs: NOW_US - SECOND };
const since = { sinceUs: NOW_US - 100 * SECOND };

describe("interfaces", () => {
  type Given = Partial<InterfacesExamined> & {
    readonly devices?: Readonly<Record<string, Partial<DeviceFacts>>>;
  };
  const all = ({ devices = {}, views = [view({ nodes: [node({ ...since, heard })] })], ...given }: Given) =>
    examineInterfaces({
      nowUs: NOW_US,
      epochUs: EPOCH_US,
      allow: true,
      views,
      packets: [],
      device: (name) => ({ ...GOOD_DEVICE, ...devices[name] }),
      mtu: () => 1500,
      local: [],
      unreached: () => undefined,
      virtualRouters: [],
      otherGroups: () => [],
      unfit: () => undefined,
      overruled: () => ({ before: [], xdp: 0 }),
      carriers: () => [],
      ownAddresses: () => [],
      before: (name) => views.find((each) => each.name === name),
      answers: () => [],
      ownMacs: new Set(),
      ...given,
    });
  const found = (given: Given) => complaints(all(given));
  const ofNode = (fields: Parameters<typeof node>[0]) => found({ views: [view({ nodes: [node(fields)] })] });
  const one = (given: Given, pattern: RegExp) => {
    const lines = found(given);
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0] ?? "", pattern);
  };

  test("as they should be", () => {
    assert.deepEqual(found({}), []);
    assert.match(JSON.stringify(all({})), /"carp0 vhid 1","text":"MASTER, 10\.0\.0\.3 heard 1 s ago"/);
    assert.deepEqual(found({ views: [] }), []);
  });

  test("an interface that is down is configured so; one that is up and does not run is an error", () => {
    const notRunning = "carpdev eth0 has no carrier";
    const nodes = [node({ state: "INIT" })];
    assert.deepEqual(
      found({ views: [view({ up: false, running: false, notRunning: "it is down", nodes })] }),
      [],
    );
    one(
      { views: [view({ running: false, notRunning, notRunningKind: "no-carrier", nodes })] },
      /^error carp0: does not run: carpdev eth0 has no carrier$/,
    );
  });

  test("a shared address that another device of this host has too", () => {
    const on = (device: string) => [{ device, address: "10.0.0.1", prefixLength: 32 }];
    one({ local: on("lo") }, /^warning carp0: 10\.0\.0\.1 is an address of lo as well: /);
    for (const device of ["carp0", "eth0"]) assert.deepEqual(found({ local: on(device) }), []);
  });

  test("what is not in place, and a shared address of the carpdev, with where to read on", () => {
    const problems = [
      { kind: "device-incomplete", text: "address 2001:db8::1/64 cannot be added" },
      { kind: "address-of-carpdev", text: "10.0.0.1 is eth0's own address as well: remove it there" },
    ] as const;
    const found = all({ views: [view({ problems, nodes: [node({ ...since, heard })] })] });
    assert.deepEqual(
      found.filter(({ level }) => level === "error"),
      problems.map(({ kind, text }) => ({
        level: "error",
        kind,
        subject: "carp0",
        text,
        todo: `see 'carpctl help ${kind}'`,
      })),
    );
  });

  const carpdevs: readonly (readonly [Partial<DeviceFacts>, RegExp])[] = [
    [{ isWireless: true }, /^error eth0: a wireless network/],
    [{ arpIgnore: 0 }, /^error eth0: arp_ignore is 0/],
    [{ arpAnnounce: 1 }, /^error eth0: arp_announce is 1/],
    [{ multicast: new Set(["33:33:00:00:00:12"]) }, /^error eth0: it does not receive 01:00:5e:00:00:12$/],
  ];
  for (const [device, pattern] of carpdevs)
    test(`a carpdev: ${pattern.source}`, () => one({ devices: { eth0: device } }, pattern));

  test("a carpdev that takes smaller packets than its interface", () =>
    one({ mtu: () => 1400 }, /^warning eth0: its MTU 1400 is less than the 1500 of carp0$/));

  test("a port of the carpdev that takes smaller packets", () => {
    const over = (mtu: number) => ({ carriers: () => [{ name: "eth7", mtu }] });
    one(over(1400), /^warning eth0: its MTU 1500 is more than the 1400 of eth7, which carries its packets/);
    for (const mtu of [1500, 9000]) assert.deepEqual(found(over(mtu)), []);
  });

  test("multicast groups that are not needed are not missed: with a unicast peer, or of a family without addresses", () => {
    const multicast = new Set<string>();
    const views = [view({ carppeer: ["10.0.0.3"], nodes: [node({ ...since, heard })] })];
    assert.deepEqual(found({ views, devices: { eth0: { multicast } } }), []);
    assert.deepEqual(found({ devices: { eth0: { multicast: new Set(["01:00:5e:00:00:12"]) } } }), []);
  });

  test("another device in the subnet that answers ARP for everything", () => {
    const local = [
      { device: "eth0", address: "10.0.0.2", prefixLength: 24 },
      { device: "carp0", address: "10.0.0.1", prefixLength: 24 },
      { device: "eth1", address: "10.0.0.77", prefixLength: 24 },
      { device: "eth2", address: "10.0.1.77", prefixLength: 24 },
    ];
    const lax = { arpIgnore: 0 };
    one(
      { local, devices: { eth1: lax, eth2: lax } },
      /^warning eth0: eth1 has 10\.0\.0\.77 in the same subnet/,
    );
    assert.deepEqual(found({ local }), []);
  });

  test("a carp device with strict reverse path filtering, or without IPv6 for its addresses", () => {
    one({ devices: { carp0: { rpFilter: 1 } } }, /^error carp0: rp_filter is strict/);
    const devices = { carp0: { ipv6IsDisabled: true } };
    assert.deepEqual(found({ devices }), []);
    const addresses = [{ family: 6, address: "2001:db8::1", prefixLength: 64 }] as const;
    one(
      { devices, views: [view({ addresses, nodes: [node({ ...since, heard })] })] },
      /^error carp0: IPv6 is disabled/,
    );
    one(
      {
        devices: { carp0: { ipv6IsDisabled: undefined } },
        views: [view({ addresses, nodes: [node({ ...since, heard })] })],
      },
      /^error carp0: this host has no IPv6/,
    );
  });

  test("advertisements that do not leave, with the reason", () => {
    const sendFailure = { error: "EPERM", atUs: NOW_US, left: [] };
    const views = [view({ sendFailure, nodes: [node({ ...since, heard })] })];
    one({ views }, /^error carp0: its advertisements do not leave: a packet filter .* drops them \(EPERM\)$/);
    const ago = { ...sendFailure, atUs: NOW_US - 9 * SECOND };
    one(
      { views: [view({ sendFailure: ago, nodes: [node({ state: "BACKUP" })] })] },
      /^error carp0: its last advertisements, 9 s ago, did not leave: .* \(EPERM\)$/,
    );
    const both = [
      { family: 4, address: "10.0.0.1", prefixLength: 24 },
      { family: 6, address: "2001:db8::1", prefixLength: 64 },
    ] as const;
    const partial = { ...sendFailure, left: [4] as const };
    one(
      { views: [view({ sendFailure: partial, addresses: both, nodes: [node({ ...since, heard })] })] },
      /^warning carp0: its IPv6 advertisements do not leave: .* \(EPERM\)$/,
    );
    const errors = [
      "ENOBUFS",
      "EAGAIN",
      "EACCES",
      "EINVAL",
      "EMSGSIZE",
      "EADDRNOTAVAIL",
      "ENETDOWN",
      "ENXIO",
      "EIO",
    ];
    for (const error of errors) {
      const [said] = all({
        views: [view({ sendFailure: { error, atUs: NOW_US, left: [] }, nodes: [node({ ...since, heard })] })],
      }).filter(({ level }) => level === "error");
      assert.ok(said?.text.includes(error) && said.todo !== undefined, JSON.stringify(said));
    }
  });

  test("a discarded advertisement is reported for a minute, a wrong hash as an error", () => {
    const discarded = [
      packet({ counter: "badAuthentication", cause: "digest", text: "incorrect hash from 10.0.0.9" }),
      packet({ counter: "badTtl", text: "TTL 1", atUs: NOW_US - 6 * SECOND }),
      packet({ counter: "badVhid", text: "long ago", atUs: NOW_US - 61 * SECOND }),
    ];
    assert.deepEqual(found({ views: [view({ discarded, nodes: [node({ ...since, heard })] })] }), [
      "error carp0: incorrect hash from 10.0.0.9: discarded 5 s ago",
      "warning carp0: TTL 1: discarded 6 s ago",
    ]);
  });

  test("a wrong hash of a host that has been believed since is mended", () => {
    const discarded = [packet({ cause: "digest", source: heard.source, atUs: NOW_US - 10 * SECOND })];
    const of = (atUs: number) => {
      const backup = node({ ...since, state: "BACKUP", mayPreemptAtUs: 0, peers: [{ ...heard, atUs }] });
      return found({ views: [view({ discarded, nodes: [backup] })] });
    };
    assert.deepEqual(of(NOW_US), []);
    assert.equal(of(NOW_US - 9 * SECOND).length, 1);
  });

  test("a wrong hash whose cause was found is reported by that alone, for a minute", () => {
    const source = "10.0.0.9";
    const discarded = [packet({ cause: "digest", source, text: "incorrect hash from 10.0.0.9" })];
    const wrong = { vhid: 1, source, cause: "no-pass" as const, untilUs: NOW_US };
    const wrongDigests = [
      { ...wrong, text: "10.0.0.9 has no pass", todo: "set the pass there", atUs: NOW_US - 5 * SECOND },
      { ...wrong, text: "long ago", todo: "", atUs: NOW_US - 61 * SECOND },
    ];
    const given = { views: [view({ discarded, wrongDigests, nodes: [node({ ...since, heard })] })] };
    assert.deepEqual(found(given), ["error carp0 vhid 1: 10.0.0.9 has no pass"]);
    assert.ok(all(given).some(({ todo }) => todo === "set the pass there"));
    const ofVhid2 = { ...wrong, vhid: 2, cause: "vhid" as const, text: "", todo: "", atUs: NOW_US };
    const peer = { ...heard, source };
    one(
      {
        views: [
          view({
            wrongDigests: [ofVhid2],
            nodes: [node({ ...since, state: "BACKUP", mayPreemptAtUs: 0, peers: [peer] })],
          }),
        ],
      },
      /^error carp0: 10\.0\.0\.9 has carpnodes with vhid 2 too, and carp0 here vhid 1 alone$/,
    );
    const other = [packet({ cause: "digest", source: "10.0.0.8", text: "incorrect hash from 10.0.0.8" })];
    assert.deepEqual(
      found({ views: [view({ discarded: other, wrongDigests, nodes: [node({ ...since, heard })] })] }),
      [
        "error carp0: incorrect hash from 10.0.0.8: discarded 5 s ago",
        "error carp0 vhid 1: 10.0.0.9 has no pass",
      ],
    );
  });

  const packet = (fields: Partial<DiscardView>): DiscardView => ({
    counter: "badAuthentication",
    cause: undefined,
    source: "10.0.0.9",
    text: "a reason",
    atUs: NOW_US - 5 * SECOND,
    ...fields,
  });
  const hearing = (fields: Partial<DiscardView>, local: InterfacesExamined["local"] = []) => ({
    local,
    views: [view({ discarded: [packet(fields)], nodes: [node({ ...since, heard })] })],
  });
  const own = { device: "eth0", address: "10.0.0.2", prefixLength: 24 };

  test("its own advertisements that come back are a loop, however many were discarded, and no wrong pass", () => {
    const discarded = (["own", "recorded"] as const).map((cause) => packet({ cause, source: own.address }));
    const given = { local: [own], views: [view({ discarded, nodes: [node({ ...since, heard })] })] };
    one(given, /^error carp0: its own advertisements come back: the network has a loop$/);
    assert.doesNotMatch(JSON.stringify(all(given)), /\bpass\b/);
  });

  test("what another carpdev of this host sends, and what another host sends from its address", () => {
    const elsewhere = { ...own, device: "eth1" };
    one(
      hearing({ cause: "digest", source: own.address }, [elsewhere]),
      /: eth0 and eth1 are on one segment$/,
    );
    one(
      hearing({ cause: "digest", source: own.address }, [own]),
      /10\.0\.0\.2, its own address: another host/,
    );
    // A carpdev without an address: every host advertises from the shared one.
    const shared = { ...own, device: "carp0", address: "10.0.0.1" };
    one(
      hearing({ cause: "digest", source: "10.0.0.1" }, [shared]),
      /^error carp0: a reason: discarded 5 s ago$/,
    );
    const peer = { ...heard, source: own.address, atUs: since.sinceUs };
    one(
      { local: [own], views: [view({ nodes: [node({ ...since, peers: [peer] })] })] },
      /^error carp0: another host advertises from 10\.0\.0\.2/,
    );
  });

  test("carppeer at one end only, this host itself, or out of reach", () => {
    for (const cause of ["peer-here", "peer-there"] as const) {
      const [found] = all(hearing({ counter: "badVhid", cause })).filter(({ level }) => level === "error");
      assert.match(found?.todo ?? "", /set carppeer on every host of the vhid, or on none/);
    }
    const nodes = [node({ ...since, heard })];
    one(
      { local: [own], views: [view({ carppeer: [own.address], nodes })] },
      /^error carp0: carppeer 10\.0\.0\.2 is this host itself: no other host hears it$/,
    );
    const unlisted = packet({ counter: "badVhid", cause: "peer-unlisted", source: "10.0.0.4" });
    one(
      { views: [view({ carppeer: ["10.0.0.2", "10.0.0.3"], nodes, discarded: [unlisted] })] },
      /^error carp0: 10\.0\.0\.4 advertises to this host .*carppeer here is 10\.0\.0\.2,10\.0\.0\.3$/,
    );
    const other = [view({ carppeer: ["10.0.0.3"], nodes })];
    assert.deepEqual(found({ local: [own], views: other }), []);
    one(
      { local: [own], views: other, unreached: () => "ENETUNREACH" },
      /^error carp0: carppeer 10\.0\.0\.3 is out of reach: there is no route to it \(ENETUNREACH\)$/,
    );
  });

  test("VRRP with the MAC of a carp interface is an error, other VRRP is only told of", () => {
    const router = {
      carpdev: "eth0",
      family: 4,
      version: 2,
      number: 1,
      source: "10.0.0.9",
      atUs: NOW_US,
    } as const;
    const nodes = [node({ ...since, heard })];
    const views = [view({ nodes })];
    const clash = all({ views, virtualRouters: [router] }).filter(({ level }) => level === "error");
    assert.match(JSON.stringify(clash), /"carp0 vhid 1".*same MAC 00:00:5e:00:01:01.*use another vhid/);
    const harmless = [
      { ...router, number: 51 },
      { ...router, number: 52, carpdev: "eth1" },
      { ...router, family: 6 as const },
    ];
    assert.deepEqual(found({ views, virtualRouters: harmless }), []);
    assert.match(
      JSON.stringify(all({ views, virtualRouters: harmless })),
      /VRRP is here too.*number 1, 51\)/,
    );
    const ownMac = [view({ lladdr: "02:00:00:00:00:01", nodes })];
    assert.deepEqual(found({ views: ownMac, virtualRouters: [router] }), []);
    assert.deepEqual(found({ views, virtualRouters: [{ ...router, atUs: NOW_US - 61 * SECOND }] }), []);
  });

  test("a carpdev that is no Ethernet device", () => {
    const views = [
      view({
        running: false,
        notRunning: "carpdev eth0 is missing",
        notRunningKind: "carpdev-missing",
        nodes: [node({ state: "INIT" })],
      }),
    ];
    assert.equal(
      found({ views, unfit: () => "no Ethernet device" })[0],
      "error eth0: it is no Ethernet device: it cannot be a carpdev",
    );
  });

  test("a mask that differs from the carpdev's", () => {
    const address = (address: string, prefixLength: number) => ({
      family: 4 as const,
      address,
      prefixLength,
    });
    const ownAddresses = (name: string) => (name === "eth0" ? [address("10.77.0.1", 24)] : []);
    const nodes = [node({ ...since, heard })];
    const views = (length: number) => [view({ nodes, addresses: [address("10.77.0.100", length)] })];
    one(
      { views: views(8), ownAddresses },
      /^warning eth0: it has 10.77.0.1\/24, and carp0 has 10.77.0.100\/8 with another mask$/,
    );
    for (const length of [24, 32]) assert.deepEqual(found({ views: views(length), ownAddresses }), []);
  });

  test("mode ip-unicast where the switch has learned", () => {
    const nodes = [node({ ...since, heard }), node({ vhid: 2, state: "BACKUP", heard })];
    const counts = (others: number) => [
      {
        interface: "carp0",
        nodes: [
          { vhid: 1, accepted: 500, droppedByHash: 0 },
          { vhid: 2, accepted: 0, droppedByHash: others },
        ],
        droppedByLease: 0,
        malformed: 0,
        withheld: 0,
      },
    ];
    const views = (balancing: "ip" | "ip-unicast") => [view({ balancing, nodes })];
    one(
      { views: views("ip-unicast"), packets: counts(0) },
      /^warning carp0: no packet for other hosts arrives here/,
    );
    assert.deepEqual(found({ views: views("ip-unicast"), packets: counts(480) }), []);
    assert.deepEqual(found({ views: views("ip"), packets: counts(0) }), []);
  });

  test("a MASTER that has never heard another is well", () => {
    assert.deepEqual(ofNode(since), []);
  });

  test("advertisements that are not accepted at all", () =>
    one({ allow: false }, /^error net\.inet\.carp\.allow: is 0: this host hears no other one/));

  test("a master whose clock is far behind; one that is ahead may follow a clock that was wrong", () => {
    const under = (clockUs: number) =>
      ofNode({ ...since, state: "BACKUP", mayPreemptAtUs: 0, heard, peers: [{ ...heard, clockUs }] });
    assert.deepEqual(under(EPOCH_US - 101 * SECOND), [
      "warning carp0 vhid 1: the clock of 10.0.0.3 is 100 s behind this host's",
    ]);
    assert.deepEqual(under(EPOCH_US - 20 * SECOND), []);
    assert.deepEqual(under(EPOCH_US + 1000 * SECOND), []);
  });

  test("a master of whose advertisements many do not arrive", () => {
    const under = (sent: number, missing: number, gaps: number, state: "BACKUP" | "MASTER" = "BACKUP") =>
      ofNode({
        ...since,
        state,
        mayPreemptAtUs: 0,
        heard,
        peers: [{ ...heard, atUs: since.sinceUs, arrivals: { sent, missing, gaps } }],
      });
    assert.deepEqual(under(40, 14, 12), [
      "warning carp0 vhid 1: some 40 % of the advertisements of 10.0.0.3 do not arrive: it sends one every 1.4 s (advbase 1 advskew 100)",
    ]);
    for (const odd of [under(40, 9, 9), under(7, 4, 4), under(40, 20, 2), under(40, 14, 12, "MASTER")])
      assert.deepEqual(odd, []);
  });

  test("a master that is heard over one family, where it advertises over two", () => {
    const sixth = { family: 6, address: "2001:db8::1", prefixLength: 64 } as const;
    const both = [{ family: 4, address: "10.0.0.1", prefixLength: 24 } as const, sixth];
    const backup = { ...since, state: "BACKUP", mayPreemptAtUs: 0 } as const;
    const long = { ...heard, sinceUs: NOW_US - 50 * SECOND };
    const over6 = { ...long, source: "fe80::3" };
    const of = (peers: readonly (typeof long)[], addresses: InterfaceView["addresses"] = both) =>
      found({ views: [view({ addresses, nodes: [node({ ...backup, peers })] })] });
    assert.deepEqual(of([long]), [
      "warning carp0 vhid 1: the master is heard from 10.0.0.3 alone: its IPv6 advertisements do not arrive on eth0",
    ]);
    assert.match(of([over6])[0] ?? "", /its IPv4 advertisements do not arrive/);
    assert.deepEqual(of([long, over6]), []);
    assert.deepEqual(of([{ ...long, sinceUs: NOW_US - SECOND }]), []);
    assert.deepEqual(of([]), []);
    assert.deepEqual(of([long], [{ ...sixth, address: "fe80::1" }, ...both.slice(0, 1)]), []);
  });

  test("a BACKUP that is preferred to its master, and does not preempt", () => {
    const backup = { ...since, state: "BACKUP", heard, peers: [heard] } as const;
    assert.match(
      ofNode(backup)[0] ?? "",
      /^warning carp0 vhid 1: BACKUP to 10\.0\.0\.3, which is less preferred/,
    );
    assert.deepEqual(ofNode({ ...backup, mayPreemptAtUs: 0 }), []);
    // It has just given way, its advskew is no better, or it is demoted.
    assert.deepEqual(ofNode({ ...backup, sinceUs: NOW_US - SECOND }), []);
    assert.deepEqual(ofNode({ ...backup, effectiveAdvskew: 100 }), []);
    assert.deepEqual(ofNode({ ...backup, demote: 1 }), []);
  });

  test("peers that cannot agree about link-local addresses, as long as they are heard", () => {
    const text = "10.0.0.3 signs the link-local addresses and 10.0.0.4 does not: they cannot agree";
    const conflict = (untilUs: number) => ({ ...since, heard, linkLocalConflict: { text, untilUs } });
    assert.deepEqual(ofNode(conflict(NOW_US + SECOND)), [`error carp0 vhid 1: ${text}`]);
    assert.deepEqual(ofNode(conflict(NOW_US - SECOND)), []);
  });

  test("a peer that signs with the old pass after this host has changed over", () => {
    const usedBy = [{ source: "10.0.0.3", atUs: NOW_US - SECOND }];
    const untilUs = NOW_US + 200 * SECOND;
    const grace = {
      signsOld: false,
      untilUs,
      believesUntilUs: untilUs,
      pass: true,
      addresses: false,
      usedBy,
    };
    const told = (of: typeof grace) =>
      all({ views: [view({ nodes: [node(since)], grace: of })] })
        .filter(({ subject }) => subject === "carp0")
        .map(({ level, text, todo }) => [level, text, todo]);
    const signs = "signs with the new pass, and believes the old for 200 s more";
    assert.deepEqual(told(grace), [
      ["warning", `${signs}; the old heard from 10.0.0.3 1 s ago`, "change the pass of 10.0.0.3 as well"],
    ]);
    assert.deepEqual(told({ ...grace, usedBy: [] }), [["ok", signs, undefined]]);
  });

  test("a master with another advbase is a warning, other groups are information", () => {
    const slow = { ...heard, advbase: 3 };
    assert.deepEqual(ofNode({ ...since, state: "BACKUP", heard: slow, peers: [slow] }), [
      "warning carp0 vhid 1: 10.0.0.3 advertises with advbase 3, and this host would with 1",
    ]);
    const groups = [9, 7, 7].map((vhid, n) => ({ vhid, source: `10.0.0.${10 + n}`, atUs: NOW_US }));
    const told = all({ otherGroups: () => [...groups, { vhid: 3, source: "10.0.0.8", atUs: 0 }] });
    assert.deepEqual(complaints(told), []);
    assert.deepEqual(
      told.filter(({ text }) => text.includes("groups")).map(({ subject, text }) => `${subject}: ${text}`),
      ["eth0: other CARP groups are here too, with vhid 7 (10.0.0.11, ...), 9 (10.0.0.10)"],
    );
  });

  test("several masters: this host and another that goes on, or two others of one family", () => {
    assert.deepEqual(ofNode({ ...since, heard, peers: [heard] }), [
      "error carp0 vhid 1: several masters advertise: this host, 10.0.0.3",
    ]);
    // A master that was answered a second ago.
    assert.deepEqual(ofNode({ sinceUs: NOW_US - SECOND, heard, peers: [heard] }), []);
    const other = { ...heard, source: "10.0.0.4" };
    assert.deepEqual(ofNode({ ...since, state: "BACKUP", heard, peers: [heard, other] }), [
      "error carp0 vhid 1: several masters advertise: 10.0.0.3, 10.0.0.4",
    ]);
    // One that the other has relieved, or that has another source since.
    const fresh = { ...other, sinceUs: NOW_US - SECOND, atUs: NOW_US };
    const relieved = { ...since, state: "BACKUP", mayPreemptAtUs: 0, heard, peers: [heard, fresh] } as const;
    assert.deepEqual(ofNode(relieved), []);
    for (const { todo } of all({ views: [view({ nodes: [node({ ...since, heard, peers: [heard] })] })] }))
      assert.doesNotMatch(todo ?? "", /\bpass\b/);
    const sixth = { ...heard, source: "fe80::3" };
    const backup = { ...since, state: "BACKUP", mayPreemptAtUs: 0 } as const;
    assert.deepEqual(ofNode({ ...backup, heard, peers: [heard, sixth] }), []);
  });
});

describe("demotion", () => {
  const demoted = (given: Partial<DemotionExamined>, more: Partial<DemotionExamined["demotion"]> = {}) =>
    complaints(
      examineDemotion({
        demotion: { counter: 0, written: 0, reasons: [], units: [], faults: [], ...more },
        groups: [],
        failedChecks: [],
        views: [view({})],
        ...given,
      }),
    );
  const carp = (carpDemoteCount: number) => [{ name: "carp", carpDemoteCount, interfaces: ["carp0"] }];
  const check = { file: "/web", name: "web", by: 50 };

  test("is told with its reason", () => {
    assert.deepEqual(demoted({}), []);
    const reasons = [
      { reason: "maintenance", by: 240 },
      { reason: "boot", by: 128 },
    ];
    assert.match(
      demoted({}, { reasons }).join("\n"),
      /^warning demotion: demoted by 240 for maintenance: .*$/,
    );
    const units = [
      { unit: "web.service", by: 50, active: false },
      { unit: "db.service", by: 50, active: true },
    ];
    assert.match(
      demoted({}, { units }).join("\n"),
      /^warning demotion: demoted by 50 while web\.service .*$/,
    );
    assert.match(
      demoted({}, { written: 7 }).join("\n"),
      /^warning demotion: demoted by 7, which was written/,
    );
    assert.deepEqual(demoted({}, { written: -7 }), []);
  });

  test("of a group, without what faults of its interfaces add", () => {
    const faults = [{ interface: "carp0", fault: "carpdev", by: 240 }] as const;
    assert.deepEqual(demoted({ groups: carp(1) }, { faults }), []);
    assert.match(
      demoted({ groups: carp(3) }, { faults }).join("\n"),
      /^warning demotion: group carp is demoted by 2: /,
    );
    const failedChecks = [{ ...check, group: "carp" }];
    assert.match(
      demoted({ groups: carp(50), failedChecks }).join("\n"),
      /^warning demotion: group carp is demoted by 50 for services: .*$/,
    );
  });

  test("of a host none of whose interfaces runs is nobody's concern", () =>
    assert.deepEqual(demoted({ views: [view({ running: false })] }, { written: 7 }), []));
});
