/**
 * Connections to the control socket that do what the lines of an input say, and the judgement on what each of them was
 * answered: one answer for each request, in order, until the connection is closed for a reason.
 *
 * Each line is a step: the digit of a connection, what it does, and with which bytes.
 */

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { ErrorCode, maxRequestBytes } from "../../../src/control/messages.ts";
import type { Peer } from "../../../src/engine/control/authorisation.ts";
import { withUnwritable } from "./control-requests.ts";
import { until } from "./in-time.ts";

export const CONNECTIONS = 10;

/** Connections of each user that the server keeps when others flood it. */
const MOST_KEPT = 16;
const MOST_STEPS = 48;
/** Of one request. */
const MOST_PIECES = 200;
const MOST_REPEATS = 300;
const MOST_EVENTS = 3000;
/** More than the server has room for. */
const MOST_SILENT = 600;
const MOST_SENT_BYTES = 2_000_000;

/** The errors with which a request may be refused. */
const REFUSALS: readonly unknown[] = [...Object.values(ErrorCode), -32700, -32600, -32601];

/** The id of each connection's last request, in no input. */
const LAST = "the last of all";

/** Begins the names of the interfaces in the events that an input asks for; their numbers follow. */
const TOLD = "told";

interface Message {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: { readonly event?: { readonly interface?: string; readonly count?: number } };
  readonly result?: unknown;
  readonly error?: { readonly code?: unknown; readonly message?: unknown };
}

export class Client {
  readonly peer: Peer;
  readonly socket: Socket;
  /** Steps not taken yet: one in each round. */
  readonly waiting: (() => void)[] = [];
  pieceBytes = Number.POSITIVE_INFINITY;
  /** Whether there was room for it among those that wait to be accepted. */
  hasConnected = false;
  isClosed = false;
  /** Whether the answer to its last request has come. */
  isAnswered = false;
  /** Whether this end closed the connection, or half of it. */
  hasEnded = false;
  #hasLast = false;
  readonly #sent: Buffer[] = [];
  readonly #received: Buffer[] = [];
  #tail = "";

  constructor(path: string, peer: Peer) {
    this.peer = peer;
    this.socket = connect(path);
    this.socket.on("error", () => {});
    this.socket.on("connect", () => {
      this.hasConnected = true;
    });
    this.socket.on("close", () => {
      this.isClosed = true;
    });
    this.socket.on("data", (bytes: Buffer) => {
      this.#received.push(bytes);
      const text = `${this.#tail}${bytes}`;
      this.#hasLast ||= text.includes(LAST);
      // A long answer comes in pieces.
      this.isAnswered ||= this.#hasLast && text.endsWith("\n");
      this.#tail = text.slice(-LAST.length);
    });
  }

