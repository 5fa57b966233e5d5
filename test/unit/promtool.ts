/** Prometheus' promtool, as bin/bootstrap unpacks it where the machine has none. */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const UNPACKED = join(import.meta.dirname, "../../node_modules/.bin/promtool");

export interface Checked {
  readonly status: number | null;
  readonly output: string;
}

export function promtool(words: readonly string[], input = ""): Checked {
  const program = existsSync(UNPACKED) ? UNPACKED : "promtool";
  const { status, stdout, stderr, error } = spawnSync(program, words, { input, encoding: "utf8" });
  if (error !== undefined) throw new Error(`${program}: ${error.message}: bin/bootstrap test installs it`);
  return { status, output: `${stdout}${stderr}` };
}
