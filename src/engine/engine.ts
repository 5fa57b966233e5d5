/**
 * The engine: wires the core to the kernel, and keeps what has to outlive it. One event, one path: into the core with
 * the time, the effects out to the performer. Of the process around it (its socket, its signals) it knows nothing.
 */

import { readFileSync } from "node:fs";
import packageJson from "../../package.json" with { type: "json" };
import type { Packets } from "../control/messages.ts";
import type { Command } from "../core/configuration.ts";
import { MAINTENANCE, SERVICES } from "../core/demotion.ts";
import type { Transition } from "../core/effect.ts";
import type { Event, Instant } from "../core/event.ts";
import { Host, type HostConfiguration, type Outcome } from "../core/host.ts";
import type { NamedDemotion } from "../core/view.ts";
import { createClock } from "../kernel/clock.ts";
import { createDataPath } from "../kernel/data-path.ts";
import type { Clock, DataPath, Links, Wire } from "../kernel/kernel.ts";
import { createLinks } from "../kernel/links.ts";
import { createLog, type Log } from "../kernel/syslog.ts";
import { createWire } from "../kernel/wire.ts";
import { areAhead, countersNow } from "./counter-floor.ts";
import { Feed } from "./feed.ts";
import { Maintenance } from "./maintenance.ts";
import { Performer } from "./performer.ts";
import type { Keeper } from "./runner/keeper.ts";
import type { StateFile } from "./saved-state.ts";
import { Scripts } from "./scripts.ts";
import type { Evaluation } from "./service-status.ts";
import { Timers } from "./timers.ts";

export interface EngineOptions {
  readonly runDir: string;
  readonly etcDir: string;
  readonly log: "syslog" | "stderr";
  readonly keeper?: Keeper | undefined;
}

/** What is saved covers the counters of the time to come, so that it need not be saved with every advertisement. */
const COUNTER_RESERVE_US = 3_600_000_000n;
const SAVE_EVERY_MS = 1_200_000;
/** Nothing tells when somebody makes this host a router, changes a setting or takes our programs off a device. */
const LOOK_EVERY_MS = 800;

const NOTHING: HostConfiguration = { interfaces: [], sysctl: [] };

export class Engine {
  readonly version = packageJson.version;
  readonly log: Log;
  readonly runDir: string;
  readonly host: Host;
  readonly feed = new Feed(() => this.now().epochUs / 1000);
  /** Resolves when the engine knows the kernel's devices and can take commands. */
  readonly ready: Promise<void>;
  readonly #setReady: () => void;
  readonly #clock: Clock;
  readonly #wire: Wire;
  readonly #links: Links;
  readonly #dataPath: DataPath;
  readonly #timers: Timers;
  readonly #performer: Performer;
  readonly #state: StateFile;
  readonly #maintenance: Maintenance;
  readonly #scripts: Scripts;
  readonly #followers = new Set<(transition: Transition) => void>();
  #stopping = false;

