/**
 * Figures: how much was simulated and how fast, in total and by advbase, because an hour at advbase 0 is a
 * hundred times the work of an hour at a high one. Speeds are by processor time, since other programs may be
 * running.
 */

import type { Plan } from "./plan.ts";
import type { Outcome } from "./simulation.ts";

/** The greatest advbase of each class. */
const CLASSES = [0, 1, 9, 59, 254] as const;

interface Sum {
  runs: number;
  failed: number;
  hostUs: number;
  checks: number;
  processorUs: number;
}

export class Figures {
  readonly #first: number;
  readonly #sums = CLASSES.map((): Sum => ({ runs: 0, failed: 0, hostUs: 0, checks: 0, processorUs: 0 }));

  /** @param first seed */
  constructor(first: number) {
    this.#first = first;
  }

  measure({ services }: Plan, run: () => Outcome): Outcome {
    const before = process.cpuUsage();
    const outcome = run();
    const { user, system } = process.cpuUsage(before);
    const advbase = Math.max(0, ...services.map((each) => each.advbase));
    const sum = this.#sums[CLASSES.findIndex((greatest) => advbase <= greatest)];
    if (sum === undefined) throw new RangeError(`advbase ${advbase}`);
    sum.runs++;
    sum.failed += outcome.violation === undefined ? 0 : 1;
    sum.hostUs += outcome.hostUs;
    sum.checks += outcome.checks;
    sum.processorUs += user + system;
    return outcome;
  }

  get whole(): string {
    const names = ["runs", "failed", "hostUs", "checks", "processorUs"] as const;
    const whole: Sum = { runs: 0, failed: 0, hostUs: 0, checks: 0, processorUs: 0 };
    for (const sum of this.#sums) for (const name of names) whole[name] += sum[name];
    return `${whole.runs} runs from seed ${this.#first}, ${whole.failed} failed; ${told(whole)}`;
  }

  get byAdvbase(): readonly string[] {
    return this.#sums.flatMap((sum, i) => {
      const [least, greatest] = [(CLASSES[i - 1] ?? -1) + 1, CLASSES[i]];
      const range = least === greatest ? `${least}` : `${least} to ${greatest}`;
      return sum.runs === 0 ? [] : [`  advbase ${range}: ${sum.runs} runs; ${told(sum)}`];
    });
  }
}

function told({ hostUs, checks, processorUs }: Sum): string {
  const hostHours = hostUs / 3_600e6;
  const speed = Math.round(hostHours / (processorUs / 3_600e6)).toLocaleString("en");
  return `${hostHours.toFixed(0)} host-hours, ${checks} quiet segments checked; ${speed} host-hours an hour of processor time`;
}
