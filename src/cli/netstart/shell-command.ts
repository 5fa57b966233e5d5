/** A command of a hostname.carpN file, run by sh as whoever runs netstart, to its end. */

import { execa } from "execa";
import type { GlobalOptions } from "../globals.ts";

/** @returns what went wrong */
export async function runCommand(command: string, options: GlobalOptions): Promise<string | undefined> {
  const { failed, exitCode, signal, code } = await execa("sh", ["-c", command], {
    // What it prints is no part of the JSON that netstart prints.
    stdio: ["ignore", options.json ? 2 : "inherit", "inherit"],
    // A carpctl in it talks to the same engine.
    env: { CARP_RUN_DIR: options.runDir, CARP_ETC_DIR: options.etcDir },
    reject: false,
  });
  if (!failed) return undefined;
  if (exitCode !== undefined) return `the command exited with ${exitCode}`;
  return signal === undefined ? `sh cannot be run (${code})` : `the command was ended by ${signal}`;
}
