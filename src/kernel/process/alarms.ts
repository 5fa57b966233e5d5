/** Alarms: Node's timers on the engine's clock, which counts the time that the host is asleep. */

import type { Alarms, Clock } from "../kernel.ts";

/** setTimeout takes no more than this many milliseconds; an alarm further off rings early, and is set again. */
const LONGEST_MS = 2 ** 31 - 1;

export function createAlarms(clock: Clock): Alarms {
  return {
    set(atUs, ring) {
      const waitMs = Math.min(LONGEST_MS, Math.max(0, Math.ceil((atUs - clock.now().us) / 1000)));
      const timeout = setTimeout(ring, waitMs);
      return () => clearTimeout(timeout);
    },
  };
}
