/**
 * Types of the addon's calls about processes (src/native/process): clocks, peers of Unix sockets, privileges.
 * Errors come back as errno numbers. No code but the cast of the addon.
 */

import { addon, type NativeFailure } from "../native.ts";

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; empty where the kernel does not tell (before 4.13). */
  readonly groups: readonly number[];
}

/** A user and its primary group. */
export interface User {
  readonly uid: number;
  readonly gid: number;
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
  /**
   * Gives up root in every thread: user (uid 0: stays), groups, all capabilities but these numbers, and what Landlock
   * withholds: everything but reading `readable`, and reading and writing regular files and sockets in `writable`,
   * with what lies below them. Takes every step. @returns the failures
   */
  giveUpRoot(
    uid: number,
    gid: number,
    groups: readonly number[],
    capabilities: readonly number[],
    readable: readonly string[],
    writable: readonly string[],
  ): readonly NativeFailure[];
  /** undefined: no user has that name. */
  userId(name: string): User | undefined;
  /**
   * Puts a thread under SCHED_RR, so that it runs as soon as it has something to do; threads that it starts later too.
   * @returns 0 or an errno
   */
  scheduleAtOnce(thread: number): number;
  /** Unmaps what is in memory of the program, which is found again where it is used, and what was freed. */
  giveBackMemory(): void;
  /** Lifts RLIMIT_MEMLOCK, which kernels before 5.11 count maps against. @returns 0 or an errno. */
  unlimitLockedMemory(): number;
  /** Locks an open file for this process. @returns 0 or an errno; EWOULDBLOCK: another process has it. */
  lockFile(fd: number): number;
  /** Never blocks. A path that begins with NUL is abstract. @returns 0 or an errno. */
  sendDatagram(path: string, bytes: Uint8Array): number;
};
