/**
 * Types of the addon's rtnetlink socket (src/native/netlink). Errors come back as errno numbers. No code but the cast
 * of the addon.
 */

import { addon } from "../native.ts";

/** An rtnetlink socket that receives from the kernel only, and keeps the event loop turning until it is closed. */
export interface NetlinkSocket {
  port(): number;
  /** The kernel performs the requests before this returns; the answers arrive later. @returns 0 or an errno. */
  send(datagram: Uint8Array): number;
  /** One message, with its own port, which the kernel performs on another thread: after this returns. */
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
