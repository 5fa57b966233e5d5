/**
 * Restarts an engine 20 times in each way, and prints what was lost: node test/soak/restarts.ts [TIMES]. Not a part of
 * npm test.
 */

import { restartInEveryWay, WAYS } from "../net/restarts.ts";

const times = Number(process.argv[2] ?? 20);
const sums = new Map(
  WAYS.map(({ name }) => [name, { restarts: 0, sent: 0, lost: 0, transitions: 0, gapMs: 0 }]),
);
await restartInEveryWay({ times }, ({ way, pings, peer, own, isConfigured }) => {
  const sum = sums.get(way.name);
  if (sum === undefined) return;
  sum.restarts++;
  for (const { sent, lost, longestGapMs } of pings) {
    sum.sent += sent;
    sum.lost += lost.length;
    sum.gapMs = Math.max(sum.gapMs, Math.round(longestGapMs));
  }
  sum.transitions += peer.length + own.filter((state) => state === "BACKUP").length;
  if (!isConfigured) console.log(`${way.name}: another configuration`);
});
console.table(Object.fromEntries(sums));
