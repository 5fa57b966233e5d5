/**
 * Types of the addon's calls about Unix stream sockets (src/native/process/unix_socket.cc), which Node would accept
 * and read without a limit. None of them waits. No code but the cast of the addon.
 */

import { addon } from "../native.ts";

/** Tells when a socket is ready. */
export interface Readiness {
  /** Watches a socket until it is reported once. @returns 0 or an errno */
  watch(socket: number, reads: boolean, writes: boolean): number;
  /** The sockets that are ready, at most 64. */
  take(): readonly number[];
  /** Has `ready` called, once, when a socket is ready. */
  wake(): void;
  /** Nothing is called afterwards. */
  close(): void;
}

/** A number below 0 is -errno. */
export const nativeUnixSockets = addon as {
  /**
   * Listens at a path that does not exist yet; its mode is 0 until it is changed. A path that begins with NUL is
   * abstract. @returns a descriptor
   */
  listenUnix(path: string, backlog: number): number;
  /** The id of the user that listens at this path; undefined when it cannot be told. */
  listenerUid(path: string): number | undefined;
  /** @returns a descriptor */
  acceptUnix(listener: number): number;
  /** @returns the number of bytes; 0: the peer has closed its end */
  receiveBytes(socket: number, into: Uint8Array): number;
  /** @returns the number of bytes that the kernel took */
  sendBytes(socket: number, bytes: Uint8Array): number;
  closeSocket(socket: number): void;
  readonly Readiness: new (ready: () => void) => Readiness;
};
