/** Every method of the control protocol for root, for a member of group carp and for another user. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type InterfaceChange, type Method, methods, type Params } from "../../../../src/control/messages.ts";
import { newInterface } from "../../../../src/core/interface/reconfigure.ts";
import { denial, exposure, maySeeSecrets, type Peer } from "../../../../src/engine/control/authorisation.ts";

const GROUP = 999;
const ROOT: Peer = { uid: 0, gid: 0, groups: [] };
const MEMBER: Peer = { uid: 1000, gid: 1000, groups: [4, GROUP] };
const PRIMARY_MEMBER: Peer = { uid: 1001, gid: GROUP, groups: [] };
const OTHER: Peer = { uid: 1002, gid: 1002, groups: [4] };

const READS = [
  ...([
    "hello",
    "monitor",
    "history",
    "doctor",
    "interfaces",
    "groups",
    "packets",
    "metrics",
    "configuration",
    "demotion",
  ] as const),
  ...(["sysctl-get", "statistics", "service-status", "checks"] as const),
];

/** Changes, and what a denial names. */
const CHANGES: { readonly [M in Method]?: readonly [params: Params<M>, what: string] } = {
  create: [{ name: "carp3" }, "carp3"],
  destroy: [{ name: "carp3" }, "carp3"],
  change: [{ name: "carp3", change: { vhid: 1 } }, "carp3"],
  "change-on": [{ carpdev: "eth0", change: { vhid: 1 } }, "vhid 1 on eth0"],
  "demote-group": [{ group: "www", by: 1 }, "group www"],
  demote: [{ reason: "disk", by: 1 }, "this host's demotion"],
  "demote-unit": [{ unit: "db.service", by: 1, active: true }, "this host's demotion"],
  "promote-unit": [{ unit: "db.service" }, "this host's demotion"],
  "unit-states": [{ states: [] }, "this host's demotion"],
  promote: [{ reason: "disk" }, "this host's demotion"],
  maintenance: [{ on: true }, "this host's demotion"],
  "sysctl-set": [{ writes: [{ name: "net.inet.carp.preempt", value: 1 }] }, "net.inet.carp.preempt"],
};

function denied<M extends Method>(method: M, params: unknown, peer: Peer, group: number | undefined = GROUP) {
  return denial(method, params as Params<M>, peer, group);
}

test("every method is a read, a change or a replacement", () => {
  assert.deepEqual(
    [...READS, ...Object.keys(CHANGES), "replace", "replace-each", "replace-all"].toSorted(),
    Object.keys(methods).toSorted(),
  );
});

for (const method of READS)
  test(`every user may call ${method}`, () => {
    for (const peer of [ROOT, MEMBER, OTHER]) assert.equal(denied(method, {}, peer), undefined);
  });

for (const [method, [params, what]] of Object.entries(CHANGES))
  describe(method, () => {
    test("is allowed to root and to members of the group", () => {
      for (const peer of [ROOT, MEMBER, PRIMARY_MEMBER])
        assert.equal(denied(method as Method, params, peer), undefined);
    });

    test("is denied to another user, in words that say what it needs", () => {
      const text = `permission denied: changing ${what} needs root`;
      assert.equal(denied(method as Method, params, OTHER), `${text} or group carp`);
    });

    test("is root's alone where there is no group carp", () => {
      const text = `permission denied: changing ${what} needs root`;
      for (const peer of [MEMBER, OTHER])
        assert.equal(denial(method as Method, params as never, peer, undefined), text);
      assert.equal(denial(method as Method, params as never, ROOT, undefined), undefined);
    });
  });

test("create without a name is about carp interfaces", () =>
  assert.equal(
    denied("create", {}, OTHER),
    "permission denied: changing carp interfaces needs root or group carp",
  ));

test("a pass is changed by root alone", () => {
  const params = { name: "carp0", change: { vhid: 1, pass: "secret" } };
  assert.equal(denied("change", params, ROOT), undefined);
  for (const peer of [MEMBER, OTHER])
    assert.equal(denied("change", params, peer), "permission denied: changing the pass of carp0 needs root");
});

test("a pass is changed by root alone, also by carpdev and vhid", () => {
  const params = { carpdev: "eth0", change: { vhid: 1, pass: "secret" } };
  assert.equal(denied("change-on", params, ROOT), undefined);
  for (const peer of [MEMBER, OTHER])
    assert.equal(
      denied("change-on", params, peer),
      "permission denied: changing the pass of vhid 1 on eth0 needs root",
    );
});

test("an interface is replaced by root alone, with a pass or without, and in a dry run too", () => {
  for (const change of [{}, { pass: "secret" }])
    for (const dryRun of [true, false]) {
      const params = { name: "carp0", change, dryRun };
      assert.equal(denied("replace", params, ROOT), undefined);
      for (const peer of [MEMBER, OTHER])
        assert.equal(
          denied("replace", params, peer),
          "permission denied: replacing carp0 and its pass needs root",
        );
    }
});

