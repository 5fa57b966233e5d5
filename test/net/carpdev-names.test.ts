/** Carpdevs that exchange their names: what is configured for a name moves to the device that has it now. */

import assert from "node:assert/strict";
import { release } from "node:os";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventuallyEqual, type Host, type Network } from "../hosts/index.ts";

const NAMES = ["eth0", "eth1"] as const;

let lan: Network;
let a: Host;
let macs: string[];

before(async () => {
  lan = await createNetwork();
  a = await lan.host("a", { addresses: ["10.0.0.1/24"] });
  await lan.attach(a, { interface: "eth1", addresses: ["10.1.0.1/24"] });
  await a.namespace.sysctl({ "ipv4/conf/eth1/arp_announce": 1 });
  macs = await Promise.all(NAMES.map((name) => a.mac(name)));
  await a.startEngine();
});
after(() => lan.destroy());

const arpSettings = () =>
  Promise.all(
    NAMES.map(async (name) => {
      const paths = ["arp_ignore", "arp_announce"].map((each) => `/proc/sys/net/ipv4/conf/${name}/${each}`);
      return (await a.run("cat", ...paths)).trim().split("\n").join(" ");
    }),
  );

const carpdevMacs = () => Promise.all(NAMES.map((name) => a.mac(name)));

const [major = 0, minor = 0] = release().split(".").map(Number);
/** Since Linux 6.2 devices may be renamed that are up. */
const RENAMES_UP = major > 6 || (major === 6 && minor >= 2);

function exchange({ up }: { up: boolean }): Promise<void> {
  const set = (state: string) => NAMES.map((name) => `link set ${name} ${state}`);
  const renames = ["link set eth0 name tmp", "link set eth1 name eth0", "link set tmp name eth1"];
  return a.namespace.ip(up ? renames : [...set("down"), ...renames, ...set("up")]);
}

const errors = async () => (await a.engine.request("doctor", {})).filter(({ level }) => level === "error");

describe("carpdevs that exchange their names", () => {
  test("both have the ARP settings, whatever the order, and get back what each had before", async () => {
    await a.carpctl("carp0", "10.0.0.100/24", "carpdev", "eth0", "vhid", "1", "state", "master");
    await a.carpctl("carp1", "10.1.0.100/24", "carpdev", "eth1", "vhid", "2", "state", "master");
    await eventuallyEqual(arpSettings, ["1 2", "1 2"]);
    for (let times = 1; times <= 3; times++) {
      const from = a.engine.log.length;
      await exchange({ up: RENAMES_UP && times > 1 });
      for (const name of ["carp0", "carp1"])
        await a.engine.waitForLog(new RegExp(`${name}: state transition: \\w+ -> BACKUP`), { from });
      await eventuallyEqual(arpSettings, ["1 2", "1 2"]);
      assert.deepEqual(await errors(), []);
    }
    assert.deepEqual(await carpdevMacs(), macs.toReversed());
    for (const name of ["carp0", "carp1"]) await a.carpctl(name, "destroy");
    await eventuallyEqual(arpSettings, ["0 1", "0 0"]);
  });

  test("none keeps an address that was put there for the other's name", async () => {
    const [mac = ""] = await carpdevMacs();
    await a.carpctl(
      "carp0",
      "10.9.0.100/24",
      "carpdev",
      "eth0",
      "vhid",
      "1",
      "lladdr",
      mac,
      "state",
      "master",
    );
    await a.waitForState("carp0", "MASTER");
    await a.waitForAddresses("eth0", ["10.1.0.1/24", "10.9.0.100/24"]);
    await exchange({ up: RENAMES_UP });
    await eventuallyEqual(() => a.addresses("eth1"), ["10.1.0.1/24"]);
    await a.carpctl("carp0", "destroy");
    await eventuallyEqual(() => a.addresses("eth0"), ["10.0.0.1/24"]);
  });
});
