/** Link-local IPv6 addresses: clients that ask from one, and shared ones, as gateways have. */

import { describe, test } from "node:test";
import { assertHolder, assertNothingLost, configure, IPV6, onCarpHosts } from "./carp-hosts.ts";

const GATEWAY = "fe80::1";
const CLIENT = "fe80::99";

describe("link-local addresses", () => {
  test("a client that has no other address reaches every shared address, whichever host is MASTER", async () => {
    const addresses = [IPV6, GATEWAY];
    await onCarpHosts({ count: 2, addresses }, async ({ hosts, client }) => {
      const [a, b] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
      await client.run("ip", "address", "add", `${CLIENT}/64`, "dev", "eth0", "nodad");
      await configure(a, { addresses });
      await a.command("carp0", "state", "master");
      await configure(b, { addresses, advskew: 100 });
      for (const [holder, other] of [
        [a, b],
        [b, a],
      ] as const) {
        await holder.waitForState("carp0", "MASTER");
        await other.waitForState("carp0", "BACKUP");
        for (const address of addresses)
          assertNothingLost([await client.ping(address, { from: `${CLIENT}%eth0` })]);
        await assertHolder(holder, [other], [IPV6]);
        if (holder === a) await a.command("carp0", "state", "backup");
      }
    });
  });
});