for (const method of ["replace-each", "replace-all"] as const)
  test(`interfaces are replaced by ${method} by root alone`, () => {
    const denials = [
      [[{ name: "carp0", change: {} }], "carp0"],
      [[{ name: "carp0" }, { name: "carp1" }], "the configuration"],
      [[], "the configuration"],
      [[null], "the configuration"],
      [[{ name: "\x1b[2J" }], "the configuration"],
    ] as const;
    for (const [replacements, what] of denials) {
      assert.equal(denied(method, { replacements }, ROOT), undefined);
      for (const peer of [MEMBER, OTHER])
        assert.equal(
          denied(method, { replacements }, peer),
          `permission denied: replacing ${what} and its pass needs root`,
        );
    }
  });

test("only root sees secrets", () => {
  assert.deepEqual([ROOT, MEMBER, PRIMARY_MEMBER, OTHER].map(maySeeSecrets), [true, false, false, false]);
});

for (const name of [
  "net.inet.carp.allow",
  "net.inet.carp.log",
  "net.inet.carp.strict_replay",
  "net.inet.carp.signed_header",
])
  test(`${name} is set by root alone, also after another variable`, () => {
    const params = {
      writes: [
        { name: "net.inet.carp.preempt", value: 1 },
        { name, value: 0 },
      ],
    };
    assert.equal(denied("sysctl-set", params, ROOT), undefined);
    for (const peer of [MEMBER, PRIMARY_MEMBER, OTHER])
      assert.equal(denied("sysctl-set", params, peer), `permission denied: changing ${name} needs root`);
  });

describe("an interface with a pass keeps its addresses under it", () => {
  const address = (text: string, family: 4 | 6 = 4) => ({ family, address: text, prefixLength: 24 }) as const;
  const carp0 = {
    ...newInterface("carp0"),
    carpdev: "eth0",
    nodes: [
      { vhid: 1, advskew: 0 },
      { vhid: 2, advskew: 100 },
    ],
    addresses: [address("10.0.0.1"), address("10.0.0.2"), address("fe80::1", 6)],
  };
  const of = (pass: string) => ({ interfaces: [{ ...carp0, pass }], sysctl: [], reasons: [], groups: [] });
  const added = (text: string, alias: boolean) => ({
    addAddresses: [{ family: 4, address: text, prefixLength: 24, alias } as const],
  });

  const taking: readonly (readonly [change: InterfaceChange, what: string])[] = [
    [{ removeAddresses: ["10.0.0.2"] }, "removing an address of carp0"],
    [{ removeFamilies: [4] }, "removing an address of carp0"],
    [{ removeFamilies: [6], up: true }, "removing an address of carp0"],
    [added("10.0.0.9", false), "removing an address of carp0"],
    [{ carpdev: "eth1" }, "moving carp0 to another carpdev"],
    [{ vhid: 1 }, "changing the vhid of carp0"],
    [{ vhid: 7 }, "changing the vhid of carp0"],
    [{ carpnodes: [{ vhid: 1, advskew: 0 }] }, "changing the vhid of carp0"],
  ];
  const keeping: readonly InterfaceChange[] = [
    { advskew: 9, up: false, description: "x", state: "backup", carpdev: "eth0" },
    added("10.0.0.9", true),
    added("10.0.0.1", false),
    { carpnodes: [1, 2, 3].map((vhid) => ({ vhid, advskew: 7 })) },
  ];

  test("only root may take one from it", () => {
    for (const [change, what] of taking)
      assert.equal(
        exposure("change", { name: "carp0", change }, of("secret")),
        `permission denied: ${what}, which has a pass, needs root`,
      );
    assert.equal(
      exposure("destroy", { name: "carp0" }, of("secret")),
      "permission denied: destroying carp0, which has a pass, needs root",
    );
  });

  test("only root may take one from it by its carpdev and vhid", () => {
    for (const [change, what] of [
      [{ vhid: 2, removeAddresses: ["10.0.0.2"] }, "removing an address of carp0"],
      [{ removeAddresses: ["10.0.0.1"] }, "removing an address of carp0"],
      [{ vhid: 1, ...added("10.0.0.9", false) }, "removing an address of carp0"],
    ] as const satisfies typeof taking)
      assert.equal(
        exposure("change-on", { carpdev: "eth0", change }, of("secret")),
        `permission denied: ${what}, which has a pass, needs root`,
      );
    for (const change of [{ vhid: 2, advskew: 7 }, { vhid: 1, state: "backup" }, { vhid: 3 }] as const)
      assert.equal(exposure("change-on", { carpdev: "eth0", change }, of("secret")), undefined);
  });

  test("members may change everything else of it", () => {
    for (const change of keeping)
      assert.equal(exposure("change", { name: "carp0", change }, of("secret")), undefined);
  });

  test("members may change all of an interface without a pass, and of others", () => {
    for (const [change] of taking)
      assert.equal(exposure("change", { name: "carp0", change }, of("")), undefined);
    assert.equal(exposure("destroy", { name: "carp0" }, of("")), undefined);
    assert.equal(exposure("destroy", { name: "carp1" }, of("secret")), undefined);
  });
});
