/**
 * Predictions of `carpctl plan` tried on real hosts: a pair of firewalls with the files that were simulated, and a client
 * that notices for how long nobody answers.
 */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createNetwork, type Host } from "../hosts/index.ts";

interface Predicted {
  readonly failure: string;
  readonly host: string | null;
  readonly carpdev: string | null;
  readonly isOver: boolean;
  readonly virtualHosts: readonly {
    readonly vhid: number;
    readonly after: readonly string[];
    readonly noneSeconds: number;
  }[];
}

/** The preferred host advertises every half second, and the other one takes over after two and a quarter. */
const ADVSKEWS = { a: 128, b: 192 } as const;
const INTERVAL_MS = 500;
/** Between two pings of the client. */
const PING_MS = 50;
/**
 * A machine that is busy makes a takeover late now and then, and never early: it may be late twice. A host that takes
 * over half a second after its time is one that has not noticed by itself.
 */
const TRIES = 3;
const LATE_MS = 500;

function configure(host: Host, advskew: number): void {
  const files = {
    "hostname.carp1": `vhid 1 carpdev eth0 pass inside advbase 0 advskew ${advskew}\ninet 10.0.0.1 255.255.255.0\n`,
    "hostname.carp2": `vhid 2 carpdev eth1 pass outside advbase 0 advskew ${advskew}\ninet 10.0.1.1 255.255.255.0\n`,
    "carp/sysctl.conf": "net.inet.carp.preempt=1\n",
  };
  mkdirSync(join(host.etcDirectory, "carp"), { recursive: true });
  for (const [path, text] of Object.entries(files))
    writeFileSync(join(host.etcDirectory, path), text, { mode: 0o640 });
}

/** Firewalls a and b, a client of the inside network, and what plan says about them. */
class Pair {
  readonly a: Host;
  readonly b: Host;
  readonly client: Host;
  readonly #failures: readonly Predicted[];

  constructor(hosts: readonly [Host, Host, Host], failures: readonly Predicted[]) {
    [this.a, this.b, this.client] = hosts;
    this.#failures = failures;
  }

  predicted(failure: string, carpdev: string | null, isOver: boolean): Predicted {
    const found = this.#failures.find(
      (each) =>
        each.failure === failure && each.host !== "b" && each.carpdev === carpdev && each.isOver === isOver,
    );
    assert.ok(found, `${failure} ${carpdev}`);
    return found;
  }

  /** Waits until the masters are the predicted ones; without a failure the other host is BACKUP. */
  async becomes({ virtualHosts, isOver }: Predicted): Promise<void> {
    for (const { vhid, after } of virtualHosts)
      for (const host of [this.a, this.b])
        if (after.includes(host.name)) await host.waitForState(`carp${vhid}`, "MASTER");
        else if (isOver) await host.waitForState(`carp${vhid}`, "BACKUP");
  }

  /** Fails like that and ends it again. @returns for how long the client got no answer */
  async silentMs(
    failure: string,
    carpdev: string,
    { begin, end }: { begin(): Promise<void>; end(): Promise<void> },
  ): Promise<number> {
    const ping = this.client.startPing("10.0.0.1", { intervalMs: PING_MS });
    await ping.waitForReply();
    // It may be over before the hosts have told what they became.
    await Promise.all([ping.waitForLoss(), begin()]);
    await ping.waitForReply();
    const { longestGapMs } = await ping.stop();
    await end();
    await this.becomes(this.predicted(failure, carpdev, true));
    return longestGapMs;
  }
}

async function withPair(task: (pair: Pair) => Promise<void>): Promise<void> {
  const networks = await Promise.all([createNetwork(), createNetwork()]);
  try {
    const [inside, outside] = networks;
    const make = async (name: "a" | "b", n: number) => {
      const host = await inside.host(name, { addresses: [`10.0.0.${n}/24`] });
      await outside.attach(host, { addresses: [`10.0.1.${n}/24`] });
      configure(host, ADVSKEWS[name]);
      return host;
    };
    const [a, b, client] = await Promise.all([
      make("a", 2),
      make("b", 3),
      inside.host("client", { addresses: ["10.0.0.9/24"] }),
    ]);
    const { stdout } = await a.carpctl("plan", "--json", `a=${a.etcDirectory}`, `b=${b.etcDirectory}`);
    const pair = new Pair([a, b, client], JSON.parse(stdout).failures);
    await Promise.all([a.startEngine(), b.startEngine()]);
    await Promise.all([a.carpctl("netstart"), b.carpctl("netstart")]);
    await pair.becomes(pair.predicted("maintained", null, true));
    await task(pair);
  } finally {
    for (const network of networks) network.destroy();
  }
}

test("a firewall that loses a link, is demoted, is in maintenance and comes back: the masters are those of the plan", () =>
  withPair(async (pair) => {
    const { a } = pair;
    for (const [failure, carpdev, begin, end] of [
      ["loses", "eth1", () => a.pullCable("eth1"), () => a.plugCable("eth1")],
      ["demoted", null, () => a.carpctl("demote", "test", "1"), () => a.carpctl("promote", "test")],
      ["maintained", null, () => a.carpctl("maintenance", "on"), () => a.carpctl("maintenance", "off")],
    ] as const) {
      await begin();
      await pair.becomes(pair.predicted(failure, carpdev, false));
      await end();
      await pair.becomes(pair.predicted(failure, carpdev, true));
    }
  }));

describe("for how long nobody answers", () => {
  const cases = [
    {
      failure: "loses",
      words: "when the master loses the link",
      begin: (host: Host) => host.pullCable("eth0"),
      end: (host: Host) => host.plugCable("eth0"),
    },
    {
      failure: "split",
      words: "when the segment splits between both hosts, which are both master then",
      begin: (host: Host) => host.silence("eth0"),
      end: (host: Host) => host.unsilence("eth0"),
    },
  ];
  for (const { failure, words, begin, end } of cases)
    test(words, () =>
      withPair(async (pair) => {
        const { a } = pair;
        const fault = pair.predicted(failure, "eth0", false);
        const predictedMs = 1000 * (fault.virtualHosts.find(({ vhid }) => vhid === 1)?.noneSeconds ?? 0);
        const begun = async () => {
          await begin(a);
          await pair.becomes(fault);
        };
        const took: number[] = [];
        while (took.length < TRIES) {
          const silentMs = await pair.silentMs(failure, "eth0", { begin: begun, end: () => end(a) });
          took.push(silentMs);
          // The failure came at some time between two advertisements, and between two pings.
          assert.ok(silentMs >= predictedMs - INTERVAL_MS - PING_MS, `${silentMs} of ${predictedMs} ms`);
          if (silentMs <= predictedMs + 2 * PING_MS + LATE_MS) return;
        }
        assert.fail(`no answer for ${took.join(", ")} ms, predicted: ${predictedMs} ms`);
      }),
    );
});
