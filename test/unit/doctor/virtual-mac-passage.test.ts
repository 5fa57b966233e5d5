/** Whether frames from and to the virtual MAC get through: asked by a MASTER alone, of hosts that answer anyway. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { InterfaceView, NodeView } from "../../../src/control/messages.ts";
import { passageFindings, passageQuestions } from "../../../src/doctor/virtual-mac-passage.ts";
import { node, view } from "../cli/scripted-engine.ts";

const VIRTUAL = "00:00:5e:00:01:01";
const OWN = "02:00:00:00:00:02";
const THEIRS = "02:00:00:00:00:03";
const link = { name: "eth0", index: 2, mac: OWN, mtu: 1500, up: true, carrier: true, addresses: [] };
const heard = { source: "10.0.0.3", advbase: 1, advskew: 100, demote: 0, atUs: 1 };

const ofNode = (fields: Partial<NodeView> = {}, more: Partial<InterfaceView> = {}) =>
  view({ nodes: [node({ heard, ...fields })], ...more });
const asked = (of: InterfaceView, neighbours: readonly string[] = []) =>
  passageQuestions(of, link, neighbours).map(({ mac, source, target }) => `${mac} ${source} ${target}`);

test("a MASTER asks the hosts that it knows, from both MACs, and names no sender", () => {
  assert.deepEqual(asked(ofNode(), ["10.0.0.9", "10.0.0.3", "10.0.0.1"]), [
    `${OWN} undefined 10.0.0.3`,
    `${VIRTUAL} undefined 10.0.0.3`,
    `${OWN} undefined 10.0.0.9`,
    `${VIRTUAL} undefined 10.0.0.9`,
  ]);
  assert.deepEqual(asked(ofNode({ heard: { ...heard, source: "fe80::3" } })), []);
  assert.ok(
    asked(
      ofNode(),
      Array.from({ length: 99 }, (_, n) => `10.0.1.${n}`),
    ).length <= 8,
  );
});

test("nobody else asks: the virtual MAC is another host's, or not the interface's", () => {
  assert.deepEqual(asked(ofNode({ state: "BACKUP" })), []);
  assert.deepEqual(asked(ofNode({}, { lladdr: OWN })), []);
  assert.deepEqual(asked(ofNode({}, { running: false })), []);
  assert.deepEqual(asked(view({ nodes: [node({ heard }), node({ vhid: 2 })] })), []);
});

test("a host that answers one MAC and not the other is an error; none, or another that answers both, is not", () => {
  const master = ofNode();
  const answer = (to: string, address = "10.0.0.3") => ({ address, mac: THEIRS, to });
  const found = (answers: readonly ReturnType<typeof answer>[], before: InterfaceView | undefined = master) =>
    passageFindings(master, before, answers).map(({ kind, subject }) => `${kind} ${subject}`);
  assert.deepEqual(found([answer(OWN)]), ["virtual-mac-blocked carp0"]);
  assert.deepEqual(found([answer(OWN), answer(VIRTUAL)]), []);
  assert.deepEqual(found([answer(OWN), answer(VIRTUAL, "10.0.0.9")]), []);
  assert.deepEqual(found([]), []);
  assert.deepEqual(found([answer(OWN, "10.0.0.1")]), []);
  // It became MASTER since it asked.
  assert.deepEqual(found([answer(OWN)], ofNode({ state: "BACKUP" })), []);
  assert.deepEqual(found([answer(OWN)], ofNode({ sinceUs: 2_000_000 })), []);
});
