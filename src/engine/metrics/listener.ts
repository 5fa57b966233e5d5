/**
 * Listening for scrapes, as root: ports below 1024 need it, and an engine that has given root up can bind no port at
 * all. Nothing is accepted before the engine runs.
 */

import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { distrust } from "../../config/trusted-path.ts";
import { type MetricsAddress, metricsAddressText } from "../../control/metrics-address.ts";
import { errnoName } from "../../kernel/native.ts";
import type { User } from "../../kernel/process/native-process.ts";
import { nativeTcpSockets } from "../../kernel/process/native-tcp-sockets.ts";
import { nativeUnixSockets } from "../../kernel/process/native-unix-sockets.ts";

const BACKLOG = 16;

/** A listening socket. */
export interface MetricsListener {
  readonly descriptor: number;
  readonly at: MetricsAddress;
}

/**
 * Listens. The socket of an engine that has ended is replaced.
 *
 * @param user the engine's user, which may own the directory of a Unix socket
 * @returns why it cannot, in words, or the socket
 */
export function listenForScrapes(at: MetricsAddress, user: User | undefined): MetricsListener | string {
  const refusal = (why: string) => `metrics are not served at ${metricsAddressText(at)}: ${why}`;
  try {
    const descriptor =
      "path" in at ? listenAtPath(at.path, user) : nativeTcpSockets.listenTcp(at.address, at.port, BACKLOG);
    if (typeof descriptor === "string") return refusal(descriptor);
    return descriptor < 0 ? refusal(errnoName(-descriptor)) : { descriptor, at };
  } catch (error) {
    return refusal((error as NodeJS.ErrnoException).code ?? String(error));
  }
}

/** Nobody but root and the engine's user can put something else in the place of what is removed or opened here. */
function listenAtPath(path: string, user: User | undefined): number | string {
  const untrusted = distrust(dirname(path), user?.uid);
  if (untrusted !== undefined) return untrusted;
  const present = lstatSync(path, { throwIfNoEntry: false });
  if (present !== undefined) {
    if (!present.isSocket()) return "it exists and is no socket";
    if (nativeUnixSockets.listenerUid(path) !== undefined) return "another process listens there";
    unlinkSync(path);
  }
  const descriptor = nativeUnixSockets.listenUnix(path, BACKLOG);
  if (descriptor >= 0) chmodSync(path, 0o666);
  return descriptor;
}

export function closeListener({ descriptor, at }: MetricsListener): void {
  nativeUnixSockets.closeSocket(descriptor);
  if (!("path" in at)) return;
  try {
    unlinkSync(at.path);
  } catch {
    // Outside the directories that the engine may write: the next engine replaces it.
  }
}
