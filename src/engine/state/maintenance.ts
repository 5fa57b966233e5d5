/**
 * Maintenance: whether this host is in maintenance, recorded by a file in the state directory that exists or
 * not. It outlives a reboot, so that a host which comes back from a repair does not take over by itself. Only
 * this file records maintenance, not the saved state.
 */

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export class Maintenance {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, "maintenance");
  }

  get on(): boolean {
    return existsSync(this.#path);
  }

  /** Records maintenance mode in the file. @returns why that failed; undefined: it is recorded */
  remember(on: boolean): string | undefined {
    if (on === this.on) return undefined;
    try {
      if (!on) rmSync(this.#path);
      else
        writeFileSync(
          this.#path,
          "Switched on by 'carpctl maintenance on', off by 'carpctl maintenance off'.\n",
        );
      return undefined;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return `maintenance ${on ? "on" : "off"}: cannot be remembered in ${this.#path} (${code ?? error})`;
    }
  }
}
