/**
 * Lease: until when a virtual host is MASTER, and what its next advertisement renews that to. The kernel's
 * copy is an effect of the virtual host.
 */

import type { Micros } from "../model.ts";
import { renewedLeaseUs } from "./timing.ts";

export class Lease {
  /** Its end; right after a takeover the time by which a first advertisement must have left. */
  #untilUs: Micros = 0;
  /** Length by the settings in the advertisement under way; they may change before it leaves. */
  #promisedUs: Micros = 0;
  #isRenewed = false;

  get untilUs(): Micros {
    return this.#untilUs;
  }

  /** Whether an advertisement has left since it was granted. */
  get isRenewed(): boolean {
    return this.#isRenewed;
  }

  isOver(atUs: Micros): boolean {
    return atUs > this.#untilUs;
  }

  /** A takeover: granted for the first advertisement. */
  grant(untilUs: Micros): void {
    this.#untilUs = untilUs;
    this.#isRenewed = false;
  }

  /** An earlier engine left it, and advertised. */
  resume(untilUs: Micros): void {
    this.#untilUs = untilUs;
    this.#isRenewed = true;
  }

  /** An advertisement is sent. @param lengthUs of the lease that it stands for */
  promise(lengthUs: Micros): void {
    this.#promisedUs = lengthUs;
  }

  /** The advertisement left. @param lengthUs of the lease by the settings at that time */
  renew(leftUs: Micros, lengthUs: Micros): void {
    this.#untilUs = leftUs + renewedLeaseUs(lengthUs, this.#promisedUs);
    this.#isRenewed = true;
  }
}
