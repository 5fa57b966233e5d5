/**
 * The data path's programs, to be run on frames: the maps are those of a data path in its run directory, so that
 * what it configures is what they judge by.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type BpfObject, nativeBpf, type TestRun } from "../../../src/kernel/data-path/native-bpf.ts";

export const PASS = -1;
export const DROP = 2;

export class Programs {
  readonly #object: BpfObject = new nativeBpf.BpfObject();

  constructor(runDir: string) {
    const record = JSON.parse(readFileSync(join(runDir, "programs.json"), "utf8"));
    const layout = nativeBpf.bpfLayout();
    assert.ok(!("error" in layout));
    const [{ id }] = record.programs;
    assert.equal(this.#object.load([[id, Object.keys(layout.maps)]]), undefined);
    assert.equal(this.#object.adopted(), id);
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
