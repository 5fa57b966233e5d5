/**
 * RtNetlink: one rtnetlink socket for requests and notifications. They share it on purpose: the kernel queues the
 * notifications of a request before its acknowledgement, so when a request resolves, everything up to it has been
 * reported. It matches answers to requests and knows nothing of what they mean.
 */

import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { formatMessage, parseError, parseMessages } from "netlink/dist/structs.js";
import { FLAG, MESSAGE, type Request } from "./bytes.ts";
import { IndexRanges } from "./index-ranges.ts";
import { type Notice, parseNotice } from "./messages.ts";
import { type NetlinkSocket, nativeNetlink } from "./native-netlink.ts";

/** The addon's filter passes only deletions of routes the kernel made: a host may learn a million others. */
const GROUPS = [
  1 /* RTNLGRP_LINK */, 5 /* RTNLGRP_IPV4_IFADDR */, 7 /* RTNLGRP_IPV4_ROUTE */, 9 /* RTNLGRP_IPV6_IFADDR */,
  11 /* RTNLGRP_IPV6_ROUTE */,
];

/** Requests in one datagram, and datagrams that are not answered: all answers have to fit in the receive buffer. */
const REQUESTS_AT_ONCE = 48;
const DATAGRAMS_AT_ONCE = 2;

/** A table that changes while it is read is read again after a pause, and a socket that cannot be opened tried again. */
const AGAIN_MS = 20;
const LONGEST_AGAIN_MS = 1000;

/** The kernel compares every route notification with each range of followed devices. */
const MOST_RANGES = 64;

/** In place of an errno name: the receive buffer overran and took the answer with it. */
export const LOST = "LOST";

export interface RtNetlinkEvents {
  /** @param message the body of the kernel's message */
  notice(notice: Notice, message: Buffer): void;
  /** Notifications were lost and the socket is a new one: links and addresses must be read again. */
  overrun(): void;
}

interface Answer {
  readonly error: string | undefined;
  /** The body of the message that answers the request, if it is no notice. */
  readonly answer: Buffer | undefined;
}

/** Requests of one caller, and what was answered to each so far. */
interface Call {
  readonly requests: readonly Request[];
  readonly answers: Answer[];
  /** Requests that have been sent, and answered. */
  sent: number;
  answered: number;
  resolve(answers: readonly Answer[]): void;
}

/** A request and its place in its call. */
interface Asked {
  readonly call: Call;
  readonly at: number;
}

/** A request that was sent. */
interface Pending extends Asked {
  answer: Buffer | undefined;
  /** The datagram's last one: when it is answered, all of them are. */
  readonly isLast: boolean;
}

interface Dump {
  readonly collected: Notice[];
  interrupted: boolean;
  settle(error: string | undefined): void;
}

export class RtNetlink {
  readonly #events: RtNetlinkEvents;
  readonly #receiveBufferBytes: number;
  /** By sequence number, in the order they were sent. */
  readonly #pending = new Map<number, Pending>();
  readonly #dumps = new Map<number, Dump>();
  /** Requests performed on another thread, whose answers come in any order with the others. */
  readonly #apart = new Map<number, (error: string | undefined) => void>();
  readonly #waiting: Call[] = [];
  #isSending = false;
  /** Datagrams that are not answered, and what to do when there is room for another one. */
  #underWay = 0;
  #room: (() => void) | undefined;
  #socket: NetlinkSocket | undefined;
  #port = 0;
  #isClosed = false;
  /** Devices whose routes are followed. */
  readonly #routesOf = new IndexRanges();
  #sequence = 0;

  /** Opens and subscribes. Throws an ErrnoException where there is no netlink. */
  constructor(events: RtNetlinkEvents, receiveBufferBytes: number) {
    this.#events = events;
    this.#receiveBufferBytes = receiveBufferBytes;
    this.#open();
  }

