/** The hosts whose digests are wrong, as commands and the examination show them. */

import type { InterfaceView } from "../core/view.ts";

/** A host that was heard longer ago may be right by now, or gone. */
const RECENT_US = 60_000_000;

export function recentWrongDigests(
  { wrongDigests = [] }: Pick<InterfaceView, "wrongDigests">,
  nowUs: number,
) {
  return wrongDigests.filter(({ atUs }) => nowUs - atUs <= RECENT_US);
}
