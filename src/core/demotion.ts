/**
 * Who gives way: a carp demote count for each interface group, and the host's global counter (a sysctl variable).
 * Both end up in what a virtual host advertises and compares: `effective`.
 */

import type { SysctlTree } from "./sysctl.ts";

/** What a virtual host advertises: its own settings with demotion added. */
export interface Effective {
  readonly advskew: number;
  readonly demote: number;
}

/** FreeBSD and ucarp ignore the demote byte: to make them give way too, advskew grows, up to this. */
const MAX_DEMOTED_ADVSKEW = 240;

export interface GroupCount {
  readonly name: string;
  readonly carpDemoteCount: number;
}

/** What demotes an interface by itself: its carpdev is lost, or its advertisements do not leave. */
export type Fault = "carpdev" | "snderrors";

/** Whoever is demoted: a carp interface. */
export interface Demoted {
  readonly name: string;
  readonly groups: readonly string[];
}

export interface DemotionEvents {
  /** The count of a group, or (undefined) of the whole host, has changed. */
  changed(group: string | undefined, rose: boolean): void;
  log(priority: 3, text: string): void;
}

const WORDS = {
  carpdev: { begins: "carpdev", ends: "carpdev", globally: ["interface down", "interface up"] },
  snderrors: { begins: "> snderrors", ends: "< snderrors", globally: ["> snderrors", "< snderrors"] },
} as const;

export class Demotion {
  readonly #sysctl: SysctlTree;
  readonly #events: DemotionEvents;
  readonly #groups = new Map<string, number>();
  /** By interface and fault: what was demoted for it, to take back exactly that. */
  readonly #faults = new Map<
    string,
    Map<Fault, { readonly groups: readonly string[]; readonly by: number }>
  >();

  constructor(sysctl: SysctlTree, events: DemotionEvents) {
    this.#sysctl = sysctl;
    this.#events = events;
  }

  get global(): number {
    return this.#sysctl.get("net.inet.carp.demotion");
  }

  /** The counts as somebody has set them: without what the faults of interfaces add, for the time they last. */
  get asSet(): { readonly global: number; readonly groups: readonly GroupCount[] } {
    const faults = [...this.#faults.values()].flatMap((each) => [...each.values()]);
    const ofFaults = (group: string) => faults.filter(({ groups }) => groups.includes(group)).length;
    return {
      global: this.global - faults.reduce((sum, { by }) => sum + by, 0),
      groups: [...this.#groups]
        .map(([name, count]) => ({ name, carpDemoteCount: count - ofFaults(name) }))
        .filter(({ carpDemoteCount }) => carpDemoteCount > 0),
    };
  }

  /** Before there are interfaces: nobody has to hear of it. */
  restoreGroups(counts: readonly GroupCount[]): void {
    for (const { name, carpDemoteCount } of counts) this.#groups.set(name, carpDemoteCount);
  }

  adjustGlobal(by: number, why: string): void {
    if (by === 0) return;
    this.#sysctl.set("net.inet.carp.demotion", this.global + by);
    this.#events.log(3, `${by > 0 ? "demoted" : "promoted"} by ${Math.abs(by)} to ${this.global} (${why})`);
    this.#events.changed(undefined, by > 0);
  }

  ofGroup(group: string): number {
    return this.#groups.get(group) ?? 0;
  }

  /** A count is never below 0. */
  adjustGroup(group: string, by: number, who: string, why: string): void {
    const before = this.ofGroup(group);
    const count = Math.max(0, before + by);
    if (count === before) return;
    if (count === 0) this.#groups.delete(group);
    else this.#groups.set(group, count);
    const verb = by > 0 ? "demoted" : "promoted";
    this.#events.log(3, `${who} ${verb} group ${group} by ${Math.abs(by)} to ${count} (${why})`);
    this.#events.changed(group, count > before);
  }

  begin({ name, groups }: Demoted, fault: Fault): void {
    const by = this.#sysctl.get(
      fault === "carpdev" ? "net.inet.carp.ifdown_demotion_factor" : "net.inet.carp.senderr_demotion_factor",
    );
    const faults = this.#faults.get(name) ?? new Map();
    this.#faults.set(name, faults.set(fault, { groups, by }));
    for (const group of groups) this.adjustGroup(group, 1, name, WORDS[fault].begins);
    this.adjustGlobal(by, WORDS[fault].globally[0]);
  }

  end({ name }: Demoted, fault: Fault): void {
    const begun = this.#faults.get(name)?.get(fault);
    if (begun === undefined) return;
    this.#faults.get(name)?.delete(fault);
    for (const group of begun.groups) this.adjustGroup(group, -1, name, WORDS[fault].ends);
    this.adjustGlobal(-begun.by, WORDS[fault].globally[1]);
  }

  /** The interface is no more, and neither are its faults. */
  forget(demoted: Demoted): void {
    for (const fault of [...(this.#faults.get(demoted.name)?.keys() ?? [])]) this.end(demoted, fault);
    this.#faults.delete(demoted.name);
  }

  /** Its groups are others now: what it is demoted for goes with it. */
  regroup({ name, groups }: Demoted): void {
    for (const [fault, begun] of this.#faults.get(name) ?? []) {
      for (const group of begun.groups)
        if (!groups.includes(group)) this.adjustGroup(group, -1, name, "left the group");
      for (const group of groups)
        if (!begun.groups.includes(group)) this.adjustGroup(group, 1, name, "joined the group");
      this.#faults.get(name)?.set(fault, { ...begun, groups });
    }
  }

  /**
   * @param advskew as configured
   * @param groups of the interface
   */
  effective(advskew: number, groups: readonly string[]): Effective {
    const ofGroups = groups.reduce((sum, group) => sum + this.ofGroup(group), 0);
    const global = this.global;
    return {
      demote: Math.min(255, ofGroups + Math.max(0, global)),
      advskew: global === 0 ? advskew : Math.min(MAX_DEMOTED_ADVSKEW, Math.max(0, advskew + global)),
    };
  }
}
