/**
 * What a fuzz target is: somewhere that takes bytes from anybody, and what has to hold whatever they are. A target
 * knows nothing of where its inputs come from.
 */

import type fc from "fast-check";

export interface Target {
  readonly name: string;
  /** Inputs that are taken apart further than noise is; mutations of the corpus come beside them. */
  readonly sensible: fc.Arbitrary<Uint8Array>;
  /** What its inputs are made of: put whole into others. */
  readonly tokens: readonly (string | Uint8Array)[];
  /** What may be done to an input after it was changed, so that more than its checksums are looked at. */
  readonly mend?: fc.Arbitrary<(bytes: Uint8Array) => Uint8Array>;
  /** How many inputs the tests try. */
  readonly tries: number;
  open(): Trial | Promise<Trial>;
}

export interface Trial {
  /** Throws, or rejects, when something does not hold. */
  feed(input: Uint8Array): void | Promise<void>;
  close?(): void | Promise<void>;
}
