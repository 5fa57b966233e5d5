/**
 * Condition: whether a carp interface can run and serve its addresses, and what keeps it from that, by its
 * configuration, its carpdev and the parts that the kernel does not have. Decides nothing: carp-interface.ts does.
 */

import { withoutHost } from "../../protocol/subnet.ts";
import type { NotInPlace } from "../failures.ts";
import type { Link } from "../model.ts";
import { type Obstacle, obstacleText, type Problem } from "../reason.ts";
import type { InterfaceConfiguration } from "./configuration.ts";

/** Obstacles of an interface that is not configured to run yet, which is no surprise to the user. */
const UNCONFIGURED: ReadonlySet<Obstacle["kind"]> = new Set(["down", "no-vhid", "no-carpdev", "no-address"]);

export class Condition {
  readonly #configuration: InterfaceConfiguration;
  readonly #link: Link | undefined;
  readonly #notInPlace: NotInPlace;
  /** Keeps it from running; undefined: it runs. */
  readonly obstacle: Obstacle | undefined;

  /** @param balancing `true`: this host can filter packets for several nodes; otherwise the reason why not */
  constructor(
    configuration: InterfaceConfiguration,
    link: Link | undefined,
    { balancing, notInPlace }: { readonly balancing: true | string; readonly notInPlace: NotInPlace },
  ) {
    this.#configuration = configuration;
    this.#link = link;
    this.#notInPlace = notInPlace;
    const what = notInPlace.harm === "all" ? notInPlace.problems[0] : undefined;
    this.obstacle =
      obstacleTo(configuration, link, balancing) ??
      (what === undefined ? undefined : { kind: "not-in-place", what });
  }

  /** Whether it would run if its carpdev were there, up and with carrier. */
  get hasLostCarpdev(): boolean {
    const { up, carpdev, nodes } = this.#configuration;
    return up && carpdev !== undefined && nodes.length > 0 && !(this.#link?.up && this.#link.carrier);
  }

  /** Whether some of its addresses, or all, are not served for parts that are not in place. */
  get isImpaired(): boolean {
    const { up, nodes } = this.#configuration;
    return up && nodes.length > 0 && !this.hasLostCarpdev && this.#notInPlace.harm !== "none";
  }

  /**
   * What is wrong with it, whether it runs or not: parts not in place, and shared addresses that its carpdev has as
   * well, so that the host has them in every state.
   */
  get problems(): Problem[] {
    const kind = "address-of-carpdev";
    return [
      ...this.#notInPlace.problems,
      ...this.addressesOfCarpdev.map((text) => ({ kind, text }) as const),
    ];
  }

  get addressesOfCarpdev(): string[] {
    const own = new Set(this.#link?.addresses.map(({ address }) => address));
    return this.#configuration.addresses
      .filter(({ address }) => own.has(address))
      .map(({ address }) => `${address} is ${this.#link?.name}'s own address as well: remove it there`);
  }

  /** Addresses that no host has in the carpdev's network, and that its hosts therefore do not reach. */
  get #unreachable(): string[] {
    const { addresses } = this.#configuration;
    return (this.#link?.addresses ?? []).flatMap((theirs) => {
      const { network, broadcast } = withoutHost(theirs);
      const kind = (address: string) => (address === broadcast ? "the broadcast address" : "the address");
      return addresses
        .filter(({ address }) => address === network || address === broadcast)
        .map(
          ({ address }) =>
            `${address} is ${kind(address)} of ${this.#link?.name}'s network: no host there reaches it`,
        );
    });
  }

  /** What a user who configures it should know: why it does not run, or what is wrong with it. */
  get warnings(): string[] {
    const { obstacle } = this;
    const problems = [...this.problems.map(({ text }) => text), ...this.#unreachable];
    const { name } = this.#configuration;
    if (obstacle === undefined || UNCONFIGURED.has(obstacle.kind))
      return problems.map((text) => `${name}: ${text}`);
    const others = problems.filter((text) => text !== obstacleText(obstacle));
    return [`does not run: ${obstacleText(obstacle)}`, ...others].map((text) => `${name}: ${text}`);
  }
}

/**
 * Finds the obstacle in the configuration or on the carpdev that keeps an interface from running; undefined: there is
 * none.
 *
 * @param balancing `true`: this host can filter packets for several nodes; otherwise the reason why not
 */
export function obstacleTo(
  configuration: InterfaceConfiguration,
  link: Link | undefined,
  balancing: true | string,
): Obstacle | undefined {
  const { up, carpdev, nodes, addresses } = configuration;
  if (!up) return { kind: "down" };
  if (nodes.length === 0) return { kind: "no-vhid" };
  // Only a restored interface can be like this: commands for it are refused.
  if (nodes.length > 1 && balancing !== true) return { kind: "no-balancing", why: balancing };
  if (carpdev === undefined) return { kind: "no-carpdev" };
  if (link === undefined) return { kind: "carpdev-missing", carpdev };
  if (!link.up) return { kind: "carpdev-down", carpdev };
  if (!link.carrier) return { kind: "no-carrier", carpdev };
  if (addresses.length === 0) return { kind: "no-address" };
  return undefined;
}
