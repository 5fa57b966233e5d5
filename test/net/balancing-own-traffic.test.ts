/**
 * Traffic that a balanced host begins: answers to its own address arrive, those to the shared one may go
 * elsewhere.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createNetwork, type Host } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { balance } from "./shared-load.ts";

const IPV4 = "10.0.0.1";
const IPV6 = "2001:db8::1";
const PEERS = Array.from({ length: 6 }, (_, n) => `10.0.0.${100 + n}`);
const PEERS6 = Array.from({ length: 6 }, (_, n) => `2001:db8::${(100 + n).toString(16)}`);

test("answers to the shared address are divided by the hash like other packets", async () => {
  const lan = await createNetwork();
  try {
    const hosts = await Promise.all(
      ["a", "b"].map((name, n) =>
        lan.host(name, { addresses: [`10.0.0.${2 + n}/24`, `2001:db8::${2 + n}/64`] }),
      ),
    );
    const [a, b] = hosts as [Host, Host];
    const peer = await lan.host("peer", {
      addresses: [...PEERS.map((each) => `${each}/24`), ...PEERS6.map((each) => `${each}/64`)],
    });
    await Promise.all(hosts.map((host) => host.startEngine()));
    await balance(hosts, { addresses: [`${IPV4}/24`, `${IPV6}/64`], mode: "ip" });

    const sources = await peer.capture("eth0", "icmp[0] == 8 or (icmp6 and ip6[40] == 128)");
    const answered = async (from: Host, to: string, ...options: string[]) =>
      (await from.exec("ping", ["-n", "-c", "1", ...options, to])).exitCode === 0;
    const all = [...PEERS.map((to) => [to, IPV4] as const), ...PEERS6.map((to) => [to, IPV6] as const)];
    for (const [to] of all) assert.ok(await answered(a, to, "-W", "10"), to);
    const own = (await sources.stop()).map(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)?.source);
    assert.deepEqual([...new Set(own)].sort(), ["10.0.0.2", "2001:db8::2"], "unasked it takes its own");

    await Promise.all(
      all.map(async ([to, shared]) => {
        const isOurs = nodeIndex(to, shared, 2) === 0;
        assert.equal(await answered(a, to, "-I", shared, "-W", isOurs ? "10" : "2"), isOurs, `a, ${to}`);
        assert.equal(await answered(b, to, "-I", shared, "-W", isOurs ? "2" : "10"), !isOurs, `b, ${to}`);
      }),
    );
  } finally {
    lan.destroy();
  }
});
