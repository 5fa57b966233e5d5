/** Hooks do what an administrator's scripts do: systemd's sandbox around the engine does not hold them back. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createNetwork, eventuallyEqual } from "../hosts/index.ts";
import { tried } from "./available.ts";
import { Machine } from "./machine.ts";
import { hostnameFile } from "./pair.ts";

const SERVED = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo started >>/var/lib/served'
`;

/** Restarts a service, changes a file in /etc and one in /tmp, and adds a route. */
const HOOK = `#!/bin/sh -e
[ "$CARP_STATE" = MASTER ] || exit 0
systemctl restart served.service
echo "$CARP_INTERFACE $CARP_STATE" >/etc/served.conf
echo here >/tmp/served
ip route replace 192.0.2.0/24 dev eth0
`;

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("a hook restarts a service, writes files and changes routes", async () => {
      const lan = await createNetwork();
      const host = await lan.host("a", { addresses: ["10.0.0.11/24"] });
      await using machine = await Machine.boot(host, release);
      const text = (path: string) => {
        const file = join(machine.root, path);
        return existsSync(file) ? readFileSync(file, "utf8") : "";
      };
      machine.write("/etc/systemd/system/served.service", SERVED);
      await machine.install(deb);
      machine.write("/etc/carp/hooks.d/served", HOOK, { mode: 0o755 });
      machine.write("/etc/hostname.carp0", hostnameFile(0), { mode: 0o600 });
      await machine.run("systemctl", "start", "carp-netstart");
      for (let times = 1; times <= 2; times += 1) {
        await machine.run("carpctl", "carp0", "state", "master");
        await eventuallyEqual(async () => text("var/lib/served"), "started\n".repeat(times));
        await eventuallyEqual(
          () => machine.exec("cat", "/tmp/served").then(({ stdout }) => stdout),
          "here\n",
        );
        assert.equal(text("etc/served.conf"), "carp0 MASTER\n");
        await eventuallyEqual(
          () => host.run("ip", "route", "show", "192.0.2.0/24"),
          "192.0.2.0/24 dev eth0 scope link \n",
        );
        await machine.run("carpctl", "carp0", "state", "backup");
        await machine.waitForState("carp0", "BACKUP");
      }
      lan.destroy();
    });
  });
