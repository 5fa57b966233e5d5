/** What the doctor finds: a name that `carpctl help` explains, the level that goes with the name, and what to do. */

import { DOCTOR } from "../topics/doctor.ts";
import type { Level } from "../topics/topic.ts";

/** The name of a finding that is not in order. */
export type FindingKind = keyof typeof DOCTOR;

/** One result of the examination. */
export type Finding = InOrder | Fault;

interface InOrder {
  readonly level: "ok";
  readonly kind?: undefined;
  readonly subject: string;
  readonly text: string;
  readonly todo?: undefined;
}

interface Fault {
  readonly level: Level;
  readonly kind: FindingKind;
  readonly subject: string;
  readonly text: string;
  /** The action to take. */
  readonly todo?: string | undefined;
}

/** @param todo the action to take */
export function fault(kind: FindingKind, subject: string, text: string, todo?: string): Finding {
  return { level: DOCTOR[kind].level, kind, subject, text, todo };
}

export function inOrder(subject: string, text: string): Finding {
  return { level: "ok", subject, text };
}
