/** `doctor` on what is wrong on the segment: VRRP, loops, carppeer at one end, filters on the way out, no Ethernet. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Finding } from "../../src/control/messages.ts";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";

describe("doctor on the segment", () => {
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
    await a.command(..."carp0 10.0.0.1/24 vhid 1 carpdev eth0 pass sesame".split(" "));
    await a.waitForState("carp0", "MASTER");
  });
  after(() => lan.destroy());

  const findings = async (host: Host): Promise<Finding[]> => {
    const { stdout } = await host.tryCommand("doctor", "--json");
    return JSON.parse(stdout).findings;
  };
  /** Waits for a finding, `level subject: text -> todo`. */
  const finds = (host: Host, pattern: RegExp) =>
    eventually(
      async () =>
        (await findings(host)).map(
          ({ level, subject, text, todo }) => `${level} ${subject}: ${text} -> ${todo}`,
        ),
      (lines) => lines.some((line) => pattern.test(line)),
    );
  const findsNot = async (host: Host, pattern: RegExp) => {
    for (const { text, todo } of await findings(host)) assert.doesNotMatch(`${text} -> ${todo}`, pattern);
  };

  test("VRRP with the number of a vhid is an error, with another number information", async () => {
    const source = "10.0.0.9";
    const vrrp = (number: number, version: 2 | 3) =>
      forge.ipv4Frame({ source, payload: forge.vrrp({ version, number, shared: ["10.0.0.50"], source }) });
    await b.injectAll("eth0", [vrrp(51, 2), vrrp(52, 3)]);
    await finds(a, /^ok eth0: VRRP is here too, .*number 51, 52/);
    await findsNot(a, /discarded |another vhid/);
    await b.inject("eth0", vrrp(1, 3));
    await finds(a, /^error carp0 vhid 1: a VRRP router .*same MAC 00:00:5e:00:01:01 -> use another vhid/);
  });

  test("a network that sends advertisements back has a loop; the pass is not in doubt", async () => {
    await a.hairpin(true);
    await finds(a, /^error carp0: its own advertisements come back: the network has a loop/);
    await findsNot(a, /\bpass\b/);
    await a.hairpin(false);
  });

  test("carppeer at one end only is named at both; carppeer out of reach, and this host itself", async () => {
    await b.command(..."carp0 10.0.0.1/24 vhid 1 carpdev eth0 pass sesame carppeer 10.0.0.2".split(" "));
    await finds(
      b,
      /^error carp0: .*carppeer is set on this host only: multicast .* from 10\.0\.0\.2 .*-> set carppeer/,
    );
    await finds(
      a,
      /^error carp0: .*carppeer is set on the other host only: unicast .* from 10\.0\.0\.3 .*-> set carppeer/,
    );
    await b.command("carp0", "carppeer", "10.9.9.9");
    await finds(b, /^error carp0: carppeer 10\.9\.9\.9 is out of reach: there is no route to it/);
    await b.command("carp0", "carppeer", "10.0.0.3");
    await finds(b, /^error carp0: carppeer 10\.0\.0\.3 is this host itself/);
  });

  const egress = (match: string) =>
    `table netdev f { chain o { type filter hook egress device eth0 priority 0; ${match} drop; }; }`;
  const drops: readonly (readonly [title: string, host: () => Host, rules: string, finding: RegExp])[] = [
    [
      "an output chain of nftables, for a unicast peer",
      () => b,
      "table inet f { chain o { type filter hook output priority 0; meta l4proto 112 drop; }; }",
      /^error carp0: its .*advertisements.* not leave: a packet filter \(nftables, iptables: output\) drops them \(EPERM\)/,
    ],
    [
      "an egress chain of nftables, over IPv6 alone",
      () => a,
      egress("ip6 nexthdr 112"),
      /^warning carp0: its IPv6 advertisements do not leave: a filter on the way out of eth0 .*\(ENOBUFS\)/,
    ],
    [
      "an egress chain of nftables, for multicast",
      () => a,
      egress("meta l4proto 112"),
      /^error carp0: its .*advertisements.* not leave: a filter on the way out of eth0 .*\(ENOBUFS\)/,
    ],
  ];
  for (const [title, host, rules, finding] of drops)
    test(`advertisements dropped by ${title}`, async () => {
      // Behind a router: sent the kernel's own way.
      if (host() === b) {
        await b.namespace.ip(["route add 10.9.9.9 via 10.0.0.2"]);
        await b.command("carp0", "carppeer", "10.9.9.9");
      }
      if (rules.includes("ip6")) await a.command("carp0", "inet6", "fd00::1/64");
      const { exitCode, stderr } = await host().exec("nft", ["-f", "-"], { input: rules });
      assert.equal(exitCode, 0, stderr);
      await finds(host(), finding);
      await findsNot(host(), /queue is full/);
      await host().run("nft", "flush", "ruleset");
    });

  test("a carpdev that is no Ethernet device is refused as such, and found when it became one", async () => {
    await a.namespace.ip(["tuntap add name tun0 mode tun"]);
    for (const [device, why] of [
      ["lo", "no Ethernet device"],
      ["tun0", "no Ethernet device"],
      ["carp0", "a carp interface"],
      ["eth9", "no such device"],
    ])
      await eventually(
        async () => (await a.tryCommand("carp5", "carpdev", `${device}`)).stderr,
        (said) => said === `carpctl: carpdev ${device}: ${why}\n`,
      );
    await b.moveAway();
    await b.namespace.ip(["tuntap add name eth0 mode tun"]);
    await finds(b, /^error eth0: it is no Ethernet device: it cannot be a carpdev/);
  });
});
