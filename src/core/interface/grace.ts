/**
 * Grace: with which pass and addresses a carp interface signs after a change of them, and which earlier ones it still
 * believes, so that a cluster can be changed host by host. It goes on signing as before until the time has passed or a
 * peer is heard that signs with later ones, and believes the earlier ones as long again.
 */

import type { Micros } from "../model.ts";
import { RareMap } from "../rare.ts";
import type { GraceView } from "../view.ts";
import type { InterfaceConfiguration } from "./configuration.ts";

/** What the digests of an interface cover besides vhid and MAC. */
export interface Secret {
  readonly pass: string;
  /** Sorted: their order does not matter to a digest. */
  readonly addresses: readonly string[];
}

/** A secret of before a change. */
interface Former {
  readonly secret: Secret;
  /** It is believed for so long. */
  readonly untilUs: Micros;
}

/** What the next engine has to know. It holds passes. */
export interface SavedGrace {
  readonly interface: string;
  /** Oldest first. */
  readonly formers: readonly (Secret & { readonly untilUs: Micros })[];
  /** The one that is signed with, by its place among the formers; absent: the present one. */
  readonly signs?: number | undefined;
  readonly changesOverUs: Micros;
}

/** Each former secret costs digests for every wrong one that arrives. */
const MAX_FORMERS = 4;
/** Peers that are remembered by how they sign. */
const MAX_SPEAKERS = 64;

export class Grace {
  #present: Secret;
  /** Oldest first; each differs from the others and the present one. */
  #formers: readonly Former[] = [];
  /** The one that is signed with: the present one or a former one. */
  #signed: Secret;
  /** Whether an advertisement that is signed so was sent or heard: if not, there may be no peer to wait for. */
  #isInUse = false;
  /** It signs with the new secret because none was in use: until a peer is heard it may be wrong in that. */
  #isGuess = false;
  #changesOverUs: Micros = 0;
  #graceUs: Micros = 0;
  /** How each peer signed last, while an earlier secret is believed. */
  readonly #speakers = new RareMap<string, { readonly secret: Secret; readonly atUs: Micros }>();

  constructor(configuration: InterfaceConfiguration) {
    this.#present = secretOf(configuration);
    this.#signed = this.#present;
  }

  /** The secret as it is configured. */
  get present(): Secret {
    return this.#present;
  }

  /** The secret that is signed with. */
  get signed(): Secret {
    return this.#signed;
  }

