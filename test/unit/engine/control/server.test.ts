/** The control sockets: their paths, and the bounds of every connection, with methods of the test's own. */

import assert from "node:assert/strict";
import { existsSync, linkSync, mkdtempSync, readdirSync, rmSync, statSync, unlinkSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { JSONRPCServer } from "json-rpc-2.0";
import { MAX_REQUEST_BYTES, MAX_ROOT_REQUEST_BYTES } from "../../../../src/control/limits.ts";
import type { Peer } from "../../../../src/engine/control/authorisation.ts";
import type { Caller } from "../../../../src/engine/control/connection.ts";
import {
  ControlSockets,
  isAnswered,
  removeUnfinished,
} from "../../../../src/engine/control/control-sockets.ts";
import { Feed } from "../../../../src/engine/control/feed.ts";
import { ControlServer, type ControlServerOptions } from "../../../../src/engine/control/server.ts";

const MAX_CONNECTIONS = 256;
const GROUP = 999;

let directory: string;
let path: string;
let rpc: JSONRPCServer<Caller>;
let server: ControlServer;
/** The credentials of the next connection; undefined: the kernel reports none. */
let peer: Peer | undefined;
/** The number of connections accepted so far. */
let accepted: number;
/** Errors of requests that could not be answered. */
let reported: unknown[];
const clients: Client[] = [];

function serve(options: Partial<ControlServerOptions> = {}): ControlServer {
  const identify = () => {
    accepted++;
    return peer;
  };
  return new ControlServer(new ControlSockets({ runDir: directory, group: () => undefined }), {
    rpc,
    identify,
    carpGroup: () => GROUP,
    report: (error) => reported.push(error),
    ...options,
  });
}

/** Serves with other options. */
function serveInstead(options: Partial<ControlServerOptions>): void {
  server.close();
  server = serve(options);
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-server-"));
  path = join(directory, "engine.sock");
  peer = { uid: 0, gid: 0, groups: [] };
  accepted = 0;
  reported = [];
  rpc = new JSONRPCServer<Caller>();
  rpc.addMethod("echo", (params: unknown) => params);
  server = serve();
});

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
  server.close();
  rmSync(directory, { recursive: true });
});

/** A connection that reads lines. */
class Client {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  readonly #lines: string[] = [];
  #text = "";
  #wake = () => {};

