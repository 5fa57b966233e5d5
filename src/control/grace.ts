/** What an interface signs with and believes after a change of its pass or addresses, in words. */

import { changedIn } from "../core/interface/grace.ts";
import type { GraceView } from "../core/view.ts";

const SECOND_US = 1_000_000;

export function secondsUntil(us: number, nowUs: number): number {
  return Math.max(0, Math.ceil((us - nowUs) / SECOND_US));
}

/** One sentence without a subject. */
export function graceText(grace: GraceView, nowUs: number): string {
  const { signsOld, untilUs, believesUntilUs, usedBy } = grace;
  const what = changedIn(grace);
  const signs = signsOld
    ? `signs with the old ${what} for ${secondsUntil(untilUs, nowUs)} s more, or until a peer signs with the new`
    : `signs with the new ${what}, and believes the old for ${secondsUntil(believesUntilUs, nowUs)} s more`;
  const users = usedBy.map(({ source, atUs }) => `${source} ${Math.floor((nowUs - atUs) / SECOND_US)} s ago`);
  return users.length === 0 ? signs : `${signs}; the old heard from ${users.join(", ")}`;
}
