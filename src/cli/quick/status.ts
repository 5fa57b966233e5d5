/**
 * `carpctl status` and `carpctl status --json` without the parser of verbs: bin/bootstrap compiles this file and its
 * imports in advance. Every other word, and every refusal, is left to command-line.ts.
 */

import { runStatus } from "../commands/status.ts";
import { commandContext } from "../context.ts";
import { defaultOptions, takeScatteredOptions } from "../grammar/options.ts";
import { isRefusal } from "../outcome.ts";

/** @returns the output; undefined: command-line.ts does it */
export async function quickOutput(
  given: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const taken = takeScatteredOptions(defaultOptions(environment), given);
  if (isRefusal(taken)) return undefined;
  const { options, words } = taken;
  if (words.join() !== "status" || options.help || options.version) return undefined;
  const outputIsRead = () => Promise.resolve(true);
  try {
    const outcome = await runStatus(commandContext(options, { environment, outputIsRead }));
    return outcome.kind === "done" && !outcome.warnings?.length ? outcome.output : undefined;
  } catch {
    // The words are run again, and the error is told there.
    return undefined;
  }
}
