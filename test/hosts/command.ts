/** What `carpctl` does with some words, by its own code in this process: a program takes a tenth of a second to start. */

import { basename } from "node:path";
import { outcomeOf, reportOf } from "../../src/cli/program.ts";
import type { Output } from "./namespace.ts";

/**
 * Only for what goes to the engine whole and comes back as an outcome: what prints meanwhile, runs other programs or
 * looks at this machine's network does so here.
 */
export async function command(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<Output> {
  if (words[0] === "engine" && !words.includes("--help"))
    throw new Error("an engine would take the place of this process");
  const name = basename(environment.CARPCTL_ARGV0 ?? "carpctl");
  const outcome = await outcomeOf({ name, words, environment, version: "", outputIsRead: async () => true });
  const { status, ...said } = reportOf(outcome, name);
  return { ...said, exitCode: status };
}
