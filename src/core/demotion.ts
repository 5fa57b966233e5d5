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

export class Demotion {
  readonly #sysctl: SysctlTree;
  readonly #groups = new Map<string, number>();

  constructor(sysctl: SysctlTree) {
    this.#sysctl = sysctl;
  }

  get global(): number {
    return this.#sysctl.get("net.inet.carp.demotion");
  }

  /** A contribution of the engine's own: always taken, so that it can always be taken back. */
  adjustGlobal(by: number): void {
    this.#sysctl.set("net.inet.carp.demotion", this.global + by);
  }

  ofGroup(group: string): number {
    return this.#groups.get(group) ?? 0;
  }

  /** @returns the new count, never below 0 */
  adjustGroup(group: string, by: number): number {
    const count = Math.max(0, this.ofGroup(group) + by);
    if (count === 0) this.#groups.delete(group);
    else this.#groups.set(group, count);
    return count;
  }

  get groups(): ReadonlyMap<string, number> {
    return this.#groups;
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
