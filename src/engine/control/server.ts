/**
 * The engine's end of the control socket. Each connection is bounded: in the length of a request, in requests
 * at a time (one, and one of all connections together in a turn of the event loop), in unread output, and in
 * idle time; so is the number of connections. The meaning of a request is decided in methods.ts.
 */

import { chmod, readdir, rename, stat, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import {
  createJSONRPCErrorResponse,
  isJSONRPCID,
  JSONRPCErrorCode,
  type JSONRPCRequest,
  type JSONRPCResponse,
  type JSONRPCServer,
} from "json-rpc-2.0";
import { jsonIn, jsonLine, LineSplitter } from "../../control/framing.ts";
import { MAX_REQUEST_BYTES } from "../../control/messages.ts";
import type { Peer } from "./authorisation.ts";
import { Backlog, type Feed } from "./feed.ts";

const MAX_CONNECTIONS = 256;
const SILENT_MS = 30_000;

/** The client of a request, and its event subscription. */
export interface Caller {
  readonly peer: Peer;
  /** Sends every event of this feed to the client until it disconnects. */
  subscribe(feed: Feed): void;
}

export interface ControlServerOptions {
  readonly path: string;
  readonly rpc: JSONRPCServer<Caller>;
  /** The peer's credentials; undefined when the kernel does not report them. */
  readonly identify: (socket: Socket) => Peer | undefined;
  /** Gets the errors of requests that could not be answered: faults of the engine, not of the client. */
  readonly report: (error: unknown) => void;
}

/** Another engine answers on this path. */
export class AlreadyRunning extends Error {}

export class ControlServer {
  readonly #options: ControlServerOptions;
  #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #turns = new Turns();
  #inode: number | undefined;
  #isClosed = false;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = this.#create();
  }

  #create(): Server {
    return createServer((socket) => this.#accept(socket));
  }

  /**
   * Listens on the path. A socket on which no engine answers is replaced by rename(2), so that a command finds a
   * socket there at any moment.
   *
   * @throws AlreadyRunning
   */
  async listen(): Promise<void> {
    const { path } = this.#options;
    if (await isAnswered(path)) throw new AlreadyRunning(path);
    await removeUnfinished(path);
    await this.#listenOnPath();
  }

  /**
   * Listens again when another program has removed the socket. Connections stay.
   *
   * @returns whether it was removed
   */
  async restore(): Promise<boolean> {
    const error = await stat(this.#options.path).then(
      () => undefined,
      ({ code }: NodeJS.ErrnoException) => code,
    );
    if (error !== "ENOENT" || this.#isClosed) return false;
    this.#server.close();
    this.#server = this.#create();
    await this.#listenOnPath();
    return true;
  }

  async #listenOnPath(): Promise<void> {
    const { path } = this.#options;
    const temporary = `${path}.${process.pid}`;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(temporary, resolve);
    });
    await chmod(temporary, 0o666);
    await rename(temporary, path);
    this.#inode = (await stat(path)).ino;
  }

  /**
   * Whether the socket at the path is this server's: another engine may have replaced it in the same moment.
   */
  async isOurs(): Promise<boolean> {
    const found = await stat(this.#options.path).catch(() => undefined);
    return found?.ino === this.#inode;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const ours = await this.isOurs();
    this.#server.close();
    for (const connection of this.#connections) connection.end();
    if (ours) await unlink(this.#options.path).catch(() => {});
  }

  #accept(socket: Socket): void {
    const peer = this.#options.identify(socket);
    if (peer === undefined) {
      socket.destroy();
      return;
    }
    this.#makeRoom();
    const connection = new Connection(socket, peer, this.#options, this.#turns);
    this.#connections.add(connection);
    socket.once("close", () => this.#connections.delete(connection));
  }

  /**
   * Drops the oldest connection of the user with the most connections: no user can keep others out, and a new
   * connection is not dropped before its first request.
   */
  #makeRoom(): void {
    if (this.#connections.size < MAX_CONNECTIONS) return;
    const users = Map.groupBy(this.#connections, (each) => each.uid).values();
    const [oldest] = users.reduce((most, each) => (each.length > most.length ? each : most));
    if (oldest === undefined) return;
    oldest.drop();
    this.#connections.delete(oldest);
  }
}

/** Runs one step in a turn of the event loop, so that CARP never waits for more than one request. */
class Turns {
  readonly #waiting: (() => void)[] = [];

  push(step: () => void): void {
    this.#waiting.push(step);
    if (this.#waiting.length === 1) setImmediate(() => this.#next());
  }

  #next(): void {
    this.#waiting[0]?.();
    this.#waiting.shift();
    if (this.#waiting.length > 0) setImmediate(() => this.#next());
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #caller: Caller;
  readonly #options: ControlServerOptions;
  readonly #turns: Turns;
  readonly #requests = new LineSplitter(MAX_REQUEST_BYTES - 1);
  #busy = false;
  /** Events not read yet, of a client that subscribed. */
  #backlog: Backlog | undefined;

  constructor(socket: Socket, peer: Peer, options: ControlServerOptions, turns: Turns) {
    this.#socket = socket;
    this.#caller = { peer, subscribe: (feed) => this.#subscribe(feed) };
    this.#options = options;
    this.#turns = turns;
    socket.setTimeout(SILENT_MS, () => {
      // A command may take long; a peer that neither asks nor reads is dropped. A subscriber's backlog is
      // bounded.
      if (this.#backlog !== undefined) return;
      if (!this.#busy || socket.writableLength > 0) this.drop();
    });
    socket.on("error", () => this.drop());
    socket.on("data", (bytes: Buffer) => {
      this.#requests.push(bytes);
      this.#next();
    });
  }

  get uid(): number {
    return this.#caller.peer.uid;
  }

  end(): void {
    this.#socket.end();
    setTimeout(() => this.drop(), 1000).unref();
  }

  drop(): void {
    this.#socket.destroy();
  }

  /** Takes the next request. No more input is read until its reply has been read. */
  #next(): void {
    if (this.#busy || this.#socket.destroyed) return;
    const line = this.#requests.next();
    if (line === undefined) {
      if (this.#requests.isTooLong) this.#refuse(`a request has at most ${MAX_REQUEST_BYTES} bytes`);
      else this.#socket.resume();
      return;
    }
    this.#busy = true;
    this.#socket.pause();
    this.#turns.push(() => {
      void this.#answer(line)
        .catch((error: unknown) => {
          this.#options.report(error);
          this.drop();
        })
        .then(() => {
          this.#busy = false;
          this.#next();
        });
    });
  }

  async #answer(line: Buffer): Promise<void> {
    if (this.#socket.destroyed) return;
    const response = await this.#responseTo(line);
    if (response === null || this.#socket.destroyed) return;
    const read = this.#socket.write(jsonLine(response));
    if (!read)
      await new Promise<void>((resolve) => {
        this.#socket.once("drain", resolve);
        this.#socket.once("close", () => resolve());
      });
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
    return this.#options.rpc.receive(request as JSONRPCRequest, this.#caller);
  }

  #subscribe(feed: Feed): void {
    if (this.#backlog !== undefined || this.#socket.destroyed) return;
    const backlog = new Backlog(() => this.#turns.push(() => this.#pass(backlog)));
    this.#backlog = backlog;
    this.#socket.once("close", feed.subscribe(backlog));
  }

  /** Writes the backlog once everything written before has been read. */
  #pass(backlog: Backlog): void {
    if (this.#socket.destroyed || backlog.isEmpty) return;
    if (this.#socket.writableNeedDrain)
      this.#socket.once("drain", () => this.#turns.push(() => this.#pass(backlog)));
    else {
      this.#socket.write(backlog.take());
      if (!backlog.isEmpty) this.#turns.push(() => this.#pass(backlog));
    }
  }

  #refuse(message: string): void {
    this.#busy = true;
    this.#socket.pause();
    const response = createJSONRPCErrorResponse(null, JSONRPCErrorCode.InvalidRequest, message);
    this.#socket.end(jsonLine(response), () => this.drop());
  }
}

/** Whether a process accepts connections on this path. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

/**
 * Removes the sockets of engines that were killed before the rename. A starting engine answers on its own.
 */
async function removeUnfinished(path: string): Promise<void> {
  const unfinished = (await readdir(dirname(path)))
    .map((name) => join(dirname(path), name))
    .filter((name) => name.startsWith(`${path}.`));
  for (const each of unfinished) if (!(await isAnswered(each))) await unlink(each).catch(() => {});
}
