/**
 * Clients: the connections of one class of users (root and group `carp`, or all others), with places, turns and, for
 * those others, a budget of their own. Does one step in a turn of the event loop, so that CARP never waits for more than
 * one. Accepts, reads, answers and closes in such steps only, so that all of it is charged to the budget.
 */

import { nativeUnixSockets, type Readiness } from "../../kernel/process/native-unix-sockets.ts";
import type { Peer } from "./authorisation.ts";
import type { Budget } from "./budget.ts";
import { Turns } from "./turns.ts";

const EAGAIN = 11;
const ECONNABORTED = 103;
/** Connections at a time, unless told otherwise. */
const MAX_CONNECTIONS = 256;
const ACCEPTED_IN_A_STEP = 16;
const SILENCE_CHECKS = 6;
/** After a failure to accept, of which lack of descriptors is the likely one. */
const ACCEPT_AGAIN_MS = 100;
/** What waking up costs before a step begins. */
const WAKE_MS = 0.05;

/**
 * Stand for users in turns: accepting connections, and shared answers that are made in several turns. Among privileged
 * users connections are accepted in root's turn, because root may be the next.
 */
const ACCEPTING = -1;
const EVALUATING = -2;
const ROOT = 0;

/** One connection, served in steps. */
export interface Client {
  readonly peer: Pick<Peer, "uid">;
  readonly socket: number;
  /** Does one piece of its work, in a turn that it asked for. */
  step(): void;
  /** Closes it once the client has read what it was sent, as far as it reads. */
  end(): void;
  /** Closes it at once, and reports that. */
  drop(): void;
  isSilent(forMs: number): boolean;
}

/** What a connection needs to be served. */
export interface Place {
  /** Connected; closed with the connection. */
  readonly socket: number;
  readonly peer: Peer;
  /** Asks for a turn: `step` is called in it. */
  readonly ask: () => void;
  /** Has a turn asked for once the socket can be read, or written. */
  readonly watch: (socket: number, reads: boolean, writes: boolean) => void;
  /** Resolves in the next turn of clients like this one. */
  readonly turn: () => Promise<void>;
  /** Reports that it is closed. */
  readonly closed: () => void;
}

export interface ClientsOptions {
  readonly open: (place: Place) => Client;
  /** Root and group `carp`. */
  readonly isPrivileged: boolean;
  readonly maxConnections?: number;
  /** Time of the event loop for these clients; without one it is not limited. */
  readonly budget?: Budget | undefined;
  /** A client that neither asks nor reads is dropped after this time. */
  readonly silentMs: number;
}

