/** Whether this network namespace has a device of a name, whatever its kind. Loads nothing: every command may ask. */

import { readFileSync } from "node:fs";

/** Read from /proc: /sys shows the devices of the namespace in which it was mounted. */
export function hasDevice(name: string): boolean {
  try {
    const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n");
    return lines.some((line) => line.trimStart().startsWith(`${name}:`));
  } catch {
    return false;
  }
}
