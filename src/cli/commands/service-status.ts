/** `service-status`: has the engine run the service checks and prints every check that did not pass. */

import type { ServiceCheck } from "../../control/messages.ts";
import type { CommandContext } from "../context.ts";
import { jsonText, type Outcome } from "../outcome.ts";
import { checkLine, outputLines } from "../show/service-check.ts";

/**
 * A run may have to wait for the one before it, and each of them for its slowest check, at last one that runs for the
 * first time by itself.
 */
export const CHECKS_TIMEOUT_MS = 250_000;

export async function runServiceStatus(context: CommandContext): Promise<Outcome> {
  const engine = await context.connect({ timeoutMs: CHECKS_TIMEOUT_MS });
  try {
    const status = await engine.call("service-status", {});
    const { checks } = status;
    const text = context.options.json ? jsonText(status) : checks.map(checkText).join("");
    const passed = checks.every(isGood);
    return { kind: passed ? "done" : "failed", output: text };
  } finally {
    engine.close();
  }
}

/** Whether it passed, and often enough in a row. */
export function isGood({ outcome, demotes }: ServiceCheck): boolean {
  return outcome === "passed" && !demotes;
}

function checkText(check: ServiceCheck): string {
  if (isGood(check)) return "";
  return [checkLine(check), ...outputLines(check)].map((line) => `${line}\n`).join("");
}
