/** Why the digest of another host is wrong: each mistake by name, none accepted for it, and bounds for the search. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { answer } from "../../../src/core/digests/answer.ts";
import { CoveredAddresses } from "../../../src/core/digests/covered-addresses.ts";
import type { DigestCause, DigestQuestion } from "../../../src/core/digests/question.ts";
import { DigestSearch, MOST_BYTES, MOST_HMACS, STEP_HMACS } from "../../../src/core/digests/search.ts";
import { suppositions } from "../../../src/core/digests/suppositions.ts";
import { MOST_SENDERS, PATIENCE_US } from "../../../src/core/digests/wrong-digests.ts";
import type { Effect } from "../../../src/core/effect.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import { addressBytes } from "../../../src/protocol/address.ts";
import { ipv4, ipv6, link, logged, only, SECOND, Station, World } from "./driver.ts";
import { advertisement, PEER_MAC, type Said } from "./peer.ts";

const PASS = "Sesame, more than 19 bytes";
const OTHER_PASS = "open";
const IPV4 = ["10.0.0.1", "10.0.0.9"];
const IPV6 = ["2001:db8::1", "2001:db8::9"];
const OURS = [...IPV4, ...IPV6];
const LLADDR = "02:00:00:00:00:77";
const FROM = "10.0.0.3";

/** carp0 with vhid 1 and carp1 with vhid 2 on eth0, 10.0.0.2. */
function station(change: InterfaceChange = {}): Station {
  const made = new Station(new World(), { links: [link("eth0")] });
  const addAddresses = [...IPV4.map((each) => ipv4(each)), ...IPV6.map((each) => ipv6(each))];
  made.set("carp0", { carpdev: "eth0", vhid: 1, pass: PASS, addAddresses, ...change });
  made.set("carp1", { carpdev: "eth0", vhid: 2, pass: OTHER_PASS, addAddresses: [ipv4("10.0.0.50")] });
  made.take();
  return made;
}

/** Hears an advertisement each second. @returns the effects */
function hears(who: Station, said: () => Said, times = 4): Effect[] {
  const effects: Effect[] = [];
  for (let n = 0; n < times; n++) {
    effects.push(...who.hear(advertisement({ source: FROM, pass: PASS, addresses: OURS, ...said() })));
    for (const { id, question } of only(who.take(), "explain-digest")) {
      const explanation = answered(question);
      effects.push(...who.handle({ kind: "digest-explained", id, explanation }));
    }
    who.world.us += SECOND;
  }
  return effects;
}

function answered(question: DigestQuestion) {
  const search = new DigestSearch(question);
  for (let before = 0; ; before = search.hmacs) {
    const explanation = search.step();
    assert.ok(search.hmacs - before <= STEP_HMACS);
    if (explanation !== undefined) return explanation;
  }
}

/** A digest with a key and a message that no configuration here makes. */
const signedBy = (key: string, message: string): Said => ({
  tamper: (bytes) => {
    const counter = Buffer.from(bytes.subarray(8, 16));
    const digest = createHmac("sha1", Buffer.from(key))
      .update(Buffer.concat([Buffer.from(message, "hex"), counter]))
      .digest();
    bytes.set(digest, 16);
  },
});
const MESSAGE = `020101${OURS.map((each) => Buffer.from(addressBytes(each)).toString("hex")).join("")}`;
const forOther = MESSAGE.replace(/^020101/, "020102");

