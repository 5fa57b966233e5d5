/** The server of metrics: what it answers, and the bounds of every client. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { parseMetricsAddress } from "../../../../src/control/metrics-address.ts";
import type { Refusal } from "../../../../src/control/refusal.ts";
import { listenForScrapes, type MetricsListener } from "../../../../src/engine/metrics/listener.ts";
import { MetricsServer, type MetricsServerOptions } from "../../../../src/engine/metrics/server.ts";
import { nativeUnixSockets } from "../../../../src/kernel/process/native-unix-sockets.ts";

const TEXT = "carp_demotion 0\n";

let directory: string;
let path: string;
let server: MetricsServer;
let readings: number;
let reported: unknown[];
const sockets: Socket[] = [];

function serve(options: Partial<MetricsServerOptions> = {}): void {
  const listener = listenForScrapes({ path }, undefined);
  assert.ok(typeof listener === "object", String(listener));
  server = new MetricsServer([listener], {
    read: async () => {
      readings++;
      return Buffer.from(TEXT);
    },
    report: (error) => reported.push(error),
    ...options,
  });
}

function serveInstead(options: Partial<MetricsServerOptions>): void {
  server.close();
  serve(options);
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "carpctl-metrics-"));
  path = join(directory, "metrics.sock");
  readings = 0;
  reported = [];
  serve();
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
  rmSync(directory, { recursive: true });
});

function client(): Socket {
  const socket = connect(path).on("error", () => {});
  sockets.push(socket);
  return socket;
}

/** Connects when there is room in the backlog. */
async function connected(): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    sockets.push(socket);
    const wait = once(socket, "connect").then(() => true);
    if (await wait.catch(() => false)) return socket.on("error", () => {});
    await new Promise(setImmediate);
  }
}

/** Everything that is answered until the connection is closed. */
function answerTo(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("latin1").on("data", (some) => {
    text += some;
  });
  return new Promise((resolve) => socket.once("close", () => resolve(text)));
}

async function asked(request: string): Promise<{ status: string; head: string; body: string }> {
  const socket = await connected();
  socket.write(request);
  const text = await answerTo(socket);
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  return { status: head.split("\r\n")[0] ?? "", head, body: text.slice(end + 4) };
}

test("GET /metrics is answered with the text, whose type Prometheus knows", async () => {
  for (const request of [
    "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /metrics?debug=1 HTTP/1.0\r\n\r\n",
    "GET /metrics HTTP/1.1\n\n",
  ]) {
    const { status, head, body } = await asked(request);
    assert.equal(status, "HTTP/1.1 200 OK");
    assert.equal(body, TEXT);
    assert.match(head, /^Content-Type: text\/plain; version=0\.0\.4; charset=utf-8\r$/m);
    assert.match(head, new RegExp(`^Content-Length: ${TEXT.length}\r$`, "m"));
  }
});

test("nothing else is: other methods, other paths, no HTTP, long requests", async () => {
  for (const [request, status] of [
    ["HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK"],
    ["POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed"],
    ["DELETE /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"],
    ["GET / HTTP/1.1\r\n\r\n", "404 Not Found"],
    ["GET /metrics/../state.json HTTP/1.1\r\n\r\n", "404 Not Found"],
    ["GET http://x/metrics HTTP/1.1\r\n\r\n", "404 Not Found"],
    ['{"jsonrpc":"2.0","id":1,"method":"destroy","params":{"name":"carp0"}}\n\n', "400 Bad Request"],
    ["PRI * HTTP/2.0\r\n\r\n", "400 Bad Request"],
    [`GET /metrics HTTP/1.1\r\nX: ${"x".repeat(9000)}`, "431 Request Header Fields Too Large"],
  ] as const) {
    const answer = await asked(request);
    assert.equal(answer.status, `HTTP/1.1 ${status}`, request);
    if (request.startsWith("HEAD")) assert.equal(answer.body, "");
  }
  assert.equal(readings, 1);
});

test("a request may come byte by byte", async () => {
  const socket = client();
  const answer = answerTo(socket);
  for (const byte of "GET /metrics HTTP/1.1\r\n\r\n") {
    socket.write(byte);
    await new Promise(setImmediate);
  }
  assert.match(await answer, /^HTTP\/1\.1 200 OK\r\n/);
});

test("clients that ask together share one reading", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  serveInstead({
    read: async () => {
      readings++;
      await promise;
      return Buffer.from(TEXT);
    },
  });
  const answers = Array.from({ length: 10 }, () => asked("GET /metrics HTTP/1.1\r\n\r\n"));
  await asked("GET / HTTP/1.1\r\n\r\n");
  resolve();
  for (const { body } of await Promise.all(answers)) assert.equal(body, TEXT);
  assert.equal(readings, 1);
});

