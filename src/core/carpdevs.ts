/**
 * Carpdevs: the devices of this host as the kernel last described them, Ethernet and others, and the ones that carp
 * listens on. Decides nothing about carp interfaces: interface/carp-interface.ts does, when a device changes.
 */

import type { Effect } from "./effect.ts";
import type { Link } from "./model.ts";

export class Carpdevs {
  readonly links = new Map<string, Link>();
  /** Devices that can be no carpdev, and why. */
  readonly unfit = new Map<string, string>();
  /** Kernel indexes of the carpdevs that carp listens on, by name. */
  readonly #listening = new Map<string, number>();

  /**
   * Returns the effects that make the host listen on this carpdev, or no longer. A device that came anew under its name
   * is another one.
   *
   * @param isWanted whether an interface on it is up
   */
  listen(carpdev: string, isWanted: boolean): Effect[] {
    const effects: Effect[] = [];
    const index = isWanted ? this.links.get(carpdev)?.index : undefined;
    const former = this.#listening.get(carpdev);
    if (former === index) return effects;
    if (former !== undefined) {
      this.#listening.delete(carpdev);
      effects.push({ kind: "ignore", carpdev });
    }
    if (index !== undefined) {
      this.#listening.set(carpdev, index);
      effects.push({ kind: "listen", carpdev, index });
    }
    return effects;
  }

  /**
   * Returns the effect that tries to listen again after a failure; none when the carpdev is no longer wanted.
   */
  listenAgain(carpdev: string): Effect[] {
    const index = this.#listening.get(carpdev);
    return index === undefined ? [] : [{ kind: "listen", carpdev, index }];
  }
}
