/**
 * Who answers for each virtual host of a simulated cluster, over time: the masters by their leases, the time in which
 * none answers, and the time of the last change.
 */

import type { Micros, VirtualHostState } from "../../core/model.ts";
import type { World } from "./world.ts";

/** A virtual host of the cluster: one vhid on one segment. */
export interface VirtualHost {
  readonly vhid: number;
  readonly addresses: readonly string[];
  readonly members: ReadonlyMap<string, { readonly interface: string; readonly carpdev: string }>;
}

interface Held {
  readonly virtualHost: VirtualHost;
  /** The end of the lease by host. */
  readonly leases: Map<string, Micros>;
  readonly states: Map<string, VirtualHostState>;
  /** Up to this time the silence is accounted for. */
  atUs: Micros;
  silentUs: Micros;
  changedUs: Micros;
}

export interface Outcome {
  readonly virtualHost: VirtualHost;
  /** The hosts that are MASTER and answer, in the order of the cluster. */
  readonly masters: readonly string[];
  /** Since `begin`. */
  readonly silentUs: Micros;
  /** From `begin` to the last change of a state. */
  readonly settledUs: Micros;
}

export class Holding {
  readonly #world: World;
  readonly #held: Held[];
  readonly #byMember = new Map<string, Held>();
  #beganUs: Micros = 0;

  constructor(world: World, virtualHosts: readonly VirtualHost[]) {
    this.#world = world;
    this.#held = virtualHosts.map((virtualHost) => ({
      virtualHost,
      leases: new Map(),
      states: new Map(),
      atUs: world.us,
      silentUs: 0,
      changedUs: world.us,
    }));
    for (const held of this.#held)
      for (const [host, member] of held.virtualHost.members)
        this.#byMember.set(`${host} ${member.interface} ${held.virtualHost.vhid}`, held);
  }

  /** Starts to measure. */
  begin(): void {
    this.#beganUs = this.#world.us;
    for (const held of this.#held) {
      this.#account(held);
      held.silentUs = 0;
      held.changedUs = this.#world.us;
    }
  }

  lease(host: string, name: string, vhid: number, untilUs: Micros): void {
    const held = this.#byMember.get(`${host} ${name} ${vhid}`);
    if (held === undefined) return;
    this.#account(held);
    if (untilUs === 0) held.leases.delete(host);
    else held.leases.set(host, untilUs);
  }

  transition(
    host: string,
    {
      interface: name,
      vhid,
      to,
    }: { readonly interface: string; readonly vhid: number; readonly to: VirtualHostState },
  ): void {
    const held = this.#byMember.get(`${host} ${name} ${vhid}`);
    if (held === undefined) return;
    held.states.set(host, to);
    held.changedUs = this.#world.us;
  }

  /** The host is dead. */
  lost(host: string): void {
    for (const held of this.#held) this.#silence(held, host);
  }

  /** The carpdev has no carrier: what it holds there reaches none. */
  unplugged(host: string, carpdev: string): void {
    for (const held of this.#held)
      if (held.virtualHost.members.get(host)?.carpdev === carpdev) this.#silence(held, host);
  }

  get outcomes(): Outcome[] {
    return this.#held.map((held) => {
      this.#account(held);
      const masters = [...held.leases]
        .filter(([host, untilUs]) => untilUs > this.#world.us && held.states.get(host) === "MASTER")
        .map(([host]) => host);
      const order = [...held.virtualHost.members.keys()];
      return {
        virtualHost: held.virtualHost,
        masters: masters.sort((a, b) => order.indexOf(a) - order.indexOf(b)),
        silentUs: held.silentUs,
        settledUs: held.changedUs - this.#beganUs,
      };
    });
  }

  #silence(held: Held, host: string): void {
    this.#account(held);
    held.leases.delete(host);
    held.states.delete(host);
  }

  /** Adds the time since the last change in which no lease lasted. */
  #account(held: Held): void {
    const { us } = this.#world;
    const coveredUs = Math.max(held.atUs, ...held.leases.values());
    held.silentUs += Math.max(0, us - coveredUs);
    held.atUs = us;
  }
}
