/**
 * The clock of this host: CLOCK_BOOTTIME, which the kernel compares leases with and which goes on while the host
 * sleeps, and the time of day. Reading it allocates nothing but the answer.
 */

import type { Clock } from "./kernel.ts";
import { native } from "./native.ts";

export function createClock(): Clock {
  const reading = new Float64Array(2);
  return {
    now() {
      native.readClocks(reading);
      const [us = 0, epochUs = 0] = reading;
      return { us, epochUs };
    },
  };
}
