/** Commands: the texts of refusals, that a refusal changes nothing, and the views afterwards. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import { command } from "./arbitraries.ts";
import { backup, ipv4, ipv6, link, logged, master, only, PLAIN, Station, World } from "./driver.ts";

function station(): Station {
  const made = new Station(new World(), { links: [link("eth0"), link("eth1")] });
  made.set("carp0", PLAIN);
  return made;
}

describe("a command is refused with a line that names the wrong word", () => {
  const nodes = [1, 2].map((vhid) => ({ vhid, advskew: 0 }));
  const refusals: [change: InterfaceChange, error: string, name?: string][] = [
    [{ carpdev: "eth9" }, "carpdev eth9: no such device"],
    [{ carpdev: "eth0", vhid: 1 }, "vhid 1 is already used by carp0 on eth0", "carp1"],
    [{ vhid: 2, carpnodes: nodes }, "vhid 2: cannot be combined with carpnodes"],
    [{ advskew: 2, carpnodes: nodes }, "advskew 2: cannot be combined with carpnodes"],
    [{ advskew: 2 }, "advskew 2: carp1 has no vhid yet", "carp1"],
    [{ carpnodes: [...nodes, ...nodes] }, "carpnodes 1:0,2:0,1:0,2:0: duplicate vhid 1"],
    [{ addAddresses: [ipv4("10.0.0.1")] }, "10.0.0.1 is already used by carp0", "carp1"],
    [
      { addAddresses: [ipv4("10.0.0.2")] },
      "10.0.0.2 is eth0's own address: a shared address must be another one",
    ],
    [{ removeAddresses: ["10.0.0.7"] }, "10.0.0.7: no such address on carp0"],
    [{ leaveGroups: ["www"] }, "group www: carp0 is not in it"],
    [{ mtu: 9000 }, "mtu 9000: eth0 takes at most 1500"],
    [{ state: "master" }, "state master: carp1 does not run: it is down", "carp1"],
    [{ state: "backup", up: false }, "state backup: carp0 does not run: it is down"],
    [
      { carpdev: "eth0", vhid: 2, lladdr: "00:00:5e:00:01:01" },
      "lladdr 00:00:5e:00:01:01 is already used by carp0 on eth0",
      "carp1",
    ],
  ];
  for (const [change, error, name = "carp0"] of refusals)
    it(error, () => assert.equal(station().refuses({ kind: "change", name, change }), error));

  it("a link-local address is taken on its own carpdev alone", () => {
    const made = station();
    made.set("carp0", { addAddresses: [ipv6("fe80::1")] });
    const add = { addAddresses: [ipv6("fe80::1")] };
    made.set("carp1", { carpdev: "eth1", vhid: 1, ...add });
    const onTheSame = "fe80::1 is already used by carp0 on eth0";
    const change = (change: InterfaceChange, name: string) => made.refuses({ kind: "change", name, change });
    assert.equal(change({ carpdev: "eth0", vhid: 2, ...add }, "carp2"), onTheSame);
    assert.equal(change({ carpdev: "eth0", vhid: 2 }, "carp1"), onTheSame);
    assert.equal(
      change({ carpdev: "eth1", vhid: 2, addAddresses: [ipv6("2001:db8::1"), ipv6("fe80::1")] }, "carp2"),
      "fe80::1 is already used by carp1 on eth1",
    );
  });

  it("any other address is taken on every carpdev, as each is the whole host's", () => {
    const made = station();
    const change = { carpdev: "eth1", vhid: 2, addAddresses: [ipv4("10.0.0.1", 32)] };
    const error = made.refuses({ kind: "change", name: "carp1", change });
    assert.equal(error, "10.0.0.1 is already used by carp0");
  });

  it("a MAC set by hand may not be what another vhid would give out", () => {
    const made = station();
    made.set("carp0", { lladdr: "00:00:5e:00:01:02" });
    const change = { ...PLAIN, vhid: 2, addAddresses: [ipv4("10.0.0.5")] };
    const error = made.refuses({ kind: "change", name: "carp1", change });
    assert.equal(error, "lladdr 00:00:5e:00:01:02 is already used by carp0 on eth0");
  });

  it("more addresses or groups than a file can configure, also one by one", () => {
    const made = station();
    const addAddresses = Array.from({ length: 5119 }, (_, n) => ipv6(`2001:db8::1:${n.toString(16)}`));
    made.set("carp0", { addAddresses });
    const refusal = (change: InterfaceChange) => made.refuses({ kind: "change", name: "carp0", change });
    const error = "carp0: an interface has at most 5120 addresses";
    assert.equal(refusal({ addAddresses: [ipv6("2001:db8::2")] }), error);
    made.set("carp0", { joinGroups: Array.from({ length: 255 }, (_, n) => `g${n}x`) });
    assert.equal(refusal({ joinGroups: ["www"] }), "carp0: an interface is in at most 256 groups");
  });

  it("more interfaces than there is room for in the kernel, and not one of several", () => {
    const made = station();
    for (let n = 1; n < 4096; n++) made.command({ kind: "create", name: `carp${n}` });
    const error = "a host has at most 4096 carp interfaces";
    assert.equal(made.refuses({ kind: "create" }), `carp4096: ${error}`);
    assert.equal(made.refuses({ kind: "change", name: "carp9999", change: PLAIN }), `carp9999: ${error}`);
    const change = { carpdev: "eth1", vhid: 7, addAddresses: [ipv4("10.0.0.7")] };
    assert.equal(made.refuses({ kind: "change-on", carpdev: "eth1", change }), `carp4096: ${error}`);
    made.command({ kind: "destroy", name: "carp5" });
    const replacements = [5, 4096].map((n) => ({ name: `carp${n}`, change: { description: "new" } }));
    const outcome = made.command({ kind: "replace-all", replacements });
    assert.ok(!("error" in outcome));
    const refused = { name: "carp4096", error: `carp4096: ${error}` };
    assert.deepEqual(outcome.replaced, [{ name: "carp5", changed: true }, refused]);
    assert.equal(made.host.configuration.interfaces.length, 4096);
  });

  it("more addresses than there is room for in the kernel, on all interfaces together", () => {
    const made = station();
    const many = (n: number, count: number) =>
      Array.from({ length: count }, (_, i) => ipv6(`2001:db8:${n}::${(i + 1).toString(16)}`));
    for (let n = 1; n <= 12; n++) made.set(`carp${n}`, { addAddresses: many(n, 5120) });
    made.set("carp13", { addAddresses: many(13, 65_536 - 12 * 5120 - 1) });
    const change = (name: string) =>
      made.refuses({ kind: "change", name, change: { addAddresses: many(14, 1) } });
    const error = "the carp interfaces of a host have at most 65536 addresses";
    assert.equal(change("carp13"), `carp13: ${error}`);
    assert.equal(change("carp14"), `carp14: ${error}`);
    made.set("carp13", { description: "full", removeAddresses: ["2001:db8:13::1"] });
    made.set("carp14", { addAddresses: many(14, 1) });
  });

  it("several nodes on a host that cannot balance: with the host's reason", () => {
    const made = backup({}, { balancing: "this kernel has no eBPF" });
    const error = made.refuses({ kind: "change", name: "carp0", change: { carpnodes: nodes } });
    assert.equal(error, "carpnodes 1:0,2:0: this kernel has no eBPF");
    made.set("carp0", { carpnodes: [{ vhid: 3, advskew: 5 }] });
    assert.equal(made.state(3), "BACKUP");
  });

  it("advskew for several nodes", () => {
    const made = station();
    made.set("carp0", { carpnodes: nodes });
    const error = made.refuses({ kind: "change", name: "carp0", change: { advskew: 1 } });
    assert.equal(error, "advskew 1: carp0 has several nodes: use carpnodes");
  });

  it("create of an interface that exists, destroy of one that does not", () => {
    const made = station();
    assert.equal(made.refuses({ kind: "create", name: "carp0" }), "carp0: already exists");
    const create = { kind: "change", name: "carp0", change: { description: "new" }, create: true } as const;
    assert.equal(made.refuses(create), "carp0: already exists");
    made.does({ ...create, name: "carp1" });
    made.does({ kind: "destroy", name: "carp0" });
    made.does(create);
    assert.equal(made.refuses({ kind: "destroy", name: "carp7" }), "carp7: no such interface");
  });

  const writes: [name: string, value: number, error: string][] = [
    ["net.inet.carp.nonsense", 1, "net.inet.carp.nonsense: no such variable"],
    ["net.inet.carp.allow", 2, "net.inet.carp.allow=2: must be 0..1"],
    ["net.inet.carp.log", 8, "net.inet.carp.log=8: must be 0..7"],
    ["net.inet.carp.dscp", -1, "net.inet.carp.dscp=-1: must be 0..63"],
    ["net.inet.carp.preempt", 0.5, "net.inet.carp.preempt=0.5: must be 0..1"],
    ["net.inet.carp.demotion", 2 ** 31, "net.inet.carp.demotion=2147483648: must be -2147483647..2147483647"],
  ];
  for (const [name, value, error] of writes)
    it(error, () =>
      assert.equal(station().refuses({ kind: "set-sysctl", writes: [{ name, value }] }), error),
    );
});

describe("an address that no host has in the carpdev's network", () => {
  it("is taken, because it may be right with a prefix of its own, and warned of", () => {
    const made = station();
    const addAddresses = ["10.0.0.255", "10.0.0.0"].map((address) => ({
      ...ipv4(address),
      prefixLength: 32,
      alias: true,
    }));
    made.set("carp0", { addAddresses });
    assert.deepEqual(made.host.warningsAbout("carp0"), [
      "carp0: 10.0.0.255 is the broadcast address of eth0's network: no host there reaches it",
      "carp0: 10.0.0.0 is the address of eth0's network: no host there reaches it",
    ]);
  });
});

describe("a refused command", () => {
  /** Everything that can be read from a host. */
  function seen({ host, timers }: Station) {
    const { configuration, statistics, counterFloor } = host;
    const views = [host.interfaces(), host.groups(), host.sysctl("")];
    return structuredClone({ configuration, statistics, counterFloor, views, timers });
  }

  it("changes nothing, after random commands", () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 25 }), (commands) => {
        const made = new Station(new World(), { links: [link("eth0"), link("eth1")] });
        for (const each of commands) {
          const before = seen(made);
          const effects = made.effects.length;
          const outcome = made.command(each);
          if (!("error" in outcome)) continue;
          refused++;
          assert.match(outcome.error, /^[^\n]+$/);
          assert.deepEqual(seen(made), before);
          // A refused command must not cause effects later, either.
          made.handle({ kind: "forwarding", ipv6: false });
          assert.equal(made.effects.length, effects);
        }
      }),
      { numRuns: 200 },
    );
    assert.ok(refused > 100, `only ${refused} refusals were drawn`);
  });
});