const SAME = `${FROM} has the same pass, but`;
const rows: readonly {
  readonly title: string;
  readonly here?: InterfaceChange;
  readonly there: Said;
  readonly cause: DigestCause;
  readonly line: string;
}[] = [
  {
    title: "an address of ours left out",
    there: { addresses: OURS.filter((each) => each !== "10.0.0.9") },
    cause: "address-missing",
    line: `${SAME} not 10.0.0.9: add it there or remove it here`,
  },
  {
    title: "an IPv6 address of ours left out",
    there: { addresses: OURS.filter((each) => each !== "2001:db8::9") },
    cause: "address-missing",
    line: `${SAME} not 2001:db8::9: add it there or remove it here`,
  },
  {
    title: "two addresses of ours left out",
    there: { addresses: ["10.0.0.1", "2001:db8::1"] },
    cause: "address-missing",
    line: `${SAME} not 10.0.0.9 and 2001:db8::9: add them there or remove them here`,
  },
  {
    title: "IPv4 alone",
    there: { addresses: IPV4 },
    cause: "family-missing",
    line: `${SAME} none of the IPv6 addresses: add them there or remove them here`,
  },
  {
    title: "IPv6 alone",
    there: { addresses: IPV6 },
    cause: "family-missing",
    line: `${SAME} none of the IPv4 addresses: add them there or remove them here`,
  },
  {
    title: "the other host's own address among the shared ones",
    there: { addresses: [...OURS, FROM] },
    cause: "address-extra",
    line: `${SAME} also ${FROM}, its own address, on the carp interface: remove it there`,
  },
  {
    title: "an address of our carpdev there",
    there: { addresses: [...OURS, "10.0.0.2"] },
    cause: "address-extra",
    line: `${SAME} also 10.0.0.2, which is of eth0 here: remove it there`,
  },
  {
    title: "an address of a sibling interface more",
    there: { addresses: [...OURS, "10.0.0.50"] },
    cause: "address-extra",
    line: `${SAME} also 10.0.0.50, which carp1 has here: remove it there or add it here`,
  },
  {
    title: "the other host's own address that is shared here",
    here: { addAddresses: [...IPV4, FROM].map((each) => ipv4(each)) },
    there: { addresses: IPV4 },
    cause: "address-missing",
    line: `${SAME} does not share ${FROM}, which is its own address, and this host does: remove it here`,
  },
  {
    title: "an address more that is unknown here",
    there: { addresses: [...OURS, "10.0.0.77"] },
    cause: "address-extra",
    line: `${SAME} also 10.0.0.77: remove it there or add it here`,
  },
  {
    title: "an IPv6 address more that is unknown here",
    there: { addresses: [...OURS, "2001:db8::ab"] },
    cause: "address-extra",
    line: `${SAME} also 2001:db8::ab: remove it there or add it here`,
  },
  {
    title: "another address in place of one of ours",
    there: { addresses: ["10.0.0.1", "10.0.0.19", ...IPV6] },
    cause: "address-different",
    line: `${SAME} 10.0.0.19 instead of 10.0.0.9: use the same on both; a host of another group needs another vhid than 1`,
  },
  {
    title: "the link-local address that NetBSD makes",
    there: { addresses: [...OURS, "fe80::200:5eff:fe00:101"], linkLocals: "covered" },
    cause: "address-extra",
    line: `${SAME} also fe80::200:5eff:fe00:101, the link-local address that its carp interface made of its MAC: remove it there or add it here`,
  },
  {
    title: "a link-local address of ours left out, by a host that signs them",
    here: { addAddresses: [ipv4("10.0.0.1"), ipv6("fe80::1"), ipv6("fe80::2")] },
    there: { addresses: ["10.0.0.1", "fe80::1"], linkLocals: "covered" },
    cause: "address-missing",
    line: `${SAME} not fe80::2: add it there or remove it here`,
  },
  {
    title: "a hand-set lladdr there",
    there: { handSetLladdr: PEER_MAC },
    cause: "lladdr",
    line: `${FROM} has the same pass and addresses, but signs the lladdr ${PEER_MAC}, and none is set here: set the same lladdr on every host of the vhid, or on none`,
  },
  {
    title: "a hand-set lladdr here",
    here: { lladdr: LLADDR },
    there: {},
    cause: "lladdr",
    line: `${FROM} has the same pass and addresses, but does not sign the lladdr ${LLADDR}, which is set here: set the same lladdr on every host of the vhid, or on none`,
  },
  {
    title: "no pass",
    there: { pass: "" },
    cause: "no-pass",
    line: `${FROM} has no pass: set the pass there`,
  },
  {
    title: "no pass, and an address less",
    there: { pass: "", addresses: OURS.slice(1) },
    cause: "no-pass",
    line: `${FROM} has no pass, and not 10.0.0.1: set the pass there; add it there or remove it here`,
  },
  ...(["\n", "\r\n"] as const).map((end) => ({
    title: `a pass with a line end (${JSON.stringify(end)})`,
    here: { pass: OTHER_PASS },
    there: { pass: `${OTHER_PASS}${end}` },
    cause: "pass-line-end" as const,
    line: `${FROM} has the same pass with a line end behind it: set the pass there without the line end, which a file it is read from may have`,
  })),
  {
    title: "a pass with a blank",
    here: { pass: OTHER_PASS },
    there: { pass: `${OTHER_PASS} ` },
    cause: "pass-blank",
    line: `${FROM} has the same pass with a blank before or behind it: set the pass there without the blank`,
  },
  {
    title: "a pass with a blank here",
    here: { pass: `${OTHER_PASS} ` },
    there: { pass: OTHER_PASS },
    cause: "pass-blank",
    line: `${FROM} has the same pass without the blanks that it has here before or behind it: set the pass here without the blanks`,
  },
  {
    title: "a pass in its quotes",
    here: { pass: OTHER_PASS },
    there: { pass: `"${OTHER_PASS}"` },
    cause: "pass-quoted",
    line: `${FROM} has the same pass with the quotes around it: set the pass there without the quotes`,
  },
  ...[20, 99].map((bytes) => ({
    title: `a pass of which ${bytes} bytes count`,
    there: signedBy(PASS.slice(0, bytes), MESSAGE),
    cause: "pass-length" as const,
    line: `${FROM} uses more of the pass than its first 19 bytes, which are all that carp uses: set a pass of at most 19 bytes on every host`,
  })),
  {
    title: "the pass of another interface",
    there: { pass: OTHER_PASS },
    cause: "pass-of-other-interface",
    line: `${FROM} has the pass that carp1 has here (vhid 2): set the same pass on both hosts`,
  },
  {
    title: "what another interface has here, under this number",
    there: { pass: OTHER_PASS, addresses: ["10.0.0.50"] },
    cause: "addresses-of-other-interface",
    line: `${FROM} has under vhid 1 the pass and the addresses of carp1 here (vhid 2): give both hosts the same vhid for the same addresses`,
  },
  {
    title: "the addresses of another interface",
    there: { addresses: ["10.0.0.50"] },
    cause: "addresses-of-other-interface",
    line: `${SAME} the addresses of carp1 here (vhid 2): give both hosts the same vhid for the same addresses`,
  },
  {
    title: "another vhid in the digest",
    there: signedBy(PASS.slice(0, 19), forOther),
    cause: "vhid",
    line: `${FROM} has the same pass and addresses, but signs them for vhid 2: look for what changes the vhid on the way, or for another host with this source address`,
  },
  {
    title: "another pass",
    there: { pass: "guessed" },
    cause: "unknown",
    line: `${FROM} has another pass, neither none nor that of another interface here, or addresses that differ from the ones here in more than one: give every host of vhid 1 the same pass and addresses; a host of another group needs another vhid`,
  },
  {
    title: "a pass, and none here",
    here: { pass: "" },
    there: {},
    cause: "unknown",
    line: `${FROM} has a pass, and this host has none, or addresses that differ from the ones here in more than one: give every host of vhid 1 the same pass and addresses; a host of another group needs another vhid`,
  },
];

