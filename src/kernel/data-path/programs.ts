/**
 * DataPathPrograms: loads the data path's programs and maps, and pins them in a bpffs of the run directory, where the
 * next engine finds them. On which devices they run is in attachments.ts. Knows no interface and no lease.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, realpathSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Document } from "../kernel.ts";
import { errnoName } from "../native.ts";
import { Attachments, detachEverywhere, type Hook, PROGRAMS } from "./attachments.ts";
import { bpfDirectory, mountBpffs } from "./bpffs.ts";
import { CARPDEVS, DataPathLayout } from "./layout.ts";
import { type BpfFailure, type BpfObject, nativeBpf } from "./native-bpf.ts";
import { recordedPrograms, recordPrograms } from "./program-record.ts";

const EPERM = 1;
const ENOSYS = 38;

const VERSION_PREFIX = "version-";
/** The directory of the programs' pins, by id: TCX replaces a pinned program without a packet between. */
const PROGRAM_PINS = "programs";

/** The place in which an engine keeps its programs for the next one. */
export interface Place {
  readonly runDir: string;
  /** Keeps the programs' ids. */
  readonly record: Document;
}

interface Loaded {
  readonly layout: DataPathLayout;
  readonly object: BpfObject;
  /** undefined: only probed, nothing is left for a later engine. */
  readonly place: Place | undefined;
  /** The handle of clsact filters. */
  readonly handle: number;
  readonly hook: Hook;
  /** Whether the maps are an earlier engine's, with what it put in them. */
  readonly adopted: boolean;
}

export class DataPathPrograms {
  readonly layout: DataPathLayout;
  readonly object: BpfObject;
  /** Whether the maps are an earlier engine's, with what it put in them. */
  readonly adopted: boolean;
  readonly attachments: Attachments;
  readonly #place: Place | undefined;
  /** Ids of this engine's programs and of those of earlier engines. */
  readonly #known: Set<number>;
  /** Programs and maps with their paths in the bpffs; none when there is no bpffs. */
  #pins: readonly (readonly [name: string, path: string])[] = [];

  private constructor({ layout, object, place, handle, hook, adopted }: Loaded) {
    this.layout = layout;
    this.object = object;
    this.adopted = adopted;
    this.#place = place;
    this.#known = new Set([...this.#ids, ...(place === undefined ? [] : formerPrograms(place))]);
    this.attachments = new Attachments({
      object,
      layout,
      handle,
      known: this.#known,
      hook,
      pinOf: (id) => this.#pinOf(id),
    });
  }

  /**
   * Loads the programs, replaces those of an earlier engine, and takes over its maps.
   *
   * @param preferred the other hook is taken when the kernel lacks this one
   * @returns in words why this host cannot have the programs, when it cannot
   */
  static load(
    place: Place,
    complain: (text: string) => void,
    preferred: Hook = "tcx",
  ): DataPathPrograms | string {
    const { runDir } = place;
    const read = nativeBpf.bpfLayout();
    if ("error" in read) return inWords(read);
    const layout = new DataPathLayout(read);
    mkdirSync(runDir, { recursive: true });
    const directory = bpfDirectory(runDir);
    const handle = handleOf(runDir);
    const mountError = mountBpffs(directory);
    const persistent = mountError === 0;
    const version = `${VERSION_PREFIX}${layout.version}`;
    const versions = join(directory, version);
    if (persistent) prepareVersion(directory, version);
    const adopted = persistent && readdirSync(versions).length > 0;
    const object = new nativeBpf.BpfObject();
    // A bpffs takes no dots in names.
    const mapPins = layout.maps.map(
      (map) => [map, join(map === CARPDEVS ? directory : versions, map.replace(".", "_"))] as const,
    );
    const failure = object.load(persistent ? mapPins : []);
    if (failure !== undefined) return abandon(object, place, handle, inWords(failure));
    const result = new DataPathPrograms({ layout, object, place, handle, hook: preferred, adopted });
    result.#record(complain);
    if (persistent) {
      const programPins = PROGRAMS.map(
        ([name]) => [name, join(directory, PROGRAM_PINS, String(object.programId(name)))] as const,
      );
      result.#pins = [...mapPins, ...programPins];
      const failed = result.pin();
      if (failed !== undefined) complain(failed);
    }
    const { attachments } = result;
    const obstacle = attachments.tryOut();
    if (obstacle !== undefined) return abandon(object, place, handle, obstacle);
    if (!persistent)
      complain(
        `${directory}: no bpffs can be mounted (${errnoName(mountError)}): leases end with the engine`,
      );
    attachments.findLeftovers();
    for (const index of [...attachments.indexes]) attachments.attach(index);
    result.#forgetFormer();
    return result;
  }