describe("create", () => {
  it("takes the next free number; views are in numeric order", () => {
    const made = new Station(new World());
    const names = () => made.host.interfaces().map(({ name }) => name);
    for (const name of ["carp10", "carp0", "carp2"]) made.does({ kind: "create", name });
    const outcome = made.command({ kind: "create" });
    assert.equal("name" in outcome && outcome.name, "carp1");
    assert.deepEqual(names(), ["carp0", "carp1", "carp2", "carp10"]);
  });

  it("makes an interface without any effect on the kernel", () => {
    const made = new Station(new World());
    assert.deepEqual(made.does({ kind: "create", name: "carp0" }), [{ kind: "created", interface: "carp0" }]);
    assert.deepEqual(made.host.interfaces(), [
      {
        name: "carp0",
        up: false,
        running: false,
        mtu: 1500,
        lladdr: undefined,
        description: undefined,
        index: 0,
        carpdev: undefined,
        advbase: 1,
        balancing: "none",
        carppeer: undefined,
        carppeer6: undefined,
        announce: undefined,
        preemptdelay: undefined,
        grace: undefined,
        nodes: [],
        groups: ["carp"],
        addresses: [],
        status: "invalid",
        sendFailure: undefined,
        repairs: 0,
        discarded: [],
        wrongDigests: [],
        notRunning: "it is down",
        notRunningKind: undefined,
        problems: [],
      },
    ]);
  });
});

