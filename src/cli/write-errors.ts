/** Errors of standard output and standard error, which may come long after a write. */

export function tellWriteErrors(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      // A reader that has gone (`carpctl | head -1`) is not a failure.
      if (error.code === "EPIPE") return;
      process.exitCode = 1;
      if (stream === process.stdout) process.stderr.write(`carpctl: cannot write: ${error.code}\n`);
    });
  }
}
