/**
 * A client that asks every few milliseconds and keeps account of the answers: how a failover feels from outside.
 */

import { isIPv6 } from "node:net";
import type { LogLine, WaitOptions } from "./log.ts";
import type { Namespace } from "./namespace.ts";
import type { Spawned } from "./spawned.ts";

export interface PingOptions {
  readonly intervalMs?: number;
  /** Stops by itself after so many. */
  readonly count?: number;
  /** The address to ask from; a link-local one with its device behind a percent sign. */
  readonly from?: string;
}

export interface PingReport {
  readonly sent: number;
  /** Each request once, however often it was answered. */
  readonly received: number;
  readonly duplicates: number;
  /** Sequence numbers that were never answered; the last one is left out, its answer may be on its way. */
  readonly lost: readonly number[];
  /** The longest time without an answer, from the first answer to the end. */
  readonly longestGapMs: number;
}

const REPLY = /^\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+) /;

export class Ping {
  readonly #ping: Spawned;

  constructor(namespace: Namespace, address: string, { intervalMs = 10, count, from }: PingOptions = {}) {
    // From 10 ms up ping rounds its waiting up, by 10 ms on some kernels.
    const interval = ((intervalMs - 0.1) / 1000).toFixed(4);
    const words = [isIPv6(address) ? "-6" : "-4", "-n", "-D", "-O", "-i", interval];
    if (count !== undefined) words.push("-c", String(count));
    if (from !== undefined) words.push("-I", from);
    this.#ping = namespace.spawn("ping", [...words, address], {
      name: `ping ${address}`,
      environment: { LC_ALL: "C" },
    });
  }

  /** An answer that comes after now. */
  waitForReply(options: Omit<WaitOptions, "from"> = {}): Promise<LogLine> {
    return this.#ping.log.waitFor(REPLY, { ...options, from: this.#ping.log.length });
  }

  /** A request that is sent after now, or just before, and is not answered by the time of the next one. */
  waitForLoss(options: Omit<WaitOptions, "from"> = {}): Promise<LogLine> {
    return this.#ping.log.waitFor(/no answer yet for icmp_seq=/, { ...options, from: this.#ping.log.length });
  }

  /** For a ping with a `count`: when it has ended. */
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
    const answered = new Set(replies.map(({ sequence }) => sequence));
    const summary = lines.map((text) => /^(\d+) packets transmitted/.exec(text)).find(Boolean);
    if (!summary) throw new Error(`ping said no summary\n${this.#ping.log}`);
    const sent = Number(summary[1]);
    const times = [...replies.map(({ atMs }) => atMs), endedMs];
    return {
      sent,
      received: answered.size,
      duplicates: replies.length - answered.size,
      lost: Array.from({ length: sent - 1 }, (_, n) => n + 1).filter((sequence) => !answered.has(sequence)),
      longestGapMs: times
        .slice(1)
        .reduce((longest, atMs, n) => Math.max(longest, atMs - (times[n] as number)), 0),
    };
  }
}
