/**
 * Interfaces: the carp interfaces of the host by name, and the queries over all of them: by carpdev, by
 * group, in numeric order. Knows no rule of the election.
 */

import type { Carpdevs } from "./carpdevs.ts";
import type { Effect } from "./effect.ts";
import { CarpInterface, type Host } from "./interface/carp-interface.ts";
import type { InterfaceConfiguration } from "./interface/configuration.ts";
import { compareInterfaceNames } from "./interface/name.ts";
import type { Instant } from "./model.ts";

export interface InterfacesOptions {
  readonly carpdevs: Carpdevs;
  /** The part of the host that each interface uses. */
  readonly host: Host;
  emit(effect: Effect): void;
  /** Called before an interface is removed. */
  forgetting(carpInterface: CarpInterface): void;
}

export class Interfaces implements Iterable<CarpInterface> {
  readonly #options: InterfacesOptions;
  readonly #byName = new Map<string, CarpInterface>();

  constructor(options: InterfacesOptions) {
    this.#options = options;
  }

  [Symbol.iterator](): Iterator<CarpInterface> {
    return this.#byName.values();
  }

  get(name: string): CarpInterface | undefined {
    return this.#byName.get(name);
  }

  add(configuration: InterfaceConfiguration, now: Instant): CarpInterface {
    const added = new CarpInterface(configuration, this.#options.host, now);
    this.#byName.set(configuration.name, added);
    return added;
  }

  /** Makes the interface bow out and leave; `left` and `destroyed` effects follow when it has. */
  destroy(name: string, now: Instant): void {
    const carpInterface = this.#byName.get(name);
    carpInterface?.destroy(() => {
      this.#options.forgetting(carpInterface);
      this.#byName.delete(name);
      this.#options.emit({ kind: "destroyed", interface: name });
    }, now);
  }

  /** The first of carp0, carp1, ... that does not exist. */
  nextName(): string {
    for (let i = 0; ; i++) if (!this.#byName.has(`carp${i}`)) return `carp${i}`;
  }

  /** The carp interfaces on this carpdev. */
  on(carpdev: string): CarpInterface[] {
    return [...this].filter((each) => each.configuration.carpdev === carpdev);
  }

  /** The interfaces in numeric order. */
  inOrder(): CarpInterface[] {
    return [...this].sort((a, b) => compareInterfaceNames(a.name, b.name));
  }

  /** The names of each group's members, in numeric order. Group `carp` always exists. */
  byGroup(): Map<string, string[]> {
    const members = new Map<string, string[]>([["carp", []]]);
    for (const { name, groups } of this.inOrder())
      for (const group of groups) members.set(group, [...(members.get(group) ?? []), name]);
    return members;
  }

  /**
   * Emits the effects that make the host listen on the carpdevs of the interfaces, and on no other device.
   */
  listen(): void {
    for (const effect of this.#options.carpdevs.listen(this)) this.#options.emit(effect);
  }
}
