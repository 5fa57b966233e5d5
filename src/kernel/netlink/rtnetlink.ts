/**
 * RtNetlink: one rtnetlink socket for requests and notifications. They share it on purpose: the kernel queues the
 * notifications of a request before its acknowledgement, so when a request resolves, everything up to it has been
 * reported. It matches answers to requests and knows nothing of what they mean.
 */

import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { formatMessage, parseError, parseMessages } from "netlink/dist/structs.js";
import { errnoName } from "../native.ts";
import { FLAG, MESSAGE, type Request } from "./bytes.ts";
import { IndexRanges } from "./index-ranges.ts";
import { type Notice, parseNotice } from "./messages.ts";
import { type NetlinkSocket, nativeNetlink } from "./native-netlink.ts";

/** The addon's filter passes only deletions of routes the kernel made: a host may learn a million others. */
const GROUPS = [
  1 /* RTNLGRP_LINK */, 5 /* RTNLGRP_IPV4_IFADDR */, 7 /* RTNLGRP_IPV4_ROUTE */, 9 /* RTNLGRP_IPV6_IFADDR */,
  11 /* RTNLGRP_IPV6_ROUTE */,
];

/** Requests in one datagram: every answer has to fit in the receive buffer before the first one is read. */
const REQUESTS_AT_ONCE = 48;
/** Most takeovers need no more: they are done before the event loop turns. */
const LEAST_AT_ONCE = 8;
/** The kernel performs a datagram before the call returns; on a device with many addresses each request takes long. */
const DATAGRAM_MS = 2;

/** A table that changes while it is read is read again after a pause, and a socket that cannot be opened tried again. */
const AGAIN_MS = 20;
const LONGEST_AGAIN_MS = 1000;

/** The kernel compares every route notification with each range of followed devices. */
const MOST_RANGES = 64;

/** In place of an errno name: the receive buffer overran and took the answer with it. */
export const LOST = "LOST";

export interface RtNetlinkEvents {
  notice(notice: Notice): void;
  /** Notifications were lost and the socket is a new one: links and addresses must be read again. */
  overrun(): void;
}

interface Answer {
  readonly error: string | undefined;
  readonly interrupted: boolean;
  readonly collected: Notice[];
  /** The body of the message that answers the request, if it is no notice. */
  readonly answer: Buffer | undefined;
}

interface Pending {
  readonly collected: Notice[];
  interrupted: boolean;
  answer: Buffer | undefined;
  settle(error: string | undefined): void;
}

export class RtNetlink {
  readonly #events: RtNetlinkEvents;
  readonly #receiveBufferBytes: number;
  readonly #pending = new Map<number, Pending>();
  #socket: NetlinkSocket | undefined;
  #port = 0;
  #isClosed = false;
  /** Devices whose routes are followed. */
  readonly #routesOf = new IndexRanges();
  #sequence = 0;
  /** Requests in the next datagram. */
  #atOnce = REQUESTS_AT_ONCE;

  /** Opens and subscribes. Throws an ErrnoException where there is no netlink. */
  constructor(events: RtNetlinkEvents, receiveBufferBytes: number) {
    this.#events = events;
    this.#receiveBufferBytes = receiveBufferBytes;
    this.#open();
  }