  constructor(to = path) {
    this.socket = connect(to);
    this.socket.on("error", () => {});
    this.socket.on("data", (bytes) => {
      const lines = (this.#text + String(bytes)).split("\n");
      this.#text = lines.pop() ?? "";
      this.#lines.push(...lines);
      this.#wake();
    });
    this.closed = new Promise((resolve) => this.socket.once("close", resolve));
    clients.push(this);
  }

  /** The next line, as the value it holds. */
  async read(): Promise<unknown> {
    while (this.#lines.length === 0)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return JSON.parse(this.#lines.shift() ?? "");
  }

  get unread(): number {
    return this.#lines.length;
  }
}

const request = (id: number, method = "echo", params: unknown = { id }) =>
  `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;
const answer = (id: number, result: unknown = { id }) => ({ jsonrpc: "2.0", id, result });
const refusal = (code: number, message: string) => ({ jsonrpc: "2.0", id: null, error: { code, message } });

async function someTurns(): Promise<void> {
  for (let n = 0; n < 50; n++) await turn();
}

test("every user may connect to engine.sock, and only root to admin.sock where there is no group carp", () => {
  const mode = (name: string) => statSync(join(directory, name)).mode & 0o777;
  assert.deepEqual([mode("engine.sock"), mode("admin.sock")], [0o666, 0o600]);
});

test("group carp may connect to admin.sock where the engine can give it to the group", () => {
  server.close();
  // The one group that a user without privileges may give a file to.
  const group = process.getgid?.() ?? 0;
  const sockets = new ControlSockets({ runDir: directory, group: () => group });
  const { mode, gid } = statSync(join(directory, "admin.sock"));
  assert.deepEqual([mode & 0o777, gid], [0o660, group]);
  sockets.close();
});

test("sockets of another owner", { skip: process.getuid?.() !== 0 }, () => {
  server.close();
  const sockets = new ControlSockets({ runDir: directory, uid: 65_534, group: () => 65_533 });
  const of = (name: string) => {
    const { mode, uid, gid } = statSync(join(directory, name));
    return [(mode & 0o777).toString(8), uid, gid];
  };
  assert.deepEqual(of("engine.sock"), ["666", 65_534, process.getgid?.()]);
  assert.deepEqual(of("admin.sock"), ["660", 65_534, 65_533]);
  sockets.close();
});

test("a request may come in pieces, and several in one", async () => {
  const client = new Client();
  const text = request(1);
  client.socket.write(text.slice(0, 10));
  await someTurns();
  client.socket.write(text.slice(10) + request(2) + request(3));
  for (const id of [1, 2, 3]) assert.deepEqual(await client.read(), answer(id));
});

test("one request at a time: the next one begins when the one before it has been answered", async () => {
  const begun: unknown[] = [];
  const ends: (() => void)[] = [];
  rpc.addMethod("wait", (params: unknown) => {
    begun.push(params);
    return new Promise<null>((resolve) => ends.push(() => resolve(null)));
  });
  const client = new Client();
  client.socket.write(request(1, "wait", ["first"]) + request(2, "wait", ["second"]));
  while (ends.length === 0) await turn();
  await someTurns();
  assert.deepEqual(begun, [["first"]]);
  ends.shift()?.();
  assert.deepEqual(await client.read(), answer(1, null));
  while (ends.length === 0) await turn();
  assert.deepEqual(begun, [["first"], ["second"]]);
  ends.shift()?.();
  assert.deepEqual(await client.read(), answer(2, null));
});

test("a request that takes long holds up no other connection", async () => {
  rpc.addMethod("wait", () => new Promise(() => {}));
  const first = new Client();
  first.socket.write(request(1, "wait"));
  const second = new Client();
  second.socket.write(request(2));
  assert.deepEqual(await second.read(), answer(2));
});

test("batches, and whatever else is no object, are refused, and the connection goes on", async () => {
  const client = new Client();
  for (const text of ["[]", `[${request(1).trim()}]`, "1", "null", '"x"']) {
    client.socket.write(`${text}\n`);
    assert.deepEqual(await client.read(), refusal(-32600, "a request is one JSON object"), text);
  }
  client.socket.write(request(2));
  assert.deepEqual(await client.read(), answer(2));
});

test("lines that are not JSON are refused, empty ones too, and the connection goes on", async () => {
  const client = new Client();
  for (const text of ["", "{", "hello"]) {
    client.socket.write(`${text}\n`);
    assert.deepEqual(await client.read(), refusal(-32700, "a request is one line of JSON"), text);
  }
  client.socket.write(request(2));
  assert.deepEqual(await client.read(), answer(2));
});

test("an id that is neither text, a number nor null is refused, at any depth, and the connection goes on", async () => {
  const client = new Client();
  // JSON.stringify recurses for objects with integer keys.
  const deep = `{"0":1,"a":${"[".repeat(8000)}${"]".repeat(8000)}}`;
  for (const id of ["{}", "[]", "true", deep, `{"0":${deep}}`]) {
    client.socket.write(`{"jsonrpc":"2.0","method":"echo","id":${id}}\n`);
    const refused = refusal(-32600, "the id of a request is text, a number or null");
    assert.deepEqual(await client.read(), refused, id.slice(0, 20));
  }
  for (const id of [-1.5, "", "text"]) {
    client.socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, method: "echo", params: [] })}\n`);
    assert.deepEqual(await client.read(), { jsonrpc: "2.0", id, result: [] });
  }
  assert.deepEqual(reported, []);
});

test("a reply that cannot be written ends its connection and no other", async () => {
  rpc.addMethod("huge", () => 1n);
  const [client, other] = [new Client(), new Client()];
  client.socket.write(request(1, "huge"));
  await client.closed;
  assert.equal(client.unread, 0);
  assert.match(String(reported), /^TypeError: .*BigInt/);
  other.socket.write(request(2));
  assert.deepEqual(await other.read(), answer(2));
});

test("a notification is not answered", async () => {
  const client = new Client();
  client.socket.write(`${JSON.stringify({ jsonrpc: "2.0", method: "echo" })}\n${request(2)}`);
  assert.deepEqual(await client.read(), answer(2));
});

