/**
 * A client that pings every few milliseconds and records which requests were answered: what a client notices
 * of a failover.
 */

import { isIPv6 } from "node:net";
import type { LogLine, WaitOptions } from "./log.ts";
import type { Namespace } from "./namespace.ts";
import type { Spawned } from "./spawned.ts";

export interface PingOptions {
  readonly intervalMs?: number;
  /** Ends when so many are answered, or after DEADLINE_S; the report is about the first so many. */
  readonly count?: number;
  /** The source address; a link-local one with its device behind a percent sign. */
  readonly from?: string;
}

export interface PingReport {
  readonly sent: number;
  /** Each request once, however often it was answered. */
  readonly received: number;
  readonly duplicates: number;
  /** Sequence numbers that were never answered; without a `count` the last one does not count. */
  readonly lost: readonly number[];
  /** The longest time without an answer, from the first answer to the end. */
  readonly longestGapMs: number;
}

/**
 * A starved machine's answers are late, and ping by itself waits for the last one no longer than an interval.
 */
const DEADLINE_S = 20;

const REPLY = /^\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+) /;

export class Ping {
  readonly #ping: Spawned;
  readonly #count: number | undefined;

  constructor(namespace: Namespace, address: string, { intervalMs = 10, count, from }: PingOptions = {}) {
    this.#count = count;
    // From 10 ms up ping rounds its interval up, by 10 ms on some kernels.
    const interval = ((intervalMs - 0.1) / 1000).toFixed(4);
    const words = [isIPv6(address) ? "-6" : "-4", "-n", "-D", "-O", "-i", interval];
    if (count !== undefined) words.push("-c", String(count), "-w", String(DEADLINE_S));
    if (from !== undefined) words.push("-I", from);
    this.#ping = namespace.spawn("ping", [...words, address], {
      name: `ping ${address}`,
      environment: { LC_ALL: "C" },
    });
  }

  /** Resolves with the first answer that comes after now. */
  waitForReply(options: Omit<WaitOptions, "from"> = {}): Promise<LogLine> {
    return this.#ping.log.waitFor(REPLY, { ...options, from: this.#ping.log.length });
  }

  /**
   * Resolves when a request that is sent after now, or just before, is not answered by the time of the next
   * one.
   */
  waitForLoss(options: Omit<WaitOptions, "from"> = {}): Promise<LogLine> {
    return this.#ping.log.waitFor(/no answer yet for icmp_seq=/, { ...options, from: this.#ping.log.length });
  }

  /** Resolves when a ping with a `count` has ended. */
  async finished(): Promise<PingReport> {
    await this.#ping.exited;
    return this.#report();
  }

  async stop(): Promise<PingReport> {
    this.#ping.kill("SIGINT");
    return this.finished();
  }

  #report(): PingReport {
    const endedMs = Date.now();
    const lines = this.#ping.log.lines.map(({ text }) => text);
    const replies = lines.flatMap((text) => {
      const [, seconds, sequence] = REPLY.exec(text) ?? [];
      return seconds === undefined ? [] : [{ atMs: Number(seconds) * 1000, sequence: Number(sequence) }];
    });
    const summary = lines.map((text) => /^(\d+) packets transmitted/.exec(text)).find(Boolean);
    if (!summary) throw new Error(`ping printed no summary\n${this.#ping.log}`);
    const transmitted = Number(summary[1]);
    const sent = Math.min(transmitted, this.#count ?? transmitted);
    // The answer to the last request may be on its way when ping is stopped.
    const judged = this.#count === undefined ? sent - 1 : sent;
    const all = replies.map(({ sequence }) => sequence);
    const answered = new Set(all);
    const times = [...replies.map(({ atMs }) => atMs), endedMs];
    return {
      sent,
      received: [...answered].filter((sequence) => sequence <= sent).length,
      duplicates: all.length - answered.size,
      lost: Array.from({ length: judged }, (_, n) => n + 1).filter((sequence) => !answered.has(sequence)),
      longestGapMs: times
        .slice(1)
        .reduce((longest, atMs, n) => Math.max(longest, atMs - (times[n] as number)), 0),
    };
  }
}
