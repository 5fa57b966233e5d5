/** Which hosts answer for shared addresses: the master alone is well, whichever MAC it has. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NodeView } from "../../../src/control/messages.ts";
import {
  type AnswersExamined,
  answerFindings,
  questionsAbout,
} from "../../../src/doctor/shared-addresses.ts";
import { node, view } from "../cli/scripted-engine.ts";

const SECOND = 1_000_000;
const NOW_US = 1000 * SECOND;
const VIRTUAL = "00:00:5e:00:01:01";
const OTHER = "02:00:00:00:00:09";
const addresses = [{ address: "10.0.0.1", prefixLength: 24, family: 4 }] as const;

const peer = { source: "10.0.0.3", advbase: 1, advskew: 100, demote: 0, atUs: NOW_US - SECOND };

describe("answers for shared addresses", () => {
  function found(
    of: Partial<NodeView>,
    macs: readonly string[],
    more: Partial<AnswersExamined> = {},
  ): string[] {
    const nodes = [node({ sinceUs: NOW_US - 100 * SECOND, ...of })];
    const present = view({ lladdr: VIRTUAL, addresses, nodes });
    return answerFindings(present, {
      nowUs: NOW_US,
      answers: macs.map((mac) => ({ address: "10.0.0.1", mac, to: "02:00:00:00:00:02" })),
      ownMacs: new Set(["02:00:00:00:00:02", VIRTUAL]),
      before: present,
      isExplained: false,
      ...more,
    }).map(({ kind }) => `${kind}`);
  }

  test("by the master alone are well", () => {
    assert.deepEqual(found({ state: "BACKUP", peers: [peer] }, [VIRTUAL]), []);
    assert.deepEqual(found({ state: "MASTER" }, []), []);
    // ucarp answers with the MAC that it has for its own address.
    const to = "02:00:00:00:00:02";
    const answers = [
      { address: "10.0.0.3", mac: OTHER, to },
      { address: "10.0.0.1", mac: OTHER, to },
    ];
    assert.deepEqual(found({ state: "BACKUP", peers: [peer] }, [], { answers }), []);
  });

  test("by another host are an error, for a MASTER and for a BACKUP", () => {
    assert.deepEqual(found({ state: "BACKUP", peers: [peer] }, [VIRTUAL, OTHER]), ["shared-address-taken"]);
    assert.deepEqual(found({ state: "MASTER" }, [OTHER]), ["shared-address-taken"]);
    assert.deepEqual(found({ state: "MASTER" }, ["02:00:00:00:00:02"]), []);
  });

  test("with another MAC of the vhid tell of another mode; of another host with a MAC of this one, of a copy", () => {
    for (const mac of ["01:00:5e:00:01:01", "00:00:5e:00:01:01"]) {
      const modes = [node({ sinceUs: NOW_US - 100 * SECOND, state: "BACKUP" })];
      const [lladdr] = [VIRTUAL, "01:00:5e:00:01:01"].filter((each) => each !== mac);
      const given = view({ lladdr, addresses, nodes: modes });
      const [one, more] = answerFindings(given, {
        nowUs: NOW_US,
        answers: [{ address: "10.0.0.1", mac, to: OTHER }],
        ownMacs: new Set([OTHER]),
        before: given,
        isExplained: false,
      });
      assert.equal(one?.kind, "other-mac");
      assert.equal(more, undefined);
      assert.ok(one?.text.includes(mac) && one.text.includes(`${lladdr}`));
    }
    const to = "02:00:00:00:00:02";
    const answers = [{ address: "10.0.0.3", mac: to, to: VIRTUAL }];
    assert.deepEqual(found({ state: "MASTER", heard: peer }, [], { answers }), ["mac-twice"]);
  });

  test("by another master, of which this one hears nothing", () => {
    assert.deepEqual(found({ state: "MASTER" }, [VIRTUAL]), ["master-not-heard"]);
    assert.deepEqual(found({ state: "MASTER", peers: [peer] }, [VIRTUAL]), []);
    assert.deepEqual(found({ state: "MASTER", heard: peer }, [VIRTUAL]), []);
    assert.deepEqual(found({ state: "MASTER" }, [VIRTUAL], { isExplained: true }), []);
  });

  test("that came while the address moved tell nothing", () => {
    assert.deepEqual(found({ state: "MASTER", sinceUs: NOW_US - SECOND }, [VIRTUAL, OTHER]), []);
    const before = view({ lladdr: VIRTUAL, addresses, nodes: [node({ sinceUs: NOW_US - 200 * SECOND })] });
    assert.deepEqual(found({ state: "MASTER" }, [VIRTUAL, OTHER], { before }), []);
    assert.deepEqual(found({ state: "MASTER" }, [VIRTUAL, OTHER], { before: undefined }), []);
  });

  test("are asked for from the carpdev's own addresses, for the masters too", () => {
    const link = {
      ...{ name: "eth0", index: 2, mac: OTHER, mtu: 1500, up: true, carrier: true },
      addresses: [
        { address: "192.0.2.2", prefixLength: 24, family: 4 },
        { address: "10.0.0.2", prefixLength: 24, family: 4 },
        { address: "2001:db8::2", prefixLength: 64, family: 6 },
        { address: "fe80::2", prefixLength: 64, family: 6 },
      ] as const,
    };
    const sixth = { address: "2001:db8::1", prefixLength: 64, family: 6 } as const;
    const asked = questionsAbout(
      view({ addresses: [...addresses, sixth], nodes: [node({ peers: [peer] })] }),
      link,
    ).map(({ source, target }) => `${source} ${target}`);
    assert.deepEqual(asked, ["10.0.0.2 10.0.0.3", "10.0.0.2 10.0.0.1", "fe80::2 2001:db8::1"]);
  });
});
