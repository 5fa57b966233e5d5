/**
 * Readiness on a Debian machine: demoted while it boots, targets that are active exactly while an interface is in a
 * state, with a real unit that hangs on one, and a unit that demotes while it is not active.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork, eventuallyEqual } from "../hosts/index.ts";
import { tried } from "./available.ts";
import { Machine } from "./machine.ts";

const UNITS = [
  ...["carp-booted.service", "carp-units.path", "carp-units.service"],
  ...["carp-master@carp0.target", "carp-backup@carp0.target"],
];

const SERVICE = "[Service]\nExecStart=/usr/bin/sleep infinity\n";
const ON_MASTER = `[Unit]
PartOf=carp-master@carp0.target

${SERVICE}
[Install]
WantedBy=carp-master@carp0.target
`;
/** Long enough for an engine to be started again within its lease on a busy machine. */
const FILE = "inet 10.0.0.1 255.255.255.0 NONE vhid 1 carpdev eth0 pass sesame advbase 3\n";

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("a host is demoted while it boots, targets follow the state, and a unit demotes", async () => {
      const lan = await createNetwork();
      await using machine = await Machine.boot(await lan.host("a", { addresses: ["10.0.0.11/24"] }), release);
      await machine.install(deb);
      assert.deepEqual(await machine.exec("systemd-analyze", "verify", "--man=no", ...UNITS), {
        stdout: "",
        stderr: "",
        exitCode: 0,
      });
      machine.write("/etc/hostname.carp0", FILE, { mode: 0o600 });
      machine.write("/etc/systemd/system/dhcp.service", ON_MASTER);
      machine.write("/etc/systemd/system/db.service", SERVICE);
      const database = "/etc/carp/service_status.d/database";
      machine.write(database, "#!/bin/sh\n[ -e /run/works ]\n", { mode: 0o755 });

      // The boot: it ends when a service check passes that does not at first.
      await machine.powerOff();
      await machine.powerOn();
      await machine.journal.waitFor(/carpd.*the host boots: demoted by 128 until 'carpctl booted'/);
      await machine.journal.waitFor(/booted: waiting for the service checks: database/);
      const reasons = async () => {
        const { demotion } = JSON.parse(await machine.run("carpctl", "--json", "status"));
        return demotion.reasons.map(({ reason }: { reason: string }) => reason).sort();
      };
      assert.deepEqual(await reasons(), ["boot", "services"]);
      await machine.run("touch", "/run/works");
      await eventuallyEqual(reasons, []);
      await machine.run("systemctl", "restart", "carpd");
      await machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "carpd");
      await machine.waitForState("carp0", "MASTER");
      assert.deepEqual(await reasons(), []);

      // The targets, from the moment at which a unit hangs on one.
      const states = (...units: string[]) =>
        Promise.all(units.map((unit) => machine.property(unit, "ActiveState")));
      const now = () => states("carp-master@carp0.target", "carp-backup@carp0.target", "dhcp.service");
      assert.deepEqual(await states("carp-units.service"), ["inactive"]);
      await machine.run("systemctl", "enable", "dhcp");
      await eventuallyEqual(now, ["active", "inactive", "active"]);
      const force = (state: string) => machine.run("carpctl", "carp0", "state", state);
      await force("backup");
      await eventuallyEqual(now, ["inactive", "active", "inactive"]);
      for (let times = 0; times < 5; times++) {
        await force("master");
        await force("backup");
      }
      await force("master");
      await eventuallyEqual(now, ["active", "inactive", "active"]);
      const dhcp = await machine.property("dhcp.service", "InvocationID");
      const pid = await machine.enginePid();
      await machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "carpd");
      await machine.waitForEngineAfter(pid);
      await machine.run("systemctl", "restart", "carpd");
      await machine.run("systemctl", "restart", "carp-units");
      await machine.waitForState("carp0", "MASTER");
      assert.deepEqual(await now(), ["active", "inactive", "active"]);
      assert.equal(await machine.property("dhcp.service", "InvocationID"), dhcp);

      // A unit that demotes.
      const counter = async () =>
        Number(await machine.run("carpctl", "sysctl", "-n", "net.inet.carp.demotion"));
      await machine.run("carpctl", "demote", "--unit", "db", "50");
      assert.equal(await counter(), 50);
      await machine.run("systemctl", "start", "db");
      await eventuallyEqual(counter, 0);
      await machine.run("systemctl", "kill", "--signal=KILL", "db");
      await eventuallyEqual(counter, 50);
      assert.match(await machine.run("carpctl", "status"), /^demoted by 50: db\.service 50$/m);
      await machine.run("systemctl", "start", "db");
      await eventuallyEqual(counter, 0);

      const doctor = () => machine.run("carpctl", "doctor");
      assert.match(await doctor(), /^ok +units: carp-units\.service follows db\.service$/m);
      await machine.run("systemctl", "stop", "carp-units.path", "carp-units.service");
      assert.match(await doctor(), /^warning +units: carp-units\.service is not active: /m);
      await machine.run("systemctl", "enable", "--now", "carp-units.path");
      await eventuallyEqual(() => states("carp-units.service"), ["active"]);

      // An engine that is gone for good, and one that stops.
      await machine.run("mkdir", "-p", "/run/systemd/system/carpd.service.d");
      await machine.run(
        ...([
          "sh",
          "-c",
          "printf '[Service]\\nRestart=no\\n' >/run/systemd/system/carpd.service.d/once.conf",
        ] as const),
      );
      await machine.run("systemctl", "daemon-reload");
      await machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "carpd");
      await eventuallyEqual(now, ["inactive", "inactive", "inactive"]);
      await machine.run("systemctl", "start", "carpd");
      await machine.waitForState("carp0", "MASTER");
      await eventuallyEqual(now, ["active", "inactive", "active"]);
      await machine.run("systemctl", "stop", "carpd");
      await eventuallyEqual(now, ["inactive", "inactive", "inactive"]);
      lan.destroy();
    });
  });
