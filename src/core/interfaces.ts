/**
 * Interfaces: the carp interfaces of the host by name, by carpdev, by what they claim, by group, and in numeric order.
 * Knows no rule of the election.
 */

import type { Carpdevs } from "./carpdevs.ts";
import { type Claim, Claims } from "./claims.ts";
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

const NONE: ReadonlySet<CarpInterface> = new Set();

export class Interfaces implements Iterable<CarpInterface> {
  readonly #options: InterfacesOptions;
  readonly #byName = new Map<string, CarpInterface>();
  readonly #claims = new Claims();
  readonly #onCarpdev = new ByCarpdev();
  /** Interfaces that are up: the host listens on their carpdevs. */
  readonly #upOnCarpdev = new ByCarpdev();
  /** Carpdevs of which `listen` has to see whether the host still listens on the right ones. */
  readonly #touched = new Set<string>();
  /** The number of addresses of each. */
  readonly #addresses = new Map<string, number>();
  #allAddresses = 0;
  /** Every carpN with a smaller number exists. */
  #nextNumber = 0;

  constructor(options: InterfacesOptions) {
    this.#options = options;
  }

  [Symbol.iterator](): Iterator<CarpInterface> {
    return this.#byName.values();
  }

  /** With those that are leaving. */
  get size(): number {
    return this.#byName.size;
  }

  /** The number of addresses that they have together. */
  get addresses(): number {
    return this.#allAddresses;
  }

  get(name: string): CarpInterface | undefined {
    return this.#byName.get(name);
  }

  add(configuration: InterfaceConfiguration, now: Instant): CarpInterface {
    const added = new CarpInterface(configuration, this.#options.host, now);
    this.#byName.set(configuration.name, added);
    this.follow(added);
    return added;
  }

  /** Makes the interface bow out and leave; `left` and `destroyed` effects follow when it has. */
  destroy(name: string, now: Instant): void {
    const carpInterface = this.#byName.get(name);
    carpInterface?.destroy(() => {
      this.#options.forgetting(carpInterface);
      this.#byName.delete(name);
      this.#claims.delete(name);
      this.#countAddresses(name, 0);
      this.#addresses.delete(name);
      this.#put(carpInterface, undefined, false);
      this.#nextNumber = Math.min(this.#nextNumber, Number(name.slice("carp".length)));
      this.#options.emit({ kind: "destroyed", interface: name });
    }, now);
  }

  /** Follows a change of the interface's configuration, and of what it will be when it has left. */
  follow(changed: CarpInterface): void {
    const { name, configuration, pendingConfiguration, isLeaving } = changed;
    this.#claims.set(name, isLeaving ? [configuration, pendingConfiguration] : [configuration]);
    this.#countAddresses(name, pendingConfiguration.addresses.length);
    const { carpdev, nodes, up } = configuration;
    this.#put(
      changed,
      carpdev === undefined ? undefined : { carpdev, vhids: nodes.map(({ vhid }) => vhid) },
      up,
    );
  }

  #countAddresses(name: string, count: number): void {
    this.#allAddresses += count - (this.#addresses.get(name) ?? 0);
    this.#addresses.set(name, count);
  }

  #put(each: CarpInterface, place: Place | undefined, isUp: boolean): void {
    this.#onCarpdev.put(each, place);
    const former = this.#upOnCarpdev.put(each, isUp && place ? { ...place, vhids: [] } : undefined);
    if (former !== undefined) this.#touched.add(former);
    if (isUp && place !== undefined) this.#touched.add(place.carpdev);
  }

  /** The first of carp0, carp1, ... that does not exist. */
  nextName(): string {
    while (this.#byName.has(`carp${this.#nextNumber}`)) this.#nextNumber++;
    return `carp${this.#nextNumber}`;
  }

  /** The names of the interfaces that have what the claim says. */
  claiming(claim: Claim): Iterable<string> {
    return this.#claims.of(claim);
  }

  /** The carp interfaces on this carpdev. */
  on(carpdev: string): ReadonlySet<CarpInterface> {
    return this.#onCarpdev.on(carpdev);
  }

  /** The carp interface on this carpdev with this vhid. */
  with(carpdev: string, vhid: number): CarpInterface | undefined {
    return this.#onCarpdev.with(carpdev, vhid);
  }

  /** The interfaces in numeric order. */
  inOrder(): CarpInterface[] {
    return [...this].sort((a, b) => compareInterfaceNames(a.name, b.name));
  }

  /** The names of each group's members, in numeric order. Group `carp` always exists. */
  byGroup(): Map<string, string[]> {
    const members = new Map<string, string[]>([["carp", []]]);
    for (const { name, groups } of this.inOrder())
      for (const group of groups) {
        const names = members.get(group);
        if (names === undefined) members.set(group, [name]);
        else names.push(name);
      }
    return members;
  }

  /**
   * Emits the effects that make the host listen on the carpdevs of interfaces that are up, and on no other device, as
   * far as anything has changed there.
   *
   * @param changed a carpdev that has changed itself
   */
  listen(changed?: string): void {
    if (changed !== undefined) this.#touched.add(changed);
    for (const carpdev of this.#touched) {
      const isWanted = this.#upOnCarpdev.on(carpdev).size > 0;
      for (const effect of this.#options.carpdevs.listen(carpdev, isWanted)) this.#options.emit(effect);
    }
    this.#touched.clear();
  }
}

/** Carp interfaces by carpdev and vhid. */
class ByCarpdev {
  readonly #places = new Map<CarpInterface, Place>();
  readonly #on = new Map<string, Set<CarpInterface>>();
  /** By carpdev, then by vhid. */
  readonly #with = new Map<string, Map<number, CarpInterface>>();

  on(carpdev: string): ReadonlySet<CarpInterface> {
    return this.#on.get(carpdev) ?? NONE;
  }

  with(carpdev: string, vhid: number): CarpInterface | undefined {
    return this.#with.get(carpdev)?.get(vhid);
  }

  /** Follows the interface to this place; undefined: to none. @returns the carpdev that it was on */
  put(each: CarpInterface, place: Place | undefined): string | undefined {
    const former = this.#places.get(each);
    if (former !== undefined && former.carpdev !== place?.carpdev) {
      const there = this.#on.get(former.carpdev);
      there?.delete(each);
      if (there?.size === 0) this.#on.delete(former.carpdev);
    }
    for (const vhid of former?.vhids ?? []) {
      const there = this.#with.get(former?.carpdev ?? "");
      // Two that exchange their vhids have the same one for a moment.
      if (there?.get(vhid) === each) there.delete(vhid);
    }
    if (place === undefined) this.#places.delete(each);
    else {
      const { carpdev, vhids } = place;
      this.#places.set(each, place);
      this.#on.set(carpdev, (this.#on.get(carpdev) ?? new Set()).add(each));
      const here = this.#with.get(carpdev) ?? new Map<number, CarpInterface>();
      this.#with.set(carpdev, here);
      for (const vhid of vhids) here.set(vhid, each);
    }
    return former?.carpdev;
  }
}

interface Place {
  readonly carpdev: string;
  readonly vhids: readonly number[];
}
