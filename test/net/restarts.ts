/**
 * The ways in which an engine under a service manager ends and is started again, and what each costs: probes that
 * were lost, and transitions of it and of its peer. For the tests, and for `node test/soak/restarts.ts`.
 */

import { join } from "node:path";
import type { PingReport } from "../hosts/ping.ts";
import { Supervised } from "../hosts/supervised.ts";
import { configure, IPV4, IPV6, onCarpHosts, statesEntered } from "./carp-hosts.ts";

const MAIN = join(import.meta.dirname, "../../dist/main.js");

/** In the engine, SIGWINCH throws, and SIGCONT takes all memory. */
const FAULTY = `data:text/javascript,
process.on("SIGWINCH", () => { throw new Error("a fault"); });
process.on("SIGCONT", () => { const all = []; for (;;) all.push(new Array(1e5).fill(all)); });`;

export interface Way {
  readonly name: string;
  readonly signal: NodeJS.Signals;
  /** As the supervisor prints it. */
  readonly ended: string;
}

export const WAYS: readonly Way[] = [
  { name: "SIGUSR2", signal: "SIGUSR2", ended: "exited 0" },
  { name: "SIGKILL", signal: "SIGKILL", ended: "exited -9" },
  { name: "SIGSEGV", signal: "SIGSEGV", ended: "exited -11" },
  { name: "an exception that nothing catches", signal: "SIGWINCH", ended: "exited 70" },
  { name: "no memory left", signal: "SIGCONT", ended: "exited -6" },
  { name: "standing still, killed by the watchdog", signal: "SIGSTOP", ended: "exited -9" },
];

export interface Restart {
  readonly way: Way;
  readonly ended: string;
  /** By address. */
  readonly pings: readonly PingReport[];
  /** States that the peer entered meanwhile, and those that the restarted host did. */
  readonly peer: readonly string[];
  readonly own: readonly string[];
  /** Whether the configuration is what it was. */
  readonly isConfigured: boolean;
}

/**
 * Restarts a MASTER in every way, a number of times each, while a client pings it every millisecond.
 *
 * @param through a command that executes the one behind it, for the engine and for what asks it
 */
export async function restartInEveryWay(
  { times, through = [] }: { readonly times: number; readonly through?: readonly string[] },
  tell: (restart: Restart) => void,
): Promise<void> {
  await onCarpHosts({ count: 2 }, async ({ hosts, client }) => {
    const [a, b] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
    await a.engine.stop();
    const node = [process.execPath, "--disable-sigusr1", "--max-old-space-size=96", "--import", FAULTY];
    const supervised = await Supervised.start(a, { program: [...through, ...node, MAIN] });
    const { engine } = supervised;
    await engine.request("sysctl-set", { writes: [{ name: "net.inet.carp.log", value: 7 }] });
    // A lease of 12 s, in which an engine starts anew on a busy machine too.
    await configure(a, { advbase: 4 });
    await engine.request("change", { name: "carp0", change: { state: "master" } });
    await configure(b, { advbase: 4, advskew: 50 });
    await b.waitForState("carp0", "BACKUP");
    const dump = async () => JSON.stringify(await engine.request("configuration", {}));
    const configured = await dump();
    for (const way of WAYS)
      for (let time = 0; time < times; time++) {
        const pings = [IPV4, IPV6].map((address) => client.startPing(address, { intervalMs: 1.1 }));
        for (const ping of pings) await ping.waitForReply();
        const [ownBefore, peerBefore] = [statesEntered(engine).length, statesEntered(b.engine).length];
        const ended = await supervised.restarts(() => process.kill(supervised.pid, way.signal));
        for (const ping of pings) await ping.waitForReply();
        tell({
          way,
          ended,
          pings: await Promise.all(pings.map((ping) => ping.stop())),
          peer: statesEntered(b.engine).slice(peerBefore),
          own: statesEntered(engine).slice(ownBefore),
          isConfigured: (await dump()) === configured,
        });
      }
    await engine.stop();
    await b.waitForState("carp0", "MASTER");
  });
}
