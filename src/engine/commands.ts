/**
 * Commands: has the core carry out commands, and waits until the kernel has what they changed and it is saved. Knows
 * nothing of who gave them.
 */

import type { Command } from "../core/command.ts";
import type { Host, Outcome } from "../core/host.ts";
import type { Loop } from "./loop.ts";

/** A carpdev may have been made, or given its address, right before. */
const NAMES_CARPDEVS: ReadonlySet<Command["kind"]> = new Set([
  "change",
  "change-on",
  "replace",
  "replace-all",
]);

export interface CommandsOptions {
  /** Resolves when all that the kernel has notified of so far is known. */
  readonly caughtUp: () => Promise<void>;
  /** Saves the configuration. */
  readonly save: () => Promise<unknown>;
  readonly isStopping: () => boolean;
}

export class Commands {
  readonly #host: Host;
  readonly #loop: Loop;
  readonly #options: CommandsOptions;

  constructor(host: Host, loop: Loop, options: CommandsOptions) {
    this.#host = host;
    this.#loop = loop;
    this.#options = options;
  }

  async command(command: Command): Promise<Outcome> {
    if (NAMES_CARPDEVS.has(command.kind)) await this.#options.caughtUp();
    const outcome = await this.#carryOut(command);
    await this.#done([outcome]);
    return this.#withWarnings(outcome);
  }

  /**
   * Replaces several interfaces, each as `command` would, and saves them once.
   *
   * @param turn awaited between two of them: others have the event loop meanwhile
   */
  async replace(
    replacements: readonly Extract<Command, { kind: "replace" }>[],
    turn: () => Promise<void>,
  ): Promise<Outcome[]> {
    await this.#options.caughtUp();
    const outcomes: Outcome[] = [];
    for (const each of replacements) {
      outcomes.push(await this.#carryOut(each));
      await turn();
    }
    await this.#done(outcomes);
    return outcomes.map((outcome) => this.#withWarnings(outcome));
  }

  /** Resolves when the interface has left. */
  left(name: string): Promise<void> {
    return new Promise((resolve) => this.#loop.performer.whenLeft(name, resolve));
  }

  /** Resolves when the effects so far of one interface, or of all, are done. */
  settled(name?: string): Promise<void> {
    return new Promise((resolve) => this.#loop.performer.whenSettled(resolve, name));
  }

  #carryOut(command: Command): Promise<Outcome> {
    if (this.#options.isStopping()) return Promise.resolve({ error: "the engine is stopping" });
    return new Promise((resolve) =>
      this.#loop.run((now) => {
        const outcome = this.#host.command(command, now);
        resolve(outcome);
        return "error" in outcome ? [] : outcome.effects;
      }),
    );
  }

  /** Resolves when the kernel has what was carried out, and it is saved. */
  async #done(outcomes: readonly Outcome[]): Promise<void> {
    const saved = outcomes.some(changesSomething) ? this.#options.save() : undefined;
    for (const outcome of outcomes)
      for (const name of namesIn(outcome)) {
        while (this.#host.isLeaving(name) || this.#host.givesWay(name)) await this.left(name);
        await this.settled(name);
      }
    await saved;
  }

  #withWarnings(outcome: Outcome): Outcome {
    if ("error" in outcome) return outcome;
    const { notSaved } = this.#host;
    const warnings = [
      ...(outcome.warnings ?? []),
      ...namesIn(outcome).flatMap((name) => this.#host.warningsAbout(name)),
      ...(notSaved === undefined ? [] : [`done, but not saved: ${notSaved}`]),
    ];
    return { ...outcome, warnings };
  }
}

/** The interfaces that a command is about. */
function namesIn(outcome: Outcome): string[] {
  if ("error" in outcome) return [];
  const { name, replaced } = outcome;
  return replaced?.map((each) => each.name) ?? (name === undefined ? [] : [name]);
}

/** A replacement by what there is already changes nothing. */
function changesSomething(outcome: Outcome): boolean {
  return !("error" in outcome) && (outcome.changed !== false || outcome.effects.length > 0);
}
