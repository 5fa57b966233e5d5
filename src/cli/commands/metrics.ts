/**
 * `metrics`: prints the metrics of the engine as it renders them, or writes them to a file that node_exporter's
 * textfile collector reads: whole at any moment, or as it was.
 */

import { chmodSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { printable } from "../../control/printable.ts";
import { type CommandContext, withEngine } from "../context.ts";
import { done, type Outcome, refused } from "../outcome.ts";

export function runMetrics(textfile: string | undefined, context: CommandContext): Promise<Outcome> {
  return withEngine(context, async (engine) => {
    const { text } = await engine.call("metrics", {});
    if (textfile === undefined) return done(text);
    const why = replaceFile(textfile, text);
    return why === undefined ? done() : refused(`--textfile ${printable(textfile)}: ${why}`);
  });
}

/** @returns why it cannot be written; then it is as it was */
function replaceFile(path: string, text: string): string | undefined {
  // The collector reads *.prom.
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, text, { flag: "wx", mode: 0o644 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST") remove(temporary);
    return `cannot write ${temporary} (${code})`;
  }
  try {
    // The umask may have removed permissions.
    chmodSync(temporary, 0o644);
    renameSync(temporary, path);
    return undefined;
  } catch (error) {
    remove(temporary);
    return `cannot be replaced (${(error as NodeJS.ErrnoException).code})`;
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // There is none.
  }
}
