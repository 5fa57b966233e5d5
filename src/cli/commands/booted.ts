/**
 * `booted`: ends the demotion of a booting host once every service check passes. It waits for that; the engine ends the
 * demotion by itself when it has lasted for too long.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "../../control/client.ts";
import { BOOT_REASON } from "../../control/limits.ts";
import type { CommandContext } from "../context.ts";
import { done, type Outcome } from "../outcome.ts";
import { CHECKS_TIMEOUT_MS, isGood } from "./service-status.ts";

const AGAIN_MS = 2000;

export async function runBooted(context: CommandContext): Promise<Outcome> {
  const engine = await context.connect({ timeoutMs: CHECKS_TIMEOUT_MS });
  try {
    let complained = false;
    while (await isBooting(engine)) {
      const { checks } = await engine.call("service-status", {});
      const failed = checks.filter((check) => !isGood(check)).map(({ name }) => name);
      if (failed.length === 0) {
        await engine.call("promote", { reason: BOOT_REASON });
        break;
      }
      if (!complained)
        context.complain(`carpctl: booted: waiting for the service checks: ${failed.join(", ")}`);
      complained = true;
      await sleep(AGAIN_MS);
    }
    return done();
  } finally {
    engine.close();
  }
}

async function isBooting(engine: Connection): Promise<boolean> {
  const { reasons } = await engine.call("demotion", {});
  return reasons.some(({ reason }) => reason === BOOT_REASON);
}
