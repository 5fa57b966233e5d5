/** Leaves a working directory that has been removed: libraries ask for it, and fail in one. */

export function leaveRemovedDirectory(): void {
  try {
    process.cwd();
  } catch {
    process.chdir("/");
  }
}
