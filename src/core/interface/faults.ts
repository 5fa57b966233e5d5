/**
 * Faults: what demotes the host for one carp interface (its carpdev is lost, parts of it are not in place, its
 * advertisements do not leave), and what a person is told of once.
 */

import type { Demoted, Demotion } from "../demotion.ts";
import type { Fault } from "../model.ts";
import { RareSet } from "../rare.ts";
import type { Condition } from "./condition.ts";

export interface FaultEvents {
  readonly demotion: Demotion;
  /** Tells a person to do something about a carp interface. */
  complain(text: string, of: string): void;
}

export class Faults {
  readonly #of: Demoted;
  readonly #events: FaultEvents;
  readonly #present = new RareSet<Fault>();
  /** Shared addresses that the carpdev has as well, in words, told already. */
  #told: readonly string[] = [];

  /** @param of the interface, whose groups may change */
  constructor(of: Demoted, events: FaultEvents) {
    this.#of = of;
    this.#events = events;
  }

  /** Follows the condition of the interface. */
  follow(condition: Condition): void {
    this.set("carpdev", condition.hasLostCarpdev);
    this.set("device", condition.isImpaired);
    for (const text of condition.addressesOfCarpdev)
      if (!this.#told.includes(text)) this.#events.complain(`${this.#of.name}: ${text}`, this.#of.name);
    this.#told = condition.addressesOfCarpdev;
  }

  /** Demotes the host while the fault is present. */
  set(fault: Fault, isPresent: boolean): void {
    if (isPresent === this.#present.has(fault)) return;
    if (isPresent) {
      this.#present.add(fault);
      this.#events.demotion.begin(this.#of, fault);
    } else {
      this.#present.delete(fault);
      this.#events.demotion.end(this.#of, fault);
    }
  }
}