for (const [uid, most] of [
  [0, MAX_ROOT_REQUEST_BYTES],
  [1000, MAX_REQUEST_BYTES],
] as const)
  test(`a request of the greatest length is answered, a longer one is refused and the connection closed: uid ${uid}`, async () => {
    peer = { uid, gid: uid, groups: [] };
    const padded = (bytes: number) => {
      const text = request(1, "echo", { pad: "" });
      return text.replace('"pad":""', `"pad":"${"x".repeat(bytes - text.length)}"`);
    };
    const client = new Client();
    client.socket.write(padded(most));
    assert.equal(((await client.read()) as { id: number }).id, 1);
    client.socket.write(padded(most + 1) + request(2));
    assert.deepEqual(await client.read(), refusal(-32600, `a request has at most ${most} bytes`));
    await client.closed;
    assert.equal(client.unread, 0);
  });

test("a line without an end is refused as soon as it is too long", async () => {
  peer = { uid: 1000, gid: 1000, groups: [] };
  const client = new Client();
  client.socket.write("x".repeat(MAX_REQUEST_BYTES));
  assert.deepEqual(await client.read(), refusal(-32600, `a request has at most ${MAX_REQUEST_BYTES} bytes`));
  await client.closed;
});

test("250 replies that the socket cannot take at once leave nothing behind that Node warns of", async (context) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on("warning", note);
  context.after(() => process.off("warning", note));
  const large = "x".repeat(300_000);
  let blocked = 0;
  rpc.addMethod("large", () => large);
  const client = new Client();
  for (let n = 1; n <= 250; n++) {
    client.socket.pause().write(request(n, "large"));
    await someTurns();
    if (client.unread === 0) blocked++;
    client.socket.resume();
    assert.equal(((await client.read()) as { id: number }).id, n);
  }
  assert.equal(blocked, 250);
  assert.deepEqual(warnings, []);
});

test("an idle connection is dropped; one whose request is being answered is not", async () => {
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  rpc.addMethod("wait", () => {
    resolve();
    return new Promise(() => {});
  });
  serveInstead({ silentMs: 200 });
  const busy = new Client();
  busy.socket.write(request(1, "wait"));
  await begun;
  await new Client().closed;
  // A request that does not end is none.
  const slow = new Client();
  const drip = setInterval(() => slow.socket.write(" "), 5);
  await slow.closed;
  clearInterval(drip);
  assert.equal(busy.socket.destroyed, false);
});

test("no timer runs for silent clients while there is none", async (context) => {
  const set = context.mock.method(globalThis, "setInterval");
  const cleared = context.mock.method(globalThis, "clearInterval");
  const running = () => {
    const ended = new Set(cleared.mock.calls.map(({ arguments: [timer] }) => timer));
    return set.mock.calls.filter(({ result }) => !ended.has(result)).length;
  };
  rpc.addMethod("nothing", () => null);
  serveInstead({});
  const [one, other] = [new Client(), new Client()];
  for (const client of [one, other]) {
    client.socket.write(request(1, "nothing"));
    await client.read();
  }
  assert.equal(running(), 1);
  one.socket.destroy();
  await someTurns();
  assert.equal(running(), 1);
  other.socket.destroy();
  while (running() > 0) await turn();
});

test("the reply to a subscriber that has not read its events yet follows them whole", async () => {
  const feed = new Feed(() => 0);
  rpc.addMethod("monitor", (_: unknown, caller: Caller) => {
    caller.subscribe(feed);
    return {};
  });
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked = false;
  rpc.addMethod("slow", () => {
    asked = true;
    return promise;
  });
  const client = new Client();
  client.socket.write(request(1, "monitor"));
  await client.read();
  client.socket.write(request(2, "slow"));
  while (!asked) await turn();
  client.socket.pause();
  // More than the socket holds.
  for (let n = 0; n < 64; n++) feed.tell({ kind: "complaint", text: "x".repeat(16_384) });
  for (let n = 0; n < 100; n++) await turn();
  resolve("done");
  for (let n = 0; n < 100; n++) await turn();
  client.socket.resume();
  const lines: { id?: number; result?: unknown }[] = [];
  while (lines.length < 65) lines.push((await client.read()) as { id?: number; result?: unknown });
  const replies = lines.filter(({ id }) => id === 2);
  assert.deepEqual(
    replies.map(({ result }) => result),
    ["done"],
  );
});

test("a subscriber may be idle, and gets what the feed tells until it disconnects", async () => {
  const feed = new Feed(() => 1000);
  rpc.addMethod("follow", (_, caller) => {
    caller.subscribe(feed);
    caller.subscribe(feed);
    return null;
  });
  serveInstead({ silentMs: 200 });
  const client = new Client();
  client.socket.write(request(1, "follow"));
  assert.deepEqual(await client.read(), answer(1, null));
  await new Client().closed;
  const event = { kind: "created", interface: "carp0" } as const;
  feed.tell(event);
  feed.tell(event);
  for (let n = 0; n < 2; n++)
    assert.deepEqual(await client.read(), {
      jsonrpc: "2.0",
      method: "event",
      params: { atMs: 1000, times: 1, event },
    });
  client.socket.destroy();
  await someTurns();
  feed.tell(event);
});

