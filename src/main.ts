/**
 * The entry: the program's name or its first word says which command is meant, and only that command is
 * loaded. The word `runner` is not a command: with it the engine starts this program a second time, to run
 * scripts. An engine that goes on as the next image of its process has its options already, and no command
 * line is read.
 */

import { basename } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { takeOptions } from "./engine/next-image.ts";

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has gone (`carpctl | head -1`) is not a failure.
    if (error.code === "EPIPE") return;
    process.exitCode = 1;
    if (stream === process.stdout) process.stderr.write(`carpctl: cannot write: ${error.code}\n`);
  });
}

leaveRemovedDirectory();

const words = process.argv.slice(2);
const options = takeOptions();
if (words[0] === "runner")
  process.exitCode = await (await import("./engine/scripts/runner/main.ts")).runRunner();
else if (options !== undefined)
  process.exit(await (await import("./engine/privileged-start.ts")).beginEngine(options, true));
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

/** Libraries ask for the working directory, and fail in one that has been removed. */
function leaveRemovedDirectory(): void {
  try {
    process.cwd();
  } catch {
    process.chdir("/");
  }
}