test("clients that ask nothing, or read nothing, are dropped in time and keep no other out", async () => {
  // More than the kernel takes for a client that does not read.
  const large = Buffer.alloc(1 << 20, "x");
  serveInstead({ read: async () => large, scrapeMs: 2000, share: 1 });
  const silent = client();
  const endless = client();
  const lazy = client().pause();
  const drip = setInterval(() => endless.write("x"), 20);
  lazy.write("GET /metrics HTTP/1.1\r\n\r\n");
  assert.equal((await asked("GET /metrics HTTP/1.1\r\n\r\n")).body.length, large.length);
  const [nothing, none] = await Promise.all([answerTo(silent), answerTo(endless)]);
  clearInterval(drip);
  assert.deepEqual([nothing, none], ["", ""]);
  const cut = await answerTo(lazy.resume());
  assert.ok(cut.length < large.length, `${cut.length} bytes`);
});

test("whoever holds every connection, a new one is served", async () => {
  for (let n = 0; n < 200; n++) await connected();
  for (let n = 0; n < 10; n++)
    assert.equal((await asked("GET /metrics HTTP/1.1\r\n\r\n")).status, "HTTP/1.1 200 OK");
});

test("metrics that cannot be read are a fault of the engine, which is reported once", async () => {
  const fault = new Error("a fault");
  serveInstead({ read: () => Promise.reject(fault) });
  assert.equal((await asked("GET /metrics HTTP/1.1\r\n\r\n")).status, "HTTP/1.1 500 Internal Server Error");
  assert.deepEqual(reported, [fault]);
});

test("a server that closes leaves no socket", () => {
  assert.equal(statSync(path).mode & 0o777, 0o666);
  server.close();
  assert.equal(existsSync(path), false);
  serve();
});

test("the socket of an engine that was killed is replaced, and nothing else is", async () => {
  const at = join(directory, "killed.sock");
  const killed = nativeUnixSockets.listenUnix(at, 1);
  assert.match(String(listenForScrapes({ path: at }, undefined)), /: another process listens there$/);
  nativeUnixSockets.closeSocket(killed);
  const listener = listenForScrapes({ path: at }, undefined) as MetricsListener;
  assert.equal(typeof listener, "object");
  nativeUnixSockets.closeSocket(listener.descriptor);
  writeFileSync(join(directory, "file"), "");
  assert.equal(
    listenForScrapes({ path: join(directory, "file") }, undefined),
    `metrics are not served at unix:${directory}/file: it exists and is no socket`,
  );
  const open = join(directory, "open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  assert.match(
    String(listenForScrapes({ path: join(open, "x") }, undefined)),
    /: directory \S+open can be written by others than root$/,
  );
  assert.match(String(listenForScrapes({ path: join(directory, "none/x") }, undefined)), /: ENOENT$/);
});

test("addresses of servers", () => {
  for (const [text, expected] of [
    ["127.0.0.1:9478", { address: "127.0.0.1", port: 9478 }],
    ["0.0.0.0:1", { address: "0.0.0.0", port: 1 }],
    ["[::]:65535", { address: "::", port: 65_535 }],
    ["[2001:DB8::0:1]:80", { address: "2001:db8::1", port: 80 }],
    ["unix:/run/carp/metrics.sock", { path: "/run/carp/metrics.sock" }],
  ] as const)
    assert.deepEqual(parseMetricsAddress(text), expected);
  const expected = "expected ADDRESS:PORT, [IPV6]:PORT or unix:PATH";
  for (const [text, why] of [
    ["9478", expected],
    [":9478", expected],
    ["localhost:9478", expected],
    ["::1:9478", expected],
    ["[10.0.0.1]:80", expected],
    ["10.0.0.1:", expected],
    ["10.0.0.1:0", "port 0: must be 1..65535"],
    ["10.0.0.1:65536", "port 65536: must be 1..65535"],
    ["unix:metrics.sock", "expected unix: and an absolute path"],
    ["unix:/run/", "expected unix: and an absolute path"],
  ])
    assert.deepEqual(parseMetricsAddress(text ?? ""), { refusal: `--metrics ${text}: ${why}` });
  const { refusal } = parseMetricsAddress(`unix:/${"x".repeat(107)}`) as Refusal;
  assert.match(refusal, /: at most 107 bytes of path$/);
});
