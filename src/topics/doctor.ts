/** Everything that `carpctl doctor` finds, by its name. */

import { CARPDEVS } from "./carpdevs.ts";
import { CONNECTIONS } from "./connections.ts";
import { DIGESTS } from "./digests.ts";
import { HOST } from "./host.ts";
import { SENDING, SERVING } from "./interfaces.ts";
import { SEGMENT } from "./segment.ts";

export const DOCTOR = {
  ...HOST,
  ...CARPDEVS,
  ...SERVING,
  ...SENDING,
  ...SEGMENT,
  ...DIGESTS,
  ...CONNECTIONS,
} as const;