describe("addresses of one command", () => {
  const addresses = (made: Station) => made.host.interfaces()[0]?.addresses.map(({ address }) => address);

  it("replace the first IPv4 one, unless they are aliases, and are added for IPv6", () => {
    const made = station();
    made.set("carp0", { addAddresses: [ipv4("10.0.0.5"), ipv6("2001:db8::1")] });
    made.set("carp0", { addAddresses: [ipv4("10.0.0.6", 24, false)] });
    assert.deepEqual(addresses(made), ["10.0.0.6", "10.0.0.5", "2001:db8::1"]);
    made.set("carp0", { addAddresses: [{ ...ipv6("2001:db8::2"), alias: false }] });
    assert.deepEqual(addresses(made), ["10.0.0.6", "10.0.0.5", "2001:db8::1", "2001:db8::2"]);
  });

  it("are removed by family and one by one, before others are added", () => {
    const made = station();
    made.set("carp0", { addAddresses: [ipv6("2001:db8::1"), ipv4("10.0.0.5")] });
    made.set("carp0", { removeFamilies: [4], addAddresses: [ipv4("10.0.0.8")] });
    assert.deepEqual(addresses(made), ["2001:db8::1", "10.0.0.8"]);
    made.set("carp0", { removeAddresses: ["2001:db8::1"] });
    assert.deepEqual(addresses(made), ["10.0.0.8"]);
  });

  it("are applied together, with one passage through INIT where there is no grace", () => {
    const made = master();
    made.sysctl("grace", 0);
    const effects = made.set("carp0", { addAddresses: ["10.0.0.5", "10.0.0.6"].map((each) => ipv4(each)) });
    assert.equal(only(effects, "transition").length, 2);
  });
});

