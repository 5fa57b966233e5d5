/**
 * Reads carp/sysctl.conf again while the engine runs (SIGHUP). Errors in the file are logged, never thrown.
 */

import { join } from "node:path";
import { readConfigurationFile } from "../../config/configuration-file.ts";
import { lineOf, readSysctlFile } from "../../config/sysctl-file.ts";
import { isRefusal } from "../../control/refusal.ts";
import type { Engine } from "../engine.ts";

/** Sets the variables of the file, all or none. */
export async function applyVariables(engine: Engine, etcDir: string): Promise<void> {
  const path = join(etcDir, "carp/sysctl.conf");
  const complain = (message: string, line?: number) =>
    engine.log(3, `${path}${line === undefined ? "" : `:${line}`}: ${message}`);
  const read = readConfigurationFile(path, { mode: 0o644, repair: true });
  if (isRefusal(read)) {
    if (read.refusal !== "no such file") complain(read.refusal);
    return;
  }
  if (read.warning !== undefined) complain(read.warning);
  const file = readSysctlFile(read.bytes);
  if ("errors" in file) {
    for (const { message, line } of file.errors) complain(message, line);
    return;
  }
  const writes = file.settings.map(({ name, value }) => ({ name, value }));
  if (writes.length === 0) return;
  const outcome = await engine.command({ kind: "set-sysctl", writes });
  if ("error" in outcome) complain(outcome.error, lineOf(outcome.error, file.settings));
}
