/** Debian's keepalived on the same segment: its VRRP is no CARP, changes nothing, and `doctor` knows it. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Finding } from "../../src/control/messages.ts";
import { createNetwork, eventually } from "../hosts/index.ts";

/** A virtual router of keepalived's configuration, which is read by lines. */
const router = (version: 2 | 3, number: number, ...addresses: readonly string[]) =>
  [
    `vrrp_instance router${number} {`,
    ...["interface eth0", "state MASTER", `version ${version}`, `virtual_router_id ${number}`],
    ...["priority 200", "advert_int 1", "virtual_ipaddress {", ...addresses, "}", "}", ""],
  ].join("\n");

const ROUTERS = [
  router(2, 1, "10.0.0.51/24"),
  router(3, 52, "10.0.0.52/24", "10.0.0.53/24"),
  router(3, 2, "fe80::54", "2001:db8::54/64"),
];

test("keepalived beside carp: the same number over IPv4 is an error, all else information", async () => {
  const lan = await createNetwork();
  try {
    const ours = await lan.host("ours", { addresses: ["10.0.0.2/24"] });
    const theirs = await lan.host("theirs", { addresses: ["10.0.0.3/24"] });
    await ours.startEngine();
    await ours.carpctl(..."carp0 10.0.0.1/24 carpdev eth0 vhid 1 pass secret".split(" "));
    await ours.carpctl(..."carp1 10.0.0.11/24 carpdev eth0 vhid 2 pass secret".split(" "));
    for (const name of ["carp0", "carp1"]) await ours.waitForState(name, "MASTER");
    const file = (name: string) => join(theirs.etcDirectory, name);
    writeFileSync(file("keepalived.conf"), ROUTERS.join(""));
    const files = ["-f", file("keepalived.conf"), "-p", file("pid"), "-r", file("vrrp.pid")];
    theirs.spawn("/usr/sbin/keepalived", ["--dont-fork", "--vrrp", "--log-console", ...files]);

    const findings = async (): Promise<Finding[]> =>
      JSON.parse((await ours.tryCommand("doctor", "--json")).stdout).findings;
    const found = await eventually(findings, (all) =>
      ["VRRP router", "(number 2, 52)"].every((words) => all.some(({ text }) => text.includes(words))),
    );
    assert.deepEqual(
      found.filter(({ level }) => level === "error").map(({ subject, text, todo }) => [subject, text, todo]),
      [
        [
          "carp0 vhid 1",
          "a VRRP router (version 2, 10.0.0.3) has the same number, and so the same MAC 00:00:5e:00:01:01",
          "use another vhid, or another number for the virtual router",
        ],
      ],
    );
    for (const { text } of found) assert.doesNotMatch(text, /discarded/);
    for (const name of ["carp0", "carp1"]) assert.equal(await ours.engine.state(name), "MASTER");
  } finally {
    lan.destroy();
  }
});
