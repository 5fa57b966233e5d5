/**
 * The engine's end of the control sockets. Root and group `carp` have a socket, places and turns of their own; the
 * connections of all others share places, turns and a budget. The kernel's credentials of the peer decide which a
 * connection belongs to, whichever socket it came through. The meaning of a request is decided in methods.ts.
 */

import type { JSONRPCRequest, JSONRPCServer } from "json-rpc-2.0";
import { nativeProcess } from "../../kernel/process/native-process.ts";
import { nativeUnixSockets } from "../../kernel/process/native-unix-sockets.ts";
import { isPrivileged, type Peer } from "./authorisation.ts";
import { Budget } from "./budget.ts";
import { Clients } from "./clients.ts";
import { type Caller, Connection } from "./connection.ts";
import type { ControlSockets } from "./control-sockets.ts";

const SILENT_MS = 30_000;
/** Of the event loop's time, for users without rights. */
const OTHERS_SHARE = 0.05;

export interface ControlServerOptions {
  readonly rpc: JSONRPCServer<Caller>;
  /** The credentials of the peer of a connected socket; undefined when the kernel does not report them. */
  readonly identify: (socket: number) => Peer | undefined;
  readonly carpGroup: () => number | undefined;
  /** Gets the errors of requests that could not be answered: faults of the engine, not of the client. */
  readonly report: (error: unknown) => void;
  /** A client that neither asks nor reads is dropped after this time. */
  readonly silentMs?: number;
  /** The share of the event loop's time for users without rights. */
  readonly othersShare?: number;
}

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #sockets: ControlSockets;
  readonly #privileged: Clients;
  readonly #others: Clients;
  #isClosed = false;

  /** Serves the clients that reach these sockets, and closes them in the end. */
  constructor(sockets: ControlSockets, options: ControlServerOptions) {
    this.#sockets = sockets;
    this.#options = options;
    const { rpc, report, silentMs = SILENT_MS, othersShare = OTHERS_SHARE } = options;
    const answer = (request: JSONRPCRequest, caller: Caller) => rpc.receive(request, caller);
    const clients = (isPrivileged: boolean, budget?: Budget) =>
      new Clients({
        open: (place) => new Connection({ ...place, answer, report, isPrivileged }),
        isPrivileged,
        budget,
        silentMs,
      });
    this.#privileged = clients(true);
    this.#others = clients(false, new Budget(othersShare));
    this.#accept();
  }

  /**
   * Listens again when another program has removed a socket. Connections stay.
   *
   * @returns whether one was removed
   */
  restore(): boolean {
    if (this.#isClosed) return false;
    const { everyone, admin } = this.#sockets;
    const before = [everyone.listener, admin.listener];
    if (!this.#sockets.restore()) return false;
    for (const listener of before) {
      this.#privileged.ignore(listener);
      this.#others.ignore(listener);
    }
    this.#accept();
    return true;
  }

  /** Whether the sockets are still this server's. */
  get isInPlace(): boolean {
    return this.#sockets.areInPlace;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#privileged.close();
    this.#others.close();
    this.#sockets.close();
  }

  #accept(): void {
    this.#privileged.accept(this.#sockets.admin.listener, (socket) => this.#place(socket));
    this.#others.accept(this.#sockets.everyone.listener, (socket) => this.#place(socket));
  }

  #place(socket: number): void {
    const peer = this.#options.identify(socket);
    if (peer !== undefined && isPrivileged(peer, this.#options.carpGroup()))
      this.#privileged.add(socket, peer);
    // A flood leaves thousands of connections whose clients are gone: those are closed without further work.
    else if (peer !== undefined && nativeProcess.isRead(socket)) this.#others.add(socket, peer);
    else nativeUnixSockets.closeSocket(socket);
  }
}
