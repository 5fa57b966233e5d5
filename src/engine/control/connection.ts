/**
 * Connection: one client of the control socket. Bounded in the length of a request, in requests at a time (one), in
 * unread output and in idle time. Everything it does is done in a turn that it was given; the meaning of a request is
 * decided in methods.ts.
 */

import {
  createJSONRPCErrorResponse,
  isJSONRPCID,
  JSONRPCErrorCode,
  type JSONRPCRequest,
  type JSONRPCResponse,
} from "json-rpc-2.0";
import { jsonIn, LineSplitter } from "../../control/framing.ts";
import { MAX_REQUEST_BYTES, maxRequestBytes } from "../../control/messages.ts";
import { nativeUnixSockets } from "../../kernel/process/native-unix-sockets.ts";
import type { Peer } from "./authorisation.ts";
import type { Client, Place } from "./clients.ts";
import { Backlog, type Feed } from "./feed.ts";
import { replyLine } from "./shared-answers.ts";

const EAGAIN = -11;
/** Each read goes through here: only what a client really sent takes memory. */
const received = Buffer.alloc(MAX_REQUEST_BYTES);

/** The client of a request. */
export interface Caller {
  readonly peer: Peer;
  /** Whether it is root or a member of group `carp`. */
  readonly isPrivileged: boolean;
  /** Sends every event of this feed to the client until it disconnects. */
  subscribe(feed: Feed): void;
  /** Adds a warning to the answer: what was asked is done, and something is in the way. */
  warn(text: string): void;
  /** Resolves in the next turn of clients like this one: a costly answer is made in several. */
  turn(): Promise<void>;
}

export interface ConnectionOptions extends Place {
  readonly isPrivileged: boolean;
  readonly answer: (request: JSONRPCRequest, caller: Caller) => PromiseLike<JSONRPCResponse | null>;
  /** Gets the errors of requests that could not be answered: faults of the engine, not of the client. */
  readonly report: (error: unknown) => void;
}

export class Connection implements Caller, Client {
  readonly peer: Peer;
  readonly isPrivileged: boolean;
  readonly socket: number;
  readonly #options: ConnectionOptions;
  readonly #maxBytes: number;
  readonly #requests: LineSplitter;
  readonly #unsent: Buffer[] = [];
  #isAnswering = false;
  #isEnding = false;
  #isClosed = false;
  /** Of the request that is being answered. */
  #warnings: string[] = [];
  /** Of the last request, or of the last output that was read. */
  #activeAtMs = performance.now();
  /** Events not read yet, of a client that subscribed. */
  #backlog: Backlog | undefined;
  #unsubscribe = () => {};

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.socket = options.socket;
    this.peer = options.peer;
    this.isPrivileged = options.isPrivileged;
    this.#maxBytes = maxRequestBytes(options.peer.uid);
    this.#requests = new LineSplitter(this.#maxBytes - 1);
  }

  turn(): Promise<void> {
    return this.#options.turn();
  }

  subscribe(feed: Feed): void {
    if (this.#backlog !== undefined || this.#isClosed) return;
    this.#backlog = new Backlog(() => this.#options.ask());
    this.#unsubscribe = feed.subscribe(this.#backlog);
  }

  warn(text: string): void {
    this.#warnings.push(text);
  }

  /**
   * Whether it neither asked nor read for this long. A command may take long, and a subscriber's backlog is bounded.
   */
  isSilent(forMs: number): boolean {
    if (this.#backlog !== undefined || (this.#isAnswering && this.#unsent.length === 0)) return false;
    return performance.now() - this.#activeAtMs >= forMs;
  }

  /** One turn: writes what waits, or answers one request. */
  step(): void {
    if (!this.#flush()) return;
    if (this.#backlog?.isEmpty === false) {
      if (this.#write([Buffer.from(this.#backlog.take())])) this.#options.ask();
      return;
    }
    if (this.#isAnswering) return;
    const line = this.#nextRequest();
    if (this.#isClosed) return;
    if (line !== undefined) void this.#answer(line);
    else if (this.#requests.isTooLong) this.#refuse(`a request has at most ${this.#maxBytes} bytes`);
    else this.#options.watch(this.socket, true, false);
  }

  /** Closes it once the client has read its replies, as far as it reads. */
  end(): void {
    this.#isEnding = true;
    this.#flush();
    this.drop();
  }

  drop(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unsubscribe();
    nativeUnixSockets.closeSocket(this.socket);
    this.#options.closed();
  }

  #nextRequest(): Buffer | undefined {
    const pending = this.#requests.next();
    if (pending !== undefined || this.#requests.isTooLong) return pending;
    const count = nativeUnixSockets.receiveBytes(this.socket, received);
    if (count === 0 || (count < 0 && count !== EAGAIN)) this.drop();
    if (count <= 0) return undefined;
    this.#requests.push(Buffer.from(received.subarray(0, count)));
    return this.#requests.next();
  }

  async #answer(line: Buffer): Promise<void> {
    this.#isAnswering = true;
    this.#warnings = [];
    this.#activeAtMs = performance.now();
    try {
      const response = await this.#responseTo(line);
      this.#isAnswering = false;
      if (this.#isClosed) return;
      if (response === null || this.#write(replyLine(response, this.#warnings))) this.#options.ask();
    } catch (error) {
      this.#options.report(error);
      this.drop();
    }
  }

  /** Answers one request. Batches are refused: a thousand requests in one would be answered in one turn. */
  async #responseTo(line: Buffer): Promise<JSONRPCResponse | null> {
    const request = jsonIn(line);
    if (request === undefined)
      return createJSONRPCErrorResponse(null, JSONRPCErrorCode.ParseError, "a request is one line of JSON");
    const invalid = (why: string) => createJSONRPCErrorResponse(null, JSONRPCErrorCode.InvalidRequest, why);
    if (typeof request !== "object" || request === null || Array.isArray(request))
      return invalid("a request is one JSON object");
    // The reply repeats the id: an object of any depth could not be written.
    if ("id" in request && !isJSONRPCID(request.id))
      return invalid("the id of a request is text, a number or null");
    return this.#options.answer(request as JSONRPCRequest, this);
  }

  #refuse(message: string): void {
    this.#isEnding = true;
    const response = createJSONRPCErrorResponse(null, JSONRPCErrorCode.InvalidRequest, message);
    this.#write(replyLine(response));
  }

  /** Writes behind what waits: a reply may come while events do. @returns whether the kernel took everything */
  #write(pieces: readonly Buffer[]): boolean {
    this.#unsent.push(...pieces);
    return this.#flush();
  }

  /** Writes what waits. @returns whether nothing waits any more, and the connection goes on */
  #flush(): boolean {
    for (let next = this.#unsent[0]; next !== undefined && !this.#isClosed; next = this.#unsent[0]) {
      const count = nativeUnixSockets.sendBytes(this.socket, next);
      if (count === EAGAIN) {
        this.#options.watch(this.socket, false, true);
        return false;
      }
      if (count <= 0) {
        this.drop();
        return false;
      }
      this.#activeAtMs = performance.now();
      if (count === next.length) this.#unsent.shift();
      else this.#unsent[0] = next.subarray(count);
    }
    if (this.#isEnding) this.drop();
    return !this.#isClosed;
  }
}
