/**
 * One visit to the data path of a run directory, for hosts that have no engine: configures it, sets leases,
 * reads counts and then leaves everything in the kernel, as an engine that was killed does.
 */

import { join } from "node:path";
import { openDocument } from "../../src/engine/state/document.ts";
import { createDataPath } from "../../src/kernel/data-path/data-path.ts";
import type { DataPathInterface, PacketCounts } from "../../src/kernel/kernel.ts";
import { createClock } from "../../src/kernel/process/clock.ts";

export interface Visit {
  readonly runDir: string;
  readonly configure?: DataPathInterface;
  /** Seconds from now, by vhid; 0 takes a lease away. */
  readonly leases?: Readonly<Record<number, number>>;
  readonly shutdown?: boolean;
}

export interface Seen {
  /** The vhids whose leases had not run out when the visit began. */
  readonly held: readonly number[];
  readonly counts?: PacketCounts | undefined;
}

export function visit({ runDir, configure, leases = {}, shutdown = false }: Visit): Seen {
  const complain = (text: string) => {
    throw new Error(text);
  };
  const dataPath = createDataPath({ runDir, record: openDocument(join(runDir, "programs.json")), complain });
  if (dataPath.obstacle !== undefined) throw new Error(dataPath.obstacle);
  const now = () => createClock().now().us;
  const held = Object.keys(leases)
    .map(Number)
    .filter((vhid) => dataPath.leaseUntilUs("carp0", vhid) > now());
  const failed = configure && dataPath.configure(configure);
  if (failed !== undefined) throw new Error(failed);
  for (const [vhid, seconds] of Object.entries(leases))
    dataPath.lease("carp0", Number(vhid), seconds === 0 ? 0 : now() + seconds * 1e6);
  const counts = dataPath.counts("carp0");
  if (shutdown) dataPath.shutdown();
  else dataPath.close();
  return { held, counts };
}
