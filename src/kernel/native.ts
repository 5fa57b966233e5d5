/**
 * The native addon's types, and its loading. The addon moves bytes between the kernel and JavaScript; what they mean
 * and what follows from them is decided by the modules that import this one. Errors come back as errno numbers.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { getSystemErrorMap } from "node:util";
import type { SignedForm } from "../protocol/authentication.ts";

/** What an open call failed with. */
export interface NativeFailure {
  /** The system call, or the option it was about. */
  readonly call: string;
  readonly error: number;
}

/** Frames in order of arrival; memory that was copied out of the queue and belongs to the receiver. */
export interface NativeBatch {
  readonly bytes: ArrayBuffer;
  /** Four numbers a frame: handle, receive time (CLOCK_BOOTTIME, microseconds), offset in `bytes`, length. */
  readonly frames: Float64Array;
  /** Two numbers a packet that no packet socket stands for: interface index, family (4 or 6). */
  readonly strays: Float64Array;
  /**
   * Three numbers for what was read and left out, because more came than is looked at: interface index, family, how
   * many packets.
   */
  readonly unexamined: Float64Array;
}

export interface Sockets {
  /** A packet socket on the interface: its handle, never used again after `close`. */
  open(index: number): number | NativeFailure;
  close(handle: number): void;
  /** @returns 0 or an errno. */
  send(handle: number, frame: Uint8Array): number;
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
   * Advertisements with one of these digests are delivered however many others arrive; with no forms there is nothing
   * to prefer, and no frame is left out. Replaces the forms. @returns false when this host cannot make such digests.
   */
  know(forms: readonly SignedForm[]): boolean;
  /** Asks for the next batch: none is delivered after one that was, until this is called. */
  ready(): void;
  /** Everything that has arrived, read from the sockets here and now. */
  drain(): NativeBatch;
  /** Ends the reading thread and closes all sockets; the callback is not called again. */
  shutdown(): void;
}

/** An rtnetlink socket that hears only the kernel, and keeps the event loop turning until it is closed. */
export interface NetlinkSocket {
  port(): number;
  /** What the datagram asks is done when this returns; the answers arrive later. @returns 0 or an errno. */
  send(datagram: Uint8Array): number;
  close(): void;
}

/** Names, offsets and sizes in bytes, from the compiled programs' own types. */
export interface BpfLayout {
  readonly structs: Readonly<
    Record<
      string,
      {
        readonly size: number;
        readonly members: Readonly<Record<string, { readonly offset: number; readonly size: number }>>;
      }
    >
  >;
  /** Every constant of every enumeration. */
  readonly enums: Readonly<Record<string, number>>;
  readonly maps: Readonly<
    Record<
      string,
      {
        readonly type: number;
        readonly keySize: number;
        readonly valueSize: number;
        readonly maxEntries: number;
      }
    >
  >;
}

export interface BpfFailure extends NativeFailure {
  /** What libbpf and the verifier said last; the reason stands near its end. */
  readonly log: string;
}

export interface TestRun {
  readonly verdict: number;
  readonly frame: Uint8Array;
  /** Per run, on average. */
  readonly ns: number;
}

/** The programs and maps of carp.bpf.c in the kernel. Whatever else holds them lives on when this is closed. */
export interface BpfObject {
  /** A map that is pinned already is taken from there, else pinned. Every map that is named. */
  load(pins: readonly (readonly [map: string, path: string])[]): BpfFailure | undefined;
  pin(programOrMap: string, path: string): number;
  /** Makes the memory of this array map what `read`, `write` and `storeUs` work on. @returns 0 or an errno. */
  share(map: string): number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
  /** Microseconds, as 64 bits of nanoseconds, in one write. */
  storeUs(offset: number, us: number): void;
  /** @returns 0 or an errno. A per-CPU map's value: one for every possible processor, 8 bytes aligned. */
  update(map: string, key: Uint8Array, value: Uint8Array): number;
  remove(map: string, key: Uint8Array): number;
  lookup(map: string, key: Uint8Array): Uint8Array | undefined;
  keys(map: string): Uint8Array[];
  /** On the clsact qdisc of a device. Replaces what has the same priority and handle. @returns 0 or an errno. */
  attach(program: string, index: number, ingress: boolean, priority: number, handle: number): number;
  /** @returns 0 or an errno. */
  detach(program: string, index: number, ingress: boolean, priority: number, handle: number): number;
  /** As the kernel numbers it; 0 when it is not loaded. */
  programId(program: string): number;
  /**
   * On a device, by TCX: in the place of the program that is pinned there, without a packet between, else before all
   * others. What is there already is refused with EEXIST. @returns 0 or an errno.
   */
  attachTcx(program: string, index: number, ingress: boolean, replaced: string | undefined): number;
  /** Runs a program on a frame as if it were on that device: nothing is sent or received. An errno if it fails. */
  run(program: string, frame: Uint8Array, index: number, repeat: number): TestRun | number;
  close(): void;
}

