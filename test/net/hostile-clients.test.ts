/**
 * Clients of the control socket that send malformed requests, too many, or never read: each is answered with
 * an error or dropped, and neither commands nor advertisements wait for it.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { MAX_ROOT_REQUEST_BYTES } from "../../src/control/limits.ts";
import { methods } from "../../src/control/messages.ts";
import {
  type Capture,
  createNetwork,
  eventually,
  type Host,
  type Network,
  wholeState,
} from "../hosts/index.ts";

const OURS = "00:00:5e:00:01:01";

describe("hostile clients", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let advertised: Capture;
  const sockets = new Set<Socket>();

  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24"] }),
      lan.host("b", { addresses: ["10.0.0.3/24"] }),
    ]);
    await Promise.all([a.startEngine(), b.startEngine()]);
    // A starved machine keeps both states: the MASTER's lease lasts 3 s, the BACKUP waits for 9 s.
    for (const [host, advbase] of [
      [a, "1"],
      [b, "3"],
    ] as const) {
      const words = ["carpdev", "eth0", "vhid", "1", "pass", "sesame", "advbase", advbase];
      await host.carpctl("carp0", "10.0.0.1/24", ...words);
      if (host === a) await a.waitForState("carp0", "MASTER");
    }
    await a.waitForAddresses("carp0", ["10.0.0.1/24"]);
    advertised = await b.capture("eth0", `ether src ${OURS} and ip proto 112`);
    await advertised.waitFor(() => advertised.frames.length >= 2);
  });
  after(() => lan.destroy());

  let stateBefore: Awaited<ReturnType<typeof wholeState>>;
  beforeEach(async () => {
    stateBefore = await wholeState(a);
  });

  /** After each test: commands work, nothing has changed, and the peer never took over. */
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    const begin = advertised.frames.length;
    await advertised.waitFor(() => advertised.frames.length >= begin + 2);
    assert.match((await a.carpctl("status")).stdout, /^carp0\s+1\s+MASTER\s/m);
    // The whole state holds the log: no client's request gets into it.
    assert.deepEqual(await wholeState(a), stateBefore);
    assert.deepEqual(b.engine.transitions.slice(1), []);
  });

  /** A connection that is closed after the test at the latest. */
  function open(): Socket {
    const socket = createConnection(join(a.runDirectory, "engine.sock"));
    socket.on("error", () => {});
    sockets.add(socket);
    return socket;
  }

  /** The lines that the engine answers to the bytes, up to a number of lines or until it hangs up. */
  async function say(bytes: string | Uint8Array, lines = 1): Promise<string[]> {
    const socket = open();
    let heard = "";
    socket.setEncoding("utf8");
    socket.write(bytes);
    await new Promise<void>((resolve) => {
      socket.on("close", () => resolve());
      socket.on("data", (text: string) => {
        heard += text;
        if (heard.split("\n").length > lines) resolve();
      });
    });
    socket.destroy();
    return heard.split("\n").slice(0, -1);
  }

  /** The code of the one error that comes back. */
  async function refusal(request: unknown): Promise<number> {
    const [line = ""] = await say(`${typeof request === "string" ? request : JSON.stringify(request)}\n`);
    const { jsonrpc, error, result } = JSON.parse(line);
    assert.equal(result, undefined, line);
    assert.equal(jsonrpc, "2.0");
    assert.equal(typeof error.message, "string");
    return error.code;
  }

  const call = (method: unknown, params: unknown = {}) => ({ jsonrpc: "2.0", id: 1, method, params });
  const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

  test("lines that are not JSON", async () => {
    for (const line of ["", "{", "hello", '{"jsonrpc":"2.0",', "\0", "\u2028", deep(20_000).slice(1)])
      assert.equal(await refusal(line), -32700, line.slice(0, 40));
    for (const bytes of [
      Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x0a]),
      Buffer.concat([
        Buffer.from('{"jsonrpc":"2.0","id":1,"method":"'),
        Buffer.from([0xc3]),
        Buffer.from('"}\n'),
      ]),
    ])
      assert.ok("error" in JSON.parse((await say(bytes))[0] ?? ""));
  });

  test("JSON that is not a request", async () => {
    for (const line of ["null", "5", '"hello"', "true", "[]", "{}", '{"method":"hello"}', deep(30_000)])
      assert.equal(await refusal(line), -32600, line.slice(0, 40));
    for (const value of [null, [], {}, 5, { jsonrpc: "1.0", id: 1, method: "hello" }])
      assert.equal(await refusal({ ...call("hello"), jsonrpc: value }), -32600);
  });

  test("ids and parameters that JSON.stringify cannot write are refused, in every method", async () => {
    // It recurses for objects with integer keys.
    const deepest = `{"0":1,"a":${deep(8000)}}`;
    for (const method of Object.keys(methods)) {
      const ask = (id: string, params: string) =>
        refusal(`{"jsonrpc":"2.0","method":"${method}","id":${id},"params":${params}}`);
      assert.equal(await ask(deepest, "{}"), -32600, method);
      for (const params of [deepest, `{"name":${deepest}}`, `{"name":"carp0","change":{"vhid":${deepest}}}`])
        assert.equal(await ask("1", params), -32602, `${method} ${params.slice(0, 40)}`);
    }
    for (const line of [
      `{"jsonrpc":${deepest},"method":"hello","id":1}`,
      `{"jsonrpc":"2.0","method":"hello","id":1,"result":${deepest}}`,
    ])
      assert.equal(await refusal(line), -32600);
    assert.equal(await refusal(`{"jsonrpc":"2.0","method":${deepest},"id":1}`), -32601);
  });

  test("batches are refused", async () => {
    const one = call("interfaces");
    for (const batch of [[null], [1, 2], [[one]], [one], Array(1000).fill(one), Array(10_000).fill(0)])
      assert.equal(await refusal(batch), -32600, JSON.stringify(batch).slice(0, 40));
  });

  test("unknown methods", async () => {
    for (const method of [
      "",
      "HELLO",
      "__proto__",
      "constructor",
      "toString",
      "hasOwnProperty",
      [],
      {},
      5,
      true,
    ])
      assert.ok([-32601, -32600].includes(await refusal(call(method))), String(method));
  });

  test("parameters of the wrong kind", async () => {
    const name = "carp0";
    const wrong: [string, unknown][] = [
      ["hello", []],
      ["hello", "x"],
      ["hello", { extra: 1 }],
      ["interfaces", 5],
      ["sysctl-get", {}],
      ["sysctl-get", { names: "net" }],
      ["sysctl-get", { names: Array(65).fill("net") }],
      ["create", { name: "../../etc/passwd" }],
      ["create", { name: "carp99999999999999" }],
      ["destroy", {}],
      ["destroy", { name: ["carp0"] }],
      ["change", { name }],
      ["change", { name, change: [] }],
      ["change", { name, change: { vhid: "1" } }],
      ["change", { name, change: { vhid: 1e300 } }],
      ["change", { name, change: { vhid: 1.5 } }],
      ["change", { name, change: { constructor: 1 } }],
      ["change", { name, change: { carpdev: "eth0\u0000" } }],
      ["change", { name, change: { addAddresses: [{}] } }],
      ["change", { name, change: { addAddresses: Array(257).fill({ family: 4 }) } }],
      ["change", { name, change: { carpnodes: Array(33).fill({ vhid: 1, advskew: 1 }) } }],
      ["demote-group", { group: "carp", by: 1e9 }],
      ["demote-group", { group: "carp", by: Number.NaN }],
    ];
    for (const [method, params] of wrong)
      assert.equal(await refusal(call(method, params)), -32602, `${method} ${JSON.stringify(params)}`);
    const proto =
      '{"jsonrpc":"2.0","id":1,"method":"change","params":{"name":"carp0","change":{"__proto__":{"up":false}}}}';
    assert.equal(await refusal(proto), -32602);
  });

  test("a line longer than the limit, with and without an end", async () => {
    const most = MAX_ROOT_REQUEST_BYTES;
    for (const bytes of [`${"x".repeat(most)}\n`, "x".repeat(most + 5000), Buffer.alloc(5_000_000, 0x20)]) {
      const [line = ""] = await say(bytes, 2);
      // A client that still sends when the engine hangs up may miss the answer.
      if (line !== "") assert.match(line, /at most 2097152 bytes/);
    }
    // A line of the greatest length.
    const request = JSON.stringify(call("hello"));
    const [answer = ""] = await say(`${request}${" ".repeat(most - 1 - request.length)}\n`);
    assert.ok("result" in JSON.parse(answer));
  });

  test("requests in pieces and many at once are answered in order", async () => {
    const socket = open();
    socket.setEncoding("utf8");
    let heard = "";
    socket.on("data", (text: string) => {
      heard += text;
    });
    const requests = Array.from(
      { length: 300 },
      (_, id) => `${JSON.stringify({ ...call("hello"), id })}\n`,
    ).join("");
    for (const piece of requests.match(/[\s\S]{1,777}/g) ?? []) socket.write(piece);
    await eventually(
      async () => heard,
      (text) => text.split("\n").length === 301,
    );
    const ids = heard
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).id);
    assert.deepEqual(
      ids,
      Array.from({ length: 300 }, (_, id) => id),
    );
  });

  test("three hundred clients that connect and send nothing, and commands meanwhile", async () => {
    const silent = Array.from({ length: 300 }, open);
    await Promise.all(silent.map((socket) => connected(socket)));
    for (let n = 0; n < 5; n += 1) assert.ok((await say(`${JSON.stringify(call("hello"))}\n`)).length === 1);
    // The oldest are closed for the new ones.
    await eventually(
      async () =>
        silent.filter(
          ({ destroyed, readyState }) => destroyed || readyState === "closed" || readyState === "writeOnly",
        ).length,
      (gone) => gone >= 44,
    );
  });

  test("three hundred clients that send requests and never read", async () => {
    const before = { bytes: memoryBytes(a.engine.pid), files: openFiles(a.engine.pid) };
    const flood = `${JSON.stringify(call("interfaces"))}\n`.repeat(900);
    const deaf = Array.from({ length: 300 }, open);
    for (const socket of deaf) {
      socket.pause();
      socket.write(flood);
    }
    for (let n = 0; n < 5; n += 1) assert.equal((await say(`${JSON.stringify(call("hello"))}\n`)).length, 1);
    const begin = advertised.frames.length;
    await advertised.waitFor(() => advertised.frames.length >= begin + 2);
    assert.match((await a.carpctl("status")).stdout, /^carp0\s+1\s+MASTER\s/m);
    assert.ok(memoryBytes(a.engine.pid) < before.bytes + 128 * 2 ** 20, "memory is bounded");
    assert.ok(openFiles(a.engine.pid) <= before.files + 260, "connections are bounded");
  });

  test("another user's three hundred clients do not cost root a connection, busy or idle", async () => {
    const idle = open();
    await connected(idle);
    const script = [
      "import os, socket, sys, time",
      // Only root may go through the directories above.
      "os.chdir(sys.argv[1])",
      "os.setgroups([]), os.setgid(65534), os.setuid(65534)",
      'flood = b\'{"jsonrpc":"2.0","id":1,"method":"interfaces"}\\n\' * 900',
      "all = []",
      "for n in range(300):",
      "  s = socket.socket(socket.AF_UNIX)",
      "  s.connect('engine.sock')",
      "  s.setblocking(False)",
      "  s.send(flood)",
      "  all.append(s)",
      "print('sent', flush=True)",
      "time.sleep(3600)",
    ].join("\n");
    const flood = a.spawn("/usr/bin/python3", ["-c", script, a.runDirectory]);
    await flood.log.waitFor(/sent/);
    for (let n = 0; n < 5; n += 1) assert.equal((await say(`${JSON.stringify(call("hello"))}\n`)).length, 1);
    const answered = Promise.race([
      once(idle, "data"),
      once(idle, "close").then(() => assert.fail("dropped")),
    ]);
    idle.write(`${JSON.stringify(call("hello"))}\n`);
    await answered;
    flood.kill("SIGKILL");
    await flood.exited;
  });

  test("a hundred clients that read the answers as fast as they come", async () => {
    const flood = `${JSON.stringify(call("interfaces"))}\n`.repeat(100);
    let answered = 0;
    for (let n = 0; n < 100; n += 1) {
      const socket = open();
      socket.on("data", (bytes: Buffer) => {
        for (const byte of bytes) if (byte === 10) answered += 1;
      });
      socket.write(flood);
    }
    await eventually(
      async () => answered,
      (count) => count === 100 * 100,
    );
  });

  test("two thousand clients that connect and close, some in the middle of a request", async () => {
    for (let round = 0; round < 20; round += 1) {
      const round = Array.from({ length: 100 }, open);
      await Promise.all(
        round.map(async (socket, n) => {
          await connected(socket);
          if (n % 3 === 1) socket.write('{"jsonrpc":"2.0","id":1,"meth');
          if (n % 3 === 2) socket.write(`${JSON.stringify(call("interfaces"))}\n`);
          socket.destroy();
        }),
      );
    }
    await eventually(
      async () => openFiles(a.engine.pid),
      (count) => count < 60,
    );
  });
});

/** Resolves when the socket is connected or closed. */
function connected(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (!socket.connecting) return resolve();
    socket.once("connect", resolve);
    socket.once("close", () => resolve());
  });
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function memoryBytes(pid: number): number {
  const [, kilobytes = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}
