/**
 * The election rules of CARP: what a MASTER and a BACKUP do about an advertisement that they hear. Pure
 * decisions on intervals and demote counts; virtual-host.ts carries them out. The order of the rules is the
 * protocol's.
 */

import { comparePrecedence } from "../../protocol/address.ts";
import type { Micros } from "../model.ts";
import { SECOND } from "./timing.ts";

/** The values by which two virtual hosts of one vhid are compared. */
export interface Standing {
  /** The advertisement interval, demotion included. */
  readonly intervalUs: Micros;
  readonly demote: number;
}

/**
 * Why a MASTER gives way to another one, or what it does instead. `answer`: the other one has to give way.
 */
export type MasterDecision = "other-less-demoted" | "other-more-frequent" | "tie" | "answer";

/** Decides for a MASTER that hears another MASTER's advertisement, bow-outs excluded. */
export function decideAsMaster(own: Standing, other: Standing): MasterDecision {
  if (other.demote < own.demote) return "other-less-demoted";
  if (other.demote > own.demote || other.intervalUs > own.intervalUs) return "answer";
  return other.intervalUs < own.intervalUs ? "other-more-frequent" : "tie";
}

/** Why a BACKUP takes over at once; `wait`: it restarts its master-down time instead. */
export type BackupDecision =
  | "preempts-slower"
  | "master-demoted"
  | "master-left"
  | "master-too-slow"
  | "wait";

/** Decides for a BACKUP that hears an advertisement. */
export function decideAsBackup(
  own: Standing & { readonly preempt: boolean; readonly advbase: number },
  other: Standing & { readonly bowsOut: boolean },
): BackupDecision {
  if (own.preempt && own.intervalUs < other.intervalUs && other.demote >= own.demote)
    return "preempts-slower";
  if (other.demote > own.demote) return "master-demoted";
  if (other.bowsOut) return "master-left";
  if (own.advbase > 0 && other.intervalUs > 3 * own.advbase * SECOND) return "master-too-slow";
  return "wait";
}

/** One of two equal masters, as its advertisement shows it. */
export interface TiedMaster {
  /**
   * Source address of its advertisements; undefined: it has none in the family of the advertisement heard.
   */
  readonly source: string | undefined;
  /** Counter of the advertisement. */
  readonly counter: bigint;
}

/**
 * Whether this host stays MASTER in a tie. OpenBSD sends both to BACKUP and leaves it to the timers; here the
 * lower source address stays, at once and without an outage. Hosts without an address of their own advertise
 * from the shared one: the greater counter stays then.
 */
export function staysAfterTie(own: TiedMaster, other: TiedMaster & { readonly source: string }): boolean {
  const order = own.source === undefined ? 0 : comparePrecedence(own.source, other.source);
  return order === 0 ? other.counter < own.counter : order < 0;
}
