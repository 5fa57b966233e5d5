/** The commands' end of the control socket, against an engine that answers as the test says. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ControlError, connect } from "../../../src/control/client.ts";
import { listening, scriptedEngine, view } from "../cli/scripted-engine.ts";

async function failure(promise: Promise<unknown>): Promise<ControlError> {
  const error: unknown = await promise.then(
    () => assert.fail("it should have been refused"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ControlError);
  return error;
}

test("a call is one line, and its answer comes back", async () => {
  const engine = await scriptedEngine(() => ({ name: "carp3" }));
  const connection = await connect(engine.runDir);
  assert.deepEqual(await connection.call("create", { name: "carp3" }), { name: "carp3" });
  assert.deepEqual(engine.asked, [{ method: "create", params: { name: "carp3" } }]);
  connection.close();
  await engine.close();
});

test("calls at the same time get the answers that belong to them", async () => {
  const engine = await listening([], (socket) => {
    const waiting: { id: number; method: string }[] = [];
    socket.on("data", (chunk) => {
      for (const line of String(chunk).trim().split("\n")) waiting.push(JSON.parse(line));
      if (waiting.length < 2) return;
      for (const { id, method } of waiting.reverse()) {
        socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, result: method })}\n`);
      }
    });
  });
  const connection = await connect(engine.runDir);
  const answers = await Promise.all([connection.call("hello", {}), connection.call("groups", {})]);
  assert.deepEqual(answers, ["hello", "groups"]);
  connection.close();
  await engine.close();
});

test("what is told without being asked goes its own way, between the answers", async () => {
  const told: unknown[] = [];
  const engine = await listening([], (socket) => {
    socket.on("data", (chunk) => {
      const { id } = JSON.parse(String(chunk));
      const event = { jsonrpc: "2.0", method: "event", params: { times: id } };
      socket.write(`${JSON.stringify(event)}\n${JSON.stringify({ jsonrpc: "2.0", id, result: id })}\n`);
    });
  });
  const connection = await connect(engine.runDir, { onEvent: (event) => void told.push(event) });
  assert.equal(await connection.call("monitor", {}), 1);
  assert.equal(await connection.call("hello", {}), 2);
  assert.deepEqual(told, [{ times: 1 }, { times: 2 }]);
  await engine.close();
  await connection.closed;
});

test("the warnings that come with answers are kept", async () => {
  const engine = await listening([], (socket) => {
    socket.on("data", (chunk) => {
      const { id } = JSON.parse(String(chunk));
      socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, result: {}, warnings: [`warning ${id}`, 7] })}\n`);
    });
  });
  const connection = await connect(engine.runDir);
  await connection.call("destroy", { name: "carp0" });
  await connection.call("destroy", { name: "carp1" });
  assert.deepEqual(connection.warnings, ["warning 1", "warning 2"]);
  connection.close();
  await engine.close();
});

test("an answer of several megabytes arrives whole", async () => {
  const interfaces = Array.from({ length: 10_000 }, (_, at) =>
    view({ name: `carp${at}`, description: "ä".repeat(60) }),
  );
  const engine = await scriptedEngine(() => ({ nowUs: 1, interfaces }));
  const connection = await connect(engine.runDir);
  const answer = await connection.call("interfaces", {});
  assert.deepEqual(answer.interfaces.at(-1), JSON.parse(JSON.stringify(interfaces.at(-1))));
  connection.close();
  await engine.close();
});

test("a refusal keeps the engine's code and words", async () => {
  const engine = await scriptedEngine(() => ({
    error: { code: 2, message: "permission denied: changing carp0 needs root" },
  }));
  const connection = await connect(engine.runDir);
  const error = await failure(connection.call("destroy", { name: "carp0" }));
  assert.deepEqual([error.code, error.message], [2, "permission denied: changing carp0 needs root"]);
  connection.close();
  await engine.close();
});

test("without an engine it says how to start one", async () => {
  const error = await failure(connect("/nonexistent/run"));
  assert.equal(
    error.message,
    "the engine is not running (no /nonexistent/run/engine.sock): " +
      "start it with 'systemctl start carpd' or 'carpctl engine'",
  );
});

test("an engine that hangs is given up with a reason", async () => {
  const engine = await listening([], (socket) => socket.resume());
  const connection = await connect(engine.runDir, { timeoutMs: 20 });
  const error = await failure(connection.call("hello", {}));
  assert.equal(error.message, "the engine did not answer within 0.02 seconds");
  connection.close();
  await engine.close();
});

test("a connection cut in the middle of an answer is a reason", async () => {
  const engine = await listening([], (socket) => {
    socket.once("data", () => socket.end('{"jsonrpc":"2.0","id":1,"resu'));
  });
  const connection = await connect(engine.runDir);
  const error = await failure(connection.call("hello", {}));
  assert.equal(error.message, "the engine closed the connection before it answered");
  const later = await failure(connection.call("hello", {}));
  assert.equal(later.message, "the engine closed the connection before it answered");
  await engine.close();
});

for (const [what, line] of [
  ["no JSON", "HTTP/1.1 400 Bad Request"],
  ["no JSON-RPC", "{}"],
  ["an answer without a result", '{"jsonrpc":"2.0","id":1}'],
] as const) {
  test(`${what} is not taken for an answer`, async () => {
    const engine = await listening([], (socket) => socket.once("data", () => socket.write(`${line}\n`)));
    const connection = await connect(engine.runDir);
    const error = await failure(connection.call("hello", {}));
    assert.equal(error.message, "what answers on the engine's socket is not an engine");
    await engine.close();
  });
}

test("a refusal of a request that the engine could not read ends the call", async () => {
  const line = JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "not JSON" } });
  const engine = await listening([], (socket) => socket.once("data", () => socket.write(`${line}\n`)));
  const connection = await connect(engine.runDir);
  assert.equal((await failure(connection.call("hello", {}))).message, "not JSON");
  await engine.close();
});

test("a request longer than the engine reads is not sent", async () => {
  const engine = await scriptedEngine(() => []);
  const connection = await connect(engine.runDir);
  const names = Array.from({ length: 64 }, () => "x".repeat(40_000));
  assert.equal((await failure(connection.call("sysctl-get", { names }))).message, "too much for one command");
  assert.deepEqual(engine.asked, []);
  connection.close();
  await engine.close();
});
