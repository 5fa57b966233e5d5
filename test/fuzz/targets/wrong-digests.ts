/**
 * Frames that are heard again and again, and looked into when their digests are wrong: nothing throws, the search ends
 * within its bounds, nothing that is found out is believed, and no text of it has a pass in it.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { DIGEST_CAUSES, type DigestQuestion } from "../../../src/core/digests/question.ts";
import { DigestSearch, MOST_HMACS, STEP_HMACS } from "../../../src/core/digests/search.ts";
import { ipv4, ipv6, only, SECOND, Station, World } from "../../unit/core/driver.ts";
import { advertisement, PEER_MAC } from "../../unit/core/peer.ts";
import type { Target, Trial } from "../target.ts";

const PASSES = ["Sesame, more than 19 bytes", "Open", "Before"] as const;
const [PASS, OTHER_PASS, EARLIER] = PASSES;
const OURS = ["10.0.0.1", "10.0.0.9", "2001:db8::1", "fe80::1"];
const OTHERS = ["10.0.0.50", "10.0.0.2", "10.0.0.3", "10.0.0.77", "fe80::200:5eff:fe00:101"];

/** carp0 has vhid 1, carp1 vhid 2 and 3. */
function made(): Station {
  const station = new Station(new World());
  const carpnodes = [
    { vhid: 2, advskew: 0 },
    { vhid: 3, advskew: 100 },
  ];
  const addAddresses = OURS.map((each) => (each.includes(":") ? ipv6(each) : ipv4(each)));
  station.set("carp0", { carpdev: "eth0", vhid: 1, pass: EARLIER, addAddresses });
  station.set("carp0", { pass: PASS });
  station.set("carp1", { carpdev: "eth0", carpnodes, pass: OTHER_PASS, addAddresses: [ipv4("10.0.0.50")] });
  station.take();
  return station;
}

function explained(question: DigestQuestion) {
  const search = new DigestSearch(question);
  for (;;) {
    const before = search.hmacs;
    const explanation = search.step();
    assert.ok(search.hmacs - before <= STEP_HMACS && search.hmacs <= MOST_HMACS);
    if (explanation !== undefined) return explanation;
  }
}

const said = fc.record({
  vhid: fc.constantFrom(1, 1, 1, 2, 3),
  counter: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  pass: fc.constantFrom(PASS, PASS, OTHER_PASS, EARLIER, "", "guessed", `${OTHER_PASS}\n`, ` ${OTHER_PASS}`),
  addresses: fc.oneof(fc.subarray(OURS), fc.subarray([...OURS, ...OTHERS])),
  linkLocals: fc.constantFrom("covered" as const, "left-out" as const),
  handSetLladdr: fc.constantFrom(undefined, undefined, PEER_MAC),
  source: fc.constantFrom("10.0.0.3", "10.0.0.2", "fe80::3", "0.0.0.0"),
});

function open(): Trial {
  return {
    feed(input) {
      const station = made();
      const before = station.host.statistics.badAuthentication;
      for (let n = 0; n < 4; n++) {
        const effects = [...station.hear(input)];
        for (const { id, question } of only(effects, "explain-digest")) {
          const told = station.handle({ kind: "digest-explained", id, explanation: explained(question) });
          effects.push(...told);
          const [news] = only(told, "wrong-digest");
          assert.ok(news !== undefined && DIGEST_CAUSES.includes(news.cause));
          assert.equal(station.host.statistics.badAuthentication, before + n + 1);
          assert.equal(station.host.interface(news.interface)?.nodes[0]?.heard, undefined);
        }
        const shown = JSON.stringify([
          effects.filter(({ kind }) => kind === "wrong-digest" || kind === "log"),
          station.host.interfaces(),
        ]);
        for (const pass of PASSES) assert.ok(!shown.includes(pass));
        station.world.us += SECOND;
      }
    },
  };
}

export const wrongDigests: Target = {
  name: "wrong-digests",
  sensible: said.map(advertisement),
  tokens: ["2101", "70", "86dd", "0800"].map((hex) => Buffer.from(hex, "hex")),
  tries: 200,
  open,
};
