/**
 * Whether this host is in maintenance, as a file among the configuration: there or not. It outlives the engine, the
 * run directory and the host's next start, so that a host which comes back from a repair does not take over by itself.
 */

import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export class Maintenance {
  readonly #path: string;

  constructor(etcDir: string) {
    this.#path = join(etcDir, "carp", "maintenance");
  }

  get on(): boolean {
    return existsSync(this.#path);
  }

  /** @returns why it cannot be remembered; undefined when it is, also when it was so already */
  remember(on: boolean): string | undefined {
    if (on === this.on) return undefined;
    try {
      if (!on) rmSync(this.#path);
      else {
        mkdirSync(dirname(this.#path), { recursive: true, mode: 0o755 });
        writeFileSync(
          this.#path,
          "Switched on by 'carpctl maintenance on', off by 'carpctl maintenance off'.\n",
        );
      }
      return undefined;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return `maintenance ${on ? "on" : "off"}: cannot be remembered in ${this.#path} (${code ?? error})`;
    }
  }
}