/** A filter of a clsact qdisc. Handle 0 stands for the priority itself. */
export interface TrafficFilter {
  readonly priority: number;
  readonly handle: number;
  readonly kind: string;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; empty where the kernel does not tell (before 4.13). */
  readonly groups: readonly number[];
}

interface Native {
  /** Writes CLOCK_BOOTTIME and CLOCK_REALTIME, in whole microseconds, to the first two elements. */
  readClocks(into: Float64Array): void;
  /** The process at the other end of a connected Unix socket; undefined when it is no such socket. */
  peerCredentials(fd: number): PeerCredentials | undefined;
  groupId(name: string): number | undefined;
  /** Of every device there is. */
  interfaceIndexes(): number[];
  interfaceName(index: number): string | undefined;
  /** Whether writing a line of less than 4096 bytes there now would not block. */
  hasRoom(fd: number): boolean;
  /** Whether somebody still has the other end of this pipe or socket. */
  isRead(fd: number): boolean;
  /** Whether something keeps the time of day right; undefined where the kernel does not say. */
  clockIsSynchronised(): boolean | undefined;
  bpfLayout(): BpfLayout | BpfFailure;
  readonly BpfObject: new () => BpfObject;
  /** These four return 0 or an errno. Deleting the qdisc takes every filter with it. */
  createClsact(index: number): number;
  deleteClsact(index: number): number;
  mountBpf(path: string): number;
  unmount(path: string): number;
  /** Whether a bpffs is mounted there. */
  isBpf(path: string): boolean;
  /** An errno when there is no such device; an empty list when there is no such qdisc. */
  listFilters(index: number, ingress: boolean): TrafficFilter[] | number;
  /** Of the calling thread: keeps these capabilities of those it has, by number, and may never gain others. */
  dropPrivileges(kept: readonly number[]): NativeFailure | undefined;
  /** These four return 0 or an errno. Memory that maps are counted as, where the kernel does so (before 5.11). */
  unlimitLockedMemory(): number;
  keepAcrossExec(fd: number, keep: boolean): number;
  /** Waits for a child that is ending. */
  reap(pid: number): number;
  /** Never waits; a descriptor goes along unless it is negative. */
  sendByte(socket: number, byte: number, descriptor: number): number;
  /** Two stream sockets, closed on exec; or an errno. */
  socketPair(): readonly [number, number] | number;
  /** Ids of programs, in the order in which they are asked; an errno when there is no such device or no TCX. */
  listTcx(index: number, ingress: boolean): number[] | number;
  /** @returns 0 or an errno. */
  detachTcx(id: number, index: number, ingress: boolean): number;
  /** Never blocks. A path that begins with NUL is abstract. @returns 0 or an errno. */
  sendDatagram(path: string, bytes: Uint8Array): number;
  /** `deliver` gets undefined when the kernel had to drop messages. Throws where there is no netlink. */
  readonly NetlinkSocket: new (
    groups: readonly number[],
    receiveBufferBytes: number,
    deliver: (datagram: Uint8Array | undefined) => void,
  ) => NetlinkSocket;
  /** `deliver` is called while the event loop turns, and never keeps it turning. */
  readonly Sockets: new (
    deliver: (batch: NativeBatch) => void,
  ) => Sockets;
}

/** In the source tree, beside a bundle, and from a bundle in a directory of the source tree's own. */
const places = [
  "native/build/Release/carp.node",
  "carp.node",
  "../src/kernel/native/build/Release/carp.node",
];

function find(): string {
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error(`carp.node is not built (looked for ${paths.join(", ")})`);
  return path;
}

const path = find();

export const native: Native = createRequire(import.meta.url)(path);

/** The program of keeper.c, built together with the addon. */
export const KEEPER = join(dirname(path), "carp-keeper");

/** `ENOBUFS` for 105: as the kernel's headers call it. */
export function errnoName(error: number): string {
  return getSystemErrorMap().get(-error)?.[0] ?? `errno ${error}`;
}

/** The exception Node's own modules would throw. */
export function errnoException(subject: string, failure: NativeFailure): NodeJS.ErrnoException {
  const code = errnoName(failure.error);
  return Object.assign(new Error(`${subject}: ${failure.call}: ${code}`), {
    code,
    errno: -failure.error,
    syscall: failure.call,
  });
}
