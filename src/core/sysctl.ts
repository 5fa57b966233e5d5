/**
 * The sysctl variables of carp: one table that drives reading, writing, bounds and documentation, and the
 * values of one host. `net.inet.carp.demotion` is a counter: writing adds to it.
 */

import type { SysctlWrite } from "./command.ts";

export interface SysctlVariable {
  readonly name: string;
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  /** A write adds the value instead of replacing. */
  readonly relative?: true;
  readonly meaning: string;
}

const INT32_MAX = 2 ** 31 - 1;

export const SYSCTL_VARIABLES = [
  {
    name: "net.inet.carp.allow",
    initial: 1,
    min: 0,
    max: 1,
    meaning: "accept incoming carp packets",
  },
  {
    name: "net.inet.carp.preempt",
    initial: 0,
    min: 0,
    max: 1,
    meaning: "virtual hosts preempt each other",
  },
  {
    name: "net.inet.carp.preempt_delay",
    initial: 0,
    min: 0,
    max: 86_400,
    meaning: "seconds in which a host that is back preempts no healthy master; 0: none",
  },
  {
    name: "net.inet.carp.log",
    initial: 2,
    min: 0,
    max: 7,
    meaning: "syslog priority up to which events are logged; 2: state changes",
  },
  {
    name: "net.inet.carp.demotion",
    initial: 0,
    min: -INT32_MAX,
    max: INT32_MAX,
    relative: true,
    meaning: "demotion counter of the whole host; writes are added to it",
  },
  {
    name: "net.inet.carp.ifdown_demotion_factor",
    initial: 240,
    min: 0,
    max: INT32_MAX,
    meaning: "demotion while a carpdev is down",
  },
  {
    name: "net.inet.carp.senderr_demotion_factor",
    initial: 240,
    min: 0,
    max: INT32_MAX,
    meaning: "demotion while advertisements cannot be sent",
  },
  {
    name: "net.inet.carp.grace",
    initial: 300,
    min: 0,
    max: 86_400,
    meaning: "seconds in which a host signs as before after a change of pass or addresses; 0: none",
  },
  {
    name: "net.inet.carp.dscp",
    initial: 4,
    min: 0,
    max: 63,
    meaning: "DSCP of advertisements",
  },
  {
    name: "net.inet.carp.strict_replay",
    initial: 0,
    min: 0,
    max: 1,
    meaning: "refuse advertisements whose counter does not increase; only where every host runs carpctl",
  },
  {
    name: "net.inet.carp.signed_header",
    initial: 0,
    min: 0,
    max: 1,
    meaning:
      "counters carry advbase, advskew and the demote count; refuse changed or repeated advertisements",
  },
  {
    name: "net.pfsync.carp_demotion_factor",
    initial: 240,
    min: 0,
    max: INT32_MAX,
    meaning: "demotion while connection states are being synchronised; for scripts, the engine only keeps it",
  },
] as const satisfies readonly SysctlVariable[];

export type SysctlName = (typeof SYSCTL_VARIABLES)[number]["name"];

export class SysctlTree {
  readonly #values = new Map<SysctlName, number>(SYSCTL_VARIABLES.map((each) => [each.name, each.initial]));

  get(name: SysctlName): number {
    const value = this.#values.get(name);
    if (value === undefined) throw new Error(`no sysctl variable ${name}`);
    return value;
  }

  /** Sets a variable without a check; for values known to be in range. */
  set(name: SysctlName, value: number): void {
    this.#values.set(name, value);
  }

  /** Checks a write. @returns the variable's value after it, or why it is refused */
  afterWrite(name: string, written: number): { name: SysctlName; value: number } | { error: string } {
    const variable: SysctlVariable | undefined = SYSCTL_VARIABLES.find((each) => each.name === name);
    if (variable === undefined) return { error: `${name}: no such variable` };
    const value = variable.relative ? this.get(variable.name as SysctlName) + written : written;
    if (!Number.isInteger(value) || value < variable.min || value > variable.max)
      return { error: `${name}=${written}: must be ${variable.min}..${variable.max}` };
    return { name: variable.name as SysctlName, value };
  }

  /** Checks several writes in order. @returns why they are refused; undefined when they are not */
  refusalOf(writes: readonly SysctlWrite[]): string | undefined {
    const trial = new SysctlTree();
    for (const [name, value] of this.#values) trial.set(name, value);
    for (const { name, value } of writes) {
      const write = trial.afterWrite(name, value);
      if ("error" in write) return write.error;
      trial.set(write.name, write.value);
    }
    return undefined;
  }

  /**
   * Reads the variables of that name or below it, in table order; none when there is no such name.
   *
   * @param name a variable, a prefix such as `net.inet.carp`, or "" for all
   */
  matching(name: string): { name: SysctlName; value: number }[] {
    const value = this.#values.get(name as SysctlName);
    if (value !== undefined) return [{ name: name as SysctlName, value }];
    const start = name === "" ? "" : `${name}.`;
    return SYSCTL_VARIABLES.filter((each) => each.name.startsWith(start)).map((each) => ({
      name: each.name,
      value: this.get(each.name),
    }));
  }
}