describe("a wrong digest because of", () => {
  for (const { title, here, there, cause, line } of rows)
    it(title, () => {
      const who = station(here);
      who.sysctl("log", 6);
      const effects = hears(who, () => there);
      assert.deepEqual(
        only(effects, "wrong-digest").map(({ text, todo, ...each }) => ({
          ...each,
          line: `${text}: ${todo}`,
        })),
        [{ kind: "wrong-digest", interface: "carp0", vhid: 1, source: FROM, cause, line }],
      );
      const priority = cause === "unknown" ? 6 : 3;
      assert.deepEqual(
        logged(effects).filter((each) => !each.includes("incorrect hash")),
        [`${priority} carp0: ${line}`],
      );
      const [view] = who.host.interfaces();
      assert.deepEqual(
        view?.wrongDigests?.map((each) => each.cause),
        [cause],
      );
      // Not believed for it, nor a secret shown.
      assert.equal(who.host.statistics.badAuthentication, 4);
      assert.equal(only(effects, "transition").length, 0);
      const shown = JSON.stringify([effects.filter(({ kind }) => kind !== "explain-digest"), view]);
      for (const pass of [PASS.slice(0, 5), OTHER_PASS, "guessed"]) assert.ok(!shown.includes(pass), pass);
    });
});

describe("a vhid that is not configured here", () => {
  const other: Said = { vhid: 9, pass: OTHER_PASS, addresses: ["10.0.0.50"] };

  it("with the pass and the addresses of an interface is told as that interface's", () => {
    const who = station();
    const text = `${FROM} has under vhid 9 the pass and the addresses of carp1 here (vhid 2)`;
    const todo = "give both hosts the same vhid for the same addresses";
    const effects = hears(who, () => other);
    assert.deepEqual(only(effects, "wrong-digest"), [
      { kind: "wrong-digest", interface: "carp1", vhid: 9, source: FROM, cause: "vhid", text, todo },
    ]);
    assert.deepEqual(logged(effects), [`3 carp1: ${text}: ${todo}`]);
    assert.deepEqual(who.host.otherGroups("eth0"), []);
    const wrongs = () => who.host.interfaces().map(({ wrongDigests }) => wrongDigests?.length);
    assert.deepEqual(wrongs(), [0, 1]);
    who.set("carp1", { pass: "new" });
    assert.deepEqual(wrongs(), [0, 0]);
  });

  it("and that an interface has on another carpdev is told as exchanged carpdevs, the same vhid there or not", () => {
    for (const vhid of [1, 9]) {
      const who = new Station(new World(), { links: [link("eth0"), link("eth1", { index: 3 })] });
      who.set("carp0", { carpdev: "eth0", vhid: 1, pass: PASS, addAddresses: [ipv4("10.0.0.1")] });
      who.set("carp1", { carpdev: "eth1", vhid, pass: PASS, addAddresses: [ipv4("10.1.0.1")] });
      who.take();
      const [told, more] = only(
        hears(who, () => ({ vhid, addresses: ["10.1.0.1"] })),
        "wrong-digest",
      );
      assert.equal(more, undefined);
      assert.equal(told?.cause, "carpdev");
      const text = `${FROM} has on the segment of eth0 the vhid ${vhid}, pass and addresses of carp1, which is on eth1 here`;
      assert.equal(told?.text, text);
      assert.equal(who.host.statistics.badAuthentication, vhid === 1 ? 4 : 0);
    }
  });

  it("is another group otherwise, of which nothing is logged", () => {
    const who = station();
    const effects = hears(who, () => ({ ...other, addresses: ["10.0.0.51"] }), 30);
    assert.deepEqual([...only(effects, "wrong-digest"), ...logged(effects)], []);
    assert.deepEqual(
      who.host.otherGroups("eth0").map(({ vhid, source }) => [vhid, source]),
      [[9, FROM]],
    );
    assert.deepEqual(who.host.otherGroups("eth1"), []);
  });

  it("is not one of an interface that does not run", () => {
    const who = station();
    who.set("carp1", { up: false });
    who.take();
    assert.deepEqual(
      only(
        hears(who, () => ({ ...other, vhid: 2 })),
        "explain-digest",
      ),
      [],
    );
    assert.deepEqual(who.host.otherGroups("eth0"), []);
  });
});