test("a connection without credentials is closed", async () => {
  peer = undefined;
  await new Client().closed;
});

test("the user with the most connections makes room: its oldest one goes", async () => {
  const ofUser = async (uid: number, count: number) => {
    peer = { uid, gid: uid, groups: [] };
    const made = Array.from({ length: count }, () => new Client());
    const all = accepted + count;
    while (accepted < all) await turn();
    return made;
  };
  const [other] = await ofUser(2000, 1);
  const greedy = await ofUser(1000, MAX_CONNECTIONS - 1);
  const [late] = await ofUser(2000, 1);
  assert.ok(other && late && greedy[0]);
  await greedy[0].closed;
  for (const client of [other, late, greedy.at(-1) ?? late, greedy[1] ?? late]) {
    client.socket.write(request(7));
    assert.deepEqual(await client.read(), answer(7));
  }
});

test("root's connections are dropped for root alone", async () => {
  // Root's are the most.
  const root = Array.from({ length: MAX_CONNECTIONS - 1 }, () => new Client());
  while (accepted < MAX_CONNECTIONS - 1) await turn();
  peer = { uid: 1000, gid: GROUP, groups: [] };
  const first = new Client();
  while (accepted < MAX_CONNECTIONS) await turn();
  const second = new Client();
  await first.closed;
  for (const client of [second, root[0] ?? second]) {
    client.socket.write(request(7));
    assert.deepEqual(await client.read(), answer(7));
  }
});

test("users without rights do not take the places of root and of group carp", async () => {
  const root = new Client();
  peer = { uid: 1000, gid: GROUP, groups: [] };
  const member = new Client();
  while (accepted < 2) await turn();
  peer = { uid: 2000, gid: 2000, groups: [] };
  const others = Array.from({ length: 300 }, () => new Client());
  while (accepted < 302) await turn();
  await others[43]?.closed;
  for (const client of [root, member, others[44] ?? root]) {
    client.socket.write(request(7));
    assert.deepEqual(await client.read(), answer(7));
  }
});

test("a run directory in which an engine answers is known, and the engine goes on", async () => {
  assert.equal(await isAnswered(directory), true);
  const client = new Client();
  client.socket.write(request(1));
  assert.deepEqual(await client.read(), answer(1));
});

test("sockets that killed engines left are replaced and removed", async () => {
  server.close();
  for (const name of ["engine.sock", "engine.sock.4194304"]) {
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(join(directory, `${name}.tmp`), resolve));
    // A hard link outlives the listener's own name, as a socket outlives a killed engine.
    linkSync(join(directory, `${name}.tmp`), join(directory, name));
    await new Promise((resolve) => dead.close(resolve));
  }
  assert.equal(await isAnswered(directory), false);
  await removeUnfinished(directory);
  server = serve();
  assert.deepEqual(readdirSync(directory).sort(), ["admin.sock", "engine.sock"]);
  const client = new Client();
  client.socket.write(request(1));
  assert.deepEqual(await client.read(), answer(1));
});

test("a socket that was removed is restored, and connections stay", async () => {
  const before = new Client();
  before.socket.write(request(1));
  await before.read();
  for (const removed of [["engine.sock"], ["admin.sock"], ["admin.sock", "engine.sock"]]) {
    assert.equal(server.restore(), false);
    for (const name of removed) unlinkSync(join(directory, name));
    assert.equal(server.isInPlace, !removed.includes("engine.sock"));
    assert.equal(server.restore(), true);
    assert.equal(server.isInPlace, true);
    for (const client of [before, new Client(), new Client(join(directory, "admin.sock"))]) {
      client.socket.write(request(2));
      assert.deepEqual(await client.read(), answer(2));
    }
  }
});

test("a server that is closed removes its own socket, and not another engine's", async () => {
  const other = serve();
  server.close();
  assert.equal(existsSync(path), true);
  assert.equal(server.restore(), false);
  other.close();
  assert.deepEqual(readdirSync(directory), []);
});

test("clients read the end when the server is closed", async () => {
  const client = new Client();
  client.socket.write(request(1));
  await client.read();
  server.close();
  await client.closed;
});