  /**
   * Has the kernel perform these requests, in order and before this returns; the promise waits for the answers.
   * @returns for each the errno name, or undefined where it succeeded; LOST where the answer was lost, though the
   * request may have been carried out.
   */
  async perform(requests: readonly Request[]): Promise<(string | undefined)[]> {
    return (await this.#inTurns(requests)).map(({ error }) => error);
  }

  /** Asks for one thing with each request. @returns the body of each answer; undefined where there is none */
  async query(requests: readonly Request[]): Promise<(Buffer | undefined)[]> {
    return (await this.#inTurns(requests)).map(({ error, answer }) =>
      error === undefined ? answer : undefined,
    );
  }

  async #inTurns(requests: readonly Request[]): Promise<Answer[]> {
    const results: Answer[] = [];
    while (results.length < requests.length) {
      // Answers may follow each other in one turn of the event loop, and timers have to ring in between.
      if (results.length > 0) await turn();
      const some = requests.slice(results.length, results.length + this.#atOnce);
      results.push(...(await this.#exchange(some)));
    }
    return results;
  }

  /** Makes datagrams smaller that keep the event loop too long, and larger again. */
  #paceAfter(tookMs: number): void {
    if (tookMs > DATAGRAM_MS) this.#atOnce = Math.max(LEAST_AT_ONCE, Math.floor(this.#atOnce / 2));
    else if (tookMs < DATAGRAM_MS / 4) this.#atOnce = Math.min(REQUESTS_AT_ONCE, this.#atOnce * 2);
  }

  /** Reads a table whole. @returns an errno name when it could not be read; LOST: the socket was overrun meanwhile */
  async dump(request: Request): Promise<readonly Notice[] | string> {
    for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_AGAIN_MS)) {
      const [answer] = await this.#exchange([request]);
      if (answer === undefined) return "ECANCELED";
      if (answer.error !== undefined) return answer.error;
      if (!answer.interrupted) return answer.collected;
      await sleep(pauseMs, undefined, { ref: false });
    }
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
    const socket = new nativeNetlink.NetlinkSocket(GROUPS, this.#receiveBufferBytes, (datagram) => {
      if (socket !== this.#socket) return;
      if (datagram === undefined) this.#reopen();
      else this.#receive(Buffer.from(datagram.buffer));
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
    const abandoned = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of abandoned) pending.settle(error);
  }

  async #exchange(requests: readonly Request[]): Promise<Answer[]> {
    const socket = this.#socket;
    if (socket === undefined)
      return requests.map(() => ({
        error: "ECANCELED",
        interrupted: false,
        collected: [],
        answer: undefined,
      }));
    const datagram: Uint8Array[] = [];
    const sequences: number[] = [];
    const answers = requests.map(({ type, flags, body }) => {
      const seq = this.#nextSequence();
      sequences.push(seq);
      const data = body.length % 4 === 0 ? body : Buffer.concat([body, Buffer.alloc(4 - (body.length % 4))]);
      datagram.push(
        ...formatMessage({ type, flags: flags | FLAG.REQUEST | FLAG.ACK, seq, port: this.#port, data }),
      );
      return new Promise<Answer>((resolve) => {
        const pending: Pending = {
          collected: [],
          interrupted: false,
          answer: undefined,
          settle: (error) => {
            const { interrupted, collected, answer } = pending;
            resolve({ error, interrupted, collected, answer });
          },
        };
        this.#pending.set(seq, pending);
      });
    });
    const beganMs = performance.now();
    const error = socket.send(Buffer.concat(datagram));
    this.#paceAfter(performance.now() - beganMs);
    if (error !== 0) for (const seq of sequences) this.#settle(seq, errnoName(error));
    return Promise.all(answers);
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence % 0xffff_fffe) + 1;
    return this.#sequence;
  }

  #settle(seq: number, error: string | undefined): void {
    const pending = this.#pending.get(seq);
    this.#pending.delete(seq);
    pending?.settle(error);
  }

  #receive(datagram: Buffer): void {
    let messages: ReturnType<typeof parseMessages>;
    try {
      messages = parseMessages(datagram);
    } catch {
      this.#reopen();
      return;
    }
    for (const { type, flags, seq, port, data } of messages) {
      // A notification caused by our request carries its number too, so the number alone does not make it an answer.
      const answered = port === this.#port ? this.#pending.get(seq) : undefined;
      if (answered && (flags & FLAG.DUMP_INTERRUPTED) !== 0) answered.interrupted = true;
      if (type === MESSAGE.ERROR) {
        const { errno } = parseError(data, flags);
        this.#settle(seq, errno === 0 ? undefined : getSystemErrorName(errno));
      } else if (type === MESSAGE.DONE) {
        this.#settle(seq, undefined);
      } else {
        const notice = parseNotice(type, data, port);
        if (notice === undefined) {
          if (answered) answered.answer = data;
          continue;
        }
        if (answered && (flags & FLAG.MULTI) !== 0) answered.collected.push(notice);
        else this.#events.notice(notice);
      }
    }
  }
}
