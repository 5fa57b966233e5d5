/**
 * The data path's programs, to be run on frames: the maps are those of a data path in its run directory, so that
 * what it configures is what they judge by.
 */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type BpfObject, nativeBpf, type TestRun } from "../../../src/kernel/data-path/native-bpf.ts";

export const PASS = -1;
export const DROP = 2;

export class Programs {
  readonly #object: BpfObject = new nativeBpf.BpfObject();

  constructor(runDir: string) {
    const root = join(runDir, "bpf");
    const pins: [string, string][] = [["carp_carpdevs", join(root, "carp_carpdevs")]];
    for (const version of readdirSync(root).filter((name) => name.startsWith("version-"))) {
      const maps = readdirSync(join(root, version));
      // A bpffs has no dots in names.
      for (const map of maps) pins.push([map.replace("_bss", ".bss"), join(root, version, map)]);
    }
    assert.equal(pins.length, 6);
    assert.equal(this.#object.load(pins), undefined);
  }

  ingress(frame: Buffer, index: number, repeat = 1): TestRun {
    return this.#run("carp_ingress", frame, index, repeat);
  }

  egress(frame: Buffer, index: number, repeat = 1): TestRun {
    return this.#run("carp_egress", frame, index, repeat);
  }

  close(): void {
    this.#object.close();
  }

  #run(program: string, frame: Buffer, index: number, repeat: number): TestRun {
    const result = this.#object.run(program, frame, index, repeat);
    assert.ok(typeof result !== "number", `the test run failed: errno ${result}`);
    return result;
  }
}
