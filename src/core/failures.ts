/**
 * Failures: the parts (devices, filters, sockets, the saved state) that effects could not put in place. Each
 * new error is a complaint, and while any part has failed the host tries again every second.
 */

import { SECOND } from "./election/timing.ts";
import type { Part, Timer } from "./event.ts";
import type { Instant, Micros } from "./model.ts";

const RETRY_US: Micros = SECOND;

/** The consequence of an error, by kind of part, which stands before the error in the log line. */
const CONSEQUENCES = {
  device: "",
  filter: "its leases are not enforced: ",
  membership: "packets for its multicast MAC may not arrive: ",
  listening: "cannot listen: ",
  "saved-state": "cannot save the state: ",
} as const satisfies Record<Part["kind"], string>;

export interface FailureEvents {
  /** Tells a person: a log line and an event. */
  complain(text: string): void;
  arm(timer: Timer, atUs: Micros): void;
  cancel(timer: Timer): void;
}

interface Failed {
  readonly part: Part;
  readonly errors: readonly string[];
}

export class Failures {
  readonly #events: FailureEvents;
  readonly #failed = new Map<string, Failed>();
  readonly #timer: Timer = { kind: "retry" };

  constructor(events: FailureEvents) {
    this.#events = events;
  }

  /** Notes the outcome of an effect on this part. @param errors none: the part is in place */
  performed(part: Part, errors: readonly string[], now: Instant): void {
    const key = keyOf(part);
    const former = this.#failed.get(key)?.errors ?? [];
    for (const error of errors)
      if (!former.includes(error))
        this.#events.complain(`${subjectOf(part)}${CONSEQUENCES[part.kind]}${error}`);
    if (errors.length === 0) {
      this.forget(part);
      return;
    }
    if (this.#failed.size === 0) this.#events.arm(this.#timer, now.us + RETRY_US);
    this.#failed.set(key, { part, errors });
  }

  /** Forgets the failure of a part that is in place or no longer wanted. */
  forget(part: Part): void {
    if (!this.#failed.delete(keyOf(part))) return;
    if (this.#failed.size === 0) this.#events.cancel(this.#timer);
  }

  /** Arms the next attempt. @returns the parts to put in place again */
  retry(now: Instant): readonly Part[] {
    if (this.#failed.size > 0) this.#events.arm(this.#timer, now.us + RETRY_US);
    return [...this.#failed.values()].map(({ part }) => part);
  }
}

function keyOf(part: Part): string {
  return `${part.kind} ${subjectOf(part)}`;
}

function subjectOf(part: Part): string {
  if ("interface" in part) return `${part.interface}: `;
  return "carpdev" in part ? `${part.carpdev}: ` : "";
}
