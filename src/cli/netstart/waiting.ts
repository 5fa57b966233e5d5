/** Reaching an engine that is being started at the same time. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, ControlError } from "../../control/client.ts";
import type { Setting } from "../setting.ts";

const AGAIN_MS = 100;

/** Rejects with a ControlError when no engine has answered by then. @param timeoutMs 0: it must be there. */
export async function connectInTime(
  setting: Pick<Setting, "connect">,
  timeoutMs: number,
): Promise<Connection> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await answering(setting);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      if (timeoutMs === 0) throw error;
      if (performance.now() >= deadlineMs)
        throw new ControlError(error.code, `after ${timeoutMs / 1000} seconds: ${error.message}`);
    }
    await sleep(AGAIN_MS);
  }
}

/** One that has only just begun to listen answers when it knows the devices there are. */
async function answering(setting: Pick<Setting, "connect">): Promise<Connection> {
  const engine = await setting.connect();
  try {
    await engine.call("hello", {});
    return engine;
  } catch (error) {
    engine.close();
    throw error;
  }
}
