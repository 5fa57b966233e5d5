/** Predictions of `carpctl plan` tried on real hosts: a pair of firewalls with the files that were simulated. */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createNetwork, type Host } from "../hosts/index.ts";

interface Predicted {
  readonly failure: string;
  readonly host: string;
  readonly carpdev: string | null;
  readonly isOver: boolean;
  readonly virtualHosts: readonly { readonly vhid: number; readonly after: readonly string[] }[];
}

function configure(host: Host, advskew: number): void {
  const files = {
    "hostname.carp1": `vhid 1 carpdev eth0 pass inside advskew ${advskew}\ninet 10.0.0.1 255.255.255.0\n`,
    "hostname.carp2": `vhid 2 carpdev eth1 pass outside advskew ${advskew}\ninet 10.0.1.1 255.255.255.0\n`,
    "carp/sysctl.conf": "net.inet.carp.preempt=1\n",
  };
  mkdirSync(join(host.etcDirectory, "carp"), { recursive: true });
  for (const [path, text] of Object.entries(files))
    writeFileSync(join(host.etcDirectory, path), text, { mode: 0o640 });
}

test("a firewall that loses a link, is demoted and comes back: the masters are those of the plan", async () => {
  const networks = await Promise.all([createNetwork(), createNetwork()]);
  try {
    const [inside, outside] = networks;
    const make = async (name: string, n: number, advskew: number) => {
      const host = await inside.host(name, { addresses: [`10.0.0.${n}/24`] });
      await outside.attach(host, { addresses: [`10.0.1.${n}/24`] });
      configure(host, advskew);
      return host;
    };
    const [a, b] = await Promise.all([make("a", 2, 0), make("b", 3, 100)]);
    const words = [`a=${a.etcDirectory}`, `b=${b.etcDirectory}`];
    const { stdout } = await a.carpctl("plan", "--json", ...words);
    const failures: readonly Predicted[] = JSON.parse(stdout).failures;
    await Promise.all([a.startEngine(), b.startEngine()]);
    await Promise.all([a.carpctl("netstart"), b.carpctl("netstart")]);

    const becomes = async (failure: string, carpdev: string | null, isOver: boolean) => {
      const predicted = failures.find(
        (each) =>
          each.host === "a" && each.failure === failure && each.carpdev === carpdev && each.isOver === isOver,
      );
      assert.ok(predicted);
      for (const { vhid, after } of predicted.virtualHosts) {
        assert.equal(after.length, 1);
        await (after[0] === "a" ? a : b).waitForState(`carp${vhid}`, "MASTER");
      }
    };
    const all = failures.at(-1)?.virtualHosts.map(({ after }) => after);
    assert.deepEqual(all, [["a"], ["a"]]);
    for (const name of ["carp1", "carp2"]) await a.waitForState(name, "MASTER");

    await a.pullCable("eth0");
    await becomes("loses", "eth0", false);
    await a.plugCable("eth0");
    await becomes("loses", "eth0", true);
    await a.carpctl("maintenance", "on");
    await becomes("demoted", null, false);
    await a.carpctl("maintenance", "off");
    await becomes("demoted", null, true);
  } finally {
    for (const network of networks) network.destroy();
  }
});
