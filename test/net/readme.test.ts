/**
 * The console examples of README.md, typed on two hosts: every command, and every line of output that is
 * shown.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import { type Typed, typedIn, type as typeOn } from "./typed.ts";

const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
const tour = [...readme.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, block = ""]) => typedIn(block));

describe("the examples of README", () => {
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

  async function type(typed: Typed): Promise<void> {
    const host = hosts.get(typed.host);
    assert.ok(host, `there is no host ${typed.host}`);
    await typeOn(typed, host);
  }

  test("every command prints what README shows, and no packet is lost while the address moves", async () => {
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
