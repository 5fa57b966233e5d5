/**
 * Attachments: puts the data path's two programs on the ingress and egress of carpdevs, by TCX (Linux 6.6) or as
 * filters of a clsact qdisc, and takes them off again. Programs of other owners are never touched. Knows no interface
 * and no lease.
 */

import { errnoName, native } from "../native.ts";
import { CARPDEVS, type DataPathLayout } from "./layout.ts";
import { type BpfObject, nativeBpf, type TrafficFilter } from "./native-bpf.ts";

/** TCX runs before the queueing disciplines, so packets take less time. */
export type Hook = "tcx" | "clsact";

/** The programs, and whether each is for ingress. */
export const PROGRAMS = [
  ["carp_ingress", true],
  ["carp_egress", false],
] as const;

/** How libbpf names a filter with one of our programs. */
const CARP_FILTER = /^carp_(in|e)gress:\[/;

const LOOPBACK = 1;

const EPERM = 1;
const ENOENT = 2;
const EACCES = 13;
const EEXIST = 17;
const EINVAL = 22;

/** Values of CARPDEVS: whether an engine of ours made the carpdev's clsact qdisc. */
const NOT_OURS = 0;
const OURS = 1;

/** A program or filter that runs before ours, which may end the chain: then the leases have no effect. */
interface Ahead {
  readonly ingress: boolean;
  /** Tells it from others. */
  readonly key: string;
  readonly text: string;
}

/** What runs on a device's ingress and on its egress: ids by TCX, or the filters of its clsact qdisc. */
type Found = readonly {
  readonly ingress: boolean;
  readonly ids: number[];
  readonly filters: TrafficFilter[];
}[];

/** Before all other filters: one that ends the matter for a packet must not spare it ours. */
const FIRST_PRIORITY = 1;
/** Lets the kernel choose: in front of the filters that are there. */
const ANY_PRIORITY = 0;

/** Something wrong with our programs on a device, in words. */
export interface Fault {
  readonly what: string;
  /** @returns why it failed, in words */
  repair(): string | undefined;
}

export interface AttachmentsOptions {
  readonly object: BpfObject;
  readonly layout: DataPathLayout;
  /** The handle of our clsact filters: equal for every engine of a run directory. */
  readonly handle: number;
  /** Ids of this engine's programs and of those of earlier engines. */
  readonly known: ReadonlyMap<number, unknown>;
  /** Tried first; clsact where the kernel has no TCX. */
  readonly hook: Hook;
}

export class Attachments {
  readonly #options: AttachmentsOptions;
  /** Carpdevs with our programs, by index; `made`: the clsact qdisc is ours to remove. */
  readonly #carpdevs = new Map<number, { made: boolean }>();
  /** Those on which this engine has put them. */
  readonly #attached = new Set<number>();
  /** Ids of programs of carp engines with other run directories: those end no chain. */
  readonly #related = new Set<number>();
  /** By carpdev: filters that this kernel lets nothing precede. */
  readonly #fixed = new Map<number, string>();
  #hook: Hook;

  /** Takes over the carpdevs that an earlier engine recorded in CARPDEVS. */
  constructor(options: AttachmentsOptions) {
    const { object, layout, hook } = options;
    this.#options = options;
    this.#hook = hook;
    for (const { key, value } of layout.entries(CARPDEVS, object.entries(CARPDEVS))) {
      const index = layout.readNumber(key);
      const made = layout.readNumber(value) === OURS;
      // The kernel may give the index of a deleted device to another one.
      if (native.interfaceName(index) === undefined) object.remove(CARPDEVS, key);
      else this.#carpdevs.set(index, { made });
    }
  }

  get indexes(): Iterable<number> {
    return this.#carpdevs.keys();
  }

  get hook(): Hook {
    return this.#hook;
  }

  useClsact(): void {
    this.#hook = "clsact";
  }

  /** Attaches both programs where that was not done: `faultOf` tells when they are gone. */
  attachOnce(index: number): string | undefined {
    return this.#attached.has(index) ? undefined : this.attach(index);
  }

  /** Attaches both programs; again, it replaces them without a packet between. @returns why it failed, in words */
  attach(index: number): string | undefined {
    const obstacle = this.#hook === "tcx" ? this.#attachTcx(index) : this.#attachClsact(index);
    if (obstacle === undefined) this.#attached.add(index);
    else this.#attached.delete(index);
    return obstacle;
  }

  detach(index: number): void {
    this.#attached.delete(index);
    this.#detachTcx(index);
    this.#detachClsact(index);
    this.#forget(index);
  }

  /** What is wrong on the device and was not repaired in vain. Waits for no lock of the kernel that others hold. */
  async faultOf(index: number): Promise<Fault | undefined> {
    const ahead = this.#ahead(await this.#foundApart(index));
    if (ahead === undefined) return { what: "eBPF programs were removed", repair: () => this.attach(index) };
    if (ahead.length === 0 || this.#fixed.get(index) === keyOf(ahead)) return undefined;
    return { what: inWords(ahead).join("; "), repair: () => this.#precede(index, ahead) };
  }

  /** Programs of other owners that run before ours on the device, in words; none where ours are not attached. */
  overruling(index: number): string[] {
    return inWords(this.#ahead(this.#found(index)) ?? []);
  }

  /** Puts attached programs of ours before all others. @returns why it failed, in words */
  #precede(index: number, ahead: readonly Ahead[]): string | undefined {
    const { object, handle } = this.#options;
    for (const { ingress } of ahead) {
      const program = ingress ? "carp_ingress" : "carp_egress";
      if (this.#hook === "tcx") {
        // The kernel moves no program: it is without ours for some microseconds.
        nativeBpf.detachTcx(object.programId(program), index, ingress);
        object.attachTcx(program, index, ingress, 0);
        continue;
      }
      const [ours] = this.#filtersOn(index, ingress);
      // Of filters with the same priority, the latest runs first.
      if (ours?.priority === FIRST_PRIORITY) object.detach(program, index, ingress, FIRST_PRIORITY, handle);
      const error = object.attach(program, index, ingress, FIRST_PRIORITY, handle);
      if (error === 0 && ours !== undefined && ours.priority !== FIRST_PRIORITY)
        object.detach(program, index, ingress, ours.priority, handle);
    }
    const left = this.#ahead(this.#found(index)) ?? [];
    if (left.length === 0) {
      this.#fixed.delete(index);
      return undefined;
    }
    this.#fixed.set(index, keyOf(left));
    const name = native.interfaceName(index) ?? `interface ${index}`;
    return `${name}: ${inWords(left).join("; ")} cannot be preceded: it may decide about packets against the leases`;
  }

  /** Attaches to the loopback device, which no carp interface is on, to learn now what the kernel lacks. */
  tryOut(): string | undefined {
    const before = this.#carpdevs.has(LOOPBACK);
    let obstacle = this.attach(LOOPBACK);
    if (obstacle !== undefined && this.#hook === "tcx") {
      this.#hook = "clsact";
      obstacle = this.attach(LOOPBACK);
    }
    if (!before) this.detach(LOOPBACK);
    return obstacle;
  }

  /** Takes over devices with programs of an earlier engine whose maps are gone. */
  findLeftovers(): void {
    for (const index of native.interfaceIndexes()) {
      const ids = PROGRAMS.flatMap(([, ingress]) => tcxIds(index, ingress));
      // To be found now, as root: later this process may not look at programs of others.
      for (const id of ids) this.#isRelated(id);
      if (this.#carpdevs.has(index)) continue;
      const isOurs =
        ids.some((id) => this.#options.known.has(id)) ||
        PROGRAMS.some(([, ingress]) => this.#filtersOn(index, ingress).length > 0);
      if (isOurs) this.#remember(index, false);
    }
  }

  #attachTcx(index: number): string | undefined {
    const { object } = this.#options;
    if (!this.#carpdevs.has(index)) this.#remember(index, false);
    for (const [program, ingress] of PROGRAMS) {
      const [former, ...more] = this.#tcxOn(index, ingress);
      if (former === object.programId(program)) continue;
      let error = object.attachTcx(program, index, ingress, former ?? 0);
      if (error === EPERM && former !== undefined) {
        // Without the privilege to reach that program: both are attached for a moment.
        error = object.attachTcx(program, index, ingress, 0);
        if (error === 0) more.push(former);
      }
      if (error !== 0)
        return failure(index, `no program can be put on its ${ingress ? "ingress" : "egress"}`, error);
      for (const id of more) nativeBpf.detachTcx(id, index, ingress);
    }
    this.#detachClsact(index);
    this.#remember(index, false);
    return undefined;
  }

  #attachClsact(index: number): string | undefined {
    const known = this.#carpdevs.has(index);
    // Recorded first: an engine that is killed in between must not leave a qdisc that no record tells to be its own.
    if (!known) this.#remember(index, true);
    const qdisc = nativeBpf.createClsact(index);
    if (qdisc === 0) this.#remember(index, true);
    else if (!known) this.#remember(index, false);
    if (qdisc !== 0 && qdisc !== EEXIST) {
      if (!known) this.#forget(index);
      return failure(index, "the clsact qdisc cannot be made", qdisc);
    }
    for (const [program, ingress] of PROGRAMS) {
      const error = this.#addFilter(program, index, ingress);
      if (error !== 0)
        return failure(index, `no filter can be put on its ${ingress ? "ingress" : "egress"}`, error);
    }
    this.#detachTcx(index);
    return undefined;
  }

  /** @returns 0 or an errno */
  #addFilter(program: string, index: number, ingress: boolean): number {
    const { object, handle } = this.#options;
    const [ours] = this.#filtersOn(index, ingress);
    const error = object.attach(program, index, ingress, ours?.priority ?? FIRST_PRIORITY, handle);
    // Filters of another kind have that priority.
    if ((error === EINVAL || error === EEXIST) && ours === undefined)
      return object.attach(program, index, ingress, ANY_PRIORITY, handle);
    return error;
  }

  #detachTcx(index: number): void {
    for (const [, ingress] of PROGRAMS)
      for (const id of this.#tcxOn(index, ingress)) nativeBpf.detachTcx(id, index, ingress);
  }

  #detachClsact(index: number): void {
    const { object, handle } = this.#options;
    for (const [program, ingress] of PROGRAMS) {
      for (const { priority } of this.#filtersOn(index, ingress))
        object.detach(program, index, ingress, priority, handle);
    }
    if (this.#carpdevs.get(index)?.made === true && !hasFilters(index)) nativeBpf.deleteClsact(index);
  }

  /** @param made whether the clsact qdisc is ours to remove */
  #remember(index: number, made: boolean): void {
    const { object, layout } = this.#options;
    this.#carpdevs.set(index, { made });
    object.update(CARPDEVS, layout.number(index), layout.number(made ? OURS : NOT_OURS));
  }

  #forget(index: number): void {
    const { object, layout } = this.#options;
    this.#carpdevs.delete(index);
    object.remove(CARPDEVS, layout.number(index));
  }

  #found(index: number): Found {
    return PROGRAMS.map(([, ingress]) =>
      this.#hook === "tcx"
        ? { ingress, ids: tcxIds(index, ingress), filters: [] }
        : { ingress, ids: [], filters: filtersOf(index, ingress) },
    );
  }

  #foundApart(index: number): Promise<Found> {
    return Promise.all(
      PROGRAMS.map(async ([, ingress]) =>
        this.#hook === "tcx"
          ? { ingress, ids: listed(await nativeBpf.listTcxApart(index, ingress)), filters: [] }
          : { ingress, ids: [], filters: listed(await nativeBpf.listFiltersApart(index, ingress)) },
      ),
    );
  }

  /** The programs of other owners that run before ours; undefined: ours are not both on the device. */
  #ahead(found: Found): Ahead[] | undefined {
    const both = found.map(({ ingress, ids, filters }) =>
      this.#hook === "tcx" ? this.#tcxAhead(ids, ingress) : this.#filtersAhead(filters, ingress),
    );
    return both.includes(undefined) ? undefined : both.flatMap((each) => each ?? []);
  }

  #tcxAhead(ids: readonly number[], ingress: boolean): Ahead[] | undefined {
    const first = ids.findIndex((id) => this.#options.known.has(id));
    if (first < 0) return undefined;
    return ids
      .slice(0, first)
      .filter((id) => !this.#isRelated(id))
      .map((id) => {
        const direction = directionOf(ingress);
        return { ingress, key: `${ingress} ${id}`, text: `program ${id} before carp's on ${direction}` };
      });
  }

  #filtersAhead(filters: readonly TrafficFilter[], ingress: boolean): Ahead[] | undefined {
    const isOurs = ({ kind, handle }: TrafficFilter) => kind === "bpf" && handle === this.#options.handle;
    const first = filters.findIndex(isOurs);
    if (first < 0) return undefined;
    return filters
      .slice(0, first)
      .filter(({ handle, chain, name }) => handle !== 0 && chain === 0 && !CARP_FILTER.test(name))
      .map(({ priority, kind, handle }) => ({
        ingress,
        key: `${ingress} ${priority} ${kind} ${handle}`,
        text: `a filter (${kind}, preference ${priority}) before carp's on ${directionOf(ingress)}`,
      }));
  }

  /** Whether it is the program of a carp engine with another run directory, as far as this process may look. */
  #isRelated(id: number): boolean {
    if (this.#related.has(id)) return true;
    const name = nativeBpf.programName(id);
    const isRelated = name !== undefined && PROGRAMS.some(([program]) => program === name);
    if (isRelated) this.#related.add(id);
    return isRelated;
  }

  /** Our programs on the device by TCX. */
  #tcxOn(index: number, ingress: boolean): number[] {
    return tcxOn(this.#options.known, index, ingress);
  }

  /** Our filters on the device. */
  #filtersOn(index: number, ingress: boolean): TrafficFilter[] {
    return filtersOn(this.#options.handle, index, ingress);
  }
}

