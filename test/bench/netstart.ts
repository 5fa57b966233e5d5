/**
 * How long netstart takes for many hostname.carpN files: the first time, and again when nothing has changed. Words: the
 * numbers of files (default 250).
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Line } from "./line.ts";
import { createPair, mastersOf, virtualHosts } from "./many-virtual-hosts.ts";

const LIMIT_S: Readonly<Record<number, number>> = { 250: 1, 1000: 4, 4000: 16 };
const UNCHANGED_LIMIT_S: Readonly<Record<number, number>> = { 1000: 0.3 };

export default async function netstart(words: readonly string[]): Promise<Line[]> {
  const counts = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const lines: Line[] = [];
  for (const count of counts.length > 0 ? counts : [250]) {
    const pair = await createPair(count);
    const host = pair.preferred;
    try {
      await host.startEngine({ logLevel: null });
      for (const { name, carpdev, vhid, address } of virtualHosts(count))
        writeFileSync(
          join(host.etcDirectory, `hostname.${name}`),
          `inet ${address}/32 carpdev ${carpdev} vhid ${vhid} pass sesame\n`,
          { mode: 0o600 },
        );
      const run = async () => {
        const beganMs = performance.now();
        await host.carpctl("netstart");
        return (performance.now() - beganMs) / 1000;
      };
      const first = await run();
      await mastersOf(host, count);
      const again = await run();
      for (const [what, seconds, limit] of [
        [`netstart of ${count} files`, first, LIMIT_S[count]],
        [`netstart of ${count} files, unchanged`, again, UNCHANGED_LIMIT_S[count]],
      ] as const)
        lines.push({
          what,
          ours: `${seconds.toFixed(2)} s`,
          beside: "",
          aim: limit === undefined ? "" : `${limit} s`,
          isMet: seconds <= (limit ?? Number.POSITIVE_INFINITY),
          values: { count, seconds },
        });
    } finally {
      pair.destroy();
    }
  }
  return lines;
}
