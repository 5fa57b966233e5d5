/**
 * A fuzz target: code that reads bytes from any sender, and the properties that hold for all of them. A
 * target does not know the source of its inputs.
 */

import type fc from "fast-check";

export interface Target {
  readonly name: string;
  /** Inputs that are taken apart further than noise is; mutations of the corpus come beside them. */
  readonly sensible: fc.Arbitrary<Uint8Array>;
  /** Tokens of its inputs, which are inserted whole into others. */
  readonly tokens: readonly (string | Uint8Array)[];
  /** Repairs a changed input, so that more of it is read than its checksum. */
  readonly mend?: fc.Arbitrary<(bytes: Uint8Array) => Uint8Array>;
  /** Number of inputs the tests try. */
  readonly tries: number;
  open(): Trial | Promise<Trial>;
}

export interface Trial {
  /** Throws, or rejects, when something does not hold. */
  feed(input: Uint8Array): void | Promise<void>;
  close?(): void | Promise<void>;
}
