/**
 * Types of the addon's packet and raw sockets (src/native/sockets). Errors come back as errno numbers. No code but the
 * cast of the addon.
 */

import type { SignedForm } from "../../protocol/authentication.ts";
import { addon, type NativeFailure } from "../native.ts";

/** Frames in order of arrival; memory that was copied out of the queue and belongs to the receiver. */
export interface NativeBatch {
  readonly bytes: ArrayBuffer;
  /** Four numbers a frame: handle, receive time (CLOCK_BOOTTIME, microseconds), offset in `bytes`, length. */
  readonly frames: Float64Array;
  /**
   * Four numbers for advertisements of a virtual host that were folded, in the order of their last ones: handle, vhid,
   * family (4 or 6), how many.
   */
  readonly repeated: Float64Array;
  /** The receive times and the counters of all of these, in the same order. */
  readonly copyTimes: Float64Array;
  readonly copyCounters: BigUint64Array;
  /** Two numbers for each packet received where no packet socket is open: interface index, family (4 or 6). */
  readonly strays: Float64Array;
  /** Three numbers for packets that the rate limit dropped: interface index, family (4 or 6), how many. */
  readonly rateLimited: Float64Array;
  /** Two numbers for each packet socket that receives nothing any more: handle, errno. */
  readonly deaf: Float64Array;
}

export interface Sockets {
  /** A packet socket on the interface: its handle, never used again after `close`. */
  open(index: number): number | NativeFailure;
  close(handle: number): void;
  /** @returns 0 or an errno. */
  send(handle: number, frame: Uint8Array): number;
  /**
   * Sends advertisements of a virtual host at their times, behind those that wait, and sets the leases when each has left.
   *
   * @param times three for each (CLOCK_BOOTTIME, microseconds): when it leaves, the latest, and until when it leases
   * @param lengths of the frames of each, one for each family
   * @param frames of all, one after the other
   * @param leases the 8 bytes of the node's and of the interface's, in the data path's memory; none: nothing is leased
   * @returns false: there is no such socket, or they differ in more than the message; then none of them leaves
   */
  sendAhead(
    handle: number,
    vhid: number,
    times: Float64Array,
    lengths: Float64Array,
    frames: Uint8Array,
    leases: readonly Uint8Array[],
  ): boolean;
  /** None of those that wait leaves any more. */
  recall(handle: number, vhid: number): void;
  /** None leaves until `release`, but by `sendDue`. */
  hold(): void;
  /** Sends what is due by then. @returns four numbers for each that has ended: handle, vhid, its time, 1 when it left in part */
  sendDue(us: number): Float64Array | undefined;
  release(): void;
  /** Joins or leaves a multicast MAC; counted, as the kernel does. @returns 0 or an errno. */
  membership(handle: number, mac: Uint8Array, join: boolean): number;
  /** Joins carp's IPv6 group again, where the kernel has forgotten it. */
  rejoin(handle: number): void;
  /** The raw IP sockets of both families. A family the host lacks is a failure; the other is open all the same. */
  openRaw(): NativeFailure | undefined;
  closeRaw(): void;
  /** `scope`: the interface index of link-local addresses, else 0. @returns 0 or an errno. */
  sendUnicast(
    family: number,
    source: string,
    destination: string,
    trafficClass: number,
    scope: number,
    payload: Uint8Array,
  ): number;
  /**
   * Advertisements with the digest of one of the forms pass without a rate limit; with no forms every frame does.
   * Replaces the owner's forms. @returns false when OpenSSL offers no such digest: then every frame passes.
   */
  setForms(owner: string, forms: readonly SignedForm[]): boolean;
  /**
   * Frames that repeat this one, which was delivered last of its virtual host and family, are folded: they wait for
   * `drain`, `unfold` or another frame of that virtual host. Does nothing while another one is under way.
   */
  fold(handle: number, frame: Uint8Array): void;
  /**
   * The receive time of the last frame that was folded for a virtual host and is not delivered yet (CLOCK_BOOTTIME,
   * microseconds); 0: there is none.
   */
  latest(handle: number, vhid: number): number;
  /** Folds no more; what was folded is delivered. */
  unfold(): void;
  /** Asks for the next batch: none is delivered after one that was, until this is called. */
  ready(): void;
  /** Everything that has arrived, read from the sockets here and now. */
  drain(): NativeBatch;
  /** Ends the reading thread and closes all sockets; the callback is not called again. */
  shutdown(): void;
}

/** The part of the addon in src/native/sockets. */
export const nativeSockets = addon as {
  /** `deliver`, and `ended` when `sendDue` has something to tell: called while the event loop turns, never keeping it turning. */
  readonly Sockets: new (
    deliver: (batch: NativeBatch) => void,
    ended: () => void,
  ) => Sockets;
};
