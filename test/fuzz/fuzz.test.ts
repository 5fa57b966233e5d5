/** Every fuzz target with its corpus and with some drawn inputs; `npm run fuzz` tries more. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fuzz } from "./campaign.ts";
import { corpusOf } from "./inputs.ts";
import { targets } from "./targets/index.ts";

const SEED = 20260101;

for (const target of targets) {
  describe(target.name, () => {
    test("the corpus", async () => {
      const trial = await target.open();
      try {
        const corpus = corpusOf(target);
        assert.ok(corpus.size > 0);
        for (const [file, input] of corpus) {
          await assert.doesNotReject(async () => trial.feed(input), file);
        }
      } finally {
        await trial.close?.();
      }
    });

    test(`${target.tries} drawn inputs`, async () => {
      const { executions, finding } = await fuzz(target, { seed: SEED, executions: target.tries });
      if (finding !== undefined) {
        const input = JSON.stringify(Buffer.from(finding.input).toString("latin1"));
        assert.fail(`${input.slice(0, 1000)}: ${(finding.error as Error).stack}`);
      }
      assert.equal(executions, target.tries);
    });
  });
}
