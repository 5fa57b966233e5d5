/** The state that each virtual host was in at a moment, with the transition that brought it there. */

import type { HistoryRecord } from "../../../control/history.ts";

type Transition = HistoryRecord & { readonly event: { readonly kind: "transition" } };

/** @param before the records up to the moment, in their order */
export function statesAfter(before: readonly HistoryRecord[]): readonly Transition[] {
  const states = new Map<string, Transition>();
  for (const record of before) {
    const { event } = record;
    if (isTransition(record)) {
      const { interface: name, vhid } = record.event;
      states.set(`${name} ${vhid}`, record);
    }
    // A new engine begins with every virtual host in INIT.
    if (event.kind === "engine-started") states.clear();
    if (event.kind === "destroyed")
      for (const key of states.keys()) if (key.startsWith(`${event.interface} `)) states.delete(key);
  }
  return [...states.values()];
}

function isTransition(record: HistoryRecord): record is Transition {
  return record.event.kind === "transition";
}
