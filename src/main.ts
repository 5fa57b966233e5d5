/**
 * The entry: the program's name or its first word says which command is meant, and only that command is
 * loaded. The word `runner` is not a command: with it the engine has this program started a second time, to
 * run scripts.
 */

import { basename } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { leaveRemovedDirectory } from "./cli/removed-directory.ts";
import { tellWriteErrors } from "./cli/write-errors.ts";

export const ended: Promise<void> = run();

async function run(): Promise<void> {
  tellWriteErrors();
  leaveRemovedDirectory();
  const words = process.argv.slice(2);
  if (words[0] === "runner")
    process.exitCode = await (await import("./engine/scripts/runner/main.ts")).runRunner();
  else {
    const { runCommandLine } = await import("./cli/command-line.ts");
    process.exitCode = await runCommandLine({
      name: basename(process.env.CARPCTL_ARGV0 || process.argv[1] || "carpctl"),
      words,
      environment: process.env,
      version: packageJson.version,
      outputIsRead: async () => (await import("./kernel/process/native-process.ts")).nativeProcess.isRead(1),
    });
  }
}
