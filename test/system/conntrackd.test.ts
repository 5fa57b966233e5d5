/**
 * The demotion until the states of connections are there, as systemd makes it: at a boot and when conntrackd is started
 * again, with a conntrackd that stands in for the real one.
 */

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createNetwork } from "../hosts/index.ts";
import { tried } from "./available.ts";
import { Machine } from "./machine.ts";

/** Hears another host whenever it is asked. */
const CONNTRACKD = `#!/bin/sh
case $3 in
  "") exec sleep infinity ;;
  -s)
    received=$(($(cat /run/received 2>/dev/null) + 1))
    echo "$received" >/run/received
    printf 'cache external:\\nconnections created: 4 failed: 0\\n 1 Pckts sent %s Pckts recv\\n' "$received" ;;
esac
`;
const UNIT = `[Service]
ExecStart=/usr/sbin/conntrackd -C /etc/conntrackd/conntrackd.conf
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`;
const FILE = "inet 10.0.0.1 255.255.255.0 NONE vhid 1 carpdev eth0 pass sesame advbase 3\n";

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("a host is demoted from each start of conntrackd until the states are there, but not as MASTER", async () => {
      const lan = await createNetwork();
      await using machine = await Machine.boot(await lan.host("a", { addresses: ["10.0.0.11/24"] }), release);
      await machine.install(deb);
      machine.write("/etc/hostname.carp0", FILE, { mode: 0o600 });
      machine.write("/usr/sbin/conntrackd", CONNTRACKD, { mode: 0o755 });
      machine.write("/etc/systemd/system/conntrackd.service", UNIT);
      machine.write("/etc/conntrackd/conntrackd.conf", "Sync {\n}\n");
      mkdirSync(join(machine.root, "etc/carp/hooks.d"));
      const example = join(import.meta.dirname, "../../src/install/examples/firewall/conntrackd-hook");
      copyFileSync(example, join(machine.root, "etc/carp/hooks.d/conntrackd"));
      await machine.run("systemctl", "enable", "conntrackd");
      await machine.powerOff();
      await machine.powerOn();
      await machine.journal.waitFor(/changed by root: promote boot/);
      const log = machine.journal.lines.map(({ text }) => text);
      const steps = [
        ...[/changed by root: demote pfsync 240/, /carp-conntrackd.*pfsync bulk start/],
        ...[/carp-conntrackd.*pfsync bulk done: 4 states in/, /changed by root: promote pfsync/],
        /changed by root: promote boot/,
      ].map((step) => log.findIndex((line) => step.test(line)));
      assert.ok(!steps.includes(-1), log.join("\n"));
      assert.deepEqual(
        steps,
        steps.toSorted((one, other) => one - other),
      );

      await machine.waitForState("carp0", "MASTER");
      await machine.run("systemctl", "kill", "--signal=KILL", "conntrackd");
      await machine.journal.waitFor(/carp-conntrackd.*this host is MASTER, and is not demoted/);
      lan.destroy();
    });
  });
