/**
 * Group `carp` as one of this process's groups, without which a process that has given up root cannot make a file the
 * group's. It gives no rights over anything but such files.
 */

import { nativeProcess } from "./native-process.ts";

/** Joins the group, where there is one and the process may. Groups outlast an exec and the loss of capabilities. */
export function joinGroupCarp(): void {
  const id = nativeProcess.groupId("carp");
  if (id === undefined) return;
  try {
    process.setgroups?.([...new Set([...(process.getgroups?.() ?? []), id])]);
  } catch {
    // Without CAP_SETGID only the service manager can give it; then admin.sock is root's alone.
  }
}
