/**
 * The entry. Which command is meant is in the program's name or its first word; only that command is loaded. `runner`
 * is no command: by that word the engine starts this program a second time, to run scripts. An engine that goes on as
 * the next image of its process has its options already, and needs no command line read.
 */

import { basename } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { takeOptions } from "./engine/next-image.ts";

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`carpctl | head -1`) is no failure.
    if (error.code === "EPIPE") return;
    try {
      process.cwd();
    } catch {
      // The directory we were started in is gone; libraries ask for it and give up.
      process.chdir("/");
    }

    process.exitCode = 1;
    if (stream === process.stdout) process.stderr.write(`carpctl: cannot write: ${error.code}\n`);
  });
}

try {
  process.cwd();
} catch {
  // The directory we were started in is gone; libraries ask for it and give up.
  process.chdir("/");
}

const words = process.argv.slice(2);
const options = takeOptions();
if (words[0] === "runner") process.exitCode = await (await import("./engine/runner/main.ts")).runRunner();
else if (options !== undefined)
  process.exit(await (await import("./engine/privileged-start.ts")).beginEngine(options, true));
else {
  const { runProgram } = await import("./cli/program.ts");
  process.exitCode = await runProgram({
    name: basename(process.env.CARPCTL_ARGV0 || process.argv[1] || "carpctl"),
    words,
    environment: process.env,
    version: packageJson.version,
    outputIsRead: async () => (await import("./kernel/native.ts")).native.isRead(1),
  });
}