  /** Loads the programs and takes them away again. @returns in words why this host cannot have them, when it cannot */
  static probe(): string | undefined {
    const read = nativeBpf.bpfLayout();
    if ("error" in read) return inWords(read);
    const layout = new DataPathLayout(read);
    const object = new nativeBpf.BpfObject();
    const failure = object.load([]);
    if (failure !== undefined) return inWords(failure);
    const probed = new DataPathPrograms({
      layout,
      object,
      place: undefined,
      handle: process.pid,
      hook: "tcx",
      adopted: false,
    });
    const obstacle = probed.attachments.tryOut();
    object.close();
    return obstacle;
  }

  /** In words, that pins which the next engine needs were removed; undefined: all are there. */
  get unpinned(): string | undefined {
    return this.#pins.every(([, path]) => existsSync(path))
      ? undefined
      : "pins of eBPF programs or maps were removed";
  }

  /** Pins the programs and maps that have no pin. @returns why it failed, in words */
  pin(): string | undefined {
    if (this.#place === undefined || this.#pins.length === 0) return undefined;
    const directory = bpfDirectory(this.#place.runDir);
    const error = mountBpffs(directory);
    if (error !== 0) return `${directory}: cannot be mounted: ${errnoName(error)}`;
    for (const [name, path] of this.#pins) {
      if (existsSync(path)) continue;
      mkdirSync(dirname(path), { recursive: true });
      const error = this.object.pin(name, path);
      if (error !== 0) return `${path}: cannot be pinned: ${errnoName(error)}`;
    }
    return undefined;
  }

  /** Takes the programs off all devices, and removes pins and maps. */
  remove(): void {
    for (const index of [...this.attachments.indexes]) this.attachments.detach(index);
    this.object.close();
    if (this.#place === undefined) return;
    removeFilesystem(bpfDirectory(this.#place.runDir));
    recordPrograms(this.#place.record, []);
  }

  #pinOf(id: number): string | undefined {
    if (this.#place === undefined) return undefined;
    const path = join(bpfDirectory(this.#place.runDir), PROGRAM_PINS, String(id));
    return existsSync(path) ? path : undefined;
  }

  get #ids(): number[] {
    return PROGRAMS.map(([program]) => this.object.programId(program));
  }

  /** Records the programs' ids, before any of them is on a device. */
  #record(complain: (text: string) => void): void {
    if (this.#place === undefined || this.attachments.hook !== "tcx") return;
    try {
      recordPrograms(this.#place.record, this.#known);
    } catch (error) {
      // Without the ids the next engine would not find them on devices; filters it finds by their handle.
      this.attachments.useClsact();
      complain(
        `${this.#place.runDir}: the ids of programs on devices cannot be recorded: ${(error as Error).message}`,
      );
    }
  }

  /** Forgets the programs of earlier engines, when they are on no carpdev any more. */
  #forgetFormer(): void {
    const ids = new Set(this.#ids);
    for (const id of this.#known) {
      if (ids.has(id)) continue;
      const pin = this.#pinOf(id);
      if (pin !== undefined) rmSync(pin, { force: true });
      this.#known.delete(id);
    }
    if (this.attachments.hook === "tcx" && this.#place !== undefined)
      recordPrograms(this.#place.record, this.#known);
  }
}

/** The handle of clsact filters: from the real path, so that it is equal for every engine of a run directory. */
function handleOf(runDir: string): number {
  const identity = createHash("sha256").update(realpathSync(runDir)).digest();
  return (identity.readUInt32BE(0) & 0x7fff_ffff) | 1;
}

/** Ids of earlier engines' programs, which may still be on devices. */
function formerPrograms({ runDir, record }: Place): number[] {
  const pins = join(bpfDirectory(runDir), PROGRAM_PINS);
  return [...recordedPrograms(record), ...(existsSync(pins) ? readdirSync(pins).map(Number) : [])];
}

/** Removes the maps of every other version: the programs that use them are about to be replaced. */
function prepareVersion(directory: string, version: string): void {
  for (const entry of versionsIn(directory))
    if (entry !== version) rmSync(join(directory, entry), { recursive: true });
  mkdirSync(join(directory, version), { recursive: true });
}

/** Only our own directories: some kernels put entries of theirs into every bpffs. */
function versionsIn(directory: string): string[] {
  return readdirSync(directory).filter((entry) => entry.startsWith(VERSION_PREFIX));
}

function removeFilesystem(directory: string): void {
  if (!nativeBpf.isBpf(directory)) return;
  // Before unmounting: a copy of the mount in another namespace must not keep them.
  for (const entry of [...versionsIn(directory), PROGRAM_PINS, CARPDEVS])
    rmSync(join(directory, entry), { recursive: true, force: true });
  // Without the privilege, the keeper unmounts it when the engine ends.
  if (nativeBpf.unmount(directory) === 0) rmdirSync(directory);
}

/** Takes an earlier engine's programs off all devices: no engine renews the leases they go by. */
function abandon(object: BpfObject, place: Place, handle: number, obstacle: string): string {
  detachEverywhere(object, new Set(formerPrograms(place)), handle);
  object.close();
  removeFilesystem(bpfDirectory(place.runDir));
  recordPrograms(place.record, []);
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
