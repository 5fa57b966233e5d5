/**
 * Types of the addon's rtnetlink socket (src/native/netlink). Errors come back as errno numbers. No code but the cast
 * of the addon.
 */

import { addon } from "../native.ts";

/** An rtnetlink socket that receives from the kernel only, and keeps the event loop turning until it is closed. */
export interface NetlinkSocket {
  port(): number;
  /**
   * Messages, each with its own port, which the kernel performs after this returns, on another thread, datagram after
   * datagram. One that cannot be sent is answered with an error.
   */
  send(datagram: Uint8Array): void;
  /** The same, on a third thread. */
  sendApart(message: Uint8Array): void;
  /**
   * Passes notifications of routes through these devices that the kernel did not make: ranges of indexes, each as its
   * first and its last. Replaces those of the call before. @returns 0 or an errno.
   */
  followRoutes(ranges: readonly number[]): number;
  close(): void;
}

/** The part of the addon in src/native/netlink. */
export const nativeNetlink = addon as {
  /**
   * `deliver` gets the messages of one or more datagrams; undefined: the kernel had to drop messages. Throws where there
   * is no netlink.
   */
  readonly NetlinkSocket: new (
    groups: readonly number[],
    receiveBufferBytes: number,
    deliver: (messages: Uint8Array | undefined) => void,
  ) => NetlinkSocket;
};
