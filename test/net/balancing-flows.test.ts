/** Connections to a balanced address while one of its hosts dies: the others' are left alone, the dead one's resume. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { nodeIndex } from "../../src/protocol/load-sharing.ts";
import { createNetwork, type Host } from "../hosts/index.ts";
import { answer, type Conversation, Conversations } from "./conversations.ts";
import { balance, type Mode, vhidOf } from "./shared-load.ts";

const IPV4 = "10.0.0.1";
const IPV6 = "2001:db8::1";
const SOURCES = Array.from({ length: 18 }, (_, n) => `10.0.0.${100 + n}`);
const SOURCES6 = Array.from({ length: 18 }, (_, n) => `2001:db8::${(100 + n).toString(16)}`);
/** In seconds. A failover takes three times as long. */
const ADVBASE = 1;

interface Death {
  readonly mode: Mode;
  /** Which of the three; its node goes to the one after it. */
  readonly who: number;
  readonly how: string;
  readonly die: (host: Host) => Promise<unknown>;
}

const deaths: readonly Death[] = [
  {
    mode: "ip",
    who: 0,
    how: "is killed and cut off, and led",
    die: (host) => Promise.all([host.engine.kill("SIGKILL"), host.silence()]),
  },
  {
    mode: "ip-unicast",
    who: 1,
    how: "is killed, its kernel still there to answer",
    die: (host) => host.engine.kill("SIGKILL"),
  },
  { mode: "ip-stealth", who: 2, how: "goes down", die: (host) => host.command("carp0", "down") },
];

describe("connections to three hosts", () => {
  for (const { mode, who, how, die } of deaths)
    test(`balancing ${mode}: one ${how}; only its own are lost, and come back on its heir`, async () => {
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

        const talks = [
          { target: IPV4, sources: SOURCES, talk: new Conversations(client, IPV4, SOURCES) },
          { target: IPV6, sources: SOURCES6, talk: new Conversations(client, IPV6, SOURCES6) },
        ];
        for (const { talk } of talks) await talk.answered();
        const heir = hosts[(who + 1) % 3] as Host;
        await die(hosts[who] as Host);
        await heir.waitForState("carp0", "MASTER", vhidOf(who));
        for (const { target, sources, talk } of talks) {
          const orphans = sources.filter((source) => nodeIndex(source, target, 3) === who);
          await talk.answered(orphans, { by: heir.name });
          await talk.goesOn();
        }
        for (const { target, talk } of talks)
          for (const [source, conversation] of await talk.stop()) {
            const node = nodeIndex(source, target, 3);
            const name = hosts[node]?.name ?? "";
            const { answeredBy } = conversation;
            assert.deepEqual(answeredBy, node === who ? [name, heir.name] : [name], source);
            if (node !== who) assertNoStall(source, conversation);
          }
      } finally {
        lan.destroy();
      }
    });
});

/** A busy machine may take its time; a packet that nobody took is sent again and again until somebody takes over. */
function assertNoStall(source: string, { longestGapMs }: Conversation): void {
  assert.ok(longestGapMs < ADVBASE * 3000 * 0.6, `${source} waited ${longestGapMs} ms for an answer`);
}
