/**
 * Who answers for each virtual host of a simulated cluster, over time: the masters by their leases, the time in which
 * none answers, and the time of the last change. While a segment is split, each part counts by itself.
 */

import type { Micros, VirtualHostState } from "../../core/model.ts";
import type { World } from "./world.ts";

/** A virtual host of the cluster: one vhid on one segment. */
export interface VirtualHost {
  readonly vhid: number;
  readonly addresses: readonly string[];
  /** The number of its segment. */
  readonly segment: number;
  readonly members: ReadonlyMap<string, { readonly interface: string; readonly carpdev: string }>;
}

/** A time since `begin`. */
export interface Span {
  readonly fromUs: Micros;
  readonly untilUs: Micros;
}

/** A time in which a host is MASTER and answers. */
export interface Answering extends Span {
  readonly host: string;
}

export interface Outcome {
  readonly virtualHost: VirtualHost;
  /** The hosts that are MASTER and answer, in the order of the cluster. */
  readonly masters: readonly string[];
  /** When no host answered; of a split segment in the part where that is longest. */
  readonly silences: readonly Span[];
  /** The sum of these. */
  readonly silentUs: Micros;
  /** From `begin` to the last change of a state. */
  readonly settledUs: Micros;
  /** In the order of their ends. */
  readonly answers: readonly Answering[];
}

interface Held {
  readonly virtualHost: VirtualHost;
  readonly states: Map<string, VirtualHostState>;
  /** By host: the lease that lasts, or was not renewed. */
  readonly leases: Map<string, { fromUs: Micros; untilUs: Micros }>;
  ended: Answering[];
  changedUs: Micros;
}

export class Holding {
  /** When a state last changed, of any virtual host. */
  changedUs: Micros;
  readonly #world: World;
  readonly #held: Held[];
  readonly #byMember = new Map<string, Held>();
  /** The parts of each split segment. */
  readonly #parts = new Map<number, readonly (readonly string[])[]>();
  #beganUs: Micros = 0;

  constructor(world: World, virtualHosts: readonly VirtualHost[]) {
    this.#world = world;
    this.changedUs = world.us;
    this.#held = virtualHosts.map((virtualHost) => ({
      virtualHost,
      states: new Map(),
      leases: new Map(),
      ended: [],
      changedUs: world.us,
    }));
    for (const held of this.#held)
      for (const [host, member] of held.virtualHost.members)
        this.#byMember.set(keyOf(host, member.interface, held.virtualHost.vhid), held);
  }

  /** Starts to measure. */
  begin(): void {
    const { us } = this.#world;
    this.#beganUs = us;
    for (const held of this.#held) {
      held.ended = [];
      held.changedUs = us;
      for (const [host, lease] of held.leases)
        if (lease.untilUs > us) lease.fromUs = us;
        else held.leases.delete(host);
    }
  }

  /** @param parts the hosts that still reach each other; undefined: all do */
  split(segment: number, parts: readonly (readonly string[])[] | undefined): void {
    if (parts === undefined) this.#parts.delete(segment);
    else this.#parts.set(segment, parts);
  }

  lease(host: string, name: string, vhid: number, untilUs: Micros): void {
    const held = this.#byMember.get(keyOf(host, name, vhid));
    if (held === undefined) return;
    const { us } = this.#world;
    const known = held.leases.get(host);
    if (known !== undefined && known.untilUs >= us && untilUs > us) known.untilUs = untilUs;
    else {
      this.#end(held, host);
      if (untilUs > us) held.leases.set(host, { fromUs: us, untilUs });
    }
  }

  transition(
    host: string,
    {
      interface: name,
      vhid,
      to,
    }: { readonly interface: string; readonly vhid: number; readonly to: VirtualHostState },
  ): void {
    const held = this.#byMember.get(keyOf(host, name, vhid));
    if (held === undefined) return;
    held.states.set(host, to);
    held.changedUs = this.#world.us;
    this.changedUs = this.#world.us;
  }

  /** The host is dead. */
  lost(host: string): void {
    for (const held of this.#held) this.#forget(held, host);
  }

  /** The carpdev has no carrier: what it holds there reaches none. */
  unplugged(host: string, carpdev: string): void {
    for (const held of this.#held)
      if (held.virtualHost.members.get(host)?.carpdev === carpdev) this.#forget(held, host);
  }

  get outcomes(): Outcome[] {
    const { us } = this.#world;
    return this.#held.map((held) => {
      const { virtualHost, leases, states } = held;
      const running = [...leases].map(([host, lease]) => this.#answering(host, lease));
      const answers = [...held.ended, ...running].filter(({ fromUs, untilUs }) => untilUs > fromUs);
      const [silences = []] = this.#partsOf(virtualHost)
        .map((part) => this.#silences(answers, part))
        .sort((a, b) => sumOf(b) - sumOf(a));
      return {
        virtualHost,
        masters: [...virtualHost.members.keys()].filter(
          (host) => (leases.get(host)?.untilUs ?? 0) > us && states.get(host) === "MASTER",
        ),
        silences,
        silentUs: sumOf(silences),
        settledUs: held.changedUs - this.#beganUs,
        answers,
      };
    });
  }

  /** The hosts of the virtual host that reach each other. */
  #partsOf({ segment, members }: VirtualHost): string[][] {
    const hosts = [...members.keys()];
    const parts = this.#parts.get(segment) ?? [hosts];
    return parts.map((part) => hosts.filter((host) => part.includes(host))).filter((part) => part.length > 0);
  }

  /** When none of these hosts answered, since `begin`. */
  #silences(answers: readonly Answering[], hosts: readonly string[]): Span[] {
    const nowUs = this.#world.us - this.#beganUs;
    const own = answers.filter(({ host }) => hosts.includes(host)).sort((a, b) => a.fromUs - b.fromUs);
    const silences: Span[] = [];
    let coveredUs = 0;
    for (const { fromUs, untilUs } of [...own, { fromUs: nowUs, untilUs: nowUs }]) {
      if (fromUs > coveredUs) silences.push({ fromUs: coveredUs, untilUs: fromUs });
      coveredUs = Math.max(coveredUs, untilUs);
    }
    return silences;
  }

  #forget(held: Held, host: string): void {
    this.#end(held, host);
    held.states.delete(host);
  }

  #end(held: Held, host: string): void {
    const lease = held.leases.get(host);
    if (lease === undefined) return;
    held.leases.delete(host);
    held.ended.push(this.#answering(host, lease));
  }

  /** What has passed of a lease. */
  #answering(host: string, { fromUs, untilUs }: Span): Answering {
    const endUs = Math.min(untilUs, this.#world.us);
    return { host, fromUs: fromUs - this.#beganUs, untilUs: endUs - this.#beganUs };
  }
}

function sumOf(spans: readonly Span[]): Micros {
  return spans.reduce((sum, { fromUs, untilUs }) => sum + untilUs - fromUs, 0);
}

function keyOf(host: string, name: string, vhid: number): string {
  return `${host} ${name} ${vhid}`;
}
