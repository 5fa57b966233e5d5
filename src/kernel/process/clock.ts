/**
 * The clock of this host: CLOCK_BOOTTIME, which leases are compared with and which goes on while the host sleeps, and
 * the system clock (CLOCK_REALTIME). Reading it allocates nothing but the answer.
 */

import type { Clock } from "../kernel.ts";
import { nativeProcess } from "./native-process.ts";

export function createClock(): Clock {
  const reading = new Float64Array(2);
  return {
    now() {
      nativeProcess.readClocks(reading);
      const [us = 0, epochUs = 0] = reading;
      return { us, epochUs };
    },
  };
}
