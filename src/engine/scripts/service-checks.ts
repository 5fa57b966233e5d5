/**
 * Service checks: runs them on request, one evaluation at a time, and has the host demoted while one fails.
 * Requests that arrive during an evaluation share the next one.
 */

import type { ServiceCheck, ServiceStatus } from "../../control/messages.ts";
import type { Job, Ran } from "./runner/runner.ts";

/** Between two evaluations: every user may ask for one. */
const PAUSE_MS = 1000;

export interface ServiceChecksOptions {
  /** Whether there is a directory of checks. */
  readonly exist: () => boolean;
  readonly run: (job: Job) => Promise<Ran>;
  /**
   * Demotes for what failed, or takes that back; undefined: leaves it as it is.
   *
   * @returns whether the host is demoted now, or why it could not be done
   */
  readonly judge: (
    failed: readonly string[] | undefined,
  ) => Promise<{ readonly demoted: boolean } | { readonly error: string }>;
}

export type Evaluation = ServiceStatus | { readonly error: string };

export class ServiceChecks {
  readonly #options: ServiceChecksOptions;
  /** Under way, its pause included. */
  #current: Promise<void> = Promise.resolve();
  #next: Promise<Evaluation> | undefined;

  constructor(options: ServiceChecksOptions) {
    this.#options = options;
  }

  /** All checks once, begun after this call. */
  evaluate(): Promise<Evaluation> {
    this.#next ??= this.#current.then(() => {
      this.#next = undefined;
      const evaluation = this.#evaluate();
      this.#current = evaluation.then(pause);
      return evaluation;
    });
    return this.#next;
  }

  async #evaluate(): Promise<Evaluation> {
    const { exist, run, judge } = this.#options;
    // The runner takes as much memory as the engine.
    const ran: Ran = exist() ? await run({ kind: "checks" }) : { results: [] };
    if ("interrupted" in ran)
      return { error: `the service checks did not run to their end: ${ran.interrupted}` };
    const checks: readonly ServiceCheck[] = ran.results;
    const failed = checks.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
    const refused = checks.some(({ outcome }) => outcome === "refused");
    // A check that is not run tells nothing of its service: the demotion stays as it is.
    const judged = await judge(failed.length === 0 && refused ? undefined : failed);
    return "error" in judged ? judged : { ...judged, checks };
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS).unref());
}
