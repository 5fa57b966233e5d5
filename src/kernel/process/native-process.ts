/**
 * Types of the addon's calls about processes (src/native/process): clocks, peers of Unix sockets, privileges,
 * descriptors. Errors come back as errno numbers. No code but the cast of the addon.
 */

import { addon, type NativeFailure } from "../native.ts";

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; empty where the kernel does not tell (before 4.13). */
  readonly groups: readonly number[];
}

/** The part of the addon in src/native/process. */
export const nativeProcess = addon as {
  /** Writes CLOCK_BOOTTIME and CLOCK_REALTIME, in whole microseconds, to the first two elements. */
  readClocks(into: Float64Array): void;
  /** Whether the system clock is synchronised; undefined where the kernel does not say. */
  clockIsSynchronised(): boolean | undefined;
  /** The process at the other end of a connected Unix socket; undefined when it is no such socket. */
  peerCredentials(fd: number): PeerCredentials | undefined;
  groupId(name: string): number | undefined;
  /** Whether writing a line of less than 4096 bytes there now would not block. */
  hasRoom(fd: number): boolean;
  /** Whether the other end of this pipe or socket is open. */
  isRead(fd: number): boolean;
  /** The calling thread keeps, of the capabilities it has, these numbers, and can never gain others. */
  dropPrivileges(kept: readonly number[]): NativeFailure | undefined;
  /** Lifts RLIMIT_MEMLOCK, which kernels before 5.11 count maps against. @returns 0 or an errno. */
  unlimitLockedMemory(): number;
  /** @returns 0 or an errno. */
  keepAcrossExec(fd: number, keep: boolean): number;
  /** Waits for a child that is ending. @returns 0 or an errno. */
  reap(pid: number): number;
  /** Never blocks; a descriptor goes along unless it is negative. @returns 0 or an errno. */
  sendByte(socket: number, byte: number, descriptor: number): number;
  /** Two stream sockets, closed on exec; or an errno. */
  socketPair(): readonly [number, number] | number;
  /** Never blocks. A path that begins with NUL is abstract. @returns 0 or an errno. */
  sendDatagram(path: string, bytes: Uint8Array): number;
};
