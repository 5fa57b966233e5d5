/**
 * The engine's end of the control socket. Whoever connects is bounded: in the length of a request, in requests at a
 * time (one, and one of all connections together in a turn of the event loop), in what waits to be read back, in
 * connections, and in how long it may say nothing. What a request means is decided in methods.ts.
 */

import { chmod, readdir, rename, stat, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import {
  createJSONRPCErrorResponse,
  JSONRPCErrorCode,
  type JSONRPCRequest,
  type JSONRPCResponse,
  type JSONRPCServer,
} from "json-rpc-2.0";
import { MAX_REQUEST_BYTES } from "../control/messages.ts";
import type { Peer } from "./authorisation.ts";
import { Backlog, type Feed } from "./feed.ts";

const MAX_CONNECTIONS = 256;
const SILENT_MS = 30_000;
const NEWLINE = 0x0a;

/** Who asks, and how he can be told more than he asked. */
export interface Caller {
  readonly peer: Peer;
  /** Everything that this feed tells goes to him, as long as he is connected. */
  subscribe(feed: Feed): void;
}

export interface ControlServerOptions {
  readonly path: string;
  readonly rpc: JSONRPCServer<Caller>;
  /** Who is at the other end; undefined when the kernel does not say. */
  readonly identify: (socket: Socket) => Peer | undefined;
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
   * Takes the path: a socket that nobody answers on is replaced in one step, so that there is never a moment at
   * which a command finds none.
   *
   * @throws AlreadyRunning
   */
  async listen(): Promise<void> {
    const { path } = this.#options;
    if (await isAnswered(path)) throw new AlreadyRunning(path);
    await removeUnfinished(path);
    await this.#take();
  }

  /**
   * Takes the path again where somebody has removed the socket; who is connected stays so.
   *
   * @returns whether that was so
   */
  async restore(): Promise<boolean> {
    const error = await stat(this.#options.path).then(
      () => undefined,
      ({ code }: NodeJS.ErrnoException) => code,
    );
    if (error !== "ENOENT" || this.#isClosed) return false;
    this.#server.close();
    this.#server = this.#create();
    await this.#take();
    return true;
  }

  async #take(): Promise<void> {
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

  /** Whether the path is still ours: another engine may have taken it in the same moment. */
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
    const connection = new Connection(socket, peer, this.#options.rpc, this.#turns);
    this.#connections.add(connection);
    socket.once("close", () => this.#connections.delete(connection));
  }

  /**
   * The user who has the most connections loses the oldest of them: nobody can keep others out, and one who has
   * only just come is not sent away before he could speak.
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

/** One step in a turn of the event loop: however many ask however much, the protocol waits for one at most. */
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
  readonly #rpc: JSONRPCServer<Caller>;
  readonly #turns: Turns;
  #received: Buffer = Buffer.alloc(0);
  #busy = false;
  /** What a feed has told, for a caller that follows one. */
  #backlog: Backlog | undefined;

  constructor(socket: Socket, peer: Peer, rpc: JSONRPCServer<Caller>, turns: Turns) {
    this.#socket = socket;
    this.#caller = { peer, subscribe: (feed) => this.#subscribe(feed) };
    this.#rpc = rpc;
    this.#turns = turns;
    socket.setTimeout(SILENT_MS, () => {
      // A command may take its time; a peer that neither asks nor reads may not. What waits for a subscriber is bounded.
      if (this.#backlog !== undefined) return;
      if (!this.#busy || socket.writableLength > 0) this.drop();
    });
    socket.on("error", () => this.drop());
    socket.on("data", (bytes: Buffer) => {
      this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
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

  /** One request after the other: nothing more is read until the reply has been. */
  #next(): void {
    if (this.#busy || this.#socket.destroyed) return;
    const end = this.#received.indexOf(NEWLINE);
    if (end >= MAX_REQUEST_BYTES || (end < 0 && this.#received.length >= MAX_REQUEST_BYTES)) {
      this.#refuse(`a request has at most ${MAX_REQUEST_BYTES} bytes`);
      return;
    }
    if (end < 0) {
      this.#socket.resume();
      return;
    }
    const line = this.#received.toString("utf8", 0, end);
    this.#received = this.#received.subarray(end + 1);
    this.#busy = true;
    this.#socket.pause();
    this.#turns.push(() => {
      void this.#answer(line).finally(() => {
        this.#busy = false;
        this.#next();
      });
    });
  }

  async #answer(line: string): Promise<void> {
    if (this.#socket.destroyed) return;
    const response = await this.#responseTo(line);
    if (response === null || this.#socket.destroyed) return;
    const read = this.#socket.write(`${JSON.stringify(response)}\n`);
    if (!read)
      await new Promise<void>((resolve) => {
        this.#socket.once("drain", resolve);
        this.#socket.once("close", () => resolve());
      });
  }

  /** Batches are refused: a thousand questions in one would be answered in one turn. */
  async #responseTo(line: string): Promise<JSONRPCResponse | null> {
    let request: unknown;
    try {
      request = JSON.parse(line);
    } catch {
      return createJSONRPCErrorResponse(null, JSONRPCErrorCode.ParseError, "a request is one line of JSON");
    }
    if (typeof request === "object" && request !== null && !Array.isArray(request))
      return this.#rpc.receive(request as JSONRPCRequest, this.#caller);
    return createJSONRPCErrorResponse(null, JSONRPCErrorCode.InvalidRequest, "a request is one JSON object");
  }

  #subscribe(feed: Feed): void {
    if (this.#backlog !== undefined || this.#socket.destroyed) return;
    const backlog = new Backlog(() => this.#turns.push(() => this.#pass(backlog)));
    this.#backlog = backlog;
    this.#socket.once("close", feed.subscribe(backlog));
  }

  /** As much as is there, when all that went before has been read. */
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
    this.#received = Buffer.alloc(0);
    this.#socket.pause();
    const response = createJSONRPCErrorResponse(null, JSONRPCErrorCode.InvalidRequest, message);
    this.#socket.end(`${JSON.stringify(response)}\n`, () => this.drop());
  }
}

/** Whether somebody accepts connections there. */
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

/** Sockets of engines that were killed before theirs had its name. One that just starts answers on its own. */
async function removeUnfinished(path: string): Promise<void> {
  const unfinished = (await readdir(dirname(path)))
    .map((name) => join(dirname(path), name))
    .filter((name) => name.startsWith(`${path}.`));
  for (const each of unfinished) if (!(await isAnswered(each))) await unlink(each).catch(() => {});
}
