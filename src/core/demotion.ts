/**
 * Demotion: a carp demote count for each interface group, and the host's demotion counter
 * (net.inet.carp.demotion), which is the sum of the writes to it, of named reasons, and of the faults of
 * interfaces. `effective` makes of both the advskew and demote that a virtual host advertises.
 */

import type { DemotionCommand } from "./command.ts";
import type { DemotionChange, LogFields } from "./effect.ts";
import { INTERFACE_NAME } from "./interface/name.ts";
import type { Fault } from "./model.ts";
import { demotionBy, type FailedCheck, groupDemotions, namesOf } from "./service-demotion.ts";
import type { SysctlTree } from "./sysctl.ts";
import type { DemotionView, NamedDemotion, UnitDemotion } from "./view.ts";

/** The advskew and demote that a virtual host advertises: its configuration with demotion added. */
export interface Effective {
  readonly advskew: number;
  readonly demote: number;
}

/**
 * FreeBSD and ucarp ignore the demote byte: demotion raises advskew too, up to this, so that they take over.
 */
const MAX_DEMOTED_ADVSKEW = 240;

/** Demotion by maintenance: by as much as a lost carpdev, so that the other hosts take over. */
export const MAINTENANCE = { reason: "maintenance", by: 240 } as const;
/** Demotion by failed services; how much by, the checks say. */
export const SERVICES = { reason: "services" } as const;
/** Demotion from the start of a booting host until it is up, as OpenBSD's rc does. */
export const BOOT = { reason: "boot", by: 128 } as const;
/** Reserved reasons, by the command that sets and clears each. */
const COMMAND_OF = new Map<string, string>([
  [MAINTENANCE.reason, "carpctl maintenance"],
  [SERVICES.reason, "carpctl service-status"],
  [BOOT.reason, "carpctl engine --boot-demotion"],
]);
const MAX_REASONS = 64;
const MAX_UNITS = 64;

export interface GroupCount {
  readonly name: string;
  readonly carpDemoteCount: number;
}

/** A carp interface, as demotion knows it. */
export interface Demoted {
  readonly name: string;
  readonly groups: readonly string[];
}

export interface DemotionEvents {
  /** Called when the count of a group, or (undefined) the counter of the whole host, has changed. */
  changed(group: string | undefined, rose: boolean): void;
  tell(change: DemotionChange): void;
  log(priority: 2 | 3, text: string, fields: LogFields): void;
}

const FAULT_TEXTS = {
  carpdev: { begins: "carpdev", ends: "carpdev", globally: ["interface down", "interface up"] },
  device: {
    begins: "not in place",
    ends: "in place",
    globally: ["interface not in place", "interface in place"],
  },
  snderrors: { begins: "> snderrors", ends: "< snderrors", globally: ["> snderrors", "< snderrors"] },
} as const;

export class Demotion {
  readonly #sysctl: SysctlTree;
  readonly #events: DemotionEvents;
  /** The counts, without the part of service checks. */
  readonly #groups = new Map<string, number>();
  #failedChecks: readonly FailedCheck[] = [];
  /** The part of service checks. */
  #groupsByChecks: ReadonlyMap<string, number> = new Map();
  /** The part of the global counter that each named reason adds. */
  readonly #named = new Map<string, number>();
  /** systemd units, by name; each adds its part while it is not active. */
  readonly #units = new Map<string, Omit<UnitDemotion, "unit">>();
  /** The demotion by each interface's faults, so that exactly as much is taken back. */
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

