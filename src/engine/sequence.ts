/**
 * Steps done strictly one after the other, as the effects on one interface must be. As long as none of them waits
 * for the kernel, a step is done at once: an advertisement on a quiet interface goes out in the same turn.
 */

export type Step = () => void | Promise<void>;

export class Sequence {
  readonly #failed: (error: unknown) => void;
  #waiting: Step[] = [];
  #running: Promise<void> | undefined;

  /** @param failed is told of a step that threw; the steps behind it are done all the same */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  push(step: Step): void {
    if (this.#running !== undefined) {
      this.#waiting.push(step);
      return;
    }
    const pending = this.#start(step);
    if (pending !== undefined) this.#running = this.#run(pending);
  }

  /** Resolves when every step pushed so far, and what those push, is done. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #start(step: Step): Promise<void> | undefined {
    try {
      return step() ?? undefined;
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  async #run(first: Promise<void>): Promise<void> {
    let pending: Promise<void> | undefined = first;
    for (;;) {
      await pending?.catch(this.#failed);
      const step = this.#waiting.shift();
      if (step === undefined) break;
      pending = this.#start(step);
    }
    this.#running = undefined;
  }
}