  send(bytes: Buffer): void {
    const pieceBytes = Math.max(this.pieceBytes, Math.ceil(bytes.length / MOST_PIECES));
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      this.waiting.push(() => {
        if (this.isClosed || this.hasEnded) return;
        this.#sent.push(piece);
        this.socket.write(piece);
      });
    }
  }

  end(): void {
    this.hasEnded = true;
    this.socket.end();
  }

  destroy(): void {
    this.hasEnded = true;
    this.socket.destroy();
  }

  get sent(): Buffer {
    return Buffer.concat(this.#sent);
  }

  get received(): string {
    return Buffer.concat(this.#received).toString();
  }

  /** The whole lines that came. */
  get messages(): Message[] {
    return this.received
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }
}

export interface Server {
  readonly path: string;
  /** The user of the connection with this digit. */
  readonly userAt: (digit: number) => Peer;
  /** Called before each connection is opened. */
  readonly opening: (peer: Peer) => void;
  /** Whether there is room for more connections that wait to be accepted. */
  readonly hasAccepted: () => boolean;
  /** Whether users of other processes cannot take the places of this one's connections. */
  readonly keeps: (peer: Peer) => boolean;
  /** Tells subscribers about the creation of an interface of this name. */
  readonly tell: (name: string) => void;
}

/** The connections of one input. */
export class Conversation {
  readonly #server: Server;
  readonly #clients = new Map<number, Client>();
  /** Clients that no step is about (any more). */
  readonly #others: Client[] = [];
  readonly #connections = new Map<number, number>();
  #sentBytes = 0;
  #told = 0;

  constructor(server: Server) {
    this.#server = server;
  }

  async take(input: Uint8Array): Promise<void> {
    const steps = Buffer.from(input)
      .toString("latin1")
      .split("\n")
      .filter((each) => each !== "");
    for (const step of steps.slice(0, MOST_STEPS)) {
      this.#begin(Buffer.from(step, "latin1"));
      // A listening socket has room for some hundred of them.
      await until("accepted", this.#server.hasAccepted);
      await this.#round();
    }
    while ([...this.#clients.values()].some(({ waiting }) => waiting.length > 0)) await this.#round();
  }

  /** Has every connection asked for the last time, and judges what all of them were told. @returns one more, of root */
  async end(root: Peer): Promise<Client> {
    const last = this.#open(root);
    this.#others.push(last);
    const clients = [...this.#clients.values(), last];
    for (const client of clients) {
      client.socket.resume();
      client.pieceBytes = Number.POSITIVE_INFINITY;
      const method = client === last ? "configuration" : "hello";
      client.send(Buffer.from(`\n${JSON.stringify({ jsonrpc: "2.0", id: LAST, method })}\n`));
      for (const step of client.waiting.splice(0)) step();
    }
    await until("the last answers", () => clients.every((each) => each.isClosed || each.isAnswered));
    for (const client of clients) this.#judge(client);
    return last;
  }

  async close(): Promise<void> {
    const all = [...this.#clients.values(), ...this.#others];
    for (const client of all) client.destroy();
    await until("all closed", () => all.every(({ isClosed }) => isClosed));
  }

  /** The users that sent anything. */
  get users(): Set<Peer> {
    return new Set(this.#clients.values().flatMap(({ peer, sent }) => (sent.length === 0 ? [] : [peer])));
  }

  #open(peer: Peer): Client {
    this.#server.opening(peer);
    this.#connections.set(peer.uid, (this.#connections.get(peer.uid) ?? 0) + 1);
    return new Client(this.#server.path, peer);
  }

  #clientAt(digit: number): Client {
    const known = this.#clients.get(digit);
    if (known !== undefined && !known.isClosed && !known.hasEnded) return known;
    if (known !== undefined) {
      // Its place is taken by a new one; what it heard is judged as far as it got.
      known.destroy();
      this.#judge(known);
      this.#others.push(known);
    }
    const client = this.#open(this.#server.userAt(digit));
    this.#clients.set(digit, client);
    return client;
  }

  #begin(step: Buffer): void {
    const text = step.toString("latin1");
    // "0" is the first.
    const digit = ((step[0] ?? 0) + 2) % CONNECTIONS;
    const [, number = "", rest = ""] = /^(\d{0,5}) ?(.*)$/s.exec(text.slice(2)) ?? [];
    const most = (limit: number) => Math.min(Number(number), limit);
    const client = this.#clientAt(digit);
    const send = (line: string) => {
      const bytes = withUnwritable(Buffer.from(line, "latin1"));
      this.#sentBytes += bytes.length;
      if (this.#sentBytes <= MOST_SENT_BYTES) client.send(bytes);
    };
    switch (text[1]) {
      case ".":
        send(text.slice(2));
        break;
      case "*":
        for (let n = most(MOST_REPEATS); n > 0; n--) send(`${rest}\n`);
        break;
      case "c":
        client.waiting.push(() => {
          client.pieceBytes = Math.max(1, Number(number) || 1);
        });
        break;
      case "|":
        client.waiting.push(() => client.end());
        break;
      case "x":
        client.waiting.push(() => client.destroy());
        break;
      case "p":
        client.waiting.push(() => void client.socket.pause());
        break;
      case "r":
        client.waiting.push(() => void client.socket.resume());
        break;
      case "#":
        for (let n = most(MOST_REPEATS); n > 0 && this.#others.length < MOST_SILENT; n--)
          this.#others.push(this.#open(client.peer));
        break;
      case "!":
        for (let n = most(MOST_EVENTS); n > 0; n--) this.#server.tell(`${TOLD}${++this.#told}`);
        break;
      default:
        send(`${text.slice(text[1] === ">" ? 2 : 0)}\n`);
    }
  }

  /** Every connection takes its next step. */
  async #round(): Promise<void> {
    for (const { waiting } of this.#clients.values()) waiting.shift()?.();
    await turn();
  }

  #judge(client: Client): void {
    const expected = expectedFor(client.sent, client.peer.uid);
    const messages = client.messages;
    const answers = messages.filter(({ method }) => method === undefined);
    assert.ok(answers.length <= expected.ids.length, "answered more than once");
    for (const [at, answer] of answers.entries()) {
      assert.equal(answer.jsonrpc, "2.0");
      const allowed = expected.ids[at] ?? [];
      assert.ok(allowed.includes(JSON.stringify(answer.id)), `answer to ${answer.id}, not to ${allowed}`);
      assert.notEqual(answer.error === undefined, answer.result === undefined);
      if (answer.error === undefined) continue;
      assert.ok(REFUSALS.includes(answer.error.code), `error ${answer.error.code}`);
      assert.ok(typeof answer.error.message === "string" && answer.error.message !== "");
    }
    assertNoGap(messages.filter(({ method }) => method !== undefined));
    if (client.hasEnded || (!client.hasConnected && client.peer.uid !== 0)) return;
    const has = (uid: number) => (this.#connections.get(uid) ?? 0) > MOST_KEPT;
    // Root's connections are dropped for root alone, those of members also for root's.
    const mayBeDropped = has(client.peer.uid) || has(0) || !this.#server.keeps(client.peer);
    if (client.isClosed) assert.ok(mayBeDropped || expected.isTooLong, `user ${client.peer.uid} is hung up`);
    else assert.equal(answers.length, expected.ids.length, "a request is not answered");
  }

  /** Asserts that no other user than root is told this pass, or one that only root has sent. */
  assertSecret(pass: string): void {
    const clients = [...this.#clients.values(), ...this.#others];
    const others = clients.filter(({ peer }) => peer.uid !== 0);
    const known = others.map(({ sent }) => sent.toString()).join("\n");
    const named = clients
      .filter(({ peer }) => peer.uid === 0)
      .flatMap(({ sent }) =>
        [...sent.toString().matchAll(/"pass":"([^"\\]{8,})"/g)].map(([, pass = ""]) => pass),
      );
    for (const secret of [pass, ...named.filter((each) => !known.includes(each))])
      for (const { received, peer } of others)
        assert.ok(!received.includes(secret), `user ${peer.uid} is told a pass`);
  }
}

/** What the bytes of one connection are answered with: the ids that each answer may have, as JSON. */
function expectedFor(sent: Buffer, uid: number): { readonly ids: string[][]; readonly isTooLong: boolean } {
  const ids: string[][] = [];
  for (let start = 0; start < sent.length; ) {
    const newline = sent.indexOf(0x0a, start);
    const end = newline < 0 ? sent.length : newline;
    if (end - start >= maxRequestBytes(uid)) return { ids: [...ids, ["null"]], isTooLong: true };
    if (newline < 0) break;
    const allowed = idsFor(sent.subarray(start, end).toString());
    if (allowed !== undefined) ids.push(allowed);
    start = end + 1;
  }
  return { ids, isTooLong: false };
}

/** undefined: a notification, which is not answered. */
function idsFor(line: string): string[] | undefined {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    return ["null"];
  }
  if (typeof request !== "object" || request === null || Array.isArray(request)) return ["null"];
  const { jsonrpc, method, result, error } = request as Record<string, unknown>;
  const isRequest = jsonrpc === "2.0" && method !== undefined && result === undefined && error === undefined;
  if (!("id" in request)) return isRequest ? undefined : ["null"];
  const { id } = request;
  if (typeof id !== "string" && typeof id !== "number" && id !== null) return ["null"];
  return isRequest ? [JSON.stringify(id)] : [JSON.stringify(id), "null"];
}

/** A subscriber hears of every event from its first one on, or how many were left out in between. */
function assertNoGap(notifications: readonly Message[]): void {
  let before: number | undefined;
  let leftOut = 0;
  for (const { params } of notifications) {
    const { interface: name = "", count = 0 } = params?.event ?? {};
    leftOut += count;
    if (!name.startsWith(TOLD)) continue;
    const event = Number(name.slice(TOLD.length));
    if (before !== undefined) assert.equal(event, before + 1 + leftOut, "events are missing");
    before = event;
    leftOut = 0;
  }
}
