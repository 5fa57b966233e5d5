/**
 * What happens, passed on to whoever follows: to each as lines of the control protocol, made once for all. What a
 * stranger on the network can cause as often as he likes is told at most once a second, with how often it was.
 */

import { EVENT_METHOD, type HostEvent, type ToldEvent } from "../control/messages.ts";

const REPEATED_AFTER_MS = 1000;

export interface Subscriber {
  /** Must not wait, nor keep more than it can bear. */
  push(line: string): void;
}

interface Held {
  latest: HostEvent | undefined;
  times: number;
}

export class Feed {
  readonly #epochMs: () => number;
  readonly #subscribers = new Set<Subscriber>();
  /** What has been told within the last second, and came again since. */
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
    const subject = repeatable(event);
    if (subject === undefined) {
      this.#pass({ atMs: this.#epochMs(), times: 1, event });
      return;
    }
    const held = this.#held.get(subject);
    if (held === undefined) {
      this.#pass({ atMs: this.#epochMs(), times: 1, event });
      this.#hold(subject);
    } else {
      held.latest = event;
      held.times++;
    }
  }

  #hold(subject: string): void {
    this.#held.set(subject, { latest: undefined, times: 0 });
    setTimeout(() => {
      const { latest: event, times = 0 } = this.#held.get(subject) ?? {};
      this.#held.delete(subject);
      if (event === undefined) return;
      this.#pass({ atMs: this.#epochMs(), times, event });
      this.#hold(subject);
    }, REPEATED_AFTER_MS).unref();
  }

  #pass(told: ToldEvent): void {
    const line = notification(told);
    for (const subscriber of this.#subscribers) subscriber.push(line);
  }
}

/** What may come in floods, by what tells one flood from another; there are not many of these. */
function repeatable(event: HostEvent): string | undefined {
  if (event.kind === "discarded") return `${event.kind} ${event.counter} ${event.interface ?? ""}`;
  if (event.kind === "send-failed") return `${event.kind} ${event.interface} ${event.vhid} ${event.error}`;
  return undefined;
}

function notification(told: ToldEvent): string {
  return `${JSON.stringify({ jsonrpc: "2.0", method: EVENT_METHOD, params: told })}\n`;
}

const MAX_WAITING = 1024;
/** What is handed to a socket whose reader may never read it. */
const AT_ONCE = 64;

/** What one subscriber has not read yet: so many events and no more. Of those left out it is told the number. */
export class Backlog implements Subscriber {
  readonly #wake: () => void;
  readonly #epochMs: () => number;
  readonly #waiting: string[] = [];
  #leftOut = 0;

  /** @param wake is called when there is something to take after there was nothing */
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
    // In the place of those that were left out, now that there is room again.
    if (this.#leftOut > 0) this.#waiting.push(this.#leftOutLine());
    this.#waiting.push(line);
    if (this.#waiting.length === 1) this.#wake();
  }

  /** The first of what waits. */
  take(): string {
    const lines = this.#waiting.splice(0, AT_ONCE);
    if (this.isEmpty && this.#leftOut > 0) lines.push(this.#leftOutLine());
    return lines.join("");
  }

  #leftOutLine(): string {
    const count = this.#leftOut;
    this.#leftOut = 0;
    return notification({ atMs: this.#epochMs(), times: 1, event: { kind: "left-out", count } });
  }
}
