/**
 * What this process may do beyond what its user may, and how it comes to be no more than the engine needs. Judged by
 * what the kernel says of every thread, never by what somebody meant to have done.
 */

import { readdirSync, readFileSync } from "node:fs";
import { errnoName, native } from "./native.ts";

/** By their number in linux/capability.h. */
const CAPABILITIES = { NET_ADMIN: 12, NET_RAW: 13, SYS_ADMIN: 21, PERFMON: 38, BPF: 39 } as const;
export type Capability = keyof typeof CAPABILITIES;

export interface Privileges {
  /** Those of them that every thread can use. */
  readonly capabilities: readonly Capability[];
  /** How many some thread has, or could still get, that the engine does not need. */
  readonly surplus: number;
  /** Whether none of the threads can ever gain one by what it executes. */
  readonly final: boolean;
}

/** Each of them one of sets that are bits. */
interface Sets {
  readonly effective: bigint;
  readonly all: bigint;
  readonly bounding: bigint;
  readonly noNewPrivileges: boolean;
}

export function privileges(): Privileges {
  const threads = readdirSync("/proc/self/task").flatMap((thread) => setsOf(thread) ?? []);
  const final = threads.every(({ noNewPrivileges }) => noNewPrivileges);
  // What bounds an exec is of no account where an exec can gain nothing.
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
 * The engine's own, on this kernel. Devices, addresses, filters; sockets for frames; programs and maps; and PERFMON,
 * without which the kernel takes no program that compares pointers into a packet, as compilers make them do.
 */
export function needs(): readonly Capability[] {
  // Before 5.8 the last two were part of another.
  const hasBpf = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "latin1")) >= CAPABILITIES.BPF;
  return ["NET_ADMIN", "NET_RAW", ...(hasBpf ? (["PERFMON", "BPF"] as const) : (["SYS_ADMIN"] as const))];
}

/**
 * The calling thread keeps what the engine needs, of what it has, for ever. Threads that there are already keep theirs:
 * an exec has to follow.
 *
 * @returns why not, in words
 */
export function reducePrivileges(): string | undefined {
  const failure = native.dropPrivileges(needs().map((each) => CAPABILITIES[each]));
  return failure && `${failure.call}: ${errnoName(failure.error)}`;
}

function setsOf(thread: string): Sets | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/self/task/${thread}/status`, "latin1");
  } catch {
    // It has ended.
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