  constructor(options: EngineOptions, state: StateFile, counterFloor: bigint) {
    this.runDir = options.runDir;
    this.log = createLog(options.log);
    const { keeper } = options;
    this.#dataPath = createDataPath({
      runDir: options.runDir,
      complain: (text) => this.#complain(text),
      ...(keeper && { remount: () => void keeper.mount().then(() => this.#lookAround()) }),
    });
    const { obstacle } = this.#dataPath;
    const balancing = obstacle === undefined ? true : `balancing needs eBPF in the kernel: ${obstacle}`;
    this.host = new Host({ balancing, counterFloor });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#setReady = resolve;
    this.#state = state;
    this.#maintenance = new Maintenance(options.etcDir);
    this.#scripts = new Scripts({
      ...options,
      environment: process.env,
      log: (priority, text) => this.log(priority, text),
      judge: (failed) => this.#judge(failed),
    });
    this.follow((transition) => this.#scripts.hooks.note(transition));
    this.#clock = createClock();
    this.#timers = new Timers(
      () => this.#clock.now().us,
      (timer) => {
        // An engine that was late must hear everything that has arrived before it declares a master down. Its own
        // advertisements wait for nothing that somebody else has sent.
        if (timer.endsWith("/master-down")) this.#wire.drain();
        if (this.#timers.take(timer)) this.handle({ kind: "timer", timer });
      },
    );
    this.#wire = createWire({
      frames: (frames) => {
        for (const frame of frames) this.handle({ kind: "frame", ...frame });
      },
      stray: (device, family) => this.handle({ kind: "stray", device, family }),
      unexamined: (device, family, count) => this.handle({ kind: "unexamined", device, family, count }),
    });
    this.#links = createLinks({
      runDir: options.runDir,
      events: {
        link: (link) => {
          this.#wire.mtuChanged(link.name, link.mtu);
          this.handle({ kind: "link", link });
        },
        linkGone: (name) => this.handle({ kind: "link-gone", name }),
        device: (name, index) => this.handle({ kind: "device", interface: name, index }),
        repaired: (name, what) => this.handle({ kind: "repaired", interface: name, what }),
        complaint: (text) => this.#complain(text),
      },
    });
    const { log } = this;
    this.#performer = new Performer(
      {
        clock: this.#clock,
        wire: this.#wire,
        links: this.#links,
        dataPath: this.#dataPath,
        timers: this.#timers,
        log,
        // One that stops saves what it has to when all has been said.
        save: () => void (this.#stopping || this.save()),
        tell: (news) => {
          this.feed.tell(news);
          if (news.kind === "transition") for (const follower of this.#followers) follower(news);
        },
      },
      (event) => this.handle(event),
    );
  }

  now(): Instant {
    return this.#clock.now();
  }

  /** @returns a function that ends it */
  follow(follower: (transition: Transition) => void): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  get dataPathObstacle(): string | undefined {
    return this.#dataPath.obstacle;
  }

  get scriptsAreConfined(): boolean {
    return this.#scripts.areConfined;
  }

  /** Of the interfaces that the data path knows. */
  packets(): Packets[] {
    return this.host.interfaces().flatMap(({ name }) => {
      const counts = this.#dataPath.counts(name);
      return counts === undefined ? [] : [{ interface: name, ...counts }];
    });
  }

  handle(event: Event): void {
    this.#performer.perform(this.host.handle(event, this.now()));
  }

  /** Carries a command out; resolves when the kernel has it so and it is saved, or at once when it is refused. */
  async command(command: Command): Promise<Outcome> {
    if (this.#stopping) return { error: "the engine is stopping" };
    const outcome = this.host.command(command, this.now());
    if ("error" in outcome) return outcome;
    const { name } = outcome;
    this.#performer.perform(outcome.effects);
    const saved = this.save();
    if (name !== undefined) {
      if (this.host.isLeaving(name)) await this.#performer.left(name);
      await this.#performer.settled(name);
    }
    await saved;
    return outcome;
  }

  /** Remembered before it is done: an engine that ends in between starts with what was asked for. */
  async maintenance(on: boolean): Promise<Outcome> {
    const before = this.#maintenance.on;
    const failure = this.#maintenance.remember(on);
    if (failure !== undefined) return { error: failure };
    const outcome = await this.command({ kind: "maintenance", on });
    if ("error" in outcome) this.#maintenance.remember(before);
    return outcome;
  }

  serviceStatus(): Promise<Evaluation> {
    return this.#scripts.checks.evaluate();
  }

  async start(): Promise<void> {
    this.#scripts.start();
    await this.#links.start();
    const saved = await this.#state.load();
    const configuration = saved !== undefined && "configuration" in saved ? saved.configuration : undefined;
    if (saved !== undefined && "unusable" in saved) {
      this.log(3, `saved state not used, starting without interfaces: ${saved.unusable}`);
      await this.#state.setAside().then(
        (path) => this.log(3, `it is kept as ${path}`),
        () => {},
      );
    }
    await this.#links.removeLeftovers(new Set(configuration?.interfaces.map((each) => each.name)));
    this.#lookAtForwarding();
    const remembered = { ...(configuration ?? NOTHING), reasons: this.#reasons(configuration) };
    setInterval(() => this.#lookAround(), LOOK_EVERY_MS).unref();
    setInterval(() => void this.save(), SAVE_EVERY_MS).unref();
    const leaseUntilUs = (name: string, vhid: number) => this.#dataPath.leaseUntilUs(name, vhid);
    this.#performer.perform(this.host.restore(remembered, leaseUntilUs, this.now()));
    await this.#performer.settled();
    this.#dataPath.removeLeftovers();
    const { obstacle } = this.#dataPath;
    if (obstacle !== undefined)
      this.log(
        3,
        `no eBPF data path, so addresses fail over without leases, and there is no balancing: ${obstacle}`,
      );
    this.#setReady();
  }

  /** Bows out of everything and leaves nothing behind. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const leaving = this.host
      .interfaces()
      .map(({ name }) => name)
      .map((name) => this.#performer.left(name));
    this.#performer.perform(this.host.shutdown(this.now()));
    await Promise.all(leaving);
    await this.#performer.settled();
    this.#dataPath.shutdown();
    this.release();
    // Counters that are ahead of the clock are all that the next engine cannot find out by itself.
    if (areAhead(this.host.counterFloor, this.now())) await this.#save(NOTHING);
    else await this.#state.remove();
    await this.#scripts.finish();
  }

  /** Lets go of everything and leaves it as it is, for the engine that comes next. */
  async abandon(): Promise<void> {
    this.#stopping = true;
    await this.#scripts.stop();
    await this.save();
    this.release();
  }

  save(): Promise<void> {
    return this.#save(this.host.configuration);
  }

  async #save(configuration: HostConfiguration): Promise<void> {
    try {
      const now = this.now();
      const counters = countersNow(this.host.greatestCounter(now), now);
      const counterCeiling = counters.upTo + COUNTER_RESERVE_US;
      await this.#state.save({ configuration, counters, counterCeiling });
    } catch (error) {
      this.log(3, `cannot save the state: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Lets go of the kernel without changing anything in it. */
  release(): void {
    this.#timers.cancelAll();
    this.#wire.shutdown();
    this.#links.close();
    this.#dataPath.close();
  }

  /** Of maintenance the file alone knows, which somebody may have removed meanwhile. */
  #reasons(configuration: HostConfiguration | undefined): NamedDemotion[] {
    const saved = (configuration?.reasons ?? []).filter(({ reason }) => reason !== MAINTENANCE.reason);
    if (!this.#maintenance.on) return saved;
    this.log(4, `in maintenance: demoted by ${MAINTENANCE.by}`);
    return [...saved, MAINTENANCE];
  }

  async #judge(failed: readonly string[] | undefined): Promise<{ demoted: boolean } | { error: string }> {
    const demoted = this.host.demotion.reasons.some(({ reason }) => reason === SERVICES.reason);
    const wanted = failed === undefined ? demoted : failed.length > 0;
    // Anybody may ask, and what is saved costs a write to the disk.
    if (demoted === wanted) return { demoted };
    const outcome = await this.command({ kind: "services", failed: failed ?? [] });
    return "error" in outcome ? outcome : { demoted: wanted };
  }

  #lookAround(): void {
    this.#links.look();
    for (const { carpdev, what } of this.#dataPath.repair())
      this.handle({ kind: "repaired", interface: carpdev, what });
    this.#lookAtForwarding();
    if (this.#stopping || !this.#state.takeRemoval()) return;
    this.log(2, "repaired: what is saved for the next engine was removed");
    void this.save();
  }

  #complain(text: string): void {
    this.log(3, text);
    this.feed.tell({ kind: "complaint", text });
  }

  #lookAtForwarding(): void {
    let ipv6 = false;
    try {
      ipv6 = readFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "latin1").startsWith("1");
    } catch {
      // A kernel without IPv6 forwards none.
    }
    this.handle({ kind: "forwarding", ipv6 });
  }
}