describe("what is found out", () => {
  const lacking = { addresses: OURS.slice(1) };

  it("is not looked for while a host is being configured", () => {
    const who = station();
    assert.deepEqual(
      only(
        hears(who, () => lacking, PATIENCE_US / SECOND),
        "explain-digest",
      ),
      [],
    );
    who.hear(advertisement({ source: FROM, pass: PASS, addresses: OURS }));
    assert.deepEqual(
      only(
        hears(who, () => lacking, PATIENCE_US / SECOND),
        "explain-digest",
      ),
      [],
    );
  });

  it("is looked for beside interfaces that have no vhid yet", () => {
    const who = station();
    who.set("carp2", {});
    who.set("carp3", { carpdev: "eth0", pass: "another" });
    who.take();
    const said = logged(hears(who, () => ({ addresses: IPV4 })));
    assert.equal(said.length, 1);
  });

  it("is told once for each cause and source, and forgotten once the host is believed", () => {
    const who = station();
    const told = (effects: readonly Effect[]) => only(effects, "wrong-digest").map(({ source }) => source);
    assert.deepEqual(told(hears(who, () => lacking, 60)), [FROM]);
    assert.deepEqual(told(hears(who, () => ({ ...lacking, source: "10.0.0.4" }), 20)), ["10.0.0.4"]);
    assert.deepEqual(told(hears(who, () => ({ pass: "" }), 20)), [FROM]);
    assert.equal(who.host.interfaces()[0]?.wrongDigests?.length, 2);
    who.hear(advertisement({ source: FROM, pass: PASS, addresses: OURS }));
    assert.deepEqual(
      who.host.interfaces()[0]?.wrongDigests?.map(({ source }) => source),
      ["10.0.0.4"],
    );
    who.set("carp0", { pass: "new" });
    assert.deepEqual(who.host.interfaces()[0]?.wrongDigests, []);
  });

  it("is not of the configuration that was asked about, when that has changed", () => {
    const who = station();
    for (let n = 0; n < 4; n++, who.world.us += SECOND)
      who.hear(advertisement({ source: FROM, pass: PASS, addresses: OURS.slice(1) }));
    const [asked] = only(who.take(), "explain-digest");
    assert.ok(asked);
    who.set("carp0", { removeAddresses: ["10.0.0.1"] });
    const explanation = answered(asked.question);
    assert.deepEqual(
      only(who.handle({ kind: "digest-explained", id: asked.id, explanation }), "wrong-digest"),
      [],
    );
    assert.deepEqual(who.host.interfaces()[0]?.wrongDigests, []);
  });

  it("is looked for once in ten seconds for a host, and five times in a second for all", () => {
    const who = station();
    const asked = only(
      hears(who, () => ({ pass: "guessed" }), 60),
      "explain-digest",
    ).length;
    assert.ok(asked >= 5 && asked <= 6, `${asked}`);
    const many = station();
    let times = 0;
    const seconds = 20;
    // Sixty hosts, each of which advertises twice a second.
    for (let n = 0; n < 60 * 2 * seconds; n++) {
      const effects = many.hear(
        advertisement({ source: `10.0.1.${n % 60}`, pass: "guessed", addresses: OURS }),
      );
      for (const { id } of only(effects, "explain-digest")) {
        times++;
        const explanation = { cause: "unknown" as const, text: "", todo: "" };
        many.handle({ kind: "digest-explained", id, explanation });
      }
      many.world.us += SECOND / 120;
    }
    assert.ok(times >= 4 * (seconds - 2) && times <= 5 * seconds, `${times}`);
  });

  it("is not looked for in a flood of forged sources, which displaces no host that is known", () => {
    const who = station();
    hears(who, () => lacking);
    let asked = 0;
    for (let n = 0; n < 4000; n++) {
      const source = `172.16.${n >> 8}.${n & 255}`;
      asked += only(
        who.hear(advertisement({ source, pass: "guessed", addresses: OURS })),
        "explain-digest",
      ).length;
      who.world.us += SECOND / 400;
      if (n % 400 === 0) hears(who, () => lacking, 1);
    }
    assert.equal(asked, 0);
    assert.deepEqual(
      who.host.interfaces()[0]?.wrongDigests?.map(({ source }) => source),
      [FROM],
    );
    assert.ok(MOST_SENDERS < 256);
  });
});

