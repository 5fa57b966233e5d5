/**
 * Leaving: the time between the bow-out of a carp interface and the end of its addresses (`down`, `destroy`):
 * they stay until a successor is heard, or for the linger time.
 */

import type { Effect } from "../effect.ts";
import type { InterfaceConfiguration } from "./configuration.ts";

export class Leaving {
  readonly #name: string;
  readonly #emit: (effect: Effect) => void;
  #under: { readonly to: InterfaceConfiguration | undefined; readonly then: () => void } | undefined;

  constructor(name: string, emit: (effect: Effect) => void) {
    this.#name = name;
    this.#emit = emit;
  }

  get isUnderWay(): boolean {
    return this.#under !== undefined;
  }

  /** Whether the interface is leaving because it was destroyed. */
  get isDestroyed(): boolean {
    return this.#under !== undefined && this.#under.to === undefined;
  }

  /** The configuration once it has left; undefined when it is destroyed or not leaving. */
  get to(): InterfaceConfiguration | undefined {
    return this.#under?.to;
  }

  /**
   * Begins to leave.
   *
   * @param to the configuration after that; undefined: it is destroyed
   * @param then runs when it has left
   */
  begin(to: InterfaceConfiguration | undefined, then: () => void): void {
    this.#under = { to, then };
  }

  /** Ends leaving, if it is under way. @param hasLeft runs after it has left */
  finish(hasLeft: () => void): void {
    const under = this.#under;
    if (under === undefined) return;
    this.#under = undefined;
    under.then();
    hasLeft();
    this.#emit({ kind: "left", interface: this.#name });
  }
}
