/**
 * Runs a command of a hostname.carpN file by sh, as the user of netstart. A signal that ends netstart ends
 * the command.
 */

import type { GlobalOptions } from "../../grammar/options.ts";

const ENDING = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * @param name the interface
 * @returns why it failed; undefined when it succeeded
 */
export async function runCommand(
  command: string,
  name: string,
  options: GlobalOptions,
): Promise<string | undefined> {
  // Most files have none.
  const { execa } = await import("execa");
  let running: { kill(signal: NodeJS.Signals): boolean } | undefined;
  let ended: NodeJS.Signals | undefined;
  const end = (signal: NodeJS.Signals) => {
    ended = signal;
    running?.kill(signal);
  };
  // Before the command is started: a signal in between would end us and leave the command running.
  for (const signal of ENDING) process.on(signal, end);
  const shell = execa("sh", ["-c", command], {
    // Its output must not be mixed with the JSON that netstart prints.
    stdio: ["ignore", options.json ? 2 : "inherit", "inherit"],
    // A carpctl in it talks to the same engine. `if` is for `${if#carp}` and the like.
    env: { CARP_RUN_DIR: options.runDir, CARP_ETC_DIR: options.etcDir, if: name },
    cleanup: false,
    reject: false,
  });
  running = shell;
  const { failed, exitCode, signal, code } = await shell;
  for (const each of ENDING) process.off(each, end);
  if (ended !== undefined) process.kill(process.pid, ended);
  if (!failed) return undefined;
  if (exitCode !== undefined) return `the command exited with ${exitCode}`;
  return signal === undefined ? `sh cannot be run (${code})` : `the command was ended by ${signal}`;
}
