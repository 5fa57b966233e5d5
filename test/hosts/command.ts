/** Runs a carpctl command in this process: to start the program takes a tenth of a second. */

import { basename } from "node:path";
import { outcomeOf, resultOf } from "../../src/cli/command-line.ts";
import type { Output } from "./namespace.ts";

/**
 * Only for commands that send a request to the engine and print its outcome: commands that run other programs
 * or read the network do so in the test's own namespace.
 */
export async function command(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<Output> {
  if (words[0] === "engine" && !words.includes("--help"))
    throw new Error("an engine would take the place of this process");
  const name = basename(environment.CARPCTL_ARGV0 ?? "carpctl");
  const outcome = await outcomeOf({ name, words, environment, version: "", outputIsRead: async () => true });
  const { status, ...said } = resultOf(outcome, name);
  return { ...said, exitCode: status };
}
