/**
 * Carpdevs: the devices of this host as the kernel last described them, Ethernet and others, and the ones that carp
 * listens on. Decides nothing about carp interfaces: interface/carp-interface.ts does, when a device changes.
 */

import type { Effect } from "./effect.ts";
import type { CarpInterface } from "./interface/carp-interface.ts";
import type { Link } from "./model.ts";

export class Carpdevs {
  readonly links = new Map<string, Link>();
  /** Devices that can be no carpdev, and why. */
  readonly unfit = new Map<string, string>();
  /** Kernel indexes of the carpdevs that carp listens on, by name. */
  readonly #listening = new Map<string, number>();

  /**
   * Returns the effects that make the host listen on the carpdevs of interfaces that are up, and on no other
   * device.
   */
  listen(interfaces: Iterable<CarpInterface>): Effect[] {
    const effects: Effect[] = [];
    const wanted = new Map<string, number>();
    for (const each of interfaces) {
      const { carpdev, up } = each.configuration;
      const link = carpdev === undefined ? undefined : this.links.get(carpdev);
      if (link !== undefined && (up || each.isLeaving)) wanted.set(link.name, link.index);
    }
    for (const [carpdev, index] of this.#listening) {
      if (wanted.get(carpdev) === index) continue;
      this.#listening.delete(carpdev);
      effects.push({ kind: "ignore", carpdev });
    }
    for (const [carpdev, index] of wanted) {
      if (this.#listening.has(carpdev)) continue;
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
