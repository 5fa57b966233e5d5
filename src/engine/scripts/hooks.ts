/**
 * State-change hooks: runs every program of a directory for each change of a virtual host's state, and when it
 * stays MASTER after meeting another one, in order, one change at a time for each interface. The engine never waits for a hook; hooks that cannot keep up miss
 * changes, never the last one.
 */

import type { Contest, Transition } from "../../core/effect.ts";
import type { Priority } from "../../core/model.ts";
import { type Change, MAX_ADDRESSES_TEXT } from "./runner/messages.ts";
import type { Job, Ran } from "./runner/runner.ts";

/** Changes of one virtual host that may wait. */
const MAX_WAITING = 8;
/** A change is told once more when the runner died meanwhile: some hooks may not have run for it. */
const MAX_ATTEMPTS = 2;

/** What hooks are told. */
type Told = Pick<Transition, "interface" | "vhid" | "from" | "to" | "addresses"> & {
  readonly event: "transition" | "contested";
};

export interface HooksOptions {
  /** Whether there is a directory of hooks. */
  readonly exist: () => boolean;
  readonly run: (job: Job) => Promise<Ran>;
  readonly log: (priority: Priority, text: string) => void;
}

export class Hooks {
  readonly #options: HooksOptions;
  /** Changes that wait, by interface; an interface is in the map while hooks run for it. */
  readonly #waiting = new Map<string, Told[]>();
  readonly #telling = new Set<Promise<void>>();

  constructor(options: HooksOptions) {
    this.#options = options;
  }

  note(transition: Transition): void {
    this.#note({ ...transition, event: "transition" });
  }

  /** A MASTER stays MASTER after it has met another one. */
  noteContest(contest: Contest): void {
    this.#note({ ...contest, from: "MASTER", to: "MASTER", event: "contested" });
  }

  #note(told: Told): void {
    if (!this.#options.exist()) return;
    const known = this.#waiting.get(told.interface);
    const waiting = known ?? [];
    const same = waiting.filter(({ vhid }) => vhid === told.vhid);
    if (told.event === "contested" && same.at(-1)?.event === "contested") return;
    if (same.length >= MAX_WAITING && same[0] !== undefined) {
      waiting.splice(waiting.indexOf(same[0]), 1);
      this.#options.log(4, `hooks are too slow and miss ${changeText(same[0])}`);
    }
    waiting.push(told);
    if (known !== undefined) return;
    this.#waiting.set(told.interface, waiting);
    const telling = this.#tellAll(told.interface, waiting);
    this.#telling.add(telling);
    void telling.finally(() => this.#telling.delete(telling));
  }

  /** Resolves when every change noted so far has been told. */
  async idle(): Promise<void> {
    while (this.#telling.size > 0) await Promise.all(this.#telling);
  }

  async #tellAll(name: string, waiting: Told[]): Promise<void> {
    // Not in the turn of the event loop in which the change was made.
    await new Promise((resolve) => setImmediate(resolve));
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await this.#tell(next);
    this.#waiting.delete(name);
  }

  async #tell(told: Told): Promise<void> {
    const { run, log } = this.#options;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const ran = await run({ kind: "hooks", change: variables(told) });
      if ("results" in ran) {
        for (const { name, outcome, why, output } of ran.results)
          if (outcome === "failed")
            log(3, `hook ${name} failed for ${changeText(told)}: ${why}${firstLine(output)}`);
          else if (outcome === "refused") log(3, `hook ${name} is not run: ${why}`);
        return;
      }
      log(3, `hooks for ${changeText(told)} did not run to their end: ${ran.interrupted}`);
      if (!ran.again) return;
    }
  }
}

function variables({ interface: name, vhid, event, from, to, addresses }: Told): Change {
  const text = addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join(" ");
  return {
    CARP_INTERFACE: name,
    CARP_VHID: String(vhid),
    CARP_EVENT: event,
    CARP_STATE: to,
    CARP_PREVIOUS_STATE: from,
    ...(text.length <= MAX_ADDRESSES_TEXT ? { CARP_ADDRESSES: text } : {}),
  };
}

function changeText({ interface: name, vhid, event, from, to }: Told): string {
  return `${name} vhid ${vhid}: ${event === "contested" ? event : `${from} -> ${to}`}`;
}

/** The first line of a hook's output. */
function firstLine(output: string): string {
  const [line = ""] = output.trim().split("\n");
  return line === "" ? "" : `: ${line.slice(0, 200)}`;
}
