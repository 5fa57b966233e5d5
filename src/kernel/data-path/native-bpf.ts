/**
 * Types of the addon's eBPF calls (src/native/bpf): programs and maps, TCX, clsact filters. Errors come back as
 * errno numbers. No code but the cast of the addon.
 */

import { addon, type NativeFailure } from "../native.ts";

interface Place {
  readonly offset: number;
  readonly size: number;
}

/** Names, offsets and sizes in bytes, from the compiled programs' own types. */
export interface BpfLayout {
  readonly structs: Readonly<
    Record<string, { readonly size: number; readonly members: Readonly<Record<string, Place>> }>
  >;
  /** The programs' global variables, in the one element of their map. */
  readonly variables: Readonly<Record<string, Place>>;
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
  /** The last output of libbpf and the verifier; the reason stands near its end. */
  readonly log: string;
}

export interface TestRun {
  readonly verdict: number;
  readonly frame: Uint8Array;
  /** Per run, on average. */
  readonly ns: number;
}

/** The programs and maps of carp.bpf.c in the kernel. What is attached stays when this is closed, with its maps. */
export interface BpfObject {
  /**
   * Loads the programs, with maps that the first of these programs of earlier engines gives which exists and has all
   * the maps named with it; reaching other processes' programs needs CAP_SYS_ADMIN.
   */
  load(former: readonly (readonly [id: number, maps: readonly string[]])[]): BpfFailure | undefined;
  /** The id of the program whose maps were taken over; 0: the maps are new. */
  adopted(): number;
  /** Maps this array map into memory for `read`, `write` and `storeUs`. @returns 0 or an errno. */
  share(map: string): number;
  /** The shared map's memory itself; undefined: no map is shared. */
  memory(): ArrayBuffer | undefined;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
  /** Microseconds, as 64 bits of nanoseconds, in one write. */
  storeUs(offset: number, us: number): void;
  /** As 16 bits, in one write. */
  storeShort(offset: number, value: number): void;
  /** @returns 0 or an errno. A per-CPU map's value: one for every possible processor, 8 bytes aligned. */
  update(map: string, key: Uint8Array, value: Uint8Array): number;
  remove(map: string, key: Uint8Array): number;
  lookup(map: string, key: Uint8Array): Uint8Array | undefined;
  /** Each key with its value behind it. */
  entries(map: string): Uint8Array;
  /** Adds a filter to the device's clsact qdisc; replaces one of that priority and handle. @returns 0 or an errno. */
  attach(program: string, index: number, ingress: boolean, priority: number, handle: number): number;
  /** @returns 0 or an errno. */
  detach(program: string, index: number, ingress: boolean, priority: number, handle: number): number;
  /** The kernel's id; 0 when the program is not loaded. */
  programId(program: string): number;
  /**
   * Attaches by TCX: in the place of the program with the id `replaced`, without a packet between, else (0) before all
   * others. EEXIST: this program is attached there already. @returns 0 or an errno.
   */
  attachTcx(program: string, index: number, ingress: boolean, replaced: number): number;
  /** Runs a program on a frame as if it were on that device: nothing is sent or received. An errno if it fails. */
  run(program: string, frame: Uint8Array, index: number, repeat: number): TestRun | number;
  close(): void;
}

/** A filter of a clsact qdisc. Handle 0 stands for the priority itself. */
export interface TrafficFilter {
  readonly priority: number;
  readonly handle: number;
  /** Packets begin in chain 0. */
  readonly chain: number;
  readonly kind: string;
  /** Of an eBPF program, with its id (`carp_ingress:[27]`); else empty. */
  readonly name: string;
}

/** The part of the addon in src/native/bpf. */
export const nativeBpf = addon as {
  bpfLayout(): BpfLayout | BpfFailure;
  readonly BpfObject: new () => BpfObject;
  /** @returns 0 or an errno. */
  createClsact(index: number): number;
  /** Deletes the qdisc with every filter. @returns 0 or an errno. */
  deleteClsact(index: number): number;
  /** In the order they run. @returns an errno when there is no such device; none when there is no clsact qdisc. */
  listFilters(index: number, ingress: boolean): TrafficFilter[] | number;
  /** The same, asked on another thread: other programs may hold the lock that it takes for long. */
  listFiltersApart(index: number, ingress: boolean): Promise<TrafficFilter[] | number>;
  /** @returns ids of programs in the order they run; an errno when there is no such device or no TCX. */
  listTcx(index: number, ingress: boolean): number[] | number;
  /** The same, asked on another thread. */
  listTcxApart(index: number, ingress: boolean): Promise<number[] | number>;
  /** @returns 0 or an errno. */
  detachTcx(id: number, index: number, ingress: boolean): number;
  /** At most 15 characters. undefined: there is no such program, or this process may not look at it. */
  programName(id: number): string | undefined;
  /** The id of the XDP program on the device; 0: none is known. */
  xdpProgram(index: number): number;
};
