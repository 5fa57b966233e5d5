/** Waits for an engine that is being started at the same time. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, ControlError } from "../../../control/client.ts";
import type { CommandContext } from "../../context.ts";

const AGAIN_MS = 100;

/** Rejects with a ControlError when no engine has answered in time. @param timeoutMs 0: one attempt */
export async function connectInTime(
  context: Pick<CommandContext, "connect">,
  timeoutMs: number,
): Promise<Connection> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await answering(context);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      if (timeoutMs === 0) throw error;
      if (performance.now() >= deadlineMs)
        throw new ControlError(error.code, `after ${timeoutMs / 1000} seconds: ${error.message}`);
    }
    await sleep(AGAIN_MS);
  }
}

/** An engine that has just begun to listen answers once it knows the kernel's devices. */
async function answering(context: Pick<CommandContext, "connect">): Promise<Connection> {
  const engine = await context.connect();
  try {
    await engine.call("hello", {});
    return engine;
  } catch (error) {
    engine.close();
    throw error;
  }
}
