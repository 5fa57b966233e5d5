/**
 * The server of metrics: any client that reaches a listening socket may read them. Clients have places, time and a
 * share of the event loop of their own, as those of the control socket have: a slow or hostile one delays nothing.
 */

import type { Peer } from "../control/authorisation.ts";
import { Budget } from "../control/budget.ts";
import { Clients } from "../control/clients.ts";
import { closeListener, type MetricsListener } from "./listener.ts";
import { Scrape } from "./scrape.ts";

const MAX_CONNECTIONS = 64;
/** From its connection to its end. */
const SCRAPE_MS = 10_000;
/** Of the event loop's time, for all scrapes together. */
const SHARE = 0.05;
/** One text serves who asks while it is made, and so many times as long as that took, at most a second. */
const TIMES_ITS_COST = 20;
const MOST_MS = 1000;

/** The kernel does not tell who is at the other end of a TCP connection, and it makes no difference. */
const ANYONE: Peer = { uid: 1, gid: 1, groups: [] };

export interface MetricsServerOptions {
  readonly read: (turn: () => Promise<void>) => Promise<Buffer>;
  /** Gets the errors of readings: faults of the engine, not of the client. */
  readonly report: (error: unknown) => void;
  readonly scrapeMs?: number;
  readonly share?: number;
}

export class MetricsServer {
  readonly #listeners: readonly MetricsListener[];
  readonly #options: MetricsServerOptions;
  readonly #clients: Clients;
  #text: Promise<Buffer> | undefined;
  /** Infinite while it is made. */
  #untilMs = 0;

  /** Serves at these sockets, and closes them in the end. */
  constructor(listeners: readonly MetricsListener[], options: MetricsServerOptions) {
    this.#listeners = listeners;
    this.#options = options;
    const { scrapeMs = SCRAPE_MS, share = SHARE } = options;
    this.#clients = new Clients({
      open: (place) => new Scrape(place, (turn) => this.#shared(turn)),
      isPrivileged: false,
      maxConnections: MAX_CONNECTIONS,
      budget: new Budget(share),
      silentMs: scrapeMs,
    });
    for (const { descriptor } of listeners)
      this.#clients.accept(descriptor, (socket) => this.#clients.add(socket, ANYONE));
  }

  close(): void {
    for (const listener of this.#listeners) {
      this.#clients.ignore(listener.descriptor);
      closeListener(listener);
    }
    this.#clients.close();
  }

  #shared(turn: () => Promise<void>): Promise<Buffer> {
    if (this.#text === undefined || performance.now() >= this.#untilMs) {
      this.#untilMs = Number.POSITIVE_INFINITY;
      this.#text = this.#make(turn);
    }
    return this.#text;
  }

  async #make(turn: () => Promise<void>): Promise<Buffer> {
    const beganMs = performance.now();
    let untilMs = 0;
    try {
      const text = await this.#options.read(turn);
      const nowMs = performance.now();
      untilMs = nowMs + Math.min(MOST_MS, TIMES_ITS_COST * (nowMs - beganMs));
      return text;
    } catch (error) {
      this.#options.report(error);
      throw error;
    } finally {
      this.#untilMs = untilMs;
    }
  }
}
