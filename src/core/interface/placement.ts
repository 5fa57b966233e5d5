/**
 * Placement: the device, filter and digests that a carp interface asked the kernel for last. Asks again only for what
 * has changed, or has to be built again.
 */

import type { SignedForm } from "../../protocol/authentication.ts";
import type { Effect } from "../effect.ts";
import type { Device, Filter } from "../model.ts";

/** In place of the text of a device or filter that is not in the kernel: it differs from every real one. */
const NOT_IN_PLACE = "not in place";
const NONE = "null";

export class Placement {
  readonly #name: string;
  readonly #emit: (effect: Effect) => void;
  /** The placement last asked for, as JSON. */
  #device = NONE;
  #filter = NONE;
  /** That filter, unless it is not in place: most times the same one is asked for once more. */
  #latest: Filter | null = null;
  #digests = "[]";
  /** What those were made from: most times it is asked for the same once more. */
  #forms: readonly SignedForm[] | undefined;

  /** @param name of the carp interface */
  constructor(name: string, emit: (effect: Effect) => void) {
    this.#name = name;
    this.#emit = emit;
  }

  /** Asks for the device and the filter where they differ. The filter comes before the device and goes after it. */
  place(device: Device | null, filter: Filter | null): void {
    if (filter !== null) this.filter(filter);
    const wanted = JSON.stringify(device);
    if (wanted !== this.#device) {
      this.#device = wanted;
      this.#emit({ kind: "device", interface: this.#name, device });
    }
    if (filter === null) this.filter(null);
  }

  /** Asks for the filter alone where it differs. */
  filter(filter: Filter | null): void {
    if (filter !== null && filter === this.#latest) return;
    this.#latest = filter;
    const wanted = JSON.stringify(filter);
    if (wanted === this.#filter) return;
    this.#filter = wanted;
    this.#emit({ kind: "filter", interface: this.#name, filter });
  }

  /** Tells the sockets which digests are those of hosts with the pass. */
  expectDigests(forms: readonly SignedForm[]): void {
    if (forms === this.#forms) return;
    this.#forms = forms;
    const digests = JSON.stringify(
      forms.map(({ vhid, key, message }) => [vhid, textOf(key), textOf(message)]),
    );
    if (digests === this.#digests) return;
    this.#digests = digests;
    this.#emit({ kind: "expect-digests", interface: this.#name, forms });
  }

  /** The next `place` asks for it again, whatever it is then: it could not be put in place. */
  failed(part: "device" | "filter"): void {
    if (part === "filter") {
      this.#filter = NOT_IN_PLACE;
      this.#latest = null;
    } else this.#device = NOT_IN_PLACE;
  }

  /** The device went away with its carpdev: the next `place` asks for it again. */
  deviceGone(): void {
    if (this.#device !== NONE) this.#device = NOT_IN_PLACE;
  }
}

/** The bytes as text to compare. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
