/**
 * Judges the service checks: one that is not run looks after nothing. Pure: it sees what the engine knows of each check,
 * and the files that another module found.
 */

import { type Finding, fault, inOrder } from "../control/finding.ts";
import type { ServiceCheck } from "../control/messages.ts";

export type ExaminedCheck = Pick<ServiceCheck, "name" | "outcome" | "why" | "demotes">;

/** The checks that the engine knows. */
export function examineChecks(checks: readonly ExaminedCheck[]): Finding[] {
  if (checks.length === 0) return [];
  const refused = checks.filter(({ outcome }) => outcome === "refused");
  if (refused.length === 0) return [inOrder("service checks", `${checks.length}, all of which are run`)];
  return refused.map(({ name, why, demotes }) =>
    fault(
      "check-refused",
      `service check ${name}`,
      `it is not run, and ${demotes ? "demotes until it is" : "demotes nothing"}: ${why ?? "refused"}`,
      "correct or remove the file: see carp-service-status(7)",
    ),
  );
}

/** @param paths of programs among the checks that are not executable */
export function examinePassedOver(paths: readonly string[]): Finding[] {
  return paths.map((path) =>
    fault(
      "check-not-executable",
      "service checks",
      `${path} is not executable, and not run`,
      `'chmod 755 ${path}', or remove it`,
    ),
  );
}
