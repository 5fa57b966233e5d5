/** A machine that boots before its carpdev is there, and files that change while it runs. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork } from "../hosts/index.ts";
import { tried } from "./available.ts";
import { Machine } from "./machine.ts";
import { hostnameFile } from "./pair.ts";

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("after a reboot the interface serves when its carpdev appears", async () => {
      const lan = await createNetwork();
      const host = await lan.host("a", { addresses: ["10.0.0.11/24"] });
      await using machine = await Machine.boot(host, release);
      await machine.install(deb);
      machine.write("/etc/hostname.carp0", hostnameFile(0), { mode: 0o600 });

      await machine.powerOff();
      await host.namespace.ip(["link delete eth0"]);
      await machine.powerOn();
      assert.equal(await machine.run("systemctl", "is-system-running"), "running\n");
      await machine.waitForState("carp0", "INIT");
      await lan.attach(host, { interface: "eth0", addresses: ["10.0.0.11/24"] });
      await machine.waitForState("carp0", "MASTER");
      await host.waitForAddresses("carp0", ["10.0.0.1/24"]);
      lan.destroy();
    });

    test("a reload applies files that have changed, and changes no state", async () => {
      const lan = await createNetwork();
      const host = await lan.host("a", { addresses: ["10.0.0.11/24"] });
      await using machine = await Machine.boot(host, release);
      await machine.install(deb);
      machine.write("/etc/hostname.carp0", hostnameFile(0), { mode: 0o600 });
      await machine.run("systemctl", "start", "carp-netstart");
      await machine.run("carpctl", "carp0", "state", "master");
      await machine.waitForState("carp0", "MASTER");
      const quiet = await machine.mark();
      const pid = await machine.enginePid();

      machine.write("/etc/hostname.carp0", `${hostnameFile(0)}inet alias 10.0.0.5 255.255.255.0\n`);
      machine.write("/etc/carp/sysctl.conf", "net.inet.carp.preempt=1\n");
      await machine.run("systemctl", "reload", "carp-netstart");
      await host.waitForAddresses("carp0", ["10.0.0.1/24", "10.0.0.5/24"]);
      assert.equal(await machine.run("carpctl", "sysctl", "-n", "net.inet.carp.preempt"), "1\n");

      assert.equal(await machine.enginePid(), pid);
      assert.deepEqual(await machine.transitions(quiet), []);
      lan.destroy();
    });
  });
