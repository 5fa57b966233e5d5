/** What the engine writes to a real journal: the fields of a state transition, and its priority. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MESSAGE_IDS } from "../../src/kernel/process/journal.ts";
import { createNetwork } from "../hosts/index.ts";
import { tried } from "./available.ts";
import { Machine } from "./machine.ts";
import { hostnameFile } from "./pair.ts";

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("a state transition is found in the journal by its fields", async () => {
      const lan = await createNetwork();
      await using machine = await Machine.boot(await lan.host("a", { addresses: ["10.0.0.11/24"] }), release);
      await machine.install(deb);
      machine.write("/etc/hostname.carp0", hostnameFile(0), { mode: 0o600 });
      await machine.run("systemctl", "start", "carp-netstart");
      await machine.waitForState("carp0", "BACKUP");
      await machine.run("carpctl", "carp0", "state", "master");
      await machine.journal.waitFor(/carp0: state transition: BACKUP -> MASTER/);

      const found = await machine.run(
        ...(["journalctl", "--output=json", "--unit=carpd", `MESSAGE_ID=${MESSAGE_IDS.transition}`] as const),
        ...["CARP_INTERFACE=carp0", "CARP_STATE=MASTER"],
      );
      const [entry, ...others] = found.trimEnd().split("\n");
      assert.deepEqual(others, []);
      const { CARP_VHID, CARP_PREVIOUS_STATE, CARP_REASON, PRIORITY, SYSLOG_IDENTIFIER, MESSAGE } =
        JSON.parse(entry ?? "{}");
      assert.deepEqual(
        { CARP_VHID, CARP_PREVIOUS_STATE, PRIORITY, SYSLOG_IDENTIFIER, MESSAGE },
        {
          CARP_VHID: "1",
          CARP_PREVIOUS_STATE: "BACKUP",
          PRIORITY: "2",
          SYSLOG_IDENTIFIER: "carpd",
          MESSAGE: "carp0: state transition: BACKUP -> MASTER",
        },
      );
      assert.match(CARP_REASON, /./);
      lan.destroy();
    });
  });
