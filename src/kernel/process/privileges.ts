/**
 * Linux capabilities of this process: which it has, which the engine needs, and dropping the rest. Judged by what the
 * kernel shows for every thread, never by what an earlier call should have achieved.
 */

import { readdirSync, readFileSync } from "node:fs";
import { errnoName } from "../native.ts";
import { nativeProcess } from "./native-process.ts";

/** Numbers in linux/capability.h. */
const CAPABILITIES = { NET_ADMIN: 12, NET_RAW: 13, SYS_ADMIN: 21, PERFMON: 38, BPF: 39 } as const;
export type Capability = keyof typeof CAPABILITIES;

export interface Privileges {
  /** The capabilities that every thread can use. */
  readonly capabilities: readonly Capability[];
  /** The number of capabilities beyond the engine's need that any thread has or could still gain. */
  readonly surplus: number;
  /** Whether no thread can gain capabilities by exec (no_new_privs). */
  readonly final: boolean;
}

/** The capability sets of one thread, as bits. */
interface Sets {
  readonly effective: bigint;
  readonly all: bigint;
  readonly bounding: bigint;
  readonly noNewPrivileges: boolean;
}

export function privileges(): Privileges {
  const threads = readdirSync("/proc/self/task").flatMap((thread) => setsOf(thread) ?? []);
  const final = threads.every(({ noNewPrivileges }) => noNewPrivileges);
  // The bounding set does not matter where an exec can gain nothing.
  const had = threads.reduce((sum, { all, bounding }) => sum | all | (final ? 0n : bounding), 0n);
  const needed = bits(needs());
  return {
    capabilities: (Object.keys(CAPABILITIES) as Capability[]).filter((each) =>
      threads.every(({ effective }) => (effective & bits([each])) !== 0n),
    ),
    surplus: [...(had & ~needed).toString(2)].filter((bit) => bit === "1").length,
    final,
  };
}

export function areReduced({ surplus, final }: Privileges): boolean {
  return surplus === 0 && final;
}

/**
 * The capabilities that the engine needs on this kernel: NET_ADMIN for devices, addresses and filters, NET_RAW for
 * packet sockets, BPF for programs and maps, and PERFMON, without which the kernel refuses programs that compare packet
 * pointers, as compilers make them do.
 */
export function needs(): readonly Capability[] {
  // Before Linux 5.8 BPF and PERFMON were part of SYS_ADMIN.
  const hasBpf = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "latin1")) >= CAPABILITIES.BPF;
  return ["NET_ADMIN", "NET_RAW", ...(hasBpf ? (["PERFMON", "BPF"] as const) : (["SYS_ADMIN"] as const))];
}

/**
 * Drops every capability of the calling thread that the engine does not need, for ever. Other threads keep theirs: an
 * exec has to follow.
 *
 * @returns why it failed, in words
 */
export function reducePrivileges(): string | undefined {
  const failure = nativeProcess.dropPrivileges(needs().map((each) => CAPABILITIES[each]));
  return failure && `${failure.call}: ${errnoName(failure.error)}`;
}

function setsOf(thread: string): Sets | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/self/task/${thread}/status`, "latin1");
  } catch {
    // The thread has ended.
    return undefined;
  }
  const set = (name: string) =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)`, "m").exec(status)?.[1] ?? "0"}`);
  return {
    effective: set("CapEff"),
    all: set("CapEff") | set("CapPrm") | set("CapInh") | set("CapAmb"),
    bounding: set("CapBnd"),
    noNewPrivileges: /^NoNewPrivs:\s*1/m.test(status),
  };
}

function bits(capabilities: readonly Capability[]): bigint {
  return capabilities.reduce((sum, each) => sum | (1n << BigInt(CAPABILITIES[each])), 0n);
}
