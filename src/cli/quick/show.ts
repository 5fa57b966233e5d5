/**
 * `carpctl`, `carpctl -a` and `carpctl carpN`, which scripts run most, with as little code as they need: bin/bootstrap
 * compiles this file and its imports in advance. Answers where there is something to show; every other word, and every
 * refusal, is left to command-line.ts.
 */

import { INTERFACE_NAME } from "../../control/limits.ts";
import { showInterfaces } from "../commands/show.ts";
import { connectToEngine } from "../engine-connection.ts";
import { defaultOptions, takeGlobalOptions } from "../grammar/options.ts";
import { isRefusal } from "../outcome.ts";

/** @returns the output; undefined: command-line.ts does it */
export async function quickOutput(
  given: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const taken = takeGlobalOptions(defaultOptions(environment), given);
  if (isRefusal(taken)) return undefined;
  const { options, words } = taken;
  const [first = "-a"] = words;
  const isRead = words.length <= 1 && (first === "-a" || first === "-A" || INTERFACE_NAME.test(first));
  if (!isRead || options.help || options.version) return undefined;
  try {
    const engine = await connectToEngine(options.runDir);
    try {
      const name = first.startsWith("-") ? undefined : first;
      const outcome = await showInterfaces(engine, name, options.json);
      return outcome?.kind === "done" && engine.warnings.length === 0 ? outcome.output : undefined;
    } finally {
      engine.close();
    }
  } catch {
    // The words are run again, and the error is told there.
    return undefined;
  }
}
