/**
 * Plan: a simulation as plain data: hosts, segments, shared services, and the steps that happen to them, each
 * with its time. All chance except that of single frames is drawn beforehand, so that a failing run can be
 * repeated with steps left out.
 */

import type { Command } from "../../src/core/command.ts";
import type { Balancing, Micros } from "../../src/core/model.ts";
import type { Weather } from "./segment.ts";

/** The CARP implementation of a host. */
export type Kind = "carpctl" | "openbsd" | "freebsd" | "ucarp";

/** A carp interface that every host of a segment has. */
export interface Service {
  /** carp0, carp1, ... */
  readonly name: string;
  readonly segment: number;
  readonly vhids: readonly number[];
  readonly advbase: number;
  readonly pass: string;
  readonly balancing: Balancing;
  readonly addresses: readonly string[];
  /** The hosts advertise to each other's own addresses. */
  readonly unicast: boolean;
}

export interface HostPlan {
  readonly kind: Kind;
  /** Drift of the clock that runs timers, in millionths. */
  readonly driftPpm: number;
  /** Its system clock is ahead by this. */
  readonly aheadUs: Micros;
  readonly preempt: boolean;
  /** Seconds of net.inet.carp.preempt_delay; absent: 0. */
  readonly preemptDelayS?: number;
  readonly strictReplay: boolean;
  /** Absent: false. */
  readonly signedHeader?: boolean;
  /** Advertisements that repeat others wait, as in every engine. Absent: each is handled at once. */
  readonly folds?: boolean;
  /** advskew by service, then by vhid, in their order. */
  readonly advskews: readonly (readonly number[])[];
}

/**
 * A kernel call that fails: no device can be made, an address is refused, a socket cannot be opened, the data
 * path has no room.
 */
export type KernelFault = "device-fails" | "address-refused" | "listen-fails" | "filter-full";

export type Attack =
  /** Random bytes. */
  | "garbage"
  /** An advertisement with a wrong digest. */
  | "forge"
  /** A recorded frame, unchanged. */
  | "replay"
  /** A recorded frame with other values in the fields that no digest covers. */
  | "alter"
  /** The same from another source address, which no digest covers either. */
  | "disguise"
  /** A recorded frame as a bow-out. */
  | "dismiss"
  /** A recorded frame with one bit flipped. */
  | "damage";

export type Step = {
  readonly atUs: Micros;
  /** Duration of the step; 0: it happens once. */
  readonly forUs: Micros;
} & (
  | {
      readonly kind: "weather";
      readonly segment: number;
      readonly from: readonly number[];
      readonly to: readonly number[];
      /** Also in the other direction. */
      readonly both?: boolean;
      readonly weather: Weather;
    }
  | { readonly kind: "no-carrier"; readonly host: number; readonly segment: number }
  /** Each send fails with this probability: some of an advertisement's packets leave and others do not. */
  | { readonly kind: "sends-fail"; readonly host: number; readonly error: string; readonly chance?: number }
  /** Calls of one kind into the kernel fail. */
  | { readonly kind: "kernel-fault"; readonly host: number; readonly fault: KernelFault }
  /** The carpdev is taken away and comes back at once as a new device. */
  | { readonly kind: "replug"; readonly host: number; readonly segment: number }
  | { readonly kind: "stall"; readonly host: number; readonly framesFirst: boolean }
  /** kill -9, and a new engine when the step ends. */
  | { readonly kind: "crash"; readonly host: number }
  /** SIGTERM, and a start when the step ends. */
  | { readonly kind: "stop"; readonly host: number }
  | {
      readonly kind: "command";
      readonly host: number;
      readonly command: Command;
      /** The command that takes it back, when the step ends. */
      readonly undo?: Command | undefined;
    }
  /** The system clock is set. */
  | { readonly kind: "clock"; readonly host: number; readonly byUs: Micros }
  | { readonly kind: "drift"; readonly host: number; readonly ppm: number }
  /** Each change of a device takes this much longer. */
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
  /**
   * Seconds of net.inet.carp.grace; absent: 0. With a grace every change of pass or addresses has to reach all hosts of a
   * segment within it.
   */
  readonly graceS?: number;
  readonly durationUs: Micros;
  readonly segments: readonly Weather[];
  readonly services: readonly Service[];
  readonly hosts: readonly HostPlan[];
  readonly steps: readonly Step[];
}
