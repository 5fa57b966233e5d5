/** README.md's tour, typed as it stands there: every command, and every line of output it shows. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";

const tree = join(import.meta.dirname, "../..");

interface Typed {
  readonly host: string;
  readonly command: string;
  readonly shown: string;
}

const tour = [...readFileSync(join(tree, "README.md"), "utf8").matchAll(/^```console\n(.*?)^```$/gms)]
  .flatMap(([, block = ""]) => block.split(/^(?=[ab]# )/m))
  .map((piece): Typed => {
    const [prompt = "", ...lines] = piece.trimEnd().split("\n");
    const [, host = "", command = ""] = /^([ab])# (.*)$/.exec(prompt) ?? [];
    return { host, command, shown: lines.join("\n") };
  });

/** Ages, indexes and the widths that follow from them differ from run to run. */
function comparable(text: string): string {
  return text
    .replace(/\bindex \d+/g, "index N")
    .replace(/\b\d+s\b/g, "Ns")
    .replace(/[ \t]+/g, " ")
    .replace(/ $/gm, "")
    .trim();
}

describe("README's tour", () => {
  let lan: Network;
  const hosts = new Map<string, Host>();
  let client: Host;

  before(async () => {
    lan = await createNetwork();
    hosts.set("a", await lan.host("a", { addresses: ["10.0.0.2/24"] }));
    hosts.set("b", await lan.host("b", { addresses: ["10.0.0.3/24"] }));
    client = await lan.host("client", { addresses: ["10.0.0.9/24"] });
  });
  after(() => lan.destroy());

  async function type({ host: name, command, shown }: Typed): Promise<void> {
    const host = hosts.get(name);
    assert.ok(host, `nobody is called ${name}`);
    if (command === "carpctl engine &") {
      await host.startEngine();
      return;
    }
    const type = async () => {
      const environment = { PATH: `${tree}/bin:${process.env.PATH}` };
      const { stdout, stderr } = await host.exec("sh", ["-c", command], { environment });
      return comparable(stdout + stderr);
    };
    let output = await type();
    // What is read is what it comes to; what is changed is changed once.
    const reads = /^(ip |carpctl status|carpctl carp0$|carpctl carp0 \|)/.test(command);
    for (let tries = 0; reads && output !== comparable(shown) && tries < 100; tries++) {
      await wait(100);
      output = await type();
    }
    assert.equal(output, comparable(shown), `${name}# ${command}`);
  }

  test("shows what happens", async () => {
    assert.ok(tour.length > 15);
    const demotion = tour.findIndex(({ command }) => command.includes("-g carp carpdemote"));
    const shared = tour.findIndex(({ command }) => command.includes("inet6"));
    for (const typed of tour.slice(0, demotion)) await type(typed);
    const ping = client.startPing("10.0.0.1", { intervalMs: 10 });
    await ping.waitForReply();
    for (const typed of tour.slice(demotion, shared)) await type(typed);
    const { lost } = await ping.stop();
    assert.deepEqual(lost, [], "packets lost while the address moved there and back");
    for (const typed of tour.slice(shared)) await type(typed);
  });
});
