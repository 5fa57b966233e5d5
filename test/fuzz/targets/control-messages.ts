/**
 * Lines on the control socket, from root and from nobody: each is answered by a line of JSON, however wrong it is;
 * what is refused has changed nothing, nobody changes nothing at all, and what was taken can be saved and loaded.
 */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { ErrorCode, MAX_REQUEST_BYTES, methods } from "../../../src/control/messages.ts";
import type { Peer } from "../../../src/engine/authorisation.ts";
import { ControlServer } from "../../../src/engine/control-server.ts";
import { Feed } from "../../../src/engine/feed.ts";
import { createMethods } from "../../../src/engine/methods.ts";
import { StateFile } from "../../../src/engine/saved-state.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { change } from "../../unit/core/arbitraries.ts";
import { link, PLAIN, SECOND, Station, World } from "../../unit/core/driver.ts";
import type { Target, Trial } from "../target.ts";

const ROOT: Peer = { uid: 0, gid: 0, groups: [] };
const NOBODY: Peer = { uid: 65534, gid: 65534, groups: [] };

/** How json-rpc-2.0 refuses what is no request; its own errors for what an answer threw are not among them. */
const REFUSALS: readonly unknown[] = [...Object.values(ErrorCode), -32700, -32600, -32601];

const LAST = '{"jsonrpc":"2.0","id":"last","method":"hello"}';

interface Reply {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly error?: { readonly code: number; readonly message: unknown };
}

function station(): Station {
  const made = new Station(new World(), { links: [link("eth0"), link("eth1")] });
  made.set("carp0", PLAIN);
  return made;
}

async function open(): Promise<Trial> {
  const directory = makeDirectory("control");
  const path = join(directory, "engine.sock");
  let peer = ROOT;
  let host = station();
  const complaints: string[] = [];
  const rpc = createMethods(
    {
      version: "0",
      get host() {
        return host.host;
      },
      ready: Promise.resolve(),
      now: () => host.now,
      command: async (command) => host.command(command),
      packets: () => [],
      feed: new Feed(() => 0),
      dataPathObstacle: undefined,
      scriptsAreConfined: false,
      runDir: directory,
      maintenance: async () => ({ effects: [] }),
      serviceStatus: async () => ({ error: "no checks here" }),
      log: (_priority, text) => complaints.push(text),
    },
    () => undefined,
  );
  const server = new ControlServer({ path, rpc, identify: () => peer });
  await server.listen();

  /** @returns what came back before the connection was closed or the last question answered. */
  async function ask(bytes: Uint8Array): Promise<Reply[]> {
    const socket = connect(path);
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
    const before = JSON.stringify(host.host.configuration);
    const replies = await ask(input);
    assert.deepEqual(complaints.splice(0), []);
    for (const { jsonrpc, error } of replies) {
      assert.equal(jsonrpc, "2.0");
      if (error === undefined) continue;
      assert.ok(REFUSALS.includes(error.code), `error ${error.code}`);
      assert.ok(typeof error.message === "string" && error.message !== "");
    }
    const after = JSON.stringify(host.host.configuration);
    const isRefused = !input.includes(0x0a) && replies[0]?.error !== undefined;
    if (isRefused || who === NOBODY) assert.equal(after, before);
    if (after === before) return;
    host.world.run(5 * SECOND);
    await survives();
    host = station();
  }

  /** Another engine begins with the same configuration. */
  async function survives(): Promise<void> {
    const { configuration } = host.host;
    const file = new StateFile(directory);
    await file.save({ configuration, counterCeiling: host.host.counterFloor });
    const loaded = await file.load();
    assert.ok(loaded !== undefined && "configuration" in loaded, inspect(loaded));
    const next = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    next.host.restore(loaded.configuration, () => 0, next.now);
    assert.deepEqual(next.host.configuration, configuration);
  }

  return {
    async feed(input) {
      await feedAs(NOBODY, input);
      await feedAs(ROOT, input);
    },
    async close() {
      await server.close();
      removeDirectory(directory);
    },
  };
}

const json = fc.jsonValue({ maxDepth: 3 });
const name = fc.constantFrom("carp0", "carp1", "carp01", "eth0", "", "carp4294967296");
const variable = fc.constantFrom(
  "net.inet.carp.preempt",
  "net.inet.carp",
  "net",
  "",
  "net.inet.carp.demotion",
);

const params: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  change: fc.record({ name, change }),
  replace: fc.record({ name, change, dryRun: fc.boolean() }),
  create: fc.record({ name }),
  destroy: fc.record({ name }),
  "sysctl-get": fc.record({ names: fc.array(variable, { maxLength: 3 }) }),
  "sysctl-set": fc.record({
    writes: fc.array(fc.record({ name: variable, value: fc.oneof(fc.integer(), fc.double()) }), {
      maxLength: 3,
    }),
  }),
  "demote-group": fc.record({ group: name, by: fc.integer({ min: -129, max: 129 }) }),
  demote: fc.record({ reason: name, by: fc.integer() }),
  promote: fc.record({ reason: name }),
};

const request = fc.constantFrom(...Object.keys(methods), "nonsense").chain((method) =>
  fc.record({
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant("2.0") }, json),
    id: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, json),
    method: fc.oneof({ weight: 9, arbitrary: fc.constant(method) }, json),
    params: fc.oneof({ weight: 9, arbitrary: params[method] ?? fc.constant({}) }, json),
  }),
);

export const controlMessages: Target = {
  name: "control-messages",
  sensible: request.map((each) => Buffer.from(JSON.stringify(each))),
  tokens: [
    ...Object.keys(methods).map((method) => JSON.stringify(method)),
    ...[
      '"2.0"',
      '"params":',
      '"method":',
      '"id":',
      '"jsonrpc":',
      "null",
      "{}",
      "[]",
      "1e999",
      "-1",
      "\\u0000",
    ],
    ...['"__proto__":', '"constructor":', "[[[[", "\n", "\0", "\u2028"],
  ],
  tries: 300,
  open,
};
