/** An election, a handover and a failover under the kernel of a guest: what else the kernels of these tests must do. */

import { test } from "node:test";
import type { Host } from "../hosts/index.ts";
import { assertHolder, Client, configure, onCarpHosts } from "../net/carp-hosts.ts";

test("two hosts elect a master, and the other takes over when it leaves and when it is killed", async () => {
  await onCarpHosts({ count: 2 }, async ({ hosts, client }) => {
    const [a, b] = hosts as [Host, Host];
    await configure(a, { advskew: 0 });
    await a.waitForState("carp0", "MASTER");
    await configure(b, { advskew: 100 });
    await b.waitForState("carp0", "BACKUP");
    const served = await Client.start(client);
    await assertHolder(a, [b]);

    await a.command("carp0", "down");
    await b.waitForState("carp0", "MASTER");
    await served.isServed();
    await a.command("carp0", "up");
    await a.waitForState("carp0", "BACKUP");

    await b.engine.kill("SIGKILL");
    await a.waitForState("carp0", "MASTER");
    await served.isServed();
    await served.stop();
  });
});
