/**
 * What a host tells those who follow it, beside its transitions: effects that nothing follows from. They say what
 * happened in words and numbers; how often they are passed on is for the engine to decide.
 */

import type { CounterName } from "./counters.ts";
import type { Transition } from "./effect.ts";
import type { PeerChange } from "./peers.ts";

export type News =
  | ({ readonly kind: "transition" } & Transition)
  | ({ readonly kind: "demotion" } & DemotionChange)
  | {
      readonly kind: "discarded";
      readonly counter: CounterName;
      /** The one it was meant for, by the vhid it names. */
      readonly interface: string | undefined;
      readonly text: string;
    }
  /** No packet of an advertisement has left. */
  | {
      readonly kind: "send-failed";
      readonly interface: string;
      readonly vhid: number;
      readonly error: string;
    }
  | ({ readonly interface: string; readonly vhid: number } & PeerChange)
  | { readonly kind: "repaired"; readonly interface: string; readonly what: string }
  | { readonly kind: "created"; readonly interface: string }
  | { readonly kind: "destroyed"; readonly interface: string };

export interface DemotionChange {
  /** Absent: of the whole host. */
  readonly group?: string | undefined;
  /** Less than 0 when it was promoted. */
  readonly by: number;
  readonly to: number;
  /** Who or what made it: an interface, or the command. */
  readonly who?: string | undefined;
  readonly reason: string;
}