export class Clients {
  readonly #options: ClientsOptions;
  readonly #turns = new Turns<() => void>();
  readonly #readiness: Readiness;
  /** Steps to be asked for when a socket is ready. */
  readonly #sockets = new Map<number, () => void>();
  /** Connections by uid, the oldest first. */
  readonly #users = new Map<number, Set<Client>>();
  /** The steps of connections whose turn will come. */
  readonly #asked = new Map<Client, () => void>();
  /** Runs while there are connections: it would wake an idle engine up. */
  #silence: NodeJS.Timeout | undefined;
  #count = 0;
  #isRunning = false;
  #isWatched = false;
  #isClosed = false;
  /** Start of the step whose cost has not been charged yet. */
  #steppedAtMs: number | undefined;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#readiness = new nativeUnixSockets.Readiness(() => this.#woken());
    this.#watchAll();
  }

  /** Passes the connections that reach a listening socket to `take`, some in a step. */
  accept(listener: number, take: (socket: number) => void): void {
    const turn = this.#options.isPrivileged ? ROOT : ACCEPTING;
    const again = () => void (this.#sockets.has(listener) && this.#readiness.watch(listener, true, false));
    const accept = () => {
      for (let n = 0; n < ACCEPTED_IN_A_STEP; n++) {
        if (!this.#sockets.has(listener)) return;
        const socket = nativeUnixSockets.acceptUnix(listener);
        if (socket >= 0) take(socket);
        else if (socket === -EAGAIN) return again();
        else if (socket !== -ECONNABORTED) return void setTimeout(again, ACCEPT_AGAIN_MS).unref();
      }
      this.#push(turn, accept);
    };
    this.#sockets.set(listener, () => this.#push(turn, accept));
    again();
  }

  /** Ends accepting: the listening socket is about to be closed. */
  ignore(listener: number): void {
    this.#sockets.delete(listener);
  }

  /** Serves a connection. */
  add(socket: number, peer: Peer): void {
    if (this.#isClosed) {
      nativeUnixSockets.closeSocket(socket);
      return;
    }
    this.#makeRoom(peer);
    const { isPrivileged, open } = this.#options;
    const connection = open({
      socket,
      peer,
      ask: () => this.#ask(connection),
      watch: (socket, reads, writes) => void this.#readiness.watch(socket, reads, writes),
      turn: () => new Promise((resolve) => this.#push(isPrivileged ? peer.uid : EVALUATING, resolve)),
      closed: () => this.#forget(connection),
    });
    const own = this.#users.get(peer.uid);
    if (own === undefined) this.#users.set(peer.uid, new Set([connection]));
    else own.add(connection);
    this.#count++;
    this.#silence ??= setInterval(() => this.#dropSilent(), this.#options.silentMs / SILENCE_CHECKS).unref();
    this.#sockets.set(socket, () => this.#ask(connection));
    this.#readiness.watch(socket, true, false);
  }

  /** Ends every connection. */
  close(): void {
    this.#isClosed = true;
    for (const own of [...this.#users.values()]) for (const connection of [...own]) connection.end();
    this.#readiness.close();
  }

  /**
   * Drops the oldest connection of the user with the most: no user can keep others out, and a new connection is not
   * dropped before its first request. Root's are dropped for root alone.
   */
  #makeRoom(newcomer: Peer): void {
    if (this.#count < (this.#options.maxConnections ?? MAX_CONNECTIONS)) return;
    let most: Set<Client> | undefined;
    for (const [uid, own] of this.#users)
      if ((uid !== ROOT || newcomer.uid === ROOT) && own.size > (most?.size ?? 0)) most = own;
    const [oldest] = most ?? this.#users.get(ROOT) ?? [];
    oldest?.drop();
  }

  #forget(connection: Client): void {
    const { uid } = connection.peer;
    const own = this.#users.get(uid);
    if (own?.delete(connection)) this.#count--;
    if (own?.size === 0) this.#users.delete(uid);
    if (this.#users.size === 0) {
      clearInterval(this.#silence);
      this.#silence = undefined;
    }
    this.#sockets.delete(connection.socket);
    const step = this.#asked.get(connection);
    if (step !== undefined) this.#turns.remove(uid, step);
    this.#asked.delete(connection);
  }

  #dropSilent(): void {
    for (const own of [...this.#users.values()])
      for (const connection of [...own]) if (connection.isSilent(this.#options.silentMs)) connection.drop();
  }

  #ask(connection: Client): void {
    if (this.#asked.has(connection)) return;
    const step = () => {
      this.#asked.delete(connection);
      connection.step();
    };
    this.#asked.set(connection, step);
    this.#push(connection.peer.uid, step);
  }

  #push(uid: number, step: () => void): void {
    this.#turns.push(uid, step);
    if (this.#isRunning) return;
    this.#isRunning = true;
    setImmediate(() => this.#turn());
  }

  /** One step, and the charge for the one before with all that followed from it in the same turn. */
  #turn(): void {
    const { budget } = this.#options;
    const nowMs = performance.now();
    if (this.#steppedAtMs !== undefined) budget?.charge(nowMs - this.#steppedAtMs);
    this.#steppedAtMs = undefined;
    if (this.#isClosed) return;
    const waitMs = budget?.waitMs ?? 0;
    if (waitMs > 0) {
      setTimeout(() => this.#turn(), waitMs).unref();
      return;
    }
    this.#steppedAtMs = nowMs;
    for (const socket of this.#readiness.take()) this.#sockets.get(socket)?.();
    const step = this.#turns.next();
    if (step === undefined) {
      this.#isRunning = false;
      this.#steppedAtMs = undefined;
      this.#watchAll();
      return;
    }
    step();
    setImmediate(() => this.#turn());
  }

  #watchAll(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    this.#readiness.wake();
  }

  #woken(): void {
    this.#isWatched = false;
    // What is ready is seen when the turns end.
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#options.budget?.charge(WAKE_MS);
    this.#turn();
  }
}
