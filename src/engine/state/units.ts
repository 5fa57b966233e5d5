/**
 * Units: the systemd units that demote this host while they are not active, recorded in a file in the state directory.
 * They outlive a reboot; whether each is active does not, and is learnt anew.
 */

import { join } from "node:path";
import * as z from "zod";
import { NamedUnit } from "../../control/messages.ts";
import type { UnitDemotion } from "../../core/view.ts";
import type { Document } from "../../kernel/kernel.ts";
import { openDocument } from "./document.ts";

export class Units {
  readonly #path: string;
  readonly #document: Document;

  constructor(stateDir: string) {
    this.#path = join(stateDir, "units.json");
    this.#document = openDocument(this.#path);
  }

  /** Those recorded. @param known what an earlier engine knew of them; of the others none counts as active */
  restored(known: readonly UnitDemotion[]): UnitDemotion[] {
    const { data = [] } = z.array(NamedUnit).safeParse(this.#document.saved);
    return data.map(({ unit, by }) => ({
      unit,
      by,
      active: known.find((each) => each.unit === unit)?.active ?? false,
    }));
  }

  /** @returns why that failed; undefined: they are recorded */
  remember(units: readonly UnitDemotion[]): string | undefined {
    try {
      this.#document.write(units.length === 0 ? undefined : units.map(({ unit, by }) => ({ unit, by })));
      return undefined;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return `the units cannot be remembered in ${this.#path} (${code ?? error})`;
    }
  }
}
