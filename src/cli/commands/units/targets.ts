/**
 * The systemd targets that are to be active: carp-master@carpN.target while carpN is MASTER, carp-backup@carpN.target
 * while it is BACKUP. Pure: knows what the engine said last and for how long that holds once the engine is gone.
 */

import { INTERFACE_NAME } from "../../../control/limits.ts";
import type { InterfaceView } from "../../../control/messages.ts";

/** Both kinds of targets, as patterns of systemctl. */
export const TARGET_PATTERNS = ["carp-master@*.target", "carp-backup@*.target"] as const;

/** The longest lease with advbase 0. */
const SHORT_LEASE_MS = 1500;

interface Followed {
  readonly target: string | undefined;
  /** The kernel answers for it no longer than this when no engine renews the lease. */
  readonly leaseMs: number;
}

/** An engine that is being started when this begins answers by then; until it does nothing is known. */
const ANSWERS_WITHIN_MS = 15_000;

export class Targets {
  readonly #beganMs: number;
  #followed: readonly Followed[] | undefined;
  #engineGoneMs: number | undefined;

  constructor(nowMs: number) {
    this.#beganMs = nowMs;
  }

  /** The engine told of all its interfaces. */
  follow(interfaces: readonly Pick<InterfaceView, "name" | "status" | "advbase">[]): void {
    this.#engineGoneMs = undefined;
    this.#followed = interfaces.map((each) => ({
      target: targetOf(each),
      leaseMs: each.advbase > 0 ? 3000 * each.advbase : SHORT_LEASE_MS,
    }));
  }

  /** The engine no longer answers: a new one that comes within the lease continues as this one was. */
  engineGone(nowMs: number): void {
    this.#engineGoneMs ??= nowMs;
  }

  /** @returns undefined: it is not known yet */
  wanted(nowMs: number): Set<string> | undefined {
    if (this.#followed === undefined)
      return nowMs - this.#beganMs < ANSWERS_WITHIN_MS ? undefined : new Set();
    const goneForMs = this.#engineGoneMs === undefined ? 0 : nowMs - this.#engineGoneMs;
    return new Set(
      this.#followed.flatMap(({ target, leaseMs }) => (target && goneForMs < leaseMs ? [target] : [])),
    );
  }
}

/** Root starts what it is called: a name of another form is none of the engine's. */
function targetOf({ name, status }: Pick<InterfaceView, "name" | "status">): string | undefined {
  if (!INTERFACE_NAME.test(name) || (status !== "master" && status !== "backup")) return undefined;
  return `carp-${status}@${name}.target`;
}
