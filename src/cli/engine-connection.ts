/** Connecting to the engine of a run directory, where no other user than the engine's can answer. */

import { join } from "node:path";
import { distrustRunDirectory, distrustSocket } from "../config/engine-user.ts";
import {
  ADMIN_SOCKET_NAME,
  type Connection,
  type ConnectionOptions,
  ControlError,
  connect,
  SOCKET_NAME,
  UNREACHABLE,
} from "../control/client.ts";

/** Rejects with a ControlError when no engine listens there, or another user could have made its socket. */
export async function connectToEngine(
  runDir: string,
  options?: ConnectionOptions | undefined,
): Promise<Connection> {
  const untrusted =
    distrustRunDirectory(runDir) ??
    [ADMIN_SOCKET_NAME, SOCKET_NAME].map((name) => distrustSocket(join(runDir, name))).find(Boolean);
  if (untrusted !== undefined)
    throw new ControlError(
      UNREACHABLE,
      `run directory ${runDir}: ${untrusted}: another user could answer there`,
    );
  return connect(runDir, options);
}
