/** A client that sends echo requests at fixed times, however long nobody answers: see programs/echo-probe.c. */

import type { Host } from "../hosts/index.ts";
import type { Spawned } from "../hosts/spawned.ts";
import { reportOf, start } from "./program.ts";

const ANSWER_WITHIN_MS = 60_000;

export interface Probed {
  readonly address: string;
  readonly sent: number;
  readonly lost: number;
  /** Requests with more than one answer. */
  readonly twice: number;
  /** The longest time between two answers, or from the last one to the end. */
  readonly longestGapMs: number;
  /** The longest time between two requests in that gap; longer than the period, the client was held up itself. */
  readonly pauseMs: number;
}

export class Probe {
  readonly #process: Spawned;

  private constructor(process: Spawned) {
    this.#process = process;
  }

  /** Resolves when every address has answered. */
  static async start(client: Host, addresses: readonly string[], periodUs = 1000): Promise<Probe> {
    const probe = new Probe(await start(client, "echo-probe", [String(periodUs), ...addresses]));
    await probe.#process.log.waitFor(/^sending$/);
    await probe.waitForAnswers();
    return probe;
  }

  /** Resolves when every address has answered a request that is sent after now. */
  async waitForAnswers(): Promise<void> {
    const { log } = this.#process;
    const from = log.length;
    this.#process.kill("SIGUSR1");
    await log.waitFor(/^answered$/, { from, timeoutMs: ANSWER_WITHIN_MS });
  }

  /** Waits for late answers first. @returns what came of each address */
  async stop(): Promise<Probed[]> {
    return (await reportOf(this.#process)).map(([address = "", ...figures]) => {
      const [sent = 0, lost = 0, twice = 0, gapUs = 0, pauseUs = 0] = figures.map(Number);
      return { address, sent, lost, twice, longestGapMs: gapUs / 1000, pauseMs: pauseUs / 1000 };
    });
  }
}
