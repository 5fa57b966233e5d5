/**
 * The engine behind the control socket as fuzz targets see it: a real core and a real server, with identities that
 * the target gives its connections. It asserts of each command that its caller may give it, by rules written down
 * anew here.
 */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { SOCKET_NAME } from "../../../src/control/client.ts";
import type { Command } from "../../../src/core/command.ts";
import type { Outcome } from "../../../src/core/host.ts";
import type { Peer } from "../../../src/engine/control/authorisation.ts";
import { ControlSockets } from "../../../src/engine/control/control-sockets.ts";
import { Feed } from "../../../src/engine/control/feed.ts";
import { createMethods } from "../../../src/engine/control/methods.ts";
import { ControlServer } from "../../../src/engine/control/server.ts";
import { History } from "../../../src/engine/history/history.ts";
import { Delays } from "../../../src/engine/metrics/delays.ts";
import { StateFile } from "../../../src/engine/state/saved-state.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { link, PLAIN, SECOND, Station, World } from "../../unit/core/driver.ts";
import { assertWithinBounds } from "./bounds.ts";

const GROUP = 999;
export const ROOT: Peer = { uid: 0, gid: 0, groups: [] };
/** Of group carp as a supplementary group. */
export const MEMBER: Peer = { uid: 1000, gid: 1000, groups: [GROUP] };
/** Of group carp as the first group. */
export const GROUPED: Peer = { uid: 1001, gid: GROUP, groups: [] };
export const OTHER: Peer = { uid: 65534, gid: 65534, groups: [] };

export const ROOT_VARIABLES: readonly string[] = [
  "net.inet.carp.allow",
  "net.inet.carp.log",
  "net.inet.carp.strict_replay",
  "net.inet.carp.signed_header",
];

/** In no message and in no corpus: a reply that holds it has it from the engine. */
export const PASS = "only root's to know";

const WHOLE = { depth: Number.POSITIVE_INFINITY, maxArrayLength: null, maxStringLength: null } as const;

export class ControlledEngine {
  readonly path: string;
  readonly runDir: string;
  readonly feed = new Feed(() => 0);
  /** Lines of the log and errors of requests: there must be none. */
  readonly complaints: string[] = [];
  station = station();
  readonly #server: ControlServer;
  readonly #caller = new AsyncLocalStorage<Peer>();
  readonly #unhandled = (error: unknown) => this.complaints.push(`unhandled: ${inspect(error)}`);

  /** @param identify the user of each connection, in the order in which they come */
  constructor(identify: () => Peer | undefined) {
    this.runDir = makeDirectory("control");
    this.path = join(this.runDir, SOCKET_NAME);
    const engine = this;
    const rpc = createMethods(
      {
        version: "0",
        get host() {
          return engine.station.host;
        },
        ready: Promise.resolve(),
        catchUp: () => {},
        now: () => this.station.now,
        command: async (command) => {
          this.#assertMay(command);
          // As long as the engine's queue may hold a command up: another connection's comes in between.
          await turn();
          return this.station.command(command);
        },
        replace: async (replacements, turn) => {
          const outcomes: Outcome[] = [];
          for (const each of replacements) {
            this.#assertMay(each);
            await turn();
            outcomes.push(this.station.command(each));
          }
          return outcomes;
        },
        startedUs: 0,
        delays: new Delays(),
        packetCounts: () => undefined,
        leaseUntilUs: () => 0,
        packets: () => [],
        overruled: () => ({ before: [], xdp: 0 }),
        carriers: () => () => [],
        feed: this.feed,
        history: new History({
          directory: this.runDir,
          bootId: "",
          now: () => this.station.now,
          complain: (text) => this.complaints.push(text),
        }),
        dataPathObstacle: undefined,
        scriptsDoNotRun: false,
        unreached: () => undefined,
        runDir: this.runDir,
        setUnit: async (command) => {
          this.#assertMay(command);
          return this.station.command(command);
        },
        maintenance: async () => {
          this.#assertMay(undefined);
          return { effects: [] };
        },
        serviceStatus: async () => ({ error: "no checks here" }),
        checks: [],
        log: (priority, text) => {
          assert.ok(!text.includes(PASS), "a secret is logged");
          // Changes are logged with who made them.
          if (priority !== 5) this.complaints.push(text);
        },
      },
      () => GROUP,
    );
    const receive = rpc.receive.bind(rpc) as (...parameters: unknown[]) => unknown;
    rpc.receive = ((request: unknown, caller: { readonly peer: Peer }) =>
      this.#caller.run(caller.peer, () => receive(request, caller))) as typeof rpc.receive;
    this.#server = new ControlServer(new ControlSockets({ runDir: this.runDir }), {
      rpc,
      identify,
      carpGroup: () => GROUP,
      othersShare: 1,
      report: (error) => this.complaints.push(inspect(error)),
    });
    process.on("unhandledRejection", this.#unhandled);
  }

  close(): void {
    process.off("unhandledRejection", this.#unhandled);
    this.#server.close();
    removeDirectory(this.runDir);
  }

  /** All that a command can change. */
  everything(): string {
    const { host } = this.station;
    return inspect([host.configuration, host.interfaces(), host.demotion], WHOLE);
  }

  /** The addresses of interfaces with a pass. */
  protectedAddresses(): Set<string> {
    const { interfaces } = this.station.host.configuration;
    const own = interfaces.filter(({ pass }) => pass !== "");
    return new Set(own.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
  }

  assertQuiet(): void {
    assert.deepEqual(this.complaints.splice(0), []);
  }

  /** What was configured is within bounds, runs, and another engine begins with it; then all is as at first. */
  async survivesAndBeginsAnew(): Promise<void> {
    const { host, now, world } = this.station;
    assertWithinBounds(host.configuration);
    world.run(5 * SECOND);
    const { configuration } = host;
    const file = new StateFile(this.runDir);
    await file.save({ configuration, counters: { upTo: host.counterFloor, atUs: now.us } });
    const loaded = await file.load();
    assert.ok(loaded !== undefined && "configuration" in loaded, inspect(loaded));
    const next = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    // The clock is the host's and goes on.
    next.world.run(5 * SECOND);
    next.host.restore(loaded.configuration, () => 0, next.now);
    assert.deepEqual(next.host.configuration, configuration);
    this.station = station();
  }

  /** @param command undefined: maintenance */
  #assertMay(command: Command | undefined): void {
    const peer = this.#caller.getStore();
    assert.ok(peer !== undefined, "a command of no caller");
    if (peer.uid === 0) return;
    const what = `user ${peer.uid}: ${inspect(command)}`;
    assert.ok(peer.gid === GROUP || peer.groups.includes(GROUP), what);
    if (command === undefined) return;
    assert.notEqual(command.kind, "replace", what);
    if (command.kind === "change") assert.equal(command.change.pass, undefined, what);
    if (command.kind === "set-sysctl")
      for (const { name } of command.writes) assert.ok(!ROOT_VARIABLES.includes(name), what);
  }
}

function station(): Station {
  const made = new Station(new World(), { links: [link("eth0"), link("eth1")] });
  made.set("carp0", { ...PLAIN, pass: PASS });
  return made;
}
