/**
 * An engine that may not use eBPF: addresses fail over without leases, and balancing is refused with the
 * reason.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork, type Host } from "../hosts/index.ts";
import { advertises, assertHolder, Client, configure, IPV4, IPV6, statesEntered } from "./carp-hosts.ts";

const WITHOUT = ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin", "--"];
/** The BACKUP waits five seconds, longer than the MASTER may be late. */
const FAST = { advbase: 1, advskew: 0 };
const SLOWER = { advbase: 1, advskew: 200 };
const REASON =
  "this process may not use eBPF: it needs CAP_BPF and CAP_NET_ADMIN, which containers often withhold";

const oneLine = new RegExp(
  `^carpctl: carpnodes 1:0,2:100: balancing needs eBPF in the kernel: ${REASON}\\n$`,
);

async function onTwo(test: (a: Host, b: Host, client: Host) => Promise<void>): Promise<void> {
  const lan = await createNetwork();
  try {
    const a = await lan.host("a", { addresses: ["10.0.0.11/24", "2001:db8::11/64"] });
    const b = await lan.host("b", { addresses: ["10.0.0.12/24", "2001:db8::12/64"] });
    const client = await lan.host("client", { addresses: ["10.0.0.99/24", "2001:db8::99/64"] });
    await test(a, b, client);
  } finally {
    lan.destroy();
  }
}

const linesAboutEbpf = ({ engine }: Host) =>
  engine.log.lines.map(({ text }) => text).filter((text) => /bpf/i.test(text));

describe("an engine that may not use eBPF", () => {
  test("logs the reason once, fails over, and refuses only balancing", async () => {
    await onTwo(async (a, b, client) => {
      for (const host of [a, b]) await host.startEngine({ through: WITHOUT });
      await configure(a, FAST);
      await a.waitForState("carp0", "MASTER");
      await configure(b, SLOWER);
      await b.waitForState("carp0", "BACKUP");
      const served = await Client.start(client);

      const before = await a.carpctl("carp0");
      for (const [word, ...others] of [
        ["carpnodes 1:0,2:100", "advbase", "7"],
        ["balancing ip-unicast", "carpnodes", "1:0,2:100"],
      ] as const) {
        const refused = await a.tryCarpctl("carp0", ...word.split(" "), ...others);
        assert.equal(refused.exitCode, 1);
        assert.match(refused.stderr, oneLine);
      }
      assert.deepEqual(await a.carpctl("carp0"), before);

      const lan = await client.capture("eth0", "proto 112");
      await b.carpctl("sysctl", "net.inet.carp.preempt=1");
      await a.silence();
      await b.waitForState("carp0", "MASTER");
      await served.isServed();
      await advertises(lan, b, 2);
      await a.unsilence();
      await b.waitForState("carp0", "BACKUP");
      await served.isServed();
      await a.engine.stop();
      await b.waitForState("carp0", "MASTER");
      await served.isServed();
      await served.stop();
      await assertHolder(b, [], [IPV4, IPV6]);
      assert.deepEqual(statesEntered(a.engine), ["BACKUP", "MASTER", "INIT"]);
      for (const host of [a, b]) {
        const lines = linesAboutEbpf(host);
        assert.equal(lines.length, 1, lines.join("\n"));
        assert.match(lines[0] ?? "", new RegExp(`without leases, and there is no balancing: ${REASON}$`));
      }
    });
  });

  test("takes over from an engine that might, whose programs are still in the kernel", async () => {
    await onTwo(async (a, _b, client) => {
      await a.startEngine();
      await configure(a, FAST);
      await a.waitForState("carp0", "MASTER");
      const served = await Client.start(client);
      await a.engine.kill("SIGKILL");
      await a.startEngine({ through: WITHOUT });
      await a.waitForState("carp0", "MASTER");
      const wire = await client.capture("eth0", "proto 112");
      await advertises(wire, a, 2);
      await served.isServed();
      await served.stop();
      await a.engine.stop();
    });
  });
});
