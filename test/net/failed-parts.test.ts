/**
 * Parts that cannot be put in place: a carpdev's sockets and a carp interface's device. The failure is logged once,
 * and the engine tries again until the part is there.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";

let lan: Network;
let a: Host;
let b: Host;

before(async () => {
  lan = await createNetwork();
  [a, b] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24"] }),
    lan.host("b", { addresses: ["10.0.0.3/24"] }),
  ]);
  await Promise.all([a.startEngine(), b.startEngine()]);
});

after(() => lan.destroy());

/** Number of lines of the engine's log that match. */
function logged(host: Host, pattern: RegExp): number {
  return host.engine.log.lines.filter(({ text }) => pattern.test(text)).length;
}

async function limitFiles(host: Host, soft: number): Promise<void> {
  await host.run("prlimit", "--pid", String(host.engine.pid), `--nofile=${soft}:`);
}

async function indexOf(host: Host, device: string): Promise<number> {
  return JSON.parse(await host.run("ip", "-json", "link", "show", device))[0].ifindex;
}

/** Empty: there is no such device. */
const shown = async (device: string) => (await a.exec("ip", ["-d", "link", "show", device])).stdout;
const isMacvlan = (shown: string) => shown.includes("macvlan");

describe("a part that cannot be put in place", () => {
  test("sockets for which there are no file descriptors are opened when there are: the host hears again", async () => {
    await a.carpctl("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1");
    await a.carpctl("carp0", "state", "master");
    await b.carpctl("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "advskew", "100");
    await b.waitForState("carp0", "BACKUP");
    // The next engine takes filters over, and makes its first one without a descriptor.
    await b.engine.kill("SIGKILL");
    await b.startEngine();
    await b.waitForState("carp0", "BACKUP");
    const bringBack = await b.moveAway();
    await b.engine.waitForLog(/carp0: state transition: .* -> INIT/);
    await limitFiles(b, 3);
    await bringBack();
    await b.engine.waitForLog(/eth0: cannot listen: .*EMFILE/);
    await limitFiles(b, 1024);
    await eventually(
      async () => JSON.parse((await b.carpctl("status", "--json")).stdout).interfaces[0].nodes[0],
      ({ state, heard }) => state === "BACKUP" && heard !== null && heard.ageSeconds < 1.5,
    );
    assert.equal(logged(b, /eth0: cannot listen: .*EMFILE/), 1);
  });

  test("a carpdev that went away and came back unnoticed is listened on again", async () => {
    const index = await indexOf(b, "eth0");
    b.engine.signal("SIGSTOP");
    await (await b.moveAway())();
    b.engine.signal("SIGCONT");
    assert.equal(await indexOf(b, "eth0"), index);
    await eventually(
      async () => (await b.engine.request("doctor", {})).filter(({ level }) => level === "error"),
      (errors) => errors.length === 0,
    );
    const heard = async () => (await b.engine.request("statistics", {})).receivedIpv4;
    const before = await heard();
    await eventually(heard, (count) => count > before + 2);
    const from = a.engine.log.length;
    await a.carpctl("carp0", "down");
    await b.waitForState("carp0", "MASTER");
    await a.carpctl("carp0", "up");
    await a.engine.waitForLog(/carp0: state transition: INIT -> BACKUP/, { from });
    // Its lease goes on only with advertisements that leave.
    const { sentIpv4 } = await b.engine.request("statistics", {});
    await eventually(
      async () => (await b.engine.request("statistics", {})).sentIpv4,
      (count) => count > sentIpv4 + 3,
    );
    assert.equal(await b.engine.state("carp0"), "MASTER");
  });

  test("a device is made when the foreign device of its name is gone", async () => {
    await a.namespace.ip(["link add carp1 type veth peer name carp1-peer"]);
    await a.carpctl("carp1", "10.0.0.101/24", "carpdev", "eth0", "vhid", "101");
    await a.engine.waitForLog(/carp1: a device of this name exists that is not ours/);
    await a.namespace.ip(["link delete carp1"]);
    await eventually(() => shown("carp1"), isMacvlan);
    await a.carpctl("carp1", "destroy");
  });

  test("a device is made when its carpdev has left a bridge, though the carp interface heard of nothing", async () => {
    await a.namespace.ip([
      "link add other0 type veth peer name other1",
      "link set other0 up",
      "link set other1 up",
      "link add br9 type bridge",
      "link set other0 master br9",
    ]);
    await a.carpctl("carp2", "10.2.0.1/24", "carpdev", "other0", "vhid", "102");
    await a.engine.waitForLog(/carp2: no device can be made on other0 \(EBUSY/);
    await a.namespace.ip(["link set other0 nomaster"]);
    await eventually(() => shown("carp2"), isMacvlan);
    assert.equal(logged(a, /carp2: no device can be made/), 1);
  });
});
