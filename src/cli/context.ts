/**
 * The context of a running command: its options, the terminal, and the connection to the engine. Holds
 * nothing of a single command.
 */

import type { Connection, ConnectionOptions } from "../control/client.ts";
import { escapeControls } from "../control/printable.ts";
import { connectToEngine } from "./engine-connection.ts";
import type { GlobalOptions } from "./grammar/options.ts";
import { type LongRunning, longRunning } from "./long-running.ts";
import type { Outcome } from "./outcome.ts";

export interface CommandContext {
  readonly options: GlobalOptions;
  /** Whether to print ANSI colours. */
  readonly colour: boolean;
  /** Whether the locale's characters are UTF-8. */
  readonly isUtf8: boolean;
  /** Width of the terminal; 80 where there is none. */
  readonly columns: number;
  connect(options?: ConnectionOptions): Promise<Connection>;
  /** Prints a line on standard error at once. Most complaints are part of a command's outcome instead. */
  complain(line: string): void;
  /** Makes this a long-running command, which goes on until a signal. Called once at most. */
  runLong(): LongRunning;
}

/** The process environment, and whether standard output still has a reader. */
interface ProcessContext {
  readonly environment: NodeJS.ProcessEnv;
  readonly outputIsRead: () => Promise<boolean>;
}

export function commandContext(
  options: GlobalOptions,
  { environment, outputIsRead }: ProcessContext,
): CommandContext {
  const { isTTY, columns } = process.stdout;
  return {
    options,
    colour: isTTY === true && !environment.NO_COLOR,
    isUtf8: /utf-?8/i.test(environment.LC_ALL || environment.LC_CTYPE || environment.LANG || ""),
    columns: isTTY === true && columns > 0 ? columns : 80,
    connect: (how) => connectToEngine(options.runDir, how),
    complain: (line) => void process.stderr.write(`${escapeControls(line)}\n`),
    runLong: () => longRunning(outputIsRead),
  };
}

/**
 * Runs `task` on a connection of its own, and adds the engine's warnings to its outcome. Rejects with a ControlError as
 * the connection does.
 */
export async function withEngine(
  context: CommandContext,
  task: (engine: Connection) => Promise<Outcome>,
): Promise<Outcome> {
  const engine = await context.connect();
  try {
    const outcome = await task(engine);
    if (outcome.kind !== "done" || engine.warnings.length === 0) return outcome;
    return { ...outcome, warnings: [...(outcome.warnings ?? []), ...engine.warnings] };
  } finally {
    engine.close();
  }
}
