/**
 * A copy of the core and of the simulator with one thing wrong, run as a process of its own: whether the simulator
 * notices.
 */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import type { Mutation } from "./mutations.ts";

const tree = join(import.meta.dirname, "../..");

export class Mutant {
  readonly #directory = mkdtempSync(join(tmpdir(), "mutant-"));

  /** @throws Error when the text is not there exactly once: the mutation is out of date. */
  constructor({ file, text, by }: Mutation) {
    for (const part of ["src/core", "src/protocol", "src/engine/counter-floor.ts", "test/sim"]) {
      mkdirSync(join(this.#directory, part, ".."), { recursive: true });
      cpSync(join(tree, part), join(this.#directory, part), { recursive: true });
    }
    symlinkSync(join(tree, "node_modules"), join(this.#directory, "node_modules"));
    writeFileSync(join(this.#directory, "package.json"), '{ "type": "module" }');
    const path = join(this.#directory, "src", file);
    const parts = readFileSync(path, "utf8").split(text);
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${text}`);
    writeFileSync(path, parts.join(by));
  }

  /** @returns the first line that the simulator says */
  async run(...words: string[]): Promise<string> {
    const runner = join(this.#directory, "test/sim/run.ts");
    const { stdout, stderr } = await execa(process.execPath, [runner, ...words], { reject: false });
    return stdout.split("\n")[0] || stderr;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