  /** The parts of the global counter. `written`, the sum of the writes to the variable, is the rest. */
  get view(): DemotionView {
    const reasons = [...this.#named].map(([reason, by]) => ({ reason, by }));
    const faults = [...this.#faults].flatMap(([name, its]) =>
      [...its].map(([fault, { by }]) => ({ interface: name, fault, by })),
    );
    const units = [...this.#units].map(([unit, each]) => ({ unit, ...each }));
    const inactive = units.filter(({ active }) => !active);
    const named = [...reasons, ...inactive, ...faults].reduce((sum, { by }) => sum + by, 0);
    return { counter: this.global, written: this.global - named, reasons, units, faults };
  }

  /** The service checks that demote. */
  get failedChecks(): readonly FailedCheck[] {
    return this.#failedChecks;
  }

  /**
   * The counts without the part that faults of interfaces add, and of groups without that of service checks: to be saved
   * for the next engine.
   */
  get withoutFaults(): {
    readonly written: number;
    readonly reasons: readonly NamedDemotion[];
    readonly units: readonly UnitDemotion[];
    readonly groups: readonly GroupCount[];
  } {
    const faults = [...this.#faults.values()].flatMap((each) => [...each.values()]);
    const ofFaults = (group: string) => faults.filter(({ groups }) => groups.includes(group)).length;
    const { written, reasons, units } = this.view;
    return {
      written,
      reasons,
      units,
      groups: [...this.#groups]
        .map(([name, count]) => ({ name, carpDemoteCount: count - ofFaults(name) }))
        .filter(({ carpDemoteCount }) => carpDemoteCount > 0),
    };
  }

  /** Restores the group counts. Called before there are interfaces, so no change is reported. */
  restoreGroups(counts: readonly GroupCount[]): void {
    for (const { name, carpDemoteCount } of counts) this.#groups.set(name, carpDemoteCount);
  }

  /**
   * Restores named reasons on top of the counter. Called before there are interfaces, so no change is
   * reported.
   */
  restoreReasons(reasons: readonly NamedDemotion[]): void {
    for (const { reason, by } of reasons) {
      this.#named.set(reason, by);
      this.#sysctl.set("net.inet.carp.demotion", this.global + by);
    }
  }

  /** Restores what demotes for service checks, after the reasons, which hold their part of the host's demotion. */
  restoreFailedChecks(failed: readonly FailedCheck[]): void {
    const by = this.#named.get(SERVICES.reason);
    // An earlier version did not save which they are.
    const unknown = by === undefined ? [] : [{ file: "", name: "unknown", by }];
    this.#failedChecks = failed.length > 0 ? failed : unknown;
    this.#groupsByChecks = groupDemotions(this.#failedChecks);
  }

  /** Restores units, as `restoreReasons` does reasons. */
  restoreUnits(units: readonly UnitDemotion[]): void {
    for (const { unit, by, active } of units) {
      this.#units.set(unit, { by, active });
      if (!active) this.#sysctl.set("net.inet.carp.demotion", this.global + by);
    }
  }

  /**
   * Carries out a demotion command.
   *
   * @returns why it is refused; undefined: it is carried out, or changes nothing
   */
  carryOut(command: DemotionCommand): string | undefined {
    switch (command.kind) {
      case "demote":
        return this.#refusalOf(command) ?? this.#setReason(command.reason, command.by);
      case "promote":
        return this.#refusalOf(command) ?? this.#setReason(command.reason, 0);
      case "demote-unit":
        if (!this.#units.has(command.unit) && this.#units.size >= MAX_UNITS)
          return `demote ${command.unit}: at most ${MAX_UNITS} units`;
        return this.#setUnit(command.unit, command);
      case "promote-unit":
        if (!this.#units.has(command.unit)) return this.#unknownUnit(command.unit);
        return this.#setUnit(command.unit, undefined);
      case "unit-states":
        return this.#followUnits(command.states);
      case "maintenance":
        return this.#setReason(MAINTENANCE.reason, command.on ? MAINTENANCE.by : 0);
      case "services":
        return this.#services(command.failed);
    }
  }

  /**
   * Adds to the global counter.
   *
   * @param log writes the log line; undefined: the line that every change has
   * @param of the interface whose fault it is
   */
  adjustGlobal(by: number, why: string, log?: () => void, of?: string): void {
    if (by === 0) return;
    this.#sysctl.set("net.inet.carp.demotion", this.global + by);
    if (log !== undefined) log();
    else
      this.#events.log(3, `${verb(by)} by ${Math.abs(by)} to ${this.global} (${why})`, {
        event: "demotion",
        interface: of,
        reason: why,
      });
    this.#events.tell({ by, to: this.global, reason: why });
    this.#events.changed(undefined, by > 0);
  }

  #refusalOf({ kind, reason }: Extract<DemotionCommand, { reason: string }>): string | undefined {
    // It may have ended by itself.
    if (kind === "promote" && reason === BOOT.reason) return undefined;
    const command = COMMAND_OF.get(reason);
    if (command !== undefined) return `${kind} ${reason}: this is what '${command}' does`;
    if (this.#named.has(reason)) return undefined;
    const others = [...this.#named.keys()].filter((each) => !COMMAND_OF.has(each));
    if (kind === "demote")
      return others.length < MAX_REASONS ? undefined : `demote ${reason}: at most ${MAX_REASONS} reasons`;
    const known = others.length === 0 ? "there is no reason" : `the reasons are ${others.join(", ")}`;
    return `promote ${reason}: nothing is demoted for it: ${known}`;
  }

  /** Sets the part of the counter that a named reason adds. @param by 0 removes the reason */
  #setReason(reason: string, by: number, log?: () => void): string | undefined {
    const before = this.#named.get(reason) ?? 0;
    const { error } = { error: undefined, ...this.#sysctl.afterWrite("net.inet.carp.demotion", by - before) };
    if (error !== undefined) return error;
    if (by === 0) this.#named.delete(reason);
    else this.#named.set(reason, by);
    this.adjustGlobal(by - before, reason, log);
    return undefined;
  }

  /** Sets what a unit demotes by and whether it is active. @param to undefined: it no longer demotes */
  #setUnit(unit: string, to: Omit<UnitDemotion, "unit"> | undefined): string | undefined {
    const part = (of: Omit<UnitDemotion, "unit"> | undefined) => (of === undefined || of.active ? 0 : of.by);
    const by = part(to) - part(this.#units.get(unit));
    const { error } = { error: undefined, ...this.#sysctl.afterWrite("net.inet.carp.demotion", by) };
    if (error !== undefined) return error;
    if (to === undefined) this.#units.delete(unit);
    else this.#units.set(unit, { by: to.by, active: to.active });
    const why = to === undefined ? "no longer followed" : to.active ? "active" : "not active";
    this.adjustGlobal(by, `${unit} ${why}`);
    return undefined;
  }

  #followUnits(states: Extract<DemotionCommand, { kind: "unit-states" }>["states"]): string | undefined {
    for (const { unit, active } of states) {
      const known = this.#units.get(unit);
      const error = known && this.#setUnit(unit, { ...known, active });
      if (error !== undefined) return error;
    }
    return undefined;
  }

  #unknownUnit(unit: string): string {
    const known = [...this.#units.keys()];
    return `promote ${unit}: it does not demote: ${known.length === 0 ? "no unit does" : `the units are ${known.join(", ")}`}`;
  }

  /** Demotes the host and groups for failed services. The host's log lines are those of other systems' scripts. */
  #services(failed: readonly FailedCheck[]): string | undefined {
    const { reason } = SERVICES;
    const to = demotionBy(failed, undefined);
    const by = to - (this.#named.get(reason) ?? 0);
    const text =
      by > 0
        ? `carp demoted by ${by} due to service disruption (services: ${namesOf(failed, undefined)})`
        : `carp promoted by ${-by} due to service recovery`;
    const error = this.#setReason(reason, to, () => this.#events.log(2, text, { event: "demotion", reason }));
    if (error !== undefined) return error;
    const before = this.#groupsByChecks;
    this.#failedChecks = failed;
    this.#groupsByChecks = groupDemotions(failed);
    for (const group of new Set([...before.keys(), ...this.#groupsByChecks.keys()])) {
      const step = (this.#groupsByChecks.get(group) ?? 0) - (before.get(group) ?? 0);
      const why = step > 0 ? `services: ${namesOf(failed, group)}` : "service recovery";
      if (step !== 0) this.#groupChanged(group, step, "service-status", why);
    }
    return undefined;
  }

  /** The carp demote count of a group. */
  ofGroup(group: string): number {
    return (this.#groups.get(group) ?? 0) + (this.#groupsByChecks.get(group) ?? 0);
  }

  /** Adds to the count of a group, which is never below what service checks demote it by. */
  adjustGroup(group: string, by: number, who: string, why: string): void {
    const before = this.#groups.get(group) ?? 0;
    const count = Math.max(0, before + by);
    if (count === before) return;
    if (count === 0) this.#groups.delete(group);
    else this.#groups.set(group, count);
    this.#groupChanged(group, by, who, why, count - before);
  }

  /** @param step what the count changed by, where that is less than what was asked for */
  #groupChanged(group: string, by: number, who: string, why: string, step = by): void {
    const to = this.ofGroup(group);
    this.#events.log(3, `${who} ${verb(by)} group ${group} by ${Math.abs(by)} to ${to} (${why})`, {
      event: "demotion",
      interface: INTERFACE_NAME.test(who) ? who : undefined,
      reason: why,
    });
    this.#events.tell({ group, by: step, to, who, reason: why });
    this.#events.changed(group, step > 0);
  }

  /** A fault of this interface begins: demotes its groups by 1 and the host by the fault's factor. */
  begin({ name, groups }: Demoted, fault: Fault): void {
    const by = this.#sysctl.get(
      fault === "snderrors"
        ? "net.inet.carp.senderr_demotion_factor"
        : "net.inet.carp.ifdown_demotion_factor",
    );
    const faults = this.#faults.get(name) ?? new Map();
    this.#faults.set(name, faults.set(fault, { groups, by }));
    for (const group of groups) this.adjustGroup(group, 1, name, FAULT_TEXTS[fault].begins);
    this.adjustGlobal(by, FAULT_TEXTS[fault].globally[0], undefined, name);
  }

  /** A fault of this interface ends: takes back what `begin` added. */
  end({ name }: Demoted, fault: Fault): void {
    const begun = this.#faults.get(name)?.get(fault);
    if (begun === undefined) return;
    this.#faults.get(name)?.delete(fault);
    for (const group of begun.groups) this.adjustGroup(group, -1, name, FAULT_TEXTS[fault].ends);
    this.adjustGlobal(-begun.by, FAULT_TEXTS[fault].globally[1], undefined, name);
  }

  /** Ends all faults of an interface that is destroyed. */
  forget(demoted: Demoted): void {
    for (const fault of [...(this.#faults.get(demoted.name)?.keys() ?? [])]) this.end(demoted, fault);
    this.#faults.delete(demoted.name);
  }

  /** Moves the faults of an interface to its new groups. */
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
   * Adds demotion to a node's configuration.
   *
   * @param advskew as configured
   * @param groups the groups of its interface
   */
  effective(advskew: number, groups: readonly string[]): Effective {
    let ofGroups = 0;
    if (this.#groups.size > 0 || this.#groupsByChecks.size > 0)
      for (const group of groups) ofGroups += this.ofGroup(group);
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
