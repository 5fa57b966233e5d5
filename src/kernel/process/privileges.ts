/**
 * Privileges of this process: what it has, what the engine needs, and giving up the rest. Judged by what the kernel
 * shows for every thread, never by what an earlier call should have achieved.
 */

import { closeSync, constants, openSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { errnoName } from "../native.ts";
import { nativeProcess, type User } from "./native-process.ts";

/** The user that the engine becomes, where it exists. */
export const ENGINE_USER = "_carpd";
/** Members may change what the engine does; the engine keeps this group, to give its sockets to it. */
export const CARP_GROUP = "carp";

/** Numbers in linux/capability.h. */
const CAPABILITIES = { NET_ADMIN: 12, NET_RAW: 13, SYS_ADMIN: 21, BPF: 39 } as const;
export type Capability = keyof typeof CAPABILITIES;

export interface Privileges {
  readonly uid: number;
  /** The capabilities that this process can use. */
  readonly capabilities: readonly Capability[];
  /** The number of capabilities beyond the engine's need that any thread has or could still gain. */
  readonly surplus: number;
  /** Whether no thread can gain capabilities by exec (no_new_privs). */
  readonly final: boolean;
  /** Whether Landlock withholds files. */
  readonly landlock: boolean;
  /** Whether a seccomp filter withholds system calls. */
  readonly seccomp: boolean;
}

/** The capability sets of one thread, as bits. */
interface Sets {
  readonly effective: bigint;
  readonly all: bigint;
  readonly bounding: bigint;
  readonly noNewPrivileges: boolean;
}

export function privileges(): Privileges {
  const threads = readdirSync("/proc/self/task").flatMap((thread) => setsOf(`task/${thread}/status`) ?? []);
  const final = threads.every(({ noNewPrivileges }) => noNewPrivileges);
  // The bounding set does not matter where an exec can gain nothing.
  const had = threads.reduce((sum, { all, bounding }) => sum | all | (final ? 0n : bounding), 0n);
  const usable = setsOf("status")?.effective ?? 0n;
  return {
    uid: process.geteuid?.() ?? 0,
    capabilities: (Object.keys(CAPABILITIES) as Capability[]).filter(
      (each) => (usable & bits([each])) !== 0n,
    ),
    surplus: [...(had & ~bits(needs())).toString(2)].filter((bit) => bit === "1").length,
    final,
    landlock: isWithheld("/"),
    seccomp: /^Seccomp:\s*2/m.test(readFileSync("/proc/self/status", "latin1")),
  };
}

export function areReduced({ surplus, final }: Privileges): boolean {
  return surplus === 0 && final;
}

/**
 * The capabilities that a running engine needs on this kernel: NET_ADMIN for devices, addresses, filters and their
 * maps, NET_RAW for packet sockets. Kernels before 5.19 refuse every bpf call without CAP_BPF (before 5.8:
 * CAP_SYS_ADMIN) where unprivileged bpf is switched off.
 */
export function needs(kernel: string = release()): readonly Capability[] {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  const isBefore = (oldMajor: number, oldMinor: number) =>
    major < oldMajor || (major === oldMajor && minor < oldMinor);
  if (isBefore(5, 8)) return ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"];
  return isBefore(5, 19) ? ["NET_ADMIN", "NET_RAW", "BPF"] : ["NET_ADMIN", "NET_RAW"];
}

/** The user that an engine becomes; undefined: there is none, and the engine stays root without its capabilities. */
export function engineUser(): User | undefined {
  return nativeProcess.userId(ENGINE_USER);
}

/** What an engine that has given up root can still reach of the file system. */
export interface Reach {
  /** Directories and files to read. */
  readonly readable: readonly string[];
  /** Directories in which to write. */
  readonly writable: readonly string[];
}

/**
 * Gives up root for ever: becomes the user, where there is one, and keeps what the engine needs.
 *
 * @returns what could not be given up, in words; empty: all was
 */
export function giveUpRoot(user: User | undefined, { readable, writable }: Reach): readonly string[] {
  const group = nativeProcess.groupId(CARP_GROUP);
  const failures = nativeProcess.giveUpRoot(
    user?.uid ?? 0,
    user?.gid ?? 0,
    group === undefined ? [] : [group],
    needs().map((each) => CAPABILITIES[each]),
    readable,
    writable,
  );
  return failures.map(({ call, error }) => `${call}: ${errnoName(error)}`);
}

/** Whether this process, which may read the directory by its mode, is kept from it. */
function isWithheld(directory: string): boolean {
  try {
    closeSync(openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES";
  }
}

function setsOf(file: string): Sets | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/self/${file}`, "latin1");
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
