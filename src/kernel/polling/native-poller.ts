/**
 * Types of the addon's poller (src/native/polling). No code but the cast of the addon.
 */

import { addon } from "../native.ts";

/** A thread that samples things now and then and reports those whose sample is another one. */
export interface NativePoller {
  /**
   * Makes a group of things of one kind.
   *
   * @param kind its place in KINDS
   * @param atOnce so many are looked at each time, in turn
   * @returns the group's number
   */
  group(kind: number, atOnce: number): number;
  /** From now on it is sampled. It is reported once, and then when it has changed. */
  add(group: number, key: string): void;
  remove(group: number, key: string): void;
  /** Has it reported the next time, whatever the sample is. */
  doubt(group: number, key: string): void;
  /** Takes the body of a link message as the last sample of this link in every group. */
  know(body: Uint8Array): void;
  close(): void;
}

/** The kinds of things, in the addon's order. Their keys are indexes of devices, paths, or a number of page faults. */
export const KINDS = ["link", "tcx", "clsact", "file", "text", "faults"] as const;

/** The part of the addon in src/native/polling. */
export const nativePoller = addon as {
  /** @param deliver gets the number of a group and a key, and so on, for each thing whose sample is another one */
  readonly Poller: new (
    periodMs: number,
    deliver: (changed: readonly (number | string)[]) => void,
  ) => NativePoller;
};
