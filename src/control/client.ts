/**
 * The commands' end of the control socket: one connection, one JSON object a line, JSON-RPC 2.0. Turns every
 * failure into one sentence for a person; never retries and never prints.
 */

import { connect as openSocket, type Socket } from "node:net";
import { join } from "node:path";
import { JSONRPCClient, JSONRPCErrorException, type JSONRPCResponse } from "json-rpc-2.0";
import { jsonIn, jsonLine, readLines } from "./framing.ts";
import { EVENT_METHOD, maxRequestBytes } from "./limits.ts";
import type { EventNotification, Method, Params, Results } from "./messages.ts";

/** In the run directory, for every user. */
export const SOCKET_NAME = "engine.sock";
/** In the run directory, for root and group `carp`: others cannot keep it busy. */
export const ADMIN_SOCKET_NAME = "admin.sock";
/** No engine sends a longer reply. */
const MAX_REPLY_BYTES = 256 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 10_000;
export const UNREACHABLE = -32_000;
const NO_ENGINE = "what answers on the engine's socket is not an engine";

/** Why a call failed. `code` is the engine's JSON-RPC error code, or -32000 when there was no answer.
 */
export class ControlError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Connection {
  /** Rejects with a ControlError. */
  call<M extends Method>(method: M, params: Params<M>): Promise<Results[M]>;
  /** The warnings that came with the answers so far: what was asked is done, and something is in the way. */
  readonly warnings: readonly string[];
  /** Resolves when nothing more can come, for whatever reason. */
  readonly closed: Promise<void>;
  close(): void;
}

export interface ConnectionOptions {
  /** Time for the engine to answer. */
  readonly timeoutMs?: number | undefined;
  /** Gets the events of the engine once `monitor` was called. */
  readonly onEvent?: ((notification: EventNotification) => void) | undefined;
}

/** Rejects with a ControlError when no engine listens in `runDir`. */
export async function connect(runDir: string, options: ConnectionOptions = {}): Promise<Connection> {
  const path = join(runDir, SOCKET_NAME);
  const admin = await openEngineSocket(join(runDir, ADMIN_SOCKET_NAME));
  const socket = admin instanceof Error ? await openEngineSocket(path) : admin;
  if (socket instanceof Error) throw new ControlError(UNREACHABLE, whyNot(path, socket));
  return new SocketConnection(socket, options);
}

function openEngineSocket(path: string): Promise<Socket | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    const socket = openSocket(path);
    socket.once("error", resolve);
    socket.once("connect", () => {
      socket.removeListener("error", resolve);
      resolve(socket);
    });
  });
}

function whyNot(path: string, { code }: NodeJS.ErrnoException): string {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
    case "ECONNREFUSED":
      return `the engine is not running (no ${path}): start it with 'systemctl start carpd' or 'carpctl engine'`;
    case "EACCES":
    case "EPERM":
      return `permission denied: ${path}`;
    case "EAGAIN":
      return "the engine does not answer: too many commands are waiting for it";
    default:
      return `cannot reach the engine at ${path}: ${code ?? "unknown error"}`;
  }
}

class SocketConnection implements Connection {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #onEvent: (notification: EventNotification) => void;
  readonly #end: () => void;
  readonly closed: Promise<void>;
  readonly warnings: string[] = [];
  readonly #rpc: JSONRPCClient;
  /** Set once nothing more can come. */
  #broken: string | undefined;

  constructor(socket: Socket, { timeoutMs = ANSWER_TIMEOUT_MS, onEvent = () => {} }: ConnectionOptions) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#onEvent = onEvent;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#end = resolve;
    this.#rpc = new JSONRPCClient((request: unknown) => this.#send(request));
    readLines(
      socket,
      MAX_REPLY_BYTES,
      (line) => this.#answer(line),
      () => this.#break(NO_ENGINE),
    );
    socket.on("error", () => this.#break("the engine closed the connection before it answered"));
    socket.on("close", () => this.#break("the engine closed the connection before it answered"));
  }

  async call<M extends Method>(method: M, params: Params<M>): Promise<Results[M]> {
    const seconds = this.#timeoutMs / 1000;
    const timely = this.#rpc.timeout(this.#timeoutMs, (id) => ({
      jsonrpc: "2.0",
      id,
      error: { code: UNREACHABLE, message: `the engine did not answer within ${seconds} seconds` },
    }));
    try {
      return (await timely.request(method, params)) as Results[M];
    } catch (error) {
      const code = error instanceof JSONRPCErrorException ? error.code : UNREACHABLE;
      // The library's own code for a request that was cut short is 0.
      throw new ControlError(code === 0 ? UNREACHABLE : code, (error as Error).message);
    }
  }

  close(): void {
    this.#break("the connection was closed");
  }

  #send(request: unknown): void {
    if (this.#broken !== undefined) throw new Error(this.#broken);
    const line = jsonLine(request);
    if (Buffer.byteLength(line) > maxRequestBytes(process.geteuid?.()))
      throw new Error("too much for one command");
    this.#socket.write(line);
  }

  #answer(line: Buffer): void {
    const message = parseMessage(line);
    if (message !== undefined && "notification" in message) {
      this.#onEvent(message.notification);
      return;
    }
    const response = message?.response;
    if (response === undefined) this.#break(NO_ENGINE);
    // Without an id the engine could not read the request, so nothing it was asked will be answered.
    else if (response.id === null) this.#break(response.error?.message ?? "the engine refused the request");
    else {
      this.warnings.push(...warningsOf(response));
      this.#rpc.receive(response);
    }
  }

  #break(reason: string): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#rpc.rejectAllPendingRequests(reason);
    this.#socket.destroy();
    this.#end();
  }
}

/** Undefined: not a message of an engine. */
function parseMessage(
  line: Buffer,
): { readonly response: JSONRPCResponse } | { readonly notification: EventNotification } | undefined {
  const value = jsonIn(line);
  if (typeof value !== "object" || value === null || !("jsonrpc" in value)) return undefined;
  if ("method" in value && value.method === EVENT_METHOD && "params" in value)
    return { notification: value.params as EventNotification };
  if (!("id" in value)) return undefined;
  const answered = "result" in value || ("error" in value && isRpcError(value.error));
  return answered ? { response: value as JSONRPCResponse } : undefined;
}

/** An engine's answer may have them beside its result, because a result of any kind can have some. */
function warningsOf(response: JSONRPCResponse & { readonly warnings?: unknown }): string[] {
  const { warnings } = response;
  return Array.isArray(warnings) ? warnings.filter((each) => typeof each === "string") : [];
}

function isRpcError(error: unknown): boolean {
  return (
    typeof error === "object" && error !== null && "message" in error && typeof error.message === "string"
  );
}
