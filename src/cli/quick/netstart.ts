/**
 * `carpctl netstart` without the parser of verbs: bin/bootstrap compiles this file and its imports in advance. Every
 * other word, and every refusal of the whole, is left to command-line.ts.
 */

import { runNetstart } from "../commands/netstart/netstart.ts";
import { commandContext } from "../context.ts";
import { defaultOptions, takeScatteredOptions } from "../grammar/options.ts";
import { isRefusal } from "../outcome.ts";
import { leaveRemovedDirectory } from "../removed-directory.ts";
import { tellWriteErrors } from "../write-errors.ts";

const OPTIONS = { dryRun: false, prune: false };

/** @returns the output, with the exit status in `process.exitCode`; undefined: command-line.ts does it */
export async function quickOutput(
  given: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const taken = takeScatteredOptions(defaultOptions(environment), given);
  if (isRefusal(taken)) return undefined;
  const { options, words } = taken;
  const [verb, ...others] = words;
  const wait = others[0] === "--wait";
  if (verb !== "netstart" || others.length > (wait ? 1 : 0) || options.help || options.version)
    return undefined;
  leaveRemovedDirectory();
  tellWriteErrors();
  const outputIsRead = () => Promise.resolve(true);
  const context = commandContext(options, { environment, outputIsRead });
  try {
    const outcome = await runNetstart([], { ...OPTIONS, wait }, context);
    if (outcome.kind === "failed") process.exitCode = 1;
    return outcome.kind === "done" || outcome.kind === "failed" ? outcome.output : undefined;
  } catch {
    // No engine, or one that went: the files are applied again, and the error is told there.
    return undefined;
  }
}