describe("the view of an interface", () => {
  it("follows it from INIT to MASTER", () => {
    const made = new Station(new World());
    const view = () => {
      const [shown] = made.host.interfaces();
      return shown && [shown.status, shown.running, shown.nodes[0]?.state, shown.nodes[0]?.transitions];
    };
    made.set("carp0", { ...PLAIN, up: false });
    assert.deepEqual(view(), ["invalid", false, "INIT", 0]);
    made.set("carp0", { up: true });
    assert.deepEqual(view(), ["backup", true, "BACKUP", 1]);
    made.world.run(5_000_000);
    assert.deepEqual(view(), ["master", true, "MASTER", 2]);
    assert.equal(made.node().sinceUs, made.world.us - 2_000_000);
  });

  it("has the device's index while there is one", () => {
    const made = master();
    made.handle({ kind: "device", interface: "carp0", index: 12 });
    assert.equal(made.host.interfaces()[0]?.index, 12);
    made.handle({ kind: "device", interface: "carp0", index: 0 });
    assert.equal(made.host.interfaces()[0]?.index, 0);
    assert.deepEqual(made.handle({ kind: "device", interface: "carp7", index: 3 }), []);
  });

  it("has the carpdev's MTU unless its own is set", () => {
    const made = backup({}, { links: [link("eth0", { mtu: 9000 })] });
    assert.equal(made.host.interfaces()[0]?.mtu, 9000);
    for (const mtu of [1400, 9000]) {
      made.set("carp0", { mtu });
      assert.equal(made.host.interfaces()[0]?.mtu, mtu);
    }
  });

  it("holds no secret", () => {
    const made = master({ pass: "tr0ub4dor" });
    const shown = [made.host.interfaces(), made.host.groups(), made.host.sysctl(""), made.effects];
    const text = JSON.stringify(shown, (_, value) => (typeof value === "bigint" ? String(value) : value));
    assert.equal(text.includes("tr0ub4dor"), false);
  });
});

