/** `service-status`: has the engine run the service checks and prints every check that did not pass. */

import type { ServiceCheck } from "../../control/messages.ts";
import { escapeControls } from "../../control/printable.ts";
import type { CommandContext } from "../context.ts";
import { jsonText, type Outcome } from "../outcome.ts";

/** A run may have to wait for the one before it, and each of them for its slowest check. */
export const CHECKS_TIMEOUT_MS = 60_000;

export async function runServiceStatus(context: CommandContext): Promise<Outcome> {
  const engine = await context.connect({ timeoutMs: CHECKS_TIMEOUT_MS });
  try {
    const status = await engine.call("service-status", {});
    const { checks } = status;
    const text = context.options.json ? jsonText(status) : checks.map(checkText).join("");
    const passed = checks.every(({ outcome }) => outcome === "passed");
    return { kind: passed ? "done" : "failed", output: text };
  } finally {
    engine.close();
  }
}

function checkText({ name, outcome, why, output }: ServiceCheck): string {
  if (outcome === "passed") return "";
  const lines = output.split("\n").filter((line) => line !== "");
  const head = `${escapeControls(name)}: ${outcome === "refused" ? "not run" : "failed"} (${escapeControls(why ?? "")})`;
  return [head, ...lines.map((line) => `\t${escapeControls(line)}`)].map((line) => `${line}\n`).join("");
}
