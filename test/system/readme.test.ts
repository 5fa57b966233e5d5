/**
 * README's first examples, typed on two machines with the package: every file, every command, and every line that is
 * shown. What `monitor` shows is followed while the commands behind it are typed.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createNetwork, eventually } from "../hosts/index.ts";
import { type Typed, typedIn } from "../net/typed.ts";
import { tried } from "./available.ts";
import { Machine } from "./machine.ts";

const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
const blocks = [...readme.matchAll(/^```console debian\n(.*?)^```$/gms)].map(([, block = ""]) =>
  typedIn(block),
);

/** Without times, ages and numbers of processes, which differ from run to run. */
function comparable(text: string): string {
  return text
    .replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /gm, "")
    .replace(/\bpid \d+/g, "pid N")
    .replace(/\b\d+s\b/g, "Ns")
    .replace(/[ \t]+/g, " ")
    .replace(/ $/gm, "")
    .trim();
}

for (const { release, name, deb, skip } of await tried())
  describe(name, { skip }, () => {
    test("README's examples show what it shows", async () => {
      const lan = await createNetwork();
      const fw1 = await Machine.boot(await lan.host("fw1", { addresses: ["10.0.0.2/24"] }), release);
      const fw2 = await Machine.boot(await lan.host("fw2", { addresses: ["10.0.0.3/24"] }), release);
      const machines = new Map([
        ["fw1", fw1],
        ["fw2", fw2],
      ]);
      const monitored: (() => Promise<unknown>)[] = [];

      async function type({ host, command, shown }: Typed): Promise<void> {
        const machine = machines.get(host);
        assert.ok(machine, host);
        const file = /^cat (\/etc\/\S+)$/.exec(command)?.[1];
        if (file !== undefined) machine.write(file, shown, { mode: 0o640 });
        else if (command.startsWith("dpkg --install ")) await machine.install(deb);
        else if (command === "carpctl monitor") await monitor(machine, shown);
        else if (command === "carpctl status")
          await eventually(
            async () => comparable(await machine.run("carpctl", "status")),
            (output) => output === comparable(shown),
          );
        else await machine.run("sh", "-c", command);
      }

      /** Starts it, and adds what it has to show in the end. */
      async function monitor(machine: Machine, shown: string): Promise<void> {
        await machine.run("sh", "-c", "carpctl monitor >/root/monitor 2>&1 &");
        const output = async () => comparable(await machine.run("cat", "/root/monitor"));
        await eventually(output, (text) => text.startsWith("following"));
        monitored.push(() => eventually(output, (text) => text === comparable(shown)));
      }

      try {
        for (const block of blocks) for (const typed of block) await type(typed);
        assert.equal(monitored.length, 1);
        for (const isShown of monitored) await isShown();
      } finally {
        for (const machine of machines.values()) await machine[Symbol.asyncDispose]();
        lan.destroy();
      }
    });
  });
