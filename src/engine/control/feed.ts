/**
 * The event feed of `monitor`: turns each event into one line of the control protocol and gives it to every
 * subscriber. Events that a host on the network can cause at will are told at most once a second about the same
 * subject, with their number; changes of a virtual host so only after a burst.
 */

import { jsonLine } from "../../control/framing.ts";
import { EVENT_METHOD, type EventNotification, type HostEvent } from "../../control/messages.ts";

/** Between two lines about the same subject. */
const REPEATED_AFTER_MS = 1000;
/** Changes of a virtual host that are told one by one within this time. */
const BURST = 16;

export interface Subscriber {
  /** Must not block, and must bound the lines that it keeps. */
  push(line: string): void;
}

/** Events of one subject since its last line. */
interface Held {
  latest: HostEvent | undefined;
  times: number;
  /** Events that may still be told one by one. */
  left: number;
}

export class Feed {
  readonly #epochMs: () => number;
  readonly #subscribers = new Set<Subscriber>();
  /** Subjects told within the last second. */
  readonly #held = new Map<string, Held>();

  constructor(epochMs: () => number) {
    this.#epochMs = epochMs;
  }

  /** @returns a function that ends it */
  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => void this.#subscribers.delete(subscriber);
  }

  tell(event: HostEvent): void {
    if (this.#subscribers.size === 0) return;
    const subject = floodSubject(event);
    if (subject === undefined) {
      this.#pass({ atMs: this.#epochMs(), times: 1, event });
      return;
    }
    const held = this.#held.get(subject);
    if (held !== undefined && held.left === 0) {
      held.latest = event;
      held.times++;
      return;
    }
    this.#pass({ atMs: this.#epochMs(), times: 1, event });
    if (held === undefined) this.#hold(subject, burstOf(event) - 1);
    else held.left--;
  }

  #hold(subject: string, left = 0): void {
    this.#held.set(subject, { latest: undefined, times: 0, left });
    setTimeout(() => {
      const { latest: event, times = 0 } = this.#held.get(subject) ?? {};
      this.#held.delete(subject);
      if (event === undefined) return;
      this.#pass({ atMs: this.#epochMs(), times, event });
      this.#hold(subject);
    }, REPEATED_AFTER_MS).unref();
  }

  #pass(told: EventNotification): void {
    const line = notification(told);
    for (const subscriber of this.#subscribers) subscriber.push(line);
  }
}

/** The subject of an event that may come in floods; undefined for all others. There are few subjects. */
function floodSubject(event: HostEvent): string | undefined {
  switch (event.kind) {
    case "discarded":
      return `${event.kind} ${event.counter} ${event.interface ?? ""}`;
    case "send-failed":
      return `${event.kind} ${event.interface} ${event.vhid} ${event.error}`;
    case "transition":
    case "contested":
    case "wrong-digest":
    case "peer-appeared":
    case "peer-gone":
      return `${event.kind} ${event.interface} ${event.vhid}`;
    default:
      return undefined;
  }
}

/** The number of events of a subject that are told one by one. */
function burstOf({ kind }: HostEvent): number {
  return kind === "discarded" || kind === "send-failed" ? 1 : BURST;
}

function notification(told: EventNotification): string {
  return jsonLine({ jsonrpc: "2.0", method: EVENT_METHOD, params: told });
}

const MAX_WAITING = 1024;
/** Lines handed to a socket at a time: its reader may never read them. */
const MAX_LINES_A_WRITE = 64;

/** The events that one subscriber has not read yet, at most 1024. It is told how many more were left out. */
export class Backlog implements Subscriber {
  readonly #wake: () => void;
  readonly #epochMs: () => number;
  readonly #waiting: string[] = [];
  #leftOut = 0;

  /** @param wake is called when the backlog is no longer empty */
  constructor(wake: () => void, epochMs: () => number = Date.now) {
    this.#wake = wake;
    this.#epochMs = epochMs;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  push(line: string): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#leftOut++;
      return;
    }
    // The number of events left out stands in their place.
    if (this.#leftOut > 0) this.#waiting.push(this.#leftOutLine());
    this.#waiting.push(line);
    if (this.#waiting.length === 1) this.#wake();
  }

  /** Removes the oldest lines, at most 64, and returns them. */
  take(): string {
    const lines = this.#waiting.splice(0, MAX_LINES_A_WRITE);
    if (this.isEmpty && this.#leftOut > 0) lines.push(this.#leftOutLine());
    return lines.join("");
  }

  #leftOutLine(): string {
    const count = this.#leftOut;
    this.#leftOut = 0;
    return notification({ atMs: this.#epochMs(), times: 1, event: { kind: "left-out", count } });
  }
}
