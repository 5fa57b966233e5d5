/**
 * What `carpctl check` and `carpctl plan` print about the published clusters of test/fixtures/clusters: nothing is wrong
 * with them, and each failure has the outcome in the file beside them.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { PUBLISHED } from "../cluster/clusters.ts";
import { called } from "./called.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures/clusters");

for (const [cluster, hosts] of Object.entries(PUBLISHED))
  describe(cluster, () => {
    const words = Object.keys(hosts).map((host) => `${host}=${join(FIXTURES, cluster, host)}`);
    for (const command of ["check", "plan"])
      test(command, async () => {
        const { status, out, err } = await called([command, ...words]);
        assert.deepEqual([status, err], [0, ""]);
        assert.equal(out, readFileSync(join(FIXTURES, cluster, `${command}.txt`), "utf8"));
      });
  });
