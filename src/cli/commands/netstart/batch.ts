/** Files that wait to be applied in one message, as many as one message may hold. */

import { MAX_REPLACEMENTS, maxRequestBytes } from "../../../control/limits.ts";
import type { Params } from "../../../control/messages.ts";

type Replacement = Params<"replace">;

/** Of a message, beside its replacements. */
const ENVELOPE_BYTES = 1024;

export class Batch<Of> {
  readonly #mostBytes = maxRequestBytes(process.geteuid?.()) - ENVELOPE_BYTES;
  #waiting: { readonly of: Of; readonly replacement: Replacement }[] = [];
  #bytes = 0;

  hasRoomFor(replacement: Replacement): boolean {
    return this.#waiting.length < MAX_REPLACEMENTS && this.#bytes + bytesOf(replacement) <= this.#mostBytes;
  }

  add(of: Of, replacement: Replacement): void {
    this.#waiting.push({ of, replacement });
    this.#bytes += bytesOf(replacement);
  }

  /** All that wait, which wait no longer. */
  take(): { readonly of: Of[]; readonly replacements: Replacement[] } {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    return { of: waiting.map(({ of }) => of), replacements: waiting.map(({ replacement }) => replacement) };
  }
}

/** As a line of JSON, with the comma behind it. */
function bytesOf(replacement: Replacement): number {
  return Buffer.byteLength(JSON.stringify(replacement)) + 1;
}
