/** `service-status`: has the engine run the service checks, and prints those that did not pass. */

import type { ServiceCheck } from "../control/messages.ts";
import { escaped } from "../control/shown.ts";
import type { Outcome } from "./outcome.ts";
import type { Setting } from "./setting.ts";

/** A run may have to wait for the one before it, and each of them for its slowest check. */
const TIMEOUT_MS = 60_000;

export async function runServiceStatus(setting: Setting): Promise<Outcome> {
  const engine = await setting.connect({ timeoutMs: TIMEOUT_MS });
  try {
    const status = await engine.call("service-status", {});
    const { checks } = status;
    const text = setting.options.json
      ? `${JSON.stringify(status, undefined, 2)}\n`
      : checks.map(checkText).join("");
    const passed = checks.every(({ outcome }) => outcome === "passed");
    return { kind: passed ? "done" : "failed", output: text };
  } finally {
    engine.close();
  }
}

function checkText({ name, outcome, why, output }: ServiceCheck): string {
  if (outcome === "passed") return "";
  const lines = output.split("\n").filter((line) => line !== "");
  const head = `${escaped(name)}: ${outcome === "refused" ? "not run" : "failed"} (${escaped(why ?? "")})`;
  return [head, ...lines.map((line) => `\t${escaped(line)}`)].map((line) => `${line}\n`).join("");
}
