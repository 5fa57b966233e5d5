/**
 * Scrape: one HTTP connection with one request, GET /metrics, and its end. Bounded in the length of the request and in
 * time, whatever the client does; works in the turns that it is given only. There is no way to change anything.
 */

import { nativeUnixSockets } from "../../kernel/process/native-unix-sockets.ts";
import type { Client, Place } from "../control/clients.ts";
import { CONTENT_TYPE } from "./exposition.ts";

const EAGAIN = -11;
const MAX_REQUEST_BYTES = 8192;
const END_OF_HEADER = /\r?\n\r?\n/;
const REQUEST_LINE = /^(\S+) (\S+) HTTP\/1\.[01]\r?\n/;
/** Each read goes through here: only what a client really sent takes memory. */
const received = Buffer.alloc(MAX_REQUEST_BYTES);

export type ReadMetrics = (turn: () => Promise<void>) => Promise<Buffer>;

export class Scrape implements Client {
  readonly peer: Place["peer"];
  readonly socket: number;
  readonly #place: Place;
  readonly #read: ReadMetrics;
  readonly #openedAtMs = performance.now();
  #request = "";
  #response: Buffer[] | undefined;
  #isAnswering = false;
  #isClosed = false;

  constructor(place: Place, read: ReadMetrics) {
    this.#place = place;
    this.#read = read;
    this.peer = place.peer;
    this.socket = place.socket;
  }

  /** The whole of it is limited in time, however busy the client is. */
  isSilent(forMs: number): boolean {
    return performance.now() - this.#openedAtMs >= forMs;
  }

  step(): void {
    if (this.#isClosed || this.#isAnswering) return;
    if (this.#response === undefined) this.#receive();
    else this.#send(this.#response);
  }

  end(): void {
    if (this.#response !== undefined) this.#send(this.#response);
    this.drop();
  }

  drop(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    nativeUnixSockets.closeSocket(this.socket);
    this.#place.closed();
  }

  #receive(): void {
    const count = nativeUnixSockets.receiveBytes(this.socket, received);
    if (count > 0) this.#request += received.toString("latin1", 0, count);
    if (count === EAGAIN) this.#place.watch(this.socket, true, false);
    else if (count <= 0) this.drop();
    else if (END_OF_HEADER.test(this.#request)) this.#answer();
    else if (this.#request.length >= MAX_REQUEST_BYTES) this.#respond("431 Request Header Fields Too Large");
    else this.#place.ask();
  }

  #answer(): void {
    const [, method, target = ""] = REQUEST_LINE.exec(this.#request) ?? [];
    if (method === undefined) this.#respond("400 Bad Request");
    else if (method !== "GET" && method !== "HEAD") this.#respond("405 Method Not Allowed");
    else if (target.split("?")[0] !== "/metrics") this.#respond("404 Not Found");
    else void this.#measure(method === "HEAD");
  }

  async #measure(isHead: boolean): Promise<void> {
    this.#isAnswering = true;
    const body = await this.#read(() => this.#place.turn()).catch(() => undefined);
    this.#isAnswering = false;
    if (body === undefined) this.#respond("500 Internal Server Error");
    else this.#respond("200 OK", body, isHead);
  }

  #respond(status: string, content?: Buffer, isHead = false): void {
    const body = content ?? Buffer.from(`${status}: metrics are at /metrics\n`);
    if (this.#isClosed) return;
    const lines = [
      `HTTP/1.1 ${status}`,
      `Content-Type: ${status.startsWith("200") ? CONTENT_TYPE : "text/plain"}`,
      "X-Content-Type-Options: nosniff",
      `Content-Length: ${body.length}`,
      ...(status.startsWith("405") ? ["Allow: GET, HEAD"] : []),
      "Connection: close",
    ];
    const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
    this.#response = isHead ? [head] : [head, body];
    this.#place.ask();
  }

  /** Sends as much as the kernel takes; closes it when that was all. */
  #send(response: Buffer[]): void {
    for (let next = response[0]; next !== undefined; next = response[0]) {
      const count = nativeUnixSockets.sendBytes(this.socket, next);
      if (count === EAGAIN) {
        this.#place.watch(this.socket, false, true);
        return;
      }
      if (count <= 0) break;
      if (count === next.length) response.shift();
      else response[0] = next.subarray(count);
    }
    this.drop();
  }
}
