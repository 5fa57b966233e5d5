/**
 * VirtualRouters: the VRRP routers heard on the carpdevs, for `doctor`. VRRP has CARP's IP protocol, group and virtual
 * MACs, and nothing to do with its elections. One entry for each carpdev, family and number.
 */

import type { VrrpPacket } from "../protocol/vrrp.ts";
import type { Family, Micros } from "./model.ts";

/** A virtual router, by its last packet. */
export interface VirtualRouter extends VrrpPacket {
  readonly carpdev: string;
  readonly family: Family;
  readonly source: string;
  readonly atUs: Micros;
}

export class VirtualRouters {
  readonly #routers = new Map<string, VirtualRouter>();

  heard(router: VirtualRouter): void {
    this.#routers.set([router.carpdev, router.family, router.number].join(" "), router);
  }

  /** Forgets what was heard on a device that is gone. */
  forget(carpdev: string): void {
    for (const [key, router] of this.#routers) if (router.carpdev === carpdev) this.#routers.delete(key);
  }

  view(): VirtualRouter[] {
    return [...this.#routers.values()];
  }
}
