/**
 * A simulation as plain data: the hosts, their segments, what they share, and everything that will happen to them,
 * each with its time. All chance but that of single frames is in here, so that a run that fails can be told again
 * with steps left out.
 */

import type { Balancing, Command } from "../../src/core/configuration.ts";
import type { Micros } from "../../src/core/event.ts";
import type { Weather } from "./segment.ts";

/** Which implementation a host runs. */
export type Kind = "carpctl" | "openbsd" | "freebsd" | "ucarp";

/** One carp interface that all hosts of a segment have. */
export interface Service {
  /** carp0, carp1, ... */
  readonly name: string;
  readonly segment: number;
  readonly vhids: readonly number[];
  readonly advbase: number;
  readonly pass: string;
  readonly balancing: Balancing;
  readonly addresses: readonly string[];
  /** Two hosts that advertise to each other's own address. */
  readonly unicast: boolean;
}

export interface HostPlan {
  readonly kind: Kind;
  /** Of the clock that timers run by, in millionths. */
  readonly driftPpm: number;
  /** Its time of day, ahead of the others'. */
  readonly aheadUs: Micros;
  readonly preempt: boolean;
  readonly strictReplay: boolean;
  /** By service, then by vhid in their order. */
  readonly advskews: readonly (readonly number[])[];
}

export type Attack =
  /** Bytes without sense. */
  | "garbage"
  /** Right in all but the digest. */
  | "forge"
  /** What was recorded, unchanged. */
  | "replay"
  /** What was recorded, with other values in the fields that no digest covers. */
  | "alter"
  /** The same, and from another address: no digest covers that either. */
  | "disguise"
  /** What was recorded, with a bit turned round anywhere. */
  | "damage";

export type Step = {
  readonly atUs: Micros;
  /** What lasts ends then; 0: it happens once. */
  readonly forUs: Micros;
} & (
  | {
      readonly kind: "weather";
      readonly segment: number;
      readonly from: readonly number[];
      readonly to: readonly number[];
      /** On the ways back as well. */
      readonly both?: boolean;
      readonly weather: Weather;
    }
  | { readonly kind: "no-carrier"; readonly host: number; readonly segment: number }
  | { readonly kind: "sends-fail"; readonly host: number; readonly error: string }
  | { readonly kind: "stall"; readonly host: number; readonly framesFirst: boolean }
  /** kill -9, and a new engine afterwards. */
  | { readonly kind: "crash"; readonly host: number }
  /** SIGTERM, and a start afterwards. */
  | { readonly kind: "stop"; readonly host: number }
  | {
      readonly kind: "command";
      readonly host: number;
      readonly command: Command;
      /** What takes it back. */
      readonly undo?: Command | undefined;
    }
  /** Somebody sets the time of day. */
  | { readonly kind: "clock"; readonly host: number; readonly byUs: Micros }
  | { readonly kind: "drift"; readonly host: number; readonly ppm: number }
  /** The kernel takes so long to change a device. */
  | { readonly kind: "slow-devices"; readonly host: number; readonly deviceUs: Micros }
  | {
      readonly kind: "attack";
      readonly segment: number;
      readonly attack: Attack;
      readonly times: number;
      readonly everyUs: Micros;
    }
);

export interface Plan {
  readonly seed: number;
  readonly durationUs: Micros;
  readonly segments: readonly Weather[];
  readonly services: readonly Service[];
  readonly hosts: readonly HostPlan[];
  readonly steps: readonly Step[];
}
