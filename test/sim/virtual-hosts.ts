/**
 * Virtual hosts: those that a station is configured with, found by vhid or by key (`carp0/1`), with their secrets, and
 * the secrets of before a change. Read once for each change of the configuration.
 */

import type { InterfaceConfiguration } from "../../src/core/interface/configuration.ts";
import type { Micros } from "../../src/core/model.ts";
import { isLinkLocal } from "../../src/protocol/address.ts";
import { Authentication } from "../../src/protocol/authentication.ts";
import { simulatedHmac } from "./digests.ts";

/** The input of a digest except the counter: hosts with equal secrets accept each other's advertisements. */
export function secretOf(
  { pass, addresses }: Pick<InterfaceConfiguration, "pass"> & { addresses: readonly string[] },
  vhid: number,
): string {
  const covered = addresses.filter((address) => !isLinkLocal(address)).sort();
  return [vhid, pass, ...covered].join(" ");
}

const authentications = new Map<string, Authentication>();

/** What a virtual host signs its advertisements with. */
export class Secret {
  readonly text: string;
  readonly #vhid: number;
  readonly #pass: string;
  readonly #addresses: readonly string[];
  #authentication: Authentication | undefined;

  constructor({ pass, addresses }: Pick<InterfaceConfiguration, "pass" | "addresses">, vhid: number) {
    this.#vhid = vhid;
    this.#pass = pass;
    this.#addresses = addresses.map(({ address }) => address);
    this.text = secretOf({ pass, addresses: this.#addresses }, vhid);
  }

  /** Checks its digests; one and the same for all hosts with this secret. */
  get authentication(): Authentication {
    this.#authentication ??= this.#shared();
    return this.#authentication;
  }

  #shared(): Authentication {
    const [vhid, pass, addresses] = [this.#vhid, this.#pass, this.#addresses];
    // Link-local addresses are no part of the secret, and may be part of the digest.
    const input = [this.text, ...addresses.filter(isLinkLocal)].join(" ");
    const known =
      authentications.get(input) ?? new Authentication({ pass, vhid, addresses, hmac: simulatedHmac });
    authentications.set(input, known);
    return known;
  }
}

export interface VirtualHost {
  readonly key: string;
  /** The same for all hosts with this secret. */
  readonly group: string;
  readonly configuration: InterfaceConfiguration;
  readonly secret: Secret;
}

/** The secret of a virtual host before a change. */
export interface Former {
  readonly secret: Secret;
  /** When it was replaced, or another change extended how long it is believed; on the host's clock. */
  readonly changedUs: Micros;
}

const NONE: readonly never[] = [];

export class VirtualHosts {
  /** Those of the present engine. */
  #byKey = new Map<string, VirtualHost>();
  #byVhid: VirtualHost[][] = [];
  /** The secrets known last, of an earlier engine too. */
  #known = new Map<string, Secret>();
  readonly #formers = new Map<string, Former[]>();

  /** Those with this vhid, in the order of their interfaces. */
  with(vhid: number): readonly VirtualHost[] {
    return this.#byVhid[vhid] ?? NONE;
  }

  get(key: string): VirtualHost | undefined {
    return this.#byKey.get(key);
  }

  /** The text of its secret; undefined: it is not configured. */
  secretOf(key: string): string | undefined {
    return this.#byKey.get(key)?.secret.text;
  }

  /** Its secrets of before a change, which the host may believe still; the latest first. */
  formersOf(key: string): readonly Former[] {
    return this.#formers.get(key) ?? NONE;
  }

  /** The engine is gone. */
  clear(): void {
    this.#byKey.clear();
    this.#byVhid = [];
  }

  /**
   * Reads the configurations in force.
   *
   * @returns whether a host with other secrets does not believe the host from now on
   */
  read(
    configurations: ReadonlyMap<string, InterfaceConfiguration>,
    { graceUs, us }: { readonly graceUs: Micros; readonly us: Micros },
  ): boolean {
    const before = this.#byKey;
    const known = this.#known;
    this.#byKey = new Map();
    this.#byVhid = [];
    this.#known = new Map();
    let isAbrupt = false;
    for (const [name, configuration] of configurations)
      for (const { vhid } of configuration.nodes) {
        const key = keyOf(name, vhid);
        const former = before.get(key);
        const virtualHost =
          former?.configuration === configuration ? former : newVirtualHost(key, configuration, vhid);
        const { secret } = virtualHost;
        this.#byKey.set(key, virtualHost);
        this.#byVhid[vhid] ??= [];
        this.#byVhid[vhid]?.push(virtualHost);
        this.#known.set(key, secret);
        if (former?.secret.text === secret.text) continue;
        const was = known.get(key);
        if (graceUs === 0 || was === undefined) isAbrupt = true;
        else this.#keepFormer(key, was, { graceUs, us });
      }
    return isAbrupt;
  }

  /** A change extends how long the earlier secrets are believed. */
  #keepFormer(key: string, secret: Secret, { graceUs, us }: { graceUs: Micros; us: Micros }): void {
    const earlier = this.formersOf(key).map((each) =>
      us - each.changedUs < graceUs ? { ...each, changedUs: us } : each,
    );
    this.#formers.set(key, [{ secret, changedUs: us }, ...earlier]);
  }
}

function newVirtualHost(key: string, configuration: InterfaceConfiguration, vhid: number): VirtualHost {
  const secret = new Secret(configuration, vhid);
  return { key, group: `${key}|${secret.text}`, configuration, secret };
}

const keys = new Map<string, string[]>();

/** The key of a virtual host: `carp0/1`. Always the same string, which maps find at once. */
export function keyOf(name: string, vhid: number): string {
  let ofName = keys.get(name);
  if (ofName === undefined) {
    ofName = [];
    keys.set(name, ofName);
  }
  ofName[vhid] ??= `${name}/${vhid}`;
  return ofName[vhid];
}

const names = new Map<string, string>();

/** The carp interface of a virtual host, by its key. */
export function nameOf(key: string): string {
  let name = names.get(key);
  if (name === undefined) {
    name = key.slice(0, key.indexOf("/"));
    names.set(key, name);
  }
  return name;
}
