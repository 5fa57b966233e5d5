/**
 * The question why a digest is wrong, and its answer. A question holds passes and never leaves the engine; an answer
 * holds none and is shown to every user.
 */

import type { CoveredAddresses } from "./covered-addresses.ts";

/** A carp interface of this host that is not the one in question. */
export interface Sibling {
  readonly name: string;
  readonly vhids: readonly number[];
  readonly carpdev: string | undefined;
  readonly pass: string;
  readonly addresses: CoveredAddresses;
  /** The MAC that its digests cover; undefined: none. */
  readonly lladdr: string | undefined;
}

export interface DigestQuestion {
  /** There is no such vhid here: the other host may have an interface of this one under another number. */
  readonly isOfOtherVhid: boolean;
  readonly vhid: number;
  /** The IP source of the advertisement, canonical text. */
  readonly source: string;
  readonly counter: bigint;
  readonly digest: Uint8Array;
  readonly pass: string;
  /** Passes of before a change, which are still believed. */
  readonly earlierPasses: readonly string[];
  /** The addresses of the interface in each form of digests: without its link-local addresses, and with them. */
  readonly bases: readonly CoveredAddresses[];
  /** The MAC that the digests of this virtual host cover; undefined: none. */
  readonly lladdr: string | undefined;
  /** MACs that another host may cover instead: this host's, and the Ethernet source of the advertisement. */
  readonly otherMacs: readonly string[];
  readonly carpdev: string;
  /** The carpdev's own addresses. */
  readonly carpdevAddresses: readonly string[];
  readonly siblings: readonly Sibling[];
}

/** What a digest is wrong in; for scripts. `unknown`: nothing that was tried fits. */
export const DIGEST_CAUSES = [
  "no-pass",
  "pass-line-end",
  "pass-blank",
  "pass-quoted",
  "pass-length",
  "pass-earlier",
  "pass-of-other-interface",
  "address-missing",
  "family-missing",
  "address-extra",
  "address-different",
  "addresses-of-other-interface",
  "lladdr",
  "vhid",
  "carpdev",
  "unknown",
] as const;
export type DigestCause = (typeof DIGEST_CAUSES)[number];

export interface DigestExplanation {
  readonly cause: DigestCause;
  /** What the other host has, in words that begin with its address. */
  readonly text: string;
  readonly todo: string;
  /** The interface that it is about, where it is not the one that the advertisement arrived for. */
  readonly interface?: string | undefined;
}