  /** Every secret that is believed, the one that is signed with first. */
  get believed(): readonly Secret[] {
    const all = [this.#present, ...this.#formers.map(({ secret }) => secret)];
    return [this.#signed, ...all.filter((each) => each !== this.#signed)];
  }

  /** When `passed` is due; undefined: only the present secret is believed. */
  get nextUs(): Micros | undefined {
    if (this.#formers.length === 0) return undefined;
    const endUs = Math.min(...this.#formers.map(({ untilUs }) => untilUs));
    return this.#signed === this.#present ? endUs : Math.min(endUs, this.#changesOverUs);
  }

  /**
   * The configuration changes.
   *
   * @param graceUs 0: everything changes at once
   */
  change(configuration: InterfaceConfiguration, graceUs: Micros, nowUs: Micros): void {
    const next = secretOf(configuration);
    const previous = this.#present;
    if (areEqual(previous, next)) return;
    const signed = this.#signed;
    this.#present = next;
    this.#graceUs = graceUs;
    // A pass that everybody knows is not believed beside a secret one.
    const isFirstPass = next.pass !== "" && (previous.pass === "" || signed.pass === "");
    if (graceUs === 0 || isFirstPass) {
      this.end();
      return;
    }
    // Peers give up what this host does not sign with any more at the time that was set before.
    const at = this.#formers.findIndex(({ secret }) => secret === signed);
    const given = at < 0 ? this.#formers : this.#formers.slice(0, at);
    const used = at < 0 ? [] : this.#formers.slice(at);
    // Nothing was ever signed without addresses.
    const kept = previous.addresses.length === 0 ? [] : [{ secret: previous, untilUs: 0 }];
    const extended = [...used, ...kept].map((former) => ({
      ...former,
      untilUs: Math.max(former.untilUs, nowUs + 2 * graceUs),
    }));
    this.#formers = [...given, ...extended].filter(({ secret }) => !areEqual(secret, next));
    const stays = this.#isInUse && this.#formers.some(({ secret }) => secret === signed);
    this.#isGuess = !this.#isInUse;
    this.#signed = stays ? signed : next;
    this.#changesOverUs = nowUs + graceUs;
    this.#bound();
  }

  /** It is another virtual host from now on, which no peer knows. */
  moved(configuration: InterfaceConfiguration): void {
    this.#present = secretOf(configuration);
    this.#isInUse = false;
    this.end();
  }

  /** Believes and signs with the present secret alone. */
  end(): void {
    this.#formers = [];
    this.#signed = this.#present;
    this.#speakers.clear();
  }

  /** An advertisement is sent. */
  sent(): void {
    this.#isInUse = true;
  }

  /** A peer signs with this secret, one of `believed`. @returns whether this host signs with it from now on */
  heard(secret: Secret, source: string, nowUs: Micros): boolean {
    const wasGuess = this.#isGuess;
    this.#isGuess = false;
    this.#isInUse = true;
    if (this.#formers.length === 0) return false;
    const isEarlier = this.#rank(secret) < this.#rank(this.#signed);
    const mayGoBack = wasGuess && nowUs < this.#changesOverUs;
    const changes = secret !== this.#signed && (!isEarlier || mayGoBack);
    if (changes) {
      this.#signed = secret;
      if (secret === this.#present) this.#believeAsLongAgain(nowUs);
    }
    this.#noteSpeaker(source, secret, nowUs);
    return changes;
  }

  #noteSpeaker(source: string, secret: Secret, atUs: Micros): void {
    this.#speakers.delete(source);
    this.#speakers.set(source, { secret, atUs });
    const [[oldest] = []] = this.#speakers.size > MAX_SPEAKERS ? this.#speakers : [];
    if (oldest !== undefined) this.#speakers.delete(oldest);
  }

  /** Time passes. @returns what has changed */
  passed(nowUs: Micros): "changed-over" | "forgot" | undefined {
    const count = this.#formers.length;
    const changesOver = this.#signed !== this.#present && nowUs >= this.#changesOverUs;
    if (changesOver) {
      this.#signed = this.#present;
      this.#believeAsLongAgain(nowUs);
    }
    this.#formers = this.#formers.filter(({ secret, untilUs }) => secret === this.#signed || nowUs < untilUs);
    if (this.#formers.length === 0) this.#speakers.clear();
    if (changesOver) return "changed-over";
    return this.#formers.length < count ? "forgot" : undefined;
  }

  #believeAsLongAgain(nowUs: Micros): void {
    // Only who signs with an earlier one from now on is behind.
    this.#speakers.clear();
    this.#formers = this.#formers.map((each) => ({ ...each, untilUs: nowUs + this.#graceUs }));
  }

  /** Later secrets have higher ranks. */
  #rank(secret: Secret): number {
    const at = this.#formers.findIndex((each) => each.secret === secret);
    return at < 0 ? this.#formers.length : at;
  }

  /** Bounds the believed combinations: keeps the signed one, the ones heard from peers, and the latest. */
  #bound(): void {
    const spoken = new Set([...this.#speakers.values()].map(({ secret }) => secret));
    while (this.#formers.length > MAX_FORMERS) {
      const others = this.#formers.filter(({ secret }) => secret !== this.#signed);
      const dropped = others.find(({ secret }) => !spoken.has(secret)) ?? others[0];
      this.#formers = this.#formers.filter((each) => each !== dropped);
    }
  }

  /** For people; undefined: only the present secret is believed. */
  get view(): GraceView | undefined {
    if (this.#formers.length === 0) return undefined;
    const addresses = this.#present.addresses.join();
    return {
      signsOld: this.#signed !== this.#present,
      untilUs: this.nextUs ?? 0,
      believesUntilUs: Math.max(...this.#formers.map(({ untilUs }) => untilUs)),
      pass: this.#formers.some(({ secret }) => secret.pass !== this.#present.pass),
      addresses: this.#formers.some(({ secret }) => secret.addresses.join() !== addresses),
      usedBy: [...this.#speakers]
        .filter(([, { secret }]) => secret !== this.#present)
        .map(([source, { atUs }]) => ({ source, atUs })),
    };
  }

  /** For the next engine; undefined: there is nothing to keep. */
  saved(name: string): SavedGrace | undefined {
    if (this.#formers.length === 0) return undefined;
    const signs = this.#formers.findIndex(({ secret }) => secret === this.#signed);
    return {
      interface: name,
      formers: this.#formers.map(({ secret, untilUs }) => ({ ...secret, untilUs })),
      signs: signs < 0 ? undefined : signs,
      changesOverUs: this.#changesOverUs,
    };
  }

  /** Restores what an earlier engine kept, which may be another boot's. */
  restore({ formers, signs, changesOverUs }: SavedGrace, graceUs: Micros, nowUs: Micros): void {
    this.#graceUs = graceUs;
    this.#formers = formers
      .map(({ untilUs, ...secret }) => ({ secret, untilUs: Math.min(untilUs, nowUs + 2 * graceUs) }))
      .filter(({ secret }) => !areEqual(secret, this.#present));
    const { pass, addresses } = formers[signs ?? -1] ?? this.#present;
    const signed = this.#formers.find(({ secret }) => areEqual(secret, { pass, addresses }));
    this.#signed = signed?.secret ?? this.#present;
    this.#changesOverUs = Math.min(changesOverUs, nowUs + graceUs);
    this.#isInUse = true;
    this.passed(nowUs);
  }
}

/** What was changed, in words: `pass`, `addresses` or both. */
export function changedIn({ pass, addresses }: Pick<GraceView, "pass" | "addresses">): string {
  return [...(pass ? ["pass"] : []), ...(addresses ? ["addresses"] : [])].join(" and ");
}

function secretOf({ pass, addresses }: InterfaceConfiguration): Secret {
  return { pass, addresses: addresses.map(({ address }) => address).sort() };
}

function areEqual(a: Secret, b: Secret): boolean {
  return a.pass === b.pass && a.addresses.join() === b.addresses.join();
}
