/**
 * Everything a command could have changed on a host, for comparing before and after: what the engine says of itself,
 * what it saved, what the kernel has, and what was logged. Leaves out what changes by itself.
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
  const saved = readFileSync(join(host.runDirectory, "state.json"), "utf8");
  const log = engine.log.lines.map(({ text }) => text);
  return { interfaces, groups, sysctl, links: JSON.parse(links), saved, log };
}
