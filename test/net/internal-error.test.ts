/**
 * An engine that ends after an internal error: it bows out and leaves nothing in the kernel, and the next engine
 * starts as it was configured.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createNetwork, type Host, traces } from "../hosts/index.ts";

const MAIN = join(import.meta.dirname, "../../dist/main.js");

/** Errors that nothing catches, each thrown in an engine that gets SIGWINCH. */
const ERRORS = {
  "a thrown error": "throw new Error('a fault')",
  "a rejected promise": "Promise.reject(new Error('a fault'))",
  "a thrown value that is no error": "throw null",
};

/** Starts an engine in which SIGWINCH throws. */
function startFaulty(host: Host, fault: string) {
  const module = `data:text/javascript,process.on("SIGWINCH", () => { ${fault} })`;
  return host.startEngine({ through: [process.execPath, "--import", module], program: MAIN });
}

for (const [name, fault] of Object.entries(ERRORS))
  test(`${name} ends the engine with status 70; its configuration stays`, async () => {
    const lan = await createNetwork();
    try {
      const [a, b] = await Promise.all([
        lan.host("a", { addresses: ["10.0.0.2/24"] }),
        lan.host("b", { addresses: ["10.0.0.3/24"] }),
      ]);
      const before = await traces(a);
      await Promise.all([startFaulty(a, fault), b.startEngine()]);
      const words = ["carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "pass", "sesame"];
      await a.carpctl(...words, "state", "master");
      await a.carpctl("sysctl", "net.inet.carp.preempt=1");
      await a.waitForState("carp0", "MASTER");
      const configured = await a.carpctl("dump");
      // With this advbase it takes over within minutes only after a bow-out.
      await b.carpctl(...words, "advbase", "60", "advskew", "1");

      process.kill(a.engine.pid, "SIGWINCH");
      assert.deepEqual(await a.engine.exited, { code: 70, signal: null });
      assert.match(String(a.engine.log), /internal error, giving up: /);
      await b.waitForState("carp0", "MASTER");
      assert.equal(await traces(a), before);

      await a.startEngine();
      await a.waitForState("carp0", "MASTER");
      assert.deepEqual(await a.carpctl("dump"), configured);
    } finally {
      lan.destroy();
    }
  });
