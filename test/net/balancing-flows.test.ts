/**
 * Connections to a balanced address while one of its hosts fails: the others' go on, its own resume on
 * another host.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNetwork, type Host } from "../hosts/index.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { answer, Conversations } from "./conversations.ts";
import { balance, type Mode, vhidOf } from "./shared-load.ts";

const IPV4 = "10.0.0.1";
const IPV6 = "2001:db8::1";
const SOURCES = Array.from({ length: 18 }, (_, n) => `10.0.0.${100 + n}`);
const SOURCES6 = Array.from({ length: 18 }, (_, n) => `2001:db8::${(100 + n).toString(16)}`);
/** A failover takes three times as many seconds, so that connections of the others can go on before it. */
const ADVBASE = 3;

interface Failure {
  readonly mode: Mode;
  /** Which of the three hosts; its node goes to the one after it. */
  readonly failing: number;
  readonly title: string;
  readonly fail: (host: Host) => Promise<unknown>;
  /** The heir takes over at once. */
  readonly bowsOut: boolean;
}

const failures: readonly Failure[] = [
  {
    mode: "ip",
    failing: 0,
    title: "the leader is killed and cut off",
    fail: (host) => Promise.all([host.engine.kill("SIGKILL"), host.silence()]),
    bowsOut: false,
  },
  {
    mode: "ip-unicast",
    failing: 1,
    title: "a host's engine is killed, and its kernel could still answer",
    fail: (host) => host.engine.kill("SIGKILL"),
    bowsOut: false,
  },
  {
    mode: "ip-stealth",
    failing: 2,
    title: "a host goes down",
    fail: (host) => host.command("carp0", "down"),
    bowsOut: true,
  },
];

describe("connections to three hosts", () => {
  for (const { mode, failing, title, fail, bowsOut } of failures)
    test(`balancing ${mode}: ${title}; only its connections are lost, and resume on its heir`, async () => {
      const lan = await createNetwork();
      try {
        await lan.flood();
        const hosts = await Promise.all(
          ["a", "b", "c"].map((name, n) =>
            lan.host(name, { addresses: [`10.0.0.${2 + n}/24`, `2001:db8::${2 + n}/64`] }),
          ),
        );
        const addresses = [...SOURCES.map((each) => `${each}/24`), ...SOURCES6.map((each) => `${each}/64`)];
        const client = await lan.host("client", { addresses });
        await Promise.all(hosts.flatMap((host) => [host.startEngine(), answer(host)]));
        await balance(hosts, { addresses: [`${IPV4}/24`, `${IPV6}/64`], mode, advbase: ADVBASE });

        const groups = [true, false].flatMap((lost) =>
          [
            { target: IPV4, all: SOURCES },
            { target: IPV6, all: SOURCES6 },
          ].map(({ target, all }) => {
            const sources = all.filter((each) => (nodeIndex(each, target, 3) === failing) === lost);
            return { target, lost, talk: new Conversations(client, target, sources) };
          }),
        );
        const lost = groups.filter((group) => group.lost);
        const kept = groups.filter((group) => !group.lost);
        for (const { talk } of groups) await talk.answered();
        const heir = hosts[(failing + 1) % 3] as Host;
        await fail(hosts[failing] as Host);
        for (const { talk } of kept) await talk.goesOn();
        if (!bowsOut) assert.equal(await heir.engine.state("carp0", vhidOf(failing)), "BACKUP");
        await heir.waitForState("carp0", "MASTER", vhidOf(failing));
        for (const { talk } of lost) await talk.answered(undefined, { by: heir.name });
        for (const { talk } of groups) await talk.goesOn();
        for (const { target, lost, talk } of groups)
          for (const [source, { answeredBy }] of await talk.stop()) {
            const name = hosts[nodeIndex(source, target, 3)]?.name ?? "";
            assert.deepEqual(answeredBy, lost ? [name, heir.name] : [name], source);
          }
      } finally {
        lan.destroy();
      }
    });
});
