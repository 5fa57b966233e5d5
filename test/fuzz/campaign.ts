/** Feeding a target: as many inputs as asked, or for as long, all that follows from one seed. */

import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { inputsFor } from "./inputs.ts";
import type { Target } from "./target.ts";

const EXECUTIONS_A_TURN = 100;

export interface Campaign {
  readonly executions: number;
  readonly finding?: Finding | undefined;
}

export interface Finding {
  /** The smallest input found that still fails. */
  readonly input: Uint8Array;
  readonly error: unknown;
}

export interface Extent {
  readonly seed: number;
  readonly executions: number;
  readonly ms?: number | undefined;
}

export async function fuzz(target: Target, { seed, executions, ms }: Extent): Promise<Campaign> {
  const trial = await target.open();
  try {
    let fed = 0;
    const property = fc.asyncProperty(inputsFor(target), async (input) => {
      // Without a turn of the event loop its callbacks, and the memory they hold, would wait until the end.
      if (++fed % EXECUTIONS_A_TURN === 0) await setImmediate();
      await trial.feed(input);
    });
    const { numRuns, failed, counterexample, errorInstance } = await fc.check(property, {
      seed,
      numRuns: executions,
      ...(ms === undefined ? {} : { interruptAfterTimeLimit: ms, markInterruptAsFailure: false }),
    });
    const [input] = counterexample ?? [];
    const finding = failed && input !== undefined ? { input, error: errorInstance } : undefined;
    return { executions: numRuns, finding };
  } finally {
    await trial.close?.();
  }
}
