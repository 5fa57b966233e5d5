/**
 * A host under attack from its own users: MASTER of 25 interfaces, heard by another host. Measures what root, the
 * peers and the log notice. Used by a test and, for longer, by test/soak/attack.ts.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Capture, createNetwork, type Host, type Network } from "../hosts/index.ts";
import { type Attack, attack, CARP_GROUP, endAttacks } from "./attackers.ts";

export const INTERFACES = 25;

export interface Figures {
  /** Times of root's commands from start to end, program start included. */
  readonly commandsMs: readonly number[];
  /** Exit statuses of those commands other than 0, with what they said. */
  readonly failed: readonly string[];
  /** The longest time between two advertisements of one interface, in intervals. */
  readonly longestGap: number;
  readonly advertisements: number;
  readonly logLines: number;
  readonly transitions: number;
  readonly seconds: number;
  /** Share of a core that the engine took. */
  readonly cpu: number;
  readonly residentMb: number;
  /** Attackers that ended by themselves, with their output. */
  readonly ended: readonly string[];
}

export class AttackedHost {
  readonly host: Host;
  readonly #network: Network;
  readonly #advertised: Capture;

  private constructor(network: Network, host: Host, advertised: Capture) {
    this.#network = network;
    this.host = host;
    this.#advertised = advertised;
  }

  static async create(): Promise<AttackedHost> {
    const network = await createNetwork();
    const host = await network.host("a", { addresses: ["10.0.0.2/24"] });
    const peer = await network.host("b", { addresses: ["10.0.0.3/24"] });
    await startWithGroup(host);
    for (let n = 0; n < INTERFACES; n++) {
      const vhid = String(n + 1);
      const words = ["carpdev", "eth0", "vhid", vhid, "pass", "sesame", "state", "master"];
      await host.command(`carp${n}`, `10.0.0.${100 + n}/24`, ...words);
      await host.waitForState(`carp${n}`, "MASTER");
    }
    const advertised = await peer.capture("eth0", "ip proto 112");
    return new AttackedHost(network, host, advertised);
  }

  destroy(): Promise<void> {
    return Promise.resolve(this.#network.destroy());
  }

  /** Lets the attacks go on for a time while root works with an interface of its own. */
  async endure(kinds: readonly Attack[], seconds: number, show = (_line: string) => {}): Promise<Figures> {
    const { host } = this;
    const log = host.engine.log;
    const attacks = kinds.map((kind) => attack(host, kind));
    await sleep(1000);
    const begin = { frames: this.#advertised.frames.length, lines: log.length, ms: performance.now() };
    const cpu = cpuSeconds(host.engine.pid);
    const transitions = host.engine.transitions.length;
    const commandsMs: number[] = [];
    const failed: string[] = [];
    let shownMs = begin.ms;
    for (let n = 0; performance.now() - begin.ms < seconds * 1000; n++) {
      for (const words of [
        ["carp99", "description", `turn${n}`],
        ["carp99"],
        ["sysctl", "net.inet.carp.log"],
      ]) {
        const startMs = performance.now();
        const { exitCode, stderr } = await host.tryCarpctl(...words);
        commandsMs.push(performance.now() - startMs);
        if (exitCode !== 0) failed.push(`${words.join(" ")}: ${exitCode} ${stderr}`);
      }
      await sleep(100);
      if (performance.now() - shownMs > 30_000) {
        shownMs = performance.now();
        show(
          `${Math.round((shownMs - begin.ms) / 1000)} s: slowest command ${Math.round(Math.max(...commandsMs))} ms, ` +
            `${residentMb(host.engine.pid).toFixed(0)} MB resident`,
        );
      }
    }
    const elapsed = (performance.now() - begin.ms) / 1000;
    const figures = {
      commandsMs,
      failed,
      ...this.#gaps(begin.frames),
      logLines: log.length - begin.lines,
      transitions: host.engine.transitions.length - transitions,
      seconds: elapsed,
      cpu: (cpuSeconds(host.engine.pid) - cpu) / elapsed,
      residentMb: residentMb(host.engine.pid),
      ended: await ended(attacks),
    };
    await endAttacks(attacks);
    return figures;
  }

  #gaps(from: number): { longestGap: number; advertisements: number } {
    const latest = new Map<number, number>();
    let longestGap = 0;
    let advertisements = 0;
    for (const { carp, timeUs } of this.#advertised.frames.slice(from)) {
      if (carp === undefined) continue;
      advertisements++;
      const before = latest.get(carp.vhid);
      if (before !== undefined) longestGap = Math.max(longestGap, (timeUs - before) / 1e6);
      latest.set(carp.vhid, timeUs);
    }
    return { longestGap, advertisements };
  }
}

/** Starts an engine that sees a group carp. */
async function startWithGroup(host: Host): Promise<void> {
  const groups = join(host.etcDirectory, "group");
  writeFileSync(groups, `${readFileSync("/etc/group", "utf8")}carp:x:${CARP_GROUP}:\n`);
  const script = 'mount --bind "$0" /etc/group && exec "$@"';
  const through = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, groups];
  await host.startEngine({ through });
}

/** Figures as text. */
export function report(figures: Figures): string {
  const sorted = figures.commandsMs.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return [
    `${figures.seconds.toFixed(0)} s, root's commands: ${sorted.length}, failed: ${figures.failed.length}`,
    `milliseconds: median ${at(0.5)}, 99 % ${at(0.99)}, longest ${at(1)}`,
    `advertisements: ${figures.advertisements}, longest gap ${figures.longestGap.toFixed(3)} intervals`,
    `log lines per second: ${(figures.logLines / figures.seconds).toFixed(2)}, transitions: ${figures.transitions}`,
    `engine: ${(figures.cpu * 100).toFixed(1)} % of a core, ${figures.residentMb.toFixed(0)} MB resident`,
    ...figures.ended,
    ...figures.failed.slice(0, 5),
  ].join("\n");
}

async function ended(attacks: ReturnType<typeof attack>[]): Promise<string[]> {
  const none = Symbol();
  const ends = await Promise.all(attacks.map((each) => Promise.race([each.exited, sleep(10, none)])));
  return ends.flatMap((end, at) => (end === none ? [] : [`attacker ${at} ended: ${attacks[at]?.log}`]));
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  // utime and stime, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentMb(pid: number): number {
  const [, kilobytes = "0"] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}