  /**
   * Has the kernel perform these requests, in order; the promise waits for the answers.
   * @returns for each the errno name, or undefined where it succeeded; LOST where the answer was lost, though the
   * request may have been carried out.
   */
  async perform(requests: readonly Request[]): Promise<(string | undefined)[]> {
    return (await this.#ask(requests)).map(({ error }) => error);
  }

  /** As `perform`, for a request that the kernel takes long for: others are performed meanwhile. */
  performApart(request: Request): Promise<string | undefined> {
    if (this.#socket === undefined) return Promise.resolve("ECANCELED");
    const seq = this.#nextSequence();
    return new Promise((resolve) => {
      this.#apart.set(seq, resolve);
      this.#socket?.sendApart(this.#message({ ...request, flags: request.flags | FLAG.ACK }, seq));
    });
  }

  /** Asks for one thing with each request. @returns the body of each answer; undefined where there is none */
  async query(requests: readonly Request[]): Promise<(Buffer | undefined)[]> {
    return (await this.#ask(requests)).map(({ error, answer }) => (error === undefined ? answer : undefined));
  }

  #ask(requests: readonly Request[]): Promise<readonly Answer[]> {
    if (requests.length === 0) return Promise.resolve([]);
    return new Promise((resolve) => {
      this.#waiting.push({ requests, answers: [], sent: 0, answered: 0, resolve });
      if (this.#isSending) return;
      this.#isSending = true;
      // After the present event: what many devices need at once goes out together.
      queueMicrotask(() => void this.#sendWaiting());
    });
  }

  /** One datagram in a turn of the event loop, so that timers ring and answers arrive in between. */
  async #sendWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      if (this.#underWay >= DATAGRAMS_AT_ONCE) await this.#answeredOne();
      this.#send(this.#takeWaiting());
      await turn();
    }
    this.#isSending = false;
  }

  #answeredOne(): Promise<void> {
    return new Promise((resolve) => {
      this.#room = resolve;
    });
  }

  /** The requests of the next datagram: those of one call stay together where they fit into one. */
  #takeWaiting(): Asked[] {
    const taken: Asked[] = [];
    for (let call = this.#waiting[0]; call !== undefined; call = this.#waiting[0]) {
      const room = REQUESTS_AT_ONCE - taken.length;
      const left = call.requests.length - call.sent;
      if (left > room && taken.length > 0) break;
      for (const end = call.sent + Math.min(left, room); call.sent < end; call.sent++)
        taken.push({ call, at: call.sent });
      if (left > room) break;
      this.#waiting.shift();
    }
    return taken;
  }

  #send(asked: readonly Asked[]): void {
    const sequences = asked.map(() => this.#nextSequence());
    const messages = asked.map(({ call, at }, n) => {
      const request = call.requests[at] as Request;
      // The last one's acknowledgement is that of all before it, of which only failures are answered.
      const flags = request.flags | (n === asked.length - 1 ? FLAG.ACK : 0);
      return this.#message({ ...request, flags }, sequences[n] ?? 0);
    });
    for (const [n, each] of asked.entries())
      this.#pending.set(sequences[n] ?? 0, { ...each, answer: undefined, isLast: n === asked.length - 1 });
    this.#underWay++;
    if (this.#socket === undefined) for (const seq of sequences) this.#settle(seq, "ECANCELED");
    else this.#socket.send(Buffer.concat(messages));
  }

  #message({ type, flags, body }: Request, seq: number): Uint8Array {
    const data = body.length % 4 === 0 ? body : Buffer.concat([body, Buffer.alloc(4 - (body.length % 4))]);
    return Buffer.concat(formatMessage({ type, flags: flags | FLAG.REQUEST, seq, port: this.#port, data }));
  }

  /** Reads a table whole. @returns an errno name when it could not be read; LOST: the socket was overrun meanwhile */
  async dump(request: Request): Promise<readonly Notice[] | string> {
    for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_AGAIN_MS)) {
      const { error, interrupted, collected } = await this.#dumpOnce(request);
      if (error !== undefined) return error;
      if (!interrupted) return collected;
      await sleep(pauseMs, undefined, { ref: false });
    }
  }

  #dumpOnce(request: Request): Promise<Omit<Dump, "settle"> & { error: string | undefined }> {
    const seq = this.#nextSequence();
    return new Promise((resolve) => {
      const dump: Dump = {
        collected: [],
        interrupted: false,
        settle: (error) => {
          this.#dumps.delete(seq);
          resolve({ ...dump, error });
        },
      };
      this.#dumps.set(seq, dump);
      if (this.#socket === undefined) dump.settle("ECANCELED");
      else this.#socket.send(this.#message(request, seq));
    });
  }

  /** Has the host's own routes through this device reported, or not any more. Some of others may be reported, too. */
  followRoutes(index: number, follows: boolean): void {
    if (follows) this.#routesOf.add(index);
    else this.#routesOf.delete(index);
    this.#followRoutes();
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.close();
    this.#socket = undefined;
    this.#settleAll("ECANCELED");
  }

  #open(): void {
    const socket = new nativeNetlink.NetlinkSocket(GROUPS, this.#receiveBufferBytes, (messages) => {
      if (socket !== this.#socket) return;
      if (messages === undefined) this.#reopen();
      else this.#receive(Buffer.from(messages.buffer));
    });
    this.#socket = socket;
    this.#port = socket.port();
    this.#followRoutes();
  }

