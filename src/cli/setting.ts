/** What a command runs in: its options, the terminal, and the way to the engine. Holds nothing of a command. */

import { type Connection, type ConnectionOptions, connect as connectTo } from "../control/client.ts";
import { escaped } from "../control/shown.ts";
import type { GlobalOptions } from "./globals.ts";
import { type Lasting, lasting } from "./lasting.ts";
import type { Outcome } from "./outcome.ts";

export interface Setting {
  readonly options: GlobalOptions;
  /** ANSI colours are welcome. */
  readonly colour: boolean;
  /** Width of the terminal; 80 where there is none. */
  readonly columns: number;
  connect(options?: ConnectionOptions): Promise<Connection>;
  /** A line on standard error at once, for what goes on after it; most complaints are an outcome instead. */
  complain(line: string): void;
  /** For a command that goes on until it is told to end: asked for once. */
  goOn(): Lasting;
}

/** Where the program was started. */
interface Surroundings {
  readonly environment: NodeJS.ProcessEnv;
  readonly outputIsRead: () => Promise<boolean>;
}

export function settingOf(options: GlobalOptions, { environment, outputIsRead }: Surroundings): Setting {
  const { isTTY, columns } = process.stdout;
  return {
    options,
    colour: isTTY === true && !environment.NO_COLOR,
    columns: isTTY === true && columns > 0 ? columns : 80,
    connect: (how) => connectTo(options.runDir, how),
    complain: (line) => void process.stderr.write(`${escaped(line)}\n`),
    goOn: () => lasting(outputIsRead),
  };
}

/** Runs `task` on a connection of its own. Rejects with a ControlError as the connection does. */
export async function withEngine(
  setting: Setting,
  task: (engine: Connection) => Promise<Outcome>,
): Promise<Outcome> {
  const engine = await setting.connect();
  try {
    return await task(engine);
  } finally {
    engine.close();
  }
}
