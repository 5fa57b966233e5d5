/**
 * DataPathPrograms: loads the data path's programs and maps, and takes over those of an earlier engine, which live as
 * long as they are attached to a device. On which devices they run is in attachments.ts. Knows no interface and no
 * lease.
 */

import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import type { Document } from "../kernel.ts";
import { errnoName } from "../native.ts";
import { Attachments, detachEverywhere, type Hook, PROGRAMS } from "./attachments.ts";
import { CARPDEVS, DataPathLayout } from "./layout.ts";
import { type BpfFailure, type BpfObject, nativeBpf } from "./native-bpf.ts";
import { recordedPrograms, recordPrograms, type Versions } from "./program-record.ts";

const EPERM = 1;
const ENOSYS = 38;

/** The place in which an engine finds the programs of an earlier one. */
export interface Place {
  readonly runDir: string;
  /** Keeps the programs' ids. */
  readonly record: Document;
}

/** The time after which recording the programs is tried again. */
const AGAIN_MS = 3000;

interface Loaded {
  readonly layout: DataPathLayout;
  readonly object: BpfObject;
  /** undefined: only probed, nothing is left for a later engine. */
  readonly place: Place | undefined;
  /** Programs of earlier engines, which may still be on devices. */
  readonly former: Versions;
  /** The handle of clsact filters. */
  readonly handle: number;
  readonly hook: Hook;
}

export class DataPathPrograms {
  readonly layout: DataPathLayout;
  readonly object: BpfObject;
  /** Whether the maps are an earlier engine's, with what it put in them. */
  readonly adopted: boolean;
  readonly attachments: Attachments;
  readonly #place: Place | undefined;
  /** This engine's programs and those of earlier engines. */
  readonly #known: Map<number, string>;
  #recording: NodeJS.Timeout | undefined;

  private constructor({ layout, object, place, former, handle, hook }: Loaded) {
    this.layout = layout;
    this.object = object;
    this.adopted = former.get(object.adopted()) === layout.version;
    this.#place = place;
    this.#known = new Map([...former, ...this.#own]);
    this.attachments = new Attachments({ object, layout, handle, known: this.#known, hook });
  }

  /**
   * Loads the programs, takes over the maps of an earlier engine, and replaces its programs if there are such maps.
   *
   * @param preferred the other hook is taken when the kernel lacks this one
   * @returns in words why this host cannot have the programs, when it cannot
   */
  static load(
    place: Place,
    complain: (text: string) => void,
    preferred: Hook = "tcx",
  ): DataPathPrograms | string {
    const read = nativeBpf.bpfLayout();
    if ("error" in read) return inWords(read);
    const layout = new DataPathLayout(read);
    const handle = handleOf(place.runDir);
    const former = recordedPrograms(place.record);
    const object = new nativeBpf.BpfObject();
    const failure = object.load(mapsOf(former, layout));
    if (failure !== undefined) return abandon(object, place, handle, inWords(failure));
    const result = new DataPathPrograms({ layout, object, place, former, handle, hook: preferred });
    result.#record(complain);
    const { attachments } = result;
    const obstacle = attachments.tryOut();
    if (obstacle !== undefined) return abandon(object, place, handle, obstacle);
    attachments.findLeftovers();
    // Empty maps would let everything pass to devices that an earlier engine left: its own go on until `configure`.
    if (result.adopted) {
      for (const index of [...attachments.indexes]) attachments.attach(index);
      result.forgetFormer();
    }
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
      former: new Map(),
      handle: process.pid,
      hook: "tcx",
    });
    const obstacle = probed.attachments.tryOut();
    object.close();
    return obstacle;
  }

  /** Takes the programs off all devices, and with them the maps. */
  remove(): void {
    clearTimeout(this.#recording);
    for (const index of [...this.attachments.indexes]) this.attachments.detach(index);
    this.object.close();
    if (this.#place !== undefined) recordFewer(this.#place.record, new Map());
  }

  get #own(): Map<number, string> {
    return new Map(PROGRAMS.map(([program]) => [this.object.programId(program), this.layout.version]));
  }

  /** Records the programs' ids, before any of them is on a device. */
  #record(complain: (text: string) => void): void {
    if (this.#place === undefined) return;
    const error = this.#tryToRecord(this.#place.record);
    if (error === undefined) return;
    // Without the ids the next engine would not find them on devices; filters it finds by their handle.
    this.attachments.useClsact();
    this.#recordAgain(this.#place.record);
    complain(
      `${this.#place.runDir}: the ids of programs on devices cannot be recorded: ${error}: until they are, leases end with the engine`,
    );
  }

  #recordAgain(record: Document): void {
    this.#recording = setTimeout(() => {
      if (this.#tryToRecord(record) !== undefined) this.#recordAgain(record);
    }, AGAIN_MS).unref();
  }

  /** @returns why they cannot be recorded */
  #tryToRecord(record: Document): string | undefined {
    try {
      recordPrograms(record, this.#known);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Forgets the programs of earlier engines, when they are on no carpdev any more. */
  forgetFormer(): void {
    const own = this.#own;
    const former = [...this.#known.keys()].filter((id) => !own.has(id));
    for (const id of former) this.#known.delete(id);
    if (former.length > 0 && this.#place !== undefined) recordFewer(this.#place.record, this.#known);
  }
}

/** The handle of clsact filters: from the real path, so that it is equal for every engine of a run directory. */
function handleOf(runDir: string): number {
  const identity = createHash("sha256").update(realpathSync(runDir)).digest();
  return (identity.readUInt32BE(0) & 0x7fff_ffff) | 1;
}

/**
 * The maps to take over from each program of an earlier engine: all of one with the same layout, else the list of
 * carpdevs, which every version reads.
 */
function mapsOf(former: Versions, layout: DataPathLayout): [number, readonly string[]][] {
  const same = [...former].filter(([, version]) => version === layout.version);
  const all = same.map(([id]): [number, readonly string[]] => [id, layout.maps]);
  return [...all, ...[...former.keys()].map((id): [number, readonly string[]] => [id, [CARPDEVS]])];
}

/** Takes an earlier engine's programs off all devices: no engine renews the leases they go by. */
function abandon(object: BpfObject, { record }: Place, handle: number, obstacle: string): string {
  detachEverywhere(object, new Set(recordedPrograms(record).keys()), handle);
  object.close();
  recordFewer(record, new Map());
  return obstacle;
}

/**
 * Records that programs are gone. A record that cannot be written goes on naming them, which does no harm: the kernel
 * gives their ids to no others.
 */
function recordFewer(record: Document, programs: Versions): void {
  try {
    recordPrograms(record, programs);
  } catch {
    // As said above.
  }
}

function inWords({ call, error, log }: BpfFailure): string {
  if (error === ENOSYS) return "this kernel has no eBPF (CONFIG_BPF_SYSCALL)";
  if (error === EPERM)
    return "this process may not use eBPF: it needs CAP_BPF and CAP_NET_ADMIN, which containers often withhold";
  const lines = log.split("\n").filter((line) => line !== "" && !line.startsWith("libbpf:"));
  const reason = lines.findLast((line) => !/^(processed|--|\d+: )/.test(line));
  return `this kernel refuses the eBPF programs (${call}: ${errnoName(error)}${reason ? `: ${reason}` : ""})`;
}
