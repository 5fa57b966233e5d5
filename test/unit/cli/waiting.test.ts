/** netstart waits for an engine that is starting, and not for ever. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectInTime } from "../../../src/cli/commands/netstart/wait-for-engine.ts";
import { type Connection, ControlError, connect } from "../../../src/control/client.ts";
import { scriptedEngine } from "./scripted-engine.ts";

const refused = () => Promise.reject(new ControlError(-32_000, "the engine is not running"));

test("an engine that comes up in time is waited for", async (context) => {
  const engine = await scriptedEngine(() => ({}));
  context.after(() => engine.close());
  let tries = 0;
  const comingUp = (): Promise<Connection> => (++tries < 3 ? refused() : connect(engine.runDir));
  const connection = await connectInTime({ connect: comingUp }, 60_000);
  connection.close();
  assert.equal(tries, 3);
  assert.deepEqual(engine.asked, [{ method: "hello", params: {} }]);
});

test("one that does not is given up, with the reason", async () => {
  const waiting = connectInTime({ connect: refused }, 150);
  await assert.rejects(waiting, { message: "after 0.15 seconds: the engine is not running" });
});

test("without a time to wait one that is not there is refused at once", async () => {
  let tries = 0;
  const counting = () => {
    tries += 1;
    return refused();
  };
  await assert.rejects(connectInTime({ connect: counting }, 0), { message: "the engine is not running" });
  assert.equal(tries, 1);
});