describe("a repair", () => {
  it("is logged, and a MASTER announces its addresses again", () => {
    const repair = { kind: "repaired", interface: "carp0", what: "10.0.0.1 was removed" } as const;
    const effects = master().handle(repair);
    assert.deepEqual(logged(effects), ["2 carp0: repaired: 10.0.0.1 was removed"]);
    assert.equal(only(effects, "announce").length, 1);
    assert.equal(only(backup().handle(repair), "announce").length, 0);
  });

  it("is counted for the interface, or for every interface on the carpdev", () => {
    const made = master();
    const counts = () => made.host.interfaces().map(({ name, repairs }) => [name, repairs]);
    assert.deepEqual(counts(), [["carp0", 0]]);
    made.handle({ kind: "repaired", interface: "carp0", what: "device was deleted" });
    made.handle({ kind: "repaired", interface: "eth0", what: "arp_ignore was changed to 0" });
    made.handle({ kind: "repaired", interface: "eth1", what: "arp_ignore was changed to 0" });
    assert.deepEqual(counts(), [["carp0", 2]]);
  });
});

describe("sysctl variables", () => {
  it("have the documented initial values", () => {
    const made = new Station(new World());
    assert.deepEqual(Object.fromEntries(made.host.sysctl("").map(({ name, value }) => [name, value])), {
      "net.inet.carp.allow": 1,
      "net.inet.carp.preempt": 0,
      "net.inet.carp.preempt_delay": 0,
      "net.inet.carp.log": 2,
      "net.inet.carp.demotion": 0,
      "net.inet.carp.ifdown_demotion_factor": 240,
      "net.inet.carp.senderr_demotion_factor": 240,
      "net.inet.carp.grace": 300,
      "net.inet.carp.dscp": 4,
      "net.inet.carp.strict_replay": 0,
      "net.inet.carp.signed_header": 0,
      "net.pfsync.carp_demotion_factor": 240,
    });
  });

  it("accept their least and greatest value, and return the former one", () => {
    for (const { name, min, max } of SYSCTL_VARIABLES)
      for (const value of [min, max]) {
        const made = new Station(new World());
        const before = made.host.sysctl(name)[0]?.value;
        const outcome = made.command({ kind: "set-sysctl", writes: [{ name, value }] });
        assert.deepEqual("changes" in outcome && outcome.changes, [{ from: before, to: value }]);
        assert.equal(made.host.sysctl(name)[0]?.value, value);
      }
  });

  it("written together are written in order, or not at all", () => {
    const made = new Station(new World());
    const demotion = (value: number) => ({ name: "net.inet.carp.demotion", value });
    const log = (value: number) => ({ name: "net.inet.carp.log", value });
    const writes = [demotion(2 ** 31 - 1), log(7), demotion(1)];
    assert.match(made.refuses({ kind: "set-sysctl", writes }), /^net\.inet\.carp\.demotion=1: must be/);
    assert.deepEqual(made.host.sysctl(""), new Station(new World()).host.sysctl(""));
    const outcome = made.command({ kind: "set-sysctl", writes: [demotion(4), log(7), demotion(-1)] });
    assert.deepEqual("changes" in outcome && outcome.changes, [
      { from: 0, to: 4 },
      { from: 2, to: 7 },
      { from: 4, to: 3 },
    ]);
  });

  it("demotion adds what is written", () => {
    const made = new Station(new World());
    made.sysctl("demotion", 10);
    const writes = [{ name: "net.inet.carp.demotion", value: -3 }];
    const outcome = made.command({ kind: "set-sysctl", writes });
    assert.deepEqual("changes" in outcome && outcome.changes, [{ from: 10, to: 7 }]);
  });

  it("are found by a prefix that ends at a dot", () => {
    const { host } = new Station(new World());
    assert.equal(host.sysctl("net.inet.carp").length, 11);
    assert.equal(host.sysctl("net").length, 12);
    assert.equal(host.sysctl("net.inet.carp.log").length, 1);
    assert.deepEqual(host.sysctl("net.inet.carp.lo"), []);
  });
});

