/**
 * What one image of an engine's process leaves for the next in its environment: that it is the next, and what the
 * first read from the command line. It must load nothing, since every start of the program asks it.
 */

import type { EngineOptions } from "./engine.ts";

const VARIABLE = "CARPCTL_NEXT_IMAGE";

/** undefined in the first image and in every other program. Gone once asked: what this image starts is no next image. */
export function takeOptions(): EngineOptions | undefined {
  const text = process.env[VARIABLE];
  delete process.env[VARIABLE];
  return text === undefined ? undefined : JSON.parse(text);
}

/** For the environment of the next image. */
export function handedOn(options: EngineOptions): Record<string, string> {
  return { [VARIABLE]: JSON.stringify(options) };
}
