/**
 * The package on one Debian machine: what it installs, that its units are in order, and what removing and purging it
 * leave.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { basename, join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { createNetwork, eventuallyEqual } from "../hosts/index.ts";
import { traces } from "../hosts/traces.ts";
import { tried } from "./available.ts";
import { Machine } from "./machine.ts";
import { hostnameFile } from "./pair.ts";

/** The units of the tree. */
const UNITS = readdirSync(join(import.meta.dirname, "../../src/install/systemd")).sort();
/** carp-units.path starts it when there is something to do. */
const STARTED_BY_ANOTHER = "carp-units.service";

/** The highest exposure that `systemd-analyze security` may find, of 10. */
const EXPOSURE_LIMIT = 3;

/** Files that every installation of a package, or the time that passes, changes. */
const CHANGING = [
  /^\/var\/lib\/dpkg\/(status|available|diversions|statoverride|lock|triggers|updates)/,
  /^\/var\/lib\/systemd\/(timers|catalog|random-seed)/,
  /^\/var\/(log|cache|tmp)\//,
  /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-$/,
  /^\/etc\/\.(pwd|updated)/,
  /^\/(root|tmp)\//,
];

/** Every path of the root file system, but those that change by themselves. */
async function paths(machine: Machine): Promise<string[]> {
  const found = (await machine.run("find", "/", "-xdev")).trimEnd().split("\n");
  return found.filter((path) => !CHANGING.some((changing) => changing.test(path))).sort();
}

/** What a program could have left: paths, users, groups, units, devices and settings of the network. */
async function wholeMachine(machine: Machine): Promise<Record<string, readonly string[]>> {
  const lines = (text: string) => text.trimEnd().split("\n");
  return {
    paths: await paths(machine),
    users: lines(readFileSync(join(machine.root, "etc/passwd"), "utf8")),
    groups: lines(readFileSync(join(machine.root, "etc/group"), "utf8")),
    units: lines(await machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "carp*")),
    run: lines(await machine.run("find", "/run", "-name", "*carp*", "-not", "-path", "/run/host/*")),
    network: lines(await traces(machine.host)),
  };
}

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("the package installs, its units are in order, and a purge leaves nothing", async () => {
      const lan = await createNetwork();
      await using machine = await Machine.boot(await lan.host("a", { addresses: ["10.0.0.11/24"] }), release);
      const before = await wholeMachine(machine);

      await machine.install(deb);
      assert.deepEqual(before.units, [""]);
      assert.equal(await machine.property("carpd.service", "ActiveState"), "active");
      assert.equal(existsSync(join(machine.root, "etc/hostname.carp0")), false);
      assert.match(await machine.run("carpctl", "status"), /^no carp interfaces/);
      assert.match(await machine.run("carpctl", "doctor"), /^no errors/m);

      const files = (await machine.run("dpkg", "--listfiles", "carpctl")).trimEnd().split("\n");
      const units = files.filter((file) => /\/systemd\/system\/[^/]+$/.test(file));
      assert.deepEqual(units.map((file) => basename(file)).sort(), UNITS);
      for (const unit of UNITS.filter((each) => !each.includes("@")))
        assert.equal(
          await machine.property(unit, "UnitFileState"),
          unit === STARTED_BY_ANOTHER ? "disabled" : "enabled",
          unit,
        );
      // What carp-conntrackd.service needs, for an administrator who has set it up.
      const [conntrackd, hook] = ["/etc/systemd/system/conntrackd.service", "/etc/carp/hooks.d/conntrackd"];
      machine.write(conntrackd, "[Service]\nExecStart=/usr/bin/true\n");
      machine.write(hook, "#!/bin/sh\n", { mode: 0o755 });
      assert.deepEqual(await machine.exec("systemd-analyze", "verify", "--man=no", ...units), {
        stdout: "",
        stderr: "",
        exitCode: 0,
      });
      await machine.run("rm", conntrackd, hook);
      const security = await machine.run("systemd-analyze", "security", "carpd.service");
      const [line, exposure] =
        /^→ Overall exposure level for carpd\.service: ([\d.]+) .*$/m.exec(security) ?? [];
      console.log(`${name}, ${line}`);
      assert.ok(Number(exposure) < EXPOSURE_LIMIT, security);

      const options = "/etc/systemd/system/carpd.service.d";
      await machine.run("mkdir", options);
      await machine.run("cp", "/usr/share/doc/carpctl/examples/metrics.conf", options);
      await machine.run("systemctl", "daemon-reload");
      await machine.run("systemctl", "restart", "carpd");
      const url = { socketPath: machine.inside("/run/carp/metrics.sock"), path: "/metrics" };
      const [answer] = (await once(get(url), "response")) as [IncomingMessage];
      assert.match(await text(answer), /^carp_build_info\{version="[\d.]+"\} 1$/m);
      await machine.run("rm", "-r", options);
      await machine.run("systemctl", "daemon-reload");
      await machine.run("systemctl", "restart", "carpd");

      machine.write("/etc/hostname.carp0", hostnameFile(0), { mode: 0o600 });
      await machine.run("systemctl", "start", "carp-netstart");
      await machine.run("carpctl", "carp0", "state", "master");
      await machine.waitForState("carp0", "MASTER");
      assert.deepEqual(await machine.host.addresses("carp0"), ["10.0.0.1/24"]);

      const configuration = `state serving {
	init run "ifconfig carp0 > /run/shown"
	if carp0.link.up
		run "echo up > /run/link"
}
`;
      machine.write("/etc/ifstated.conf", configuration, { mode: 0o644 });
      await machine.run("systemctl", "start", "ifstated");
      await eventuallyEqual(async () => (await machine.exec("cat", "/run/link")).stdout, "up\n");
      assert.match(await machine.run("cat", "/run/shown"), /carp: MASTER carpdev eth0 vhid 1 /);
      assert.match(await machine.run("journalctl", "-t", "ifstated"), /: initial state: serving$/m);
      await machine.run("rm", "/etc/ifstated.conf");

      await machine.run("dpkg", "--remove", "carpctl");
      assert.equal(existsSync(join(machine.root, "etc/hostname.carp0")), true);
      assert.equal(existsSync(join(machine.root, "usr/sbin/carpctl")), false);
      assert.deepEqual(await machine.host.addresses("carp0"), []);

      await machine.run("dpkg", "--purge", "carpctl");
      await machine.run("systemctl", "reset-failed");
      await eventuallyEqual(() => wholeMachine(machine), before);
      lan.destroy();
    });
  });