describe("the search", () => {
  const question = (addresses: number, siblings: number): DigestQuestion => ({
    isOfOtherVhid: false,
    vhid: 1,
    source: FROM,
    counter: 1n,
    digest: new Uint8Array(20),
    pass: PASS,
    earlierPasses: ["before"],
    bases: [
      CoveredAddresses.of(Array.from({ length: addresses }, (_, n) => `2001:db8::${(n + 1).toString(16)}`)),
    ],
    lladdr: undefined,
    otherMacs: [PEER_MAC],
    carpdev: "eth0",
    carpdevAddresses: ["10.0.0.2"],
    siblings: Array.from({ length: siblings }, (_, n) => ({
      name: `carp${n + 1}`,
      vhids: [n + 2],
      carpdev: "eth0",
      pass: `pass${n}`,
      lladdr: undefined,
      addresses: CoveredAddresses.of(Array.from({ length: 100 }, (_, m) => `10.${n}.1.${m + 1}`)),
    })),
  });

  for (const [addresses, siblings] of [
    [0, 0],
    [1, 0],
    [2, 32],
    [200, 32],
    [5120, 32],
  ] as const)
    it(`ends within its bounds, with ${addresses} addresses and ${siblings} other interfaces`, () => {
      const search = new DigestSearch(question(addresses, siblings));
      let steps = 0;
      while (search.step() === undefined) steps++;
      assert.ok(search.hmacs <= MOST_HMACS, `${search.hmacs} HMACs`);
      assert.ok(search.bytes <= MOST_BYTES + 16 * (5120 + 100) + 64, `${search.bytes} bytes`);
      assert.ok(steps <= MOST_HMACS / STEP_HMACS + MOST_BYTES / (64 * 1024) + 1, `${steps} steps`);
    });

  it("begins with what is likely: the pass, then single addresses", () => {
    const faults = [...suppositions(question(2, 1)).take(30)].map(({ fault }) => fault);
    const ofAddresses = faults.findIndex(({ addresses }) => addresses.kind !== "same");
    assert.ok(faults.slice(0, ofAddresses).every(({ pass }) => pass.kind !== "same"));
    assert.equal(faults[ofAddresses]?.addresses.kind, "lacks");
  });

  it("has words for every supposition", () => {
    for (const { fault } of suppositions(question(2, 2))) {
      const { text, todo, cause } = answer(question(2, 2), fault);
      assert.notEqual(cause, "unknown");
      assert.ok(text.startsWith(FROM) && todo.length > 0);
      assert.doesNotMatch(text + todo, /undefined|sesame|pass\d/);
    }
  });
});
