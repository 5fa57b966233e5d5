/**
 * Boot: whether this host is still booting for carp, so that the engine starts demoted. It is, from the first start
 * of an engine within a boot until it is told of the end, and never later than some time after PID 1 began. A file in
 * the run directory records the end, so that an engine that is started again is not demoted once more.
 */

import { readFileSync, statSync } from "node:fs";
import * as z from "zod";
import type { Instant, Micros } from "../../core/model.ts";
import type { Document } from "../../kernel/kernel.ts";

const Ended = z.strictObject({ bootId: z.string() });

/** What is known of the present boot. */
export interface BootFacts {
  /** Of the kernel; a container may have one of its own. */
  readonly bootId: string;
  /** When PID 1 began, on CLOCK_BOOTTIME: a container boots later than its kernel. */
  readonly beganUs: Micros;
}

/** /proc/PID/stat counts in hundredths of a second on every architecture. */
const TICK_US: Micros = 10_000;
/** The time when the process began, among the fields behind the name of the program. */
const START_FIELD = 19;

/** systemd makes it when it begins. */
const MADE_BY_SYSTEMD = "/run/systemd/private";

export function bootFacts(now: Instant): BootFacts {
  const bootId = read("/proc/sys/kernel/random/boot_id").trim();
  return { bootId, beganUs: beganUs(read("/proc/1/stat")) || systemdBeganUs(now) };
}

/** Where the service manager hides process 1; 0: not known, or the clock was set meanwhile. */
function systemdBeganUs(now: Instant): Micros {
  let madeMs = 0;
  try {
    madeMs = statSync(MADE_BY_SYSTEMD).mtimeMs;
  } catch {
    // Without systemd there is none.
  }
  const us = now.us - (now.epochUs - madeMs * 1000);
  return us > 0 && us <= now.us ? us : 0;
}

/** @param stat the line of a process; 0 when it is no such line, as where /proc hides the processes of others */
export function beganUs(stat: string): Micros {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[START_FIELD]) || 0) * TICK_US;
}

export class Boot {
  /** When it ends at the latest; undefined: the host has booted. */
  readonly endsUs: Micros | undefined;
  readonly #document: Document;
  readonly #bootId: string;

  /** @param limitUs the longest that it lasts; undefined: the engine is not asked to be demoted for it */
  constructor(
    document: Document,
    { bootId, beganUs: sinceUs }: BootFacts,
    limitUs: Micros | undefined,
    nowUs: Micros,
  ) {
    this.#document = document;
    this.#bootId = bootId;
    const ended = Ended.safeParse(document.saved);
    const hasEnded = ended.success && ended.data.bootId === bootId;
    const endsUs = hasEnded || limitUs === undefined ? 0 : sinceUs + limitUs;
    this.endsUs = endsUs > nowUs ? endsUs : undefined;
  }

  /** Records that the host has booted. @returns why that failed; undefined: it is recorded */
  end(): string | undefined {
    try {
      this.#document.write({ bootId: this.#bootId });
      return undefined;
    } catch (error) {
      return `the end of booting is not recorded: ${(error as Error).message}`;
    }
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
