/**
 * wholeState: everything that a command could change on a host, to be compared before and after: the engine's
 * views, the saved state, the kernel's devices and addresses, and the log. Leaves out what changes by itself.
 * Only for a host whose elections are over.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "./host.ts";

export async function wholeState(host: Host) {
  const { engine } = host;
  const [{ interfaces }, groups, sysctl, links] = await Promise.all([
    engine.request("interfaces", {}),
    engine.request("groups", {}),
    engine.request("sysctl-get", { names: ["net"] }),
    host.run("ip", "-json", "-details", "address", "show"),
  ]);
  const { counters: _advance, ...saved } = JSON.parse(
    readFileSync(join(host.runDirectory, "state.json"), "utf8"),
  );
  const log = engine.log.lines.map(({ text }) => text);
  return { interfaces, groups, sysctl, links: (JSON.parse(links) as Link[]).map(settled), saved, log };
}

interface Link {
  readonly flags: readonly string[];
  readonly operstate: string;
}

/** Without what the kernel works out a moment after a device was set up. */
function settled({ operstate: _state, flags, ...link }: Link) {
  return { ...link, flags: flags.filter((flag) => flag !== "NO-CARRIER" && flag !== "LOWER_UP") };
}