  #followRoutes(): void {
    this.#socket?.followRoutes(this.#routesOf.atMost(MOST_RANGES).flatMap(({ from, to }) => [from, to]));
  }

  /** After an overrun it is unknown which answers are still to come: a new socket has none outstanding. */
  #reopen(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#settleAll(LOST);
    this.#openAgain(AGAIN_MS);
  }

  /** No descriptor may be free for a while. */
  #openAgain(pauseMs: number): void {
    if (this.#isClosed) return;
    try {
      this.#open();
    } catch {
      setTimeout(() => this.#openAgain(Math.min(2 * pauseMs, LONGEST_AGAIN_MS)), pauseMs);
      return;
    }
    this.#events.overrun();
  }

  #settleAll(error: string): void {
    for (const dump of [...this.#dumps.values()]) dump.settle(error);
    for (const settle of this.#apart.values()) settle(error);
    this.#apart.clear();
    for (const seq of [...this.#pending.keys()]) this.#settle(seq, error);
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence % 0xffff_fffe) + 1;
    return this.#sequence;
  }

  /** Settles a request. */
  #settle(seq: number, error: string | undefined): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return;
    this.#pending.delete(seq);
    const { call, at, answer, isLast } = pending;
    if (isLast) {
      this.#underWay--;
      this.#room?.();
    }
    call.answers[at] = { error, answer };
    if (++call.answered === call.requests.length) call.resolve(call.answers);
  }

  /** Settles a request that the kernel has answered: those sent before it have succeeded, unless it said otherwise. */
  #answered(seq: number, error: string | undefined): void {
    this.#dumps.get(seq)?.settle(error);
    this.#apart.get(seq)?.(error);
    this.#apart.delete(seq);
    if (!this.#pending.has(seq)) return;
    for (const before of this.#pending.keys()) {
      this.#settle(before, before === seq ? error : undefined);
      if (before === seq) return;
    }
  }

  #receive(bytes: Buffer): void {
    let messages: ReturnType<typeof parseMessages>;
    try {
      messages = parseMessages(bytes);
    } catch {
      this.#reopen();
      return;
    }
    for (const { type, flags, seq, port, data } of messages) {
      // A message that was handled may have closed the socket.
      if (this.#socket === undefined) return;
      const isOurs = port === this.#port;
      const dump = isOurs ? this.#dumps.get(seq) : undefined;
      if (dump && (flags & FLAG.DUMP_INTERRUPTED) !== 0) dump.interrupted = true;
      if (type === MESSAGE.ERROR) {
        const { errno } = parseError(data, flags);
        this.#answered(seq, errno === 0 ? undefined : getSystemErrorName(errno));
      } else if (type === MESSAGE.DONE) {
        this.#answered(seq, undefined);
      } else {
        const notice = parseNotice(type, data, port);
        if (notice !== undefined) {
          // Without the flag it is a notification that came meanwhile.
          if (dump && (flags & FLAG.MULTI) !== 0) dump.collected.push(notice);
          else this.#events.notice(notice, data);
          continue;
        }
        const pending = isOurs ? this.#pending.get(seq) : undefined;
        if (pending) pending.answer = data;
      }
    }
  }
}
