/**
 * The data path's programs in the kernel: loading them, keeping them and their maps in a bpffs of the run directory,
 * and putting them on carpdevs beside whatever else is there. Knows no interface and no lease.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, realpathSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { bpfDirectory, mountBpffs } from "./bpffs.ts";
import { CARPDEVS, DataPathLayout } from "./data-path-layout.ts";
import { type BpfFailure, type BpfObject, errnoName, native, type TrafficFilter } from "./native.ts";
import { recordedPrograms, recordPrograms } from "./program-record.ts";

const programs = [
  ["carp_ingress", true],
  ["carp_egress", false],
] as const;

const LOOPBACK = 1;

const EPERM = 1;
const ENOENT = 2;
const EACCES = 13;
const EEXIST = 17;
const EINVAL = 22;
const ENOSYS = 38;

/** Whether the clsact qdisc of a carpdev was made by us, as the next engine finds it. */
const NOT_OURS = 0;
const OURS = 1;

const VERSION_PREFIX = "version-";
/** By id: only a program that can be had from here can be replaced without a packet between. In every version. */
const PROGRAMS = "programs";

/** How programs get to see packets: TCX (Linux 6.6) goes past the queueing disciplines, which takes time. */
export type Hook = "tcx" | "clsact";

/** Before everybody else's: a filter that ends the matter for a packet must not spare it ours. */
const FIRST_PRIORITY = 1;
/** The kernel's choice: in front of those that are there. */
const ANY_PRIORITY = 0;

export class DataPathPrograms {
  readonly layout: DataPathLayout;
  readonly object: BpfObject;
  /** Whether the maps were there before: an earlier engine's, with what it put in them. */
  readonly adopted: boolean;
  /** undefined: nothing is to be found by anybody later. */
  readonly #runDir: string | undefined;
  readonly #handle: number;
  /** By TCX, ours and those of the engines before us. */
  readonly #known: Set<number>;
  /** The clsact qdisc of a carpdev we are on was made by us. */
  readonly #attached = new Map<number, { made: boolean }>();
  #hook: Hook;
  /** Programs and maps, and where they are in the bpffs; none when there is no bpffs. */
  #pins: readonly (readonly [name: string, path: string])[] = [];

  private constructor(
    layout: DataPathLayout,
    object: BpfObject,
    runDir: string | undefined,
    handle: number,
    adopted: boolean,
    hook: Hook,
  ) {
    this.layout = layout;
    this.object = object;
    this.adopted = adopted;
    this.#runDir = runDir;
    this.#handle = handle;
    this.#hook = hook;
    this.#known = new Set([...this.#ids, ...(runDir === undefined ? [] : formerPrograms(runDir))]);
    for (const key of object.keys(CARPDEVS)) {
      const index = layout.readNumber(key);
      const made = layout.readNumber(object.lookup(CARPDEVS, key) ?? layout.number(NOT_OURS)) === OURS;
      // An index that no device has any more says nothing about the device that gets it next.
      if (native.interfaceName(index) === undefined) object.remove(CARPDEVS, key);
      else this.#attached.set(index, { made });
    }
  }

