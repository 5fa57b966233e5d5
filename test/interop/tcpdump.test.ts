/** tcpdump, an independent decoder, reads our advertisements: every field, in either family. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";

describe("tcpdump decodes our advertisements", () => {
  let lan: Network;
  let a: Host;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] });
    await a.startEngine();
  });
  after(() => lan.destroy());

  /** Lines of tcpdump, advertisements being two lines each with -v. */
  async function decoded(filter: string, words: readonly string[], line: RegExp): Promise<RegExpExecArray> {
    const options = [
      "-i",
      "eth0",
      "-n",
      "-l",
      "--immediate-mode",
      "-Z",
      "root",
      "-T",
      "carp",
      ...words,
      filter,
    ];
    const tcpdump = a.spawn("tcpdump", options);
    try {
      const { text } = await tcpdump.log.waitFor(line);
      return line.exec(text) as RegExpExecArray;
    } finally {
      tcpdump.kill("SIGTERM");
      await tcpdump.exited;
    }
  }

  const share = (...words: string[]) =>
    a.carpctl(
      ...["carp0", "10.0.0.1/24", "inet6", "2001:db8::1", "carpdev", "eth0", "vhid", "9", "pass", "secret"],
      ...words,
    );

  test("vhid, advbase, advskew, authlen and a counter that grows", async () => {
    await share("advbase", "0", "advskew", "50");
    await a.waitForState("carp0", "MASTER");
    const line =
      /10\.0\.0\.2 > 224\.0\.0\.18: CARPv2-advertise 36: vhid=9 advbase=0 advskew=50 authlen=7 counter=(\d+)$/;
    const [, first = ""] = await decoded("ip proto 112", [], line);
    const [, second = ""] = await decoded("ip proto 112", [], line);
    assert.ok(BigInt(second) > BigInt(first));

    // tcpdump does not print the demote byte; that it reports no error has to do.
    const wire = await a.capture("eth0", "ip proto 112");
    await a.carpctl("-g", "carp", "carpdemote", "5");
    const from = wire.frames.length;
    await wire.waitFor(({ carp }) => carp?.demote === 5, { from });
    await decoded("ip proto 112", [], line);
    await wire.stop();
    await a.carpctl("-g", "carp", "-carpdemote", "5");
  });

  test("the IPv4 header around it, its checksum right", async () => {
    const line =
      /\(tos 0x10, ttl 255, id \d+, offset 0, flags \[DF\], proto (?:carp|VRRP|112|unknown) \((\d+)\), length (\d+)(.*)\)/;
    const [, protocol, length, more] = await decoded("ip proto 112", ["-v"], line);
    assert.deepEqual([protocol, length, more], ["112", "56", ""]);
  });

  test("the IPv6 header around it", async () => {
    const line =
      /^.*2001:db8::2 > ff02::12: CARPv2-advertise 36: vhid=9 advbase=0 advskew=50 authlen=7 counter=\d+$/;
    const [text] = await decoded("ip6 proto 112", ["-v"], line);
    assert.match(text, /hlim 255/);
    assert.match(text, /class 0x10/);
    assert.match(text, /next-header (?:carp|VRRP|unknown) \(112\) payload length: 36/);
  });

  test("the bow-out", async () => {
    const goodbye = decoded("ip proto 112", [], /vhid=9 advbase=255 advskew=255 authlen=7 counter=\d+$/);
    const capture = await a.capture("eth0", "ip proto 112");
    await capture.waitFor(() => true);
    await a.carpctl("carp0", "down");
    await goodbye;
    await capture.stop();
  });
});
