/** Many carp interfaces on one host: each has a lease of its own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { InterfaceChange } from "../../src/control/messages.ts";
import { createNetwork, eventually } from "../hosts/index.ts";

const CARPDEVS = ["eth1", "eth2"];
const OTHERS = 256;
const LAST = "10.0.0.1";

const of = (change: InterfaceChange, address: string): InterfaceChange => ({
  pass: "sesame",
  addAddresses: [{ family: 4, address, prefixLength: 32, alias: true }],
  ...change,
});

test("the kernel stops answering for the 257th carp interface too when its engine is gone", async () => {
  const lan = await createNetwork();
  try {
    const a = await lan.host("a", { addresses: ["10.0.0.2/24"] });
    const client = await lan.host("client", { addresses: ["10.0.0.9/24"] });
    await a.namespace.ip([
      `link add ${CARPDEVS[0]} up type veth peer name ${CARPDEVS[1]}`,
      `link set ${CARPDEVS[1]} up`,
    ]);
    await a.startEngine();
    // BACKUP for good: they advertise every 254 seconds.
    const others = Array.from({ length: OTHERS }, (_, n) => ({
      name: `carp${n}`,
      change: of(
        { carpdev: CARPDEVS[n % 2], vhid: 1 + (n >> 1), advbase: 254 },
        `10.1.${n >> 8}.${n & 0xff}`,
      ),
    }));
    const outcomes = await a.engine.request("replace-all", { replacements: others });
    assert.deepEqual(
      outcomes.filter((each) => "error" in each),
      [],
    );
    const name = `carp${OTHERS}`;
    await a.engine.request("change", { name, change: of({ carpdev: "eth0", vhid: 1 }, LAST) });
    await a.waitForState(name, "MASTER");
    const isAnswered = async () => (await client.exec("ping", ["-c", "1", "-W", "1", LAST])).exitCode === 0;
    await eventually(isAnswered, (is) => is);
    await a.engine.kill("SIGKILL");
    await eventually(isAnswered, (is) => !is);
  } finally {
    lan.destroy();
  }
});
