/**
 * Passes the options of the command line through the environment from the privileged first image of the
 * engine's process to the one that it execs. Imports no code, because every start of the program loads this
 * file.
 */

import type { EngineOptions } from "./engine.ts";

const VARIABLE = "CARPCTL_NEXT_IMAGE";

/**
 * Takes the options out of the environment; undefined in the first image and in other commands. They are
 * removed, so that programs which this image starts do not see them.
 */
export function takeOptions(): EngineOptions | undefined {
  const text = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return text === undefined ? undefined : JSON.parse(text);
}

/** The environment variable that holds the options for the next image. */
export function handedOn(options: EngineOptions): Record<string, string> {
  return { [VARIABLE]: JSON.stringify(options) };
}