describe("a host that is restored", () => {
  it("is configured as the saved one", () => {
    const first = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    first.set("carp0", { ...PLAIN, pass: "secret", joinGroups: ["www"], description: "x", mtu: 1400 });
    first.set("carp3", {
      carpdev: "eth1",
      carpnodes: [4, 5].map((vhid) => ({ vhid, advskew: vhid })),
      addAddresses: [ipv6("2001:db8::1")],
    });
    first.sysctl("preempt", 1);
    first.sysctl("demotion", 6);
    const { configuration } = first.host;
    const second = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    second.host.restore(JSON.parse(JSON.stringify(configuration)), () => 0, second.now);
    assert.deepEqual(
      JSON.parse(JSON.stringify(second.host.configuration)),
      JSON.parse(JSON.stringify(configuration)),
    );
    const states = ({ host }: Station) =>
      host.interfaces().flatMap(({ nodes }) => nodes.map(({ state }) => state));
    assert.deepEqual(states(second), ["BACKUP", "BACKUP", "BACKUP"]);
    assert.deepEqual(second.host.groups(), first.host.groups());
  });

  it("keeps an interface that it cannot balance in INIT, and lets it be changed", () => {
    const nodes = [1, 2].map((vhid) => ({ vhid, advskew: 0 }));
    const first = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    first.set("carp0", { ...PLAIN, vhid: undefined, carpnodes: nodes });
    first.set("carp1", { ...PLAIN, vhid: 9, carpdev: "eth1", addAddresses: [ipv4("10.1.0.1")] });
    const reason = "balancing needs eBPF";
    const second = new Station(new World(), { links: [link("eth0"), link("eth1")], balancing: reason });
    second.host.restore(first.host.configuration, () => 0, second.now);
    const view = () => second.host.interfaces().map(({ nodes, notRunning }) => [nodes[0]?.state, notRunning]);
    assert.deepEqual(view(), [
      ["INIT", reason],
      ["BACKUP", undefined],
    ]);
    second.set("carp0", { advbase: 2, description: "x" });
    second.set("carp0", { up: false });
    second.set("carp0", { up: true });
    const carpnodes = [...nodes, { vhid: 7, advskew: 0 }];
    const refused = second.refuses({ kind: "change", name: "carp0", change: { carpnodes } });
    assert.equal(refused, `carpnodes 1:0,2:0,7:0: ${reason}`);
    assert.deepEqual(view()[0], ["INIT", reason]);
    second.set("carp0", { carpnodes: [{ vhid: 1, advskew: 0 }] });
    assert.deepEqual(view()[0], ["BACKUP", undefined]);
  });

  it("goes on as MASTER of the nodes whose lease is in force, and as BACKUP of the others", () => {
    const first = new Station(new World(), { links: [link("eth0")] });
    first.set("carp0", {
      ...PLAIN,
      vhid: undefined,
      carpnodes: [4, 5].map((vhid) => ({ vhid, advskew: 0 })),
    });
    const second = new Station(new World(), { links: [link("eth0")] });
    const leases = new Map([
      [4, second.now.us + 1],
      [5, second.now.us],
    ]);
    const effects = second.host.restore(
      first.host.configuration,
      (name, vhid) => (name === "carp0" ? (leases.get(vhid) ?? 0) : 0),
      second.now,
    );
    assert.deepEqual(
      second.host.interfaces()[0]?.nodes.map(({ state }) => state),
      ["MASTER", "BACKUP"],
    );
    const devices = effects.flatMap((effect) => (effect.kind === "device" ? [effect.device?.active] : []));
    assert.deepEqual(devices, [true], "the addresses are never removed");
    assert.ok(effects.some((effect) => effect.kind === "advertise" && effect.vhid === 4));
  });

  it("takes away the leases of an interface that does not run", () => {
    const first = new Station(new World(), { links: [link("eth0")] });
    first.set("carp0", PLAIN);
    const second = new Station(new World(), { links: [link("eth0", { carrier: false })] });
    const { configuration } = first.host;
    const effects = second.host.restore(configuration, () => second.now.us + 1, second.now);
    const leases = effects.filter(({ kind }) => kind === "lease");
    assert.deepEqual(leases, [{ kind: "lease", interface: "carp0", vhid: 1, untilUs: 0 }]);
  });
});