/** Takes programs with these ids, and filters with this handle, off every device. */
export function detachEverywhere(object: BpfObject, ids: ReadonlySet<number>, handle: number): void {
  for (const index of native.interfaceIndexes())
    for (const [program, ingress] of PROGRAMS) {
      for (const { priority } of filtersOn(handle, index, ingress))
        object.detach(program, index, ingress, priority, handle);
      for (const id of tcxOn(ids, index, ingress)) nativeBpf.detachTcx(id, index, ingress);
    }
}

const directionOf = (ingress: boolean) => (ingress ? "ingress" : "egress");

/** A filter of some kinds is several to the kernel. */
const inWords = (ahead: readonly Ahead[]) => [...new Set(ahead.map(({ text }) => text))];

const keyOf = (ahead: readonly Ahead[]) => ahead.map(({ key }) => key).join();

/** The ids of all programs on the device by TCX, in the order they run. */
function tcxIds(index: number, ingress: boolean): number[] {
  return listed(nativeBpf.listTcx(index, ingress));
}

function tcxOn(wanted: { has(id: number): boolean }, index: number, ingress: boolean): number[] {
  return tcxIds(index, ingress).filter((id) => wanted.has(id));
}

/** The filters on the device, in the order they run. */
function filtersOf(index: number, ingress: boolean): TrafficFilter[] {
  return listed(nativeBpf.listFilters(index, ingress));
}

/** @param answer the list, or an errno */
function listed<T>(answer: T[] | number): T[] {
  return typeof answer === "number" ? [] : answer;
}

function filtersOn(wanted: number, index: number, ingress: boolean): TrafficFilter[] {
  return filtersOf(index, ingress).filter(({ kind, handle }) => kind === "bpf" && handle === wanted);
}

function hasFilters(index: number): boolean {
  return [true, false].some((ingress) => filtersOf(index, ingress).length > 0);
}

function failure(index: number, what: string, error: number): string {
  const name = native.interfaceName(index) ?? `interface ${index}`;
  if (error === ENOENT)
    return `${name}: ${what}: this kernel lacks it (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)`;
  if (error === EPERM || error === EACCES) return `${name}: ${what}: this needs CAP_NET_ADMIN and CAP_BPF`;
  return `${name}: ${what}: ${errnoName(error)}`;
}
