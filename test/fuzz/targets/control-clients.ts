/**
 * Several clients of the control socket at once, of root, of members of group carp and of other users: requests in
 * any pieces and in any order, half-closed and broken connections, clients that do not read, subscribers, and more
 * connections than there is room for. A live connection gets one answer for each request, in order; a connection is
 * hung up only for a reason; only root is told a pass; root is answered in spite of all others.
 */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import fc from "fast-check";
import { MAX_REQUEST_BYTES } from "../../../src/control/messages.ts";
import type { Peer } from "../../../src/engine/control/authorisation.ts";
import type { Target, Trial } from "../target.ts";
import { ControlledEngine, GROUPED, MEMBER, OTHER, PASS, ROOT } from "./control-engine.ts";
import { asked, TOKENS } from "./control-requests.ts";
import { CONNECTIONS, Conversation } from "./conversation.ts";
import { until } from "./in-time.ts";
import { withOneChanged } from "./leaves.ts";

/** Open for a moment for something else in this process. */
const OTHER_FILES = 2;

/** By the connection's digit, in turn. */
const IDENTITIES = [ROOT, MEMBER, OTHER, GROUPED, { uid: 1002, gid: 100, groups: [] }] as const;

function open(): Trial {
  const coming: Peer[] = [];
  const engine = new ControlledEngine(() => coming.shift());
  const files = () => readdirSync("/proc/self/fd").length;

  async function converse(input: Uint8Array): Promise<void> {
    const before = { all: engine.everything(), files: files() };
    const conversation = new Conversation({
      path: engine.path,
      userAt: (digit) => IDENTITIES[digit % IDENTITIES.length] ?? OTHER,
      opening: (peer) => coming.push(peer),
      hasAccepted: () => coming.length === 0,
      keeps: () => true,
      tell: (name) => engine.feed.tell({ kind: "created", interface: name }),
    });
    try {
      await conversation.take(input);
      const root = await conversation.end(ROOT);
      assert.ok(root.isAnswered, "root is not answered");
      const passes = engine.station.host.configuration.interfaces.map(({ pass }) => pass);
      if (passes.includes(PASS)) assert.ok(root.received.includes(PASS), "root is not told a pass");
      conversation.assertSecret(PASS);
    } finally {
      await conversation.close();
      await until("all gone", () => coming.length === 0 && files() <= before.files + OTHER_FILES);
    }
    engine.assertQuiet();
    if (engine.everything() === before.all) return;
    const { users } = conversation;
    assert.ok(users.has(ROOT) || users.has(MEMBER) || users.has(GROUPED), "a reader changed something");
    await engine.survivesAndBeginsAnew();
  }

  return {
    feed: converse,
    close: () => engine.close(),
  };
}

const digit = fc.nat({ max: CONNECTIONS - 1 }).map(String);
const line = fc
  .oneof({ weight: 3, arbitrary: asked }, { weight: 1, arbitrary: withOneChanged(asked) })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));
const monitor = JSON.stringify({ jsonrpc: "2.0", id: "m", method: "monitor" });
const number = (...all: readonly number[]) => fc.constantFrom(...all).map(String);
const doing = fc.oneof(
  { weight: 40, arbitrary: line.map((each) => `>${each}`) },
  { weight: 4, arbitrary: fc.tuple(number(2, 20, 300), line).map(([n, each]) => `*${n} ${each}`) },
  { weight: 4, arbitrary: fc.constant(`>${monitor}`) },
  { weight: 3, arbitrary: number(1, 70, 1100, 3000).map((n) => `!${n}`) },
  { weight: 3, arbitrary: number(1, 3, 50, 4096).map((n) => `c${n}`) },
  { weight: 5, arbitrary: fc.constantFrom("p", "p", "r", "|", "x") },
  { weight: 1, arbitrary: number(1, 20, 255, 300).map((n) => `#${n}`) },
  { weight: 1, arbitrary: fc.constant(`.${" ".repeat(MAX_REQUEST_BYTES - 1)}`) },
);
/** A request in two parts, between which others come. */
const parted = fc
  .tuple(digit, line, fc.nat(), fc.array(fc.tuple(digit, doing), { maxLength: 2 }))
  .map(([who, text, place, between]) => {
    const at = place % (text.length + 1);
    const others = between.map(([other, what]) => `${other}${what}`);
    return [`${who}.${text.slice(0, at)}`, ...others, `${who}>${text.slice(at)}`].join("\n");
  });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(digit, doing).map(([who, what]) => `${who}${what}`) },
  { weight: 1, arbitrary: parted },
);

export const controlClients: Target = {
  name: "control-clients",
  sensible: fc
    .array(step, { minLength: 1, maxLength: 16 })
    .map((steps) => Buffer.from(steps.join("\n"), "latin1")),
  tokens: [
    ...TOKENS,
    "\n2#300\n",
    "\n0p\n",
    "\n1|\n",
    "\n3x\n",
    "\n2c1\n",
    "\n4*300 ",
    `\n2>${monitor}\n2p\n2!3000\n`,
  ],
  tries: 120,
  open,
};