  /**
   * @param preferred the other one when the kernel has no such hook
   * @returns why this host cannot have them, in words, when it cannot.
   */
  static load(
    runDir: string,
    complain: (text: string) => void,
    preferred: Hook = "tcx",
  ): DataPathPrograms | string {
    const read = native.bpfLayout();
    if ("error" in read) return inWords(read);
    const layout = new DataPathLayout(read);
    mkdirSync(runDir, { recursive: true });
    const directory = bpfDirectory(runDir);
    // The same run directory, whatever it is called and whoever runs in it, has the same handle.
    const identity = createHash("sha256").update(realpathSync(runDir)).digest();
    const handle = (identity.readUInt32BE(0) & 0x7fff_ffff) | 1;
    const mountError = mountBpffs(directory);
    const persistent = mountError === 0;
    const version = `${VERSION_PREFIX}${layout.version}`;
    const versions = join(directory, version);
    if (persistent) prepareVersion(directory, version);
    const adopted = persistent && readdirSync(versions).length > 0;
    const object = new native.BpfObject();
    // A bpffs takes no dots in names.
    const pins = layout.maps.map(
      (map) => [map, join(map === CARPDEVS ? directory : versions, map.replace(".", "_"))] as const,
    );
    const failure = object.load(persistent ? pins : []);
    if (failure !== undefined) return abandon(object, runDir, handle, inWords(failure));
    const result = new DataPathPrograms(layout, object, runDir, handle, adopted, preferred);
    result.#record(complain);
    if (persistent) {
      const pinned = programs.map(
        ([name]) => [name, join(directory, PROGRAMS, String(object.programId(name)))] as const,
      );
      result.#pins = [...pins, ...pinned];
      const failed = result.pin();
      if (failed !== undefined) complain(failed);
    }
    const obstacle = result.#tryOut();
    if (obstacle !== undefined) return abandon(object, runDir, handle, obstacle);
    if (!persistent)
      complain(
        `${directory}: no bpffs can be mounted (${errnoName(mountError)}): leases end with the engine`,
      );
    result.#findLeftBehind();
    for (const index of [...result.#attached.keys()]) result.attach(index);
    result.#forgetFormer();
    return result;
  }

  /** Loads them and takes them away again. @returns why this host cannot have them, in words, when it cannot. */
  static probe(): string | undefined {
    const read = native.bpfLayout();
    if ("error" in read) return inWords(read);
    const object = new native.BpfObject();
    const failure = object.load([]);
    if (failure !== undefined) return inWords(failure);
    const probed = new DataPathPrograms(
      new DataPathLayout(read),
      object,
      undefined,
      process.pid,
      false,
      "tcx",
    );
    const obstacle = probed.#tryOut();
    object.close();
    return obstacle;
  }

  /** What somebody took away of all that the next engine has to find, in words. */
  get unpinned(): string | undefined {
    return this.#pins.every(([, path]) => existsSync(path)) ? undefined : "what is pinned was removed";
  }

  /** Makes it so that the next engine finds all. @returns why it cannot, in words */
  pin(): string | undefined {
    if (this.#runDir === undefined || this.#pins.length === 0) return undefined;
    const error = mountBpffs(bpfDirectory(this.#runDir));
    if (error !== 0) return `${bpfDirectory(this.#runDir)}: cannot be mounted: ${errnoName(error)}`;
    for (const [name, path] of this.#pins) {
      if (existsSync(path)) continue;
      mkdirSync(dirname(path), { recursive: true });
      const error = this.object.pin(name, path);
      if (error !== 0) return `${path}: cannot be pinned: ${errnoName(error)}`;
    }
    return undefined;
  }

  /** @returns why it failed, in words. Doing it again replaces the programs, without a packet between them. */
  attach(index: number): string | undefined {
    return this.#hook === "tcx" ? this.#attachTcx(index) : this.#attachClsact(index);
  }

  #attachTcx(index: number): string | undefined {
    if (!this.#attached.has(index)) this.#remember(index, false);
    for (const [program, ingress] of programs) {
      const [former, ...more] = this.#oursByTcx(index, ingress);
      if (former === this.object.programId(program)) continue;
      const pin = former === undefined ? undefined : this.#pinOf(former);
      const error = this.object.attachTcx(program, index, ingress, pin);
      if (error !== 0)
        return this.#failed(index, `no program can be put on its ${ingress ? "ingress" : "egress"}`, error);
      if (former !== undefined && pin === undefined) more.push(former);
      for (const id of more) native.detachTcx(id, index, ingress);
    }
    this.#leaveClsact(index);
    this.#remember(index, false);
    return undefined;
  }

  #attachClsact(index: number): string | undefined {
    const known = this.#attached.has(index);
    // An engine that is killed in between must not leave a qdisc that nobody knows to be its own.
    if (!known) this.#remember(index, true);
    const qdisc = native.createClsact(index);
    if (qdisc === 0) this.#remember(index, true);
    else if (!known) this.#remember(index, false);
    if (qdisc !== 0 && qdisc !== EEXIST) {
      if (!known) this.#forget(index);
      return this.#failed(index, "the clsact qdisc cannot be made", qdisc);
    }
    for (const [program, ingress] of programs) {
      const error = this.#place(program, index, ingress);
      if (error !== 0)
        return this.#failed(index, `no filter can be put on its ${ingress ? "ingress" : "egress"}`, error);
    }
    this.#leaveTcx(index);
    return undefined;
  }

  detach(index: number): void {
    this.#leaveTcx(index);
    this.#leaveClsact(index);
    this.#forget(index);
  }

  #leaveTcx(index: number): void {
    for (const [, ingress] of programs)
      for (const id of this.#oursByTcx(index, ingress)) native.detachTcx(id, index, ingress);
  }

  #leaveClsact(index: number): void {
    for (const [program, ingress] of programs) {
      for (const { priority } of this.#ours(index, ingress))
        this.object.detach(program, index, ingress, priority, this.#handle);
    }
    if (this.#attached.get(index)?.made === true && !this.#isUsed(index)) native.deleteClsact(index);
  }

  get attached(): Iterable<number> {
    return this.#attached.keys();
  }

  /** Whether both programs are still there. */
  isAttached(index: number): boolean {
    return programs.every(
      ([, ingress]) =>
        (this.#hook === "tcx" ? this.#oursByTcx(index, ingress) : this.#ours(index, ingress)).length > 0,
    );
  }

  /** Takes the programs off and forgets the maps. */
  remove(): void {
    for (const index of [...this.#attached.keys()]) this.detach(index);
    this.object.close();
    if (this.#runDir === undefined) return;
    removeFilesystem(bpfDirectory(this.#runDir));
    recordPrograms(this.#runDir, []);
  }

  /** @param made whether the clsact qdisc is ours to remove */
  #remember(index: number, made: boolean): void {
    this.#attached.set(index, { made });
    this.object.update(CARPDEVS, this.layout.number(index), this.layout.number(made ? OURS : NOT_OURS));
  }

  #forget(index: number): void {
    this.#attached.delete(index);
    this.object.remove(CARPDEVS, this.layout.number(index));
  }

  #ours(index: number, ingress: boolean): TrafficFilter[] {
    return filtersOf(this.#handle, index, ingress);
  }

  #oursByTcx(index: number, ingress: boolean): number[] {
    return tcxOf(this.#known, index, ingress);
  }

  #pinOf(id: number): string | undefined {
    const path = this.#runDir === undefined ? "" : join(bpfDirectory(this.#runDir), PROGRAMS, String(id));
    return path !== "" && existsSync(path) ? path : undefined;
  }

  get #ids(): number[] {
    return programs.map(([program]) => this.object.programId(program));
  }

  #isUsed(index: number): boolean {
    return [true, false].some((ingress) => {
      const filters = native.listFilters(index, ingress);
      return typeof filters !== "number" && filters.length > 0;
    });
  }

  #place(program: string, index: number, ingress: boolean): number {
    const [ours] = this.#ours(index, ingress);
    const error = this.object.attach(program, index, ingress, ours?.priority ?? FIRST_PRIORITY, this.#handle);
    // Filters of another kind have that priority.
    if ((error === EINVAL || error === EEXIST) && ours === undefined)
      return this.object.attach(program, index, ingress, ANY_PRIORITY, this.#handle);
    return error;
  }

  /** On the loopback interface, where nothing is carp's: what the kernel lacks shows before it is needed. */
  #tryOut(): string | undefined {
    const before = this.#attached.has(LOOPBACK);
    let obstacle = this.attach(LOOPBACK);
    if (obstacle !== undefined && this.#hook === "tcx") {
      this.#hook = "clsact";
      obstacle = this.attach(LOOPBACK);
    }
    if (!before) this.detach(LOOPBACK);
    return obstacle;
  }

  /** Before any of them is on a device. */
  #record(complain: (text: string) => void): void {
    if (this.#runDir === undefined || this.#hook !== "tcx") return;
    try {
      recordPrograms(this.#runDir, this.#known);
    } catch (error) {
      // The next engine would not know whose they are, as it knows a filter by its handle.
      this.#hook = "clsact";
      complain(`${this.#runDir}: what is put on devices cannot be recorded: ${(error as Error).message}`);
    }
  }

  /** Carpdevs of an engine before us whose maps are gone. */
  #findLeftBehind(): void {
    for (const index of native.interfaceIndexes()) {
      if (this.#attached.has(index)) continue;
      const left = [true, false].some(
        (ingress) => this.#oursByTcx(index, ingress).length > 0 || this.#ours(index, ingress).length > 0,
      );
      if (left) this.#remember(index, false);
    }
  }

  /** Those of engines before us, once they are on no carpdev any more. */
  #forgetFormer(): void {
    const ids = new Set(this.#ids);
    for (const id of this.#known) {
      if (ids.has(id)) continue;
      const pin = this.#pinOf(id);
      if (pin !== undefined) rmSync(pin, { force: true });
      this.#known.delete(id);
    }
    if (this.#hook === "tcx" && this.#runDir !== undefined) recordPrograms(this.#runDir, this.#known);
  }

  #failed(index: number, what: string, error: number): string {
    const name = native.interfaceName(index) ?? `interface ${index}`;
    if (error === ENOENT)
      return `${name}: ${what}: this kernel lacks it (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)`;
    if (error === EPERM || error === EACCES) return `${name}: ${what}: this needs CAP_NET_ADMIN and CAP_BPF`;
    return `${name}: ${what}: ${errnoName(error)}`;
  }
}

/** Those of engines before: of which some may be on devices still. */
function formerPrograms(runDir: string): number[] {
  const pins = join(bpfDirectory(runDir), PROGRAMS);
  return [...recordedPrograms(runDir), ...(existsSync(pins) ? readdirSync(pins).map(Number) : [])];
}

function tcxOf(wanted: ReadonlySet<number>, index: number, ingress: boolean): number[] {
  const found = native.listTcx(index, ingress);
  return typeof found === "number" ? [] : found.filter((id) => wanted.has(id));
}

function filtersOf(wanted: number, index: number, ingress: boolean): TrafficFilter[] {
  const filters = native.listFilters(index, ingress);
  if (typeof filters === "number") return [];
  return filters.filter(({ kind, handle }) => kind === "bpf" && handle === wanted);
}

/** Maps of any other version are of no use: the programs that still work with them are about to be replaced. */
function prepareVersion(directory: string, version: string): void {
  for (const entry of versionsIn(directory))
    if (entry !== version) rmSync(join(directory, entry), { recursive: true });
  mkdirSync(join(directory, version), { recursive: true });
}

/** Some kernels put things of their own into every bpffs. */
function versionsIn(directory: string): string[] {
  return readdirSync(directory).filter((entry) => entry.startsWith(VERSION_PREFIX));
}

function removeFilesystem(directory: string): void {
  if (!native.isBpf(directory)) return;
  // Somebody else's copy of the mount must not keep them.
  for (const entry of [...versionsIn(directory), PROGRAMS, CARPDEVS])
    rmSync(join(directory, entry), { recursive: true, force: true });
  // Else an engine that ends has somebody who still may.
  if (native.unmount(directory) === 0) rmdirSync(directory);
}

function abandon(object: BpfObject, runDir: string, handle: number, obstacle: string): string {
  // An earlier engine, which could, may have left programs behind: nobody renews the leases that they go by.
  const former = new Set(formerPrograms(runDir));
  for (const index of native.interfaceIndexes())
    for (const [program, ingress] of programs) {
      for (const { priority } of filtersOf(handle, index, ingress))
        object.detach(program, index, ingress, priority, handle);
      for (const id of tcxOf(former, index, ingress)) native.detachTcx(id, index, ingress);
    }
  object.close();
  removeFilesystem(bpfDirectory(runDir));
  recordPrograms(runDir, []);
  return obstacle;
}

function inWords({ call, error, log }: BpfFailure): string {
  if (error === ENOSYS) return "this kernel has no eBPF (CONFIG_BPF_SYSCALL)";
  if (error === EPERM)
    return "this process may not use eBPF: it needs CAP_BPF and CAP_NET_ADMIN, which containers often withhold";
  const lines = log.split("\n").filter((line) => line !== "" && !line.startsWith("libbpf:"));
  const reason = lines.findLast((line) => !/^(processed|--|\d+: )/.test(line));
  return `this kernel refuses the eBPF programs (${call}: ${errnoName(error)}${reason ? `: ${reason}` : ""})`;
}
