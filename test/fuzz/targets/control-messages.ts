/**
 * Lines on the control socket, from root, a member of the group and another user: each is answered by a line
 * of JSON; a refused line changes nothing, another user changes nothing, and only root reads or sets a pass;
 * an accepted configuration is within bounds, and can be saved and loaded.
 */

import assert from "node:assert/strict";
import { connect } from "node:net";
import fc from "fast-check";
import { ErrorCode, MAX_REQUEST_BYTES } from "../../../src/control/messages.ts";
import type { Peer } from "../../../src/engine/control/authorisation.ts";
import type { Target, Trial } from "../target.ts";
import { ControlledEngine, MEMBER, OTHER, PASS, ROOT, ROOT_VARIABLES } from "./control-engine.ts";
import { asked, TOKENS, withUnwritable } from "./control-requests.ts";
import { withOneChanged } from "./leaves.ts";

/** The errors with which json-rpc-2.0 refuses what is no request; not its errors for what an answer threw. */
const REFUSALS: readonly unknown[] = [...Object.values(ErrorCode), -32700, -32600, -32601];

const LAST = '{"jsonrpc":"2.0","id":"last","method":"hello"}';

interface Reply {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: unknown };
}

function open(): Trial {
  let peer = ROOT;
  const engine = new ControlledEngine(() => peer);

  /** @returns what came back before the connection was closed or the last question answered. */
  async function ask(bytes: Uint8Array): Promise<Reply[]> {
    const socket = connect(engine.path);
    socket.on("error", () => {});
    socket.write(bytes);
    socket.write(`\n${LAST}\n`);
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      if (text.includes('"id":"last"') && text.endsWith("\n")) socket.destroy();
    });
    await new Promise((resolve) => socket.once("close", resolve));
    const lines = text.split("\n").filter((line) => line !== "");
    const replies = lines.map((line): Reply => JSON.parse(line));
    const longest = Buffer.from(bytes)
      .toString("latin1")
      .split("\n")
      .reduce((most, line) => Math.max(most, line.length), 0);
    assert.ok(replies.at(-1)?.id === "last" || longest >= MAX_REQUEST_BYTES, "hung up");
    return replies;
  }

  async function feedAs(who: Peer, input: Uint8Array): Promise<void> {
    peer = who;
    const before = engine.everything();
    const protectedBefore = engine.protectedAddresses();
    const { host } = engine.station;
    const variables = new Map(ROOT_VARIABLES.map((name) => [name, host.sysctl(name)]));
    const replies = await ask(input);
    if (who !== ROOT) {
      const exposed = protectedBefore.difference(engine.protectedAddresses());
      assert.deepEqual([...exposed], [], "an address is no longer protected by a pass");
      for (const name of ROOT_VARIABLES)
        assert.deepEqual(host.sysctl(name), variables.get(name), `${name} was changed`);
      assert.ok(!JSON.stringify(replies).includes(PASS), "a secret is told");
      const passes = host.configuration.interfaces.map(({ pass }) => pass);
      assert.ok(
        passes.every((pass) => pass === PASS || pass === ""),
        "the pass was changed",
      );
    }
    assertAnswersTo(input, replies);
    engine.assertQuiet();
    for (const { jsonrpc, error } of replies) {
      assert.equal(jsonrpc, "2.0");
      if (error === undefined) continue;
      assert.ok(REFUSALS.includes(error.code), `error ${error.code}`);
      assert.ok(typeof error.message === "string" && error.message !== "");
    }
    const after = engine.everything();
    const isRefused = !input.includes(0x0a) && replies[0]?.error !== undefined;
    if (isRefused || who === OTHER) assert.equal(after, before);
    if (after !== before) await engine.survivesAndBeginsAnew();
  }

  return {
    async feed(input) {
      await feedAs(OTHER, input);
      await feedAs(MEMBER, input);
      await feedAs(ROOT, input);
    },
    close: () => engine.close(),
  };
}

/** One request is answered once, under its own id. */
function assertAnswersTo(input: Uint8Array, replies: readonly Reply[]): void {
  if (input.includes(0x0a)) return;
  const asked = parsed(Buffer.from(input).toString());
  const [first, ...others] = replies.filter(({ id }) => id !== "last");
  if (others.length > 0) assert.deepEqual(others, [], "answered more than once");
  if (first === undefined || !Object.hasOwn(Object(asked), "id")) return;
  assert.notEqual(first.error === undefined, first.result === undefined, "neither an answer nor an error");
  const id: unknown = Reflect.get(Object(asked), "id");
  assert.ok(first.id === id || first.id === null);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const controlMessages: Target = {
  name: "control-messages",
  sensible: fc
    .oneof({ weight: 3, arbitrary: asked }, { weight: 1, arbitrary: withOneChanged(asked) })
    .map(withUnwritable),
  tokens: TOKENS,
  tries: 200,
  open,
};
