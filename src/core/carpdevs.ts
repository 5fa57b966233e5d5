/**
 * The Ethernet devices of this host, as the kernel last told of them, and which of them carp listens on. What a
 * device means to an interface on it is the interface's business.
 */

import type { CarpInterface } from "./carp-interface.ts";
import type { Effect } from "./effect.ts";
import type { Link } from "./event.ts";

export class Carpdevs {
  readonly links = new Map<string, Link>();
  readonly #listening = new Map<string, number>();

  /** Listens on the carpdevs of the interfaces that are up, as long as they exist, and on no other device. */
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
}
