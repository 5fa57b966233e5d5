/**
 * Who gives way: a carp demote count for each interface group, and the host's global counter (a sysctl variable),
 * which is the sum of what was written to it, of reasons with a name, and of the faults of interfaces. Both end up
 * in what a virtual host advertises and compares: `effective`.
 */

import type { DemotionCommand } from "./configuration.ts";
import type { DemotionChange } from "./news.ts";
import type { SysctlTree } from "./sysctl.ts";
import type { DemotionView, NamedDemotion } from "./view.ts";

/** What a virtual host advertises: its own settings with demotion added. */
export interface Effective {
  readonly advskew: number;
  readonly demote: number;
}

/** FreeBSD and ucarp ignore the demote byte: to make them give way too, advskew grows, up to this. */
const MAX_DEMOTED_ADVSKEW = 240;

/** A host in maintenance gives way to everybody; what its services are worth is above anything else, and one bit. */
export const MAINTENANCE = { reason: "maintenance", by: 240 } as const;
export const SERVICES = { reason: "services", by: 2 ** 20 } as const;
/** Reasons that commands of their own stand for. */
const COMMAND_OF = new Map<string, string>([
  [MAINTENANCE.reason, "carpctl maintenance"],
  [SERVICES.reason, "carpctl service-status"],
]);
const MAX_REASONS = 64;

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
  tell(change: DemotionChange): void;
  log(priority: 2 | 3, text: string): void;
}

const WORDS = {
  carpdev: { begins: "carpdev", ends: "carpdev", globally: ["interface down", "interface up"] },
  snderrors: { begins: "> snderrors", ends: "< snderrors", globally: ["> snderrors", "< snderrors"] },
} as const;

export class Demotion {
  readonly #sysctl: SysctlTree;
  readonly #events: DemotionEvents;
  readonly #groups = new Map<string, number>();
  /** By reason: its part of the global counter. */
  readonly #named = new Map<string, number>();
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

  /** What the global counter is made of. `written` is what is left: the sum of the writes to the variable. */
  get view(): DemotionView {
    const reasons = [...this.#named].map(([reason, by]) => ({ reason, by }));
    const faults = [...this.#faults].flatMap(([name, its]) =>
      [...its].map(([fault, { by }]) => ({ interface: name, fault, by })),
    );
    const named = [...reasons, ...faults].reduce((sum, { by }) => sum + by, 0);
    return { counter: this.global, written: this.global - named, reasons, faults };
  }

  /** The counts as somebody has set them: without what the faults of interfaces add, for the time they last. */
  get asSet(): {
    readonly written: number;
    readonly reasons: readonly NamedDemotion[];
    readonly groups: readonly GroupCount[];
  } {
    const faults = [...this.#faults.values()].flatMap((each) => [...each.values()]);
    const ofFaults = (group: string) => faults.filter(({ groups }) => groups.includes(group)).length;
    const { written, reasons } = this.view;
    return {
      written,
      reasons,
      groups: [...this.#groups]
        .map(([name, count]) => ({ name, carpDemoteCount: count - ofFaults(name) }))
        .filter(({ carpDemoteCount }) => carpDemoteCount > 0),
    };
  }

  /** Before there are interfaces: nobody has to hear of it. */
  restoreGroups(counts: readonly GroupCount[]): void {
    for (const { name, carpDemoteCount } of counts) this.#groups.set(name, carpDemoteCount);
  }

  /** Before there are interfaces, and on top of what is in the counter. */
  restoreReasons(reasons: readonly NamedDemotion[]): void {
    for (const { reason, by } of reasons) {
      this.#named.set(reason, by);
      this.#sysctl.set("net.inet.carp.demotion", this.global + by);
    }
  }

  /** @returns why it is refused; undefined when it is done, also when it was so already */
  carryOut(command: DemotionCommand): string | undefined {
    switch (command.kind) {
      case "demote":
        return this.#refusalOf(command) ?? this.#name(command.reason, command.by);
      case "promote":
        return this.#refusalOf(command) ?? this.#name(command.reason, 0);
      case "maintenance":
        return this.#name(MAINTENANCE.reason, command.on ? MAINTENANCE.by : 0);
      case "services":
        return this.#services(command.failed);
    }
  }

  /** @param log tells of it in words of its own; undefined: as of every other change */
  adjustGlobal(by: number, why: string, log?: () => void): void {
    if (by === 0) return;
    this.#sysctl.set("net.inet.carp.demotion", this.global + by);
    if (log !== undefined) log();
    else this.#events.log(3, `${verb(by)} by ${Math.abs(by)} to ${this.global} (${why})`);
    this.#events.tell({ by, to: this.global, reason: why });
    this.#events.changed(undefined, by > 0);
  }

  #refusalOf({ kind, reason }: Extract<DemotionCommand, { reason: string }>): string | undefined {
    const command = COMMAND_OF.get(reason);
    if (command !== undefined) return `${kind} ${reason}: this is what '${command}' does`;
    if (this.#named.has(reason)) return undefined;
    const others = [...this.#named.keys()].filter((each) => !COMMAND_OF.has(each));
    if (kind === "demote")
      return others.length < MAX_REASONS ? undefined : `demote ${reason}: at most ${MAX_REASONS} reasons`;
    const known = others.length === 0 ? "there is no reason" : `the reasons are ${others.join(", ")}`;
    return `promote ${reason}: nothing is demoted for it: ${known}`;
  }

  /** @param by 0: no longer */
  #name(reason: string, by: number, log?: () => void): string | undefined {
    const before = this.#named.get(reason) ?? 0;
    const { error } = { error: undefined, ...this.#sysctl.afterWrite("net.inet.carp.demotion", by - before) };
    if (error !== undefined) return error;
    if (by === 0) this.#named.delete(reason);
    else this.#named.set(reason, by);
    this.adjustGlobal(by - before, reason, log);
    return undefined;
  }

  /** Demoted once, whatever else fails meanwhile, and with the lines that scripts of other systems write. */
  #services(failed: readonly string[]): string | undefined {
    const { reason, by } = SERVICES;
    const text =
      failed.length > 0
        ? `carp demoted by ${by} due to service disruption (services: ${failed.join(", ")})`
        : `carp promoted by ${by} due to service recovery`;
    return this.#name(reason, failed.length > 0 ? by : 0, () => this.#events.log(2, text));
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
    this.#events.log(3, `${who} ${verb(by)} group ${group} by ${Math.abs(by)} to ${count} (${why})`);
    this.#events.tell({ group, by: count - before, to: count, who, reason: why });
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

function verb(by: number): "demoted" | "promoted" {
  return by > 0 ? "demoted" : "promoted";
}
