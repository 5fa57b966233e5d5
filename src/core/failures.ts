/**
 * Failures: the parts (devices, filters, sockets, the saved state) that effects could not put in place, and what each
 * carp interface lacks by that. Each new error is a complaint, and while any part has failed the host tries again every
 * second.
 */

import { SECOND } from "./election/timing.ts";
import type { Part, Performed, Timer } from "./event.ts";
import type { Harm, Instant, Micros } from "./model.ts";
import type { Problem, ProblemKind } from "./reason.ts";

const RETRY_US: Micros = SECOND;
/**
 * Addresses are in place on a MASTER only. When they failed there, this host is taken for one on which they will fail
 * again for so long: it must not take over from a healthy host every second.
 */
const HELD_US: Micros = 30 * SECOND;

/** The consequence of an error, by kind of part, which stands before the error in the log line. */
const CONSEQUENCES = {
  device: "",
  filter: "its leases are not enforced: ",
  membership: "packets for its multicast MAC may not arrive: ",
  listening: "cannot listen: ",
  "saved-state": "cannot save the state: ",
} as const satisfies Record<Part["kind"], string>;

/** The names of what a carp interface lacks, by kind of part. */
const PROBLEMS = {
  device: "device-incomplete",
  filter: "leases-not-enforced",
  membership: "group-mac-refused",
  listening: "cannot-listen",
} as const satisfies Record<PartOfInterface["kind"], ProblemKind>;

const SEVERITY = { none: 0, some: 1, all: 2 } as const satisfies Record<Harm, number>;

export interface FailureEvents {
  /** Tells a person: a log line and an event. @param of the carp interface, if it is about one */
  complain(text: string, of: string | undefined): void;
  arm(timer: Timer, atUs: Micros): void;
  cancel(timer: Timer): void;
}

type PartOfInterface = Exclude<Part, { readonly kind: "saved-state" }>;

/** The failed parts of a carp interface. */
export interface NotInPlace {
  /** Each error with its consequence, for people. */
  readonly problems: readonly Problem[];
  readonly harm: Harm;
}

const NOTHING: NotInPlace = { problems: [], harm: "none" };

interface Failed {
  readonly part: Part;
  readonly errors: readonly string[];
  readonly harm: Harm;
  /** Success on a host that is not MASTER proves nothing before this time. */
  readonly heldUntilUs: Micros;
}

export class Failures {
  readonly #events: FailureEvents;
  readonly #failed = new Map<string, Failed>();
  readonly #timer: Timer = { kind: "retry" };

  constructor(events: FailureEvents) {
    this.#events = events;
  }

  /** Notes the outcome of an effect on a part. @returns whether anything has changed */
  performed({ part, errors, harm = "all", whileActive }: Performed, now: Instant): boolean {
    const key = keyOf(part);
    const former = this.#failed.get(key);
    for (const error of errors)
      if (!former?.errors.includes(error)) {
        const of = "interface" in part ? part.interface : undefined;
        this.#events.complain(`${of === undefined ? "" : `${of}: `}${textOf(part, error)}`, of);
      }
    const isHeld = whileActive === false && former !== undefined && now.us < former.heldUntilUs;
    if (errors.length === 0 && !isHeld) return this.forget(part);
    const failed: Failed = {
      part,
      errors: isHeld ? [...new Set([...former.errors, ...errors])] : errors,
      harm:
        isHeld && SEVERITY[former.harm] > SEVERITY[harm] ? former.harm : errors.length > 0 ? harm : "none",
      heldUntilUs: whileActive && harm !== "none" ? now.us + HELD_US : isHeld ? former.heldUntilUs : 0,
    };
    if (this.#failed.size === 0) this.#events.arm(this.#timer, now.us + RETRY_US);
    this.#failed.set(key, failed);
    return former?.harm !== failed.harm || former.errors.join("\n") !== failed.errors.join("\n");
  }

  /** Forgets the failure of a part that is in place or no longer wanted. @returns whether there was one */
  forget(part: Part): boolean {
    if (!this.#failed.delete(keyOf(part))) return false;
    if (this.#failed.size === 0) this.#events.cancel(this.#timer);
    return true;
  }

  /** Lets the next success of this part count, whatever failed before: it is configured anew. */
  release(part: Part): void {
    const failed = this.#failed.get(keyOf(part));
    if (failed !== undefined) this.#failed.set(keyOf(part), { ...failed, heldUntilUs: 0 });
  }

  /** The errors of a part; none: it is in place. */
  errorsOf(part: Part): readonly string[] {
    return this.#failed.get(keyOf(part))?.errors ?? [];
  }

  /** What a carp interface lacks. */
  of(name: string, carpdev: string | undefined): NotInPlace {
    if (this.#failed.size === 0) return NOTHING;
    const parts: PartOfInterface[] = (["device", "filter", "membership"] as const).map((kind) => ({
      kind,
      interface: name,
    }));
    if (carpdev !== undefined) parts.push({ kind: "listening", carpdev });
    const failed = parts.flatMap((part) => {
      const found = this.#failed.get(keyOf(part));
      return found === undefined ? [] : { part, errors: found.errors, harm: found.harm };
    });
    // The gravest first: it is the one that is told when there is room for one.
    failed.sort((a, b) => SEVERITY[b.harm] - SEVERITY[a.harm]);
    return {
      problems: failed.flatMap(({ part, errors }) =>
        errors.map((error) => ({ kind: PROBLEMS[part.kind], text: textOf(part, error) })),
      ),
      harm: failed[0]?.harm ?? "none",
    };
  }

  /** Arms the next attempt. @returns the parts to put in place again */
  retry(now: Instant): readonly Part[] {
    if (this.#failed.size > 0) this.#events.arm(this.#timer, now.us + RETRY_US);
    return [...this.#failed.values()].map(({ part }) => part);
  }
}

function keyOf(part: Part): string {
  return `${part.kind} ${"interface" in part ? part.interface : "carpdev" in part ? part.carpdev : ""}`;
}

/** An error with its consequence, for a line that names the interface already. */
function textOf(part: Part, error: string): string {
  return `${"carpdev" in part ? `${part.carpdev}: ` : ""}${CONSEQUENCES[part.kind]}${error}`;
}
