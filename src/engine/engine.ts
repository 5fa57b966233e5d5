/**
 * Engine: wires the core to the kernel through the loop, and saves the state that has to outlive the process.
 * Knows nothing of the process around it (its control socket, its signals).
 */

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import packageJson from "../../package.json" with { type: "json" };
import type { HostEvent, Packets } from "../control/messages.ts";
import type { MetricsAddress } from "../control/metrics-address.ts";
import type { Command } from "../core/command.ts";
import { BOOT, MAINTENANCE, SERVICES } from "../core/demotion.ts";
import type { News, Transition } from "../core/effect.ts";
import type { Event } from "../core/event.ts";
import { Host, type Outcome } from "../core/host.ts";
import type { Instant, Micros } from "../core/model.ts";
import { reasonText } from "../core/reason.ts";
import type { FailedCheck } from "../core/service-demotion.ts";
import { createLinks } from "../kernel/devices/links.ts";
import type { Carrier, Clock, DataPath, Links, Overruled, PacketCounts, Wire } from "../kernel/kernel.ts";
import { Poller } from "../kernel/polling/poller.ts";
import { createAlarms } from "../kernel/process/alarms.ts";
import { createClock } from "../kernel/process/clock.ts";
import { createLog } from "../kernel/process/syslog.ts";
import { hmacSha1 } from "../kernel/sockets/hmac.ts";
import { createWire } from "../kernel/sockets/wire.ts";
import { Commands } from "./commands.ts";
import { Feed } from "./control/feed.ts";
import { explain } from "./explanations.ts";
import { History } from "./history/history.ts";
import { LimitedLog } from "./limited-log.ts";
import { Loop } from "./loop.ts";
import { Delays } from "./metrics/delays.ts";
import type { RunnerProcess } from "./scripts/runner/runner-process.ts";
import { Scripts } from "./scripts/scripts.ts";
import type { CountedCheck, Evaluation } from "./scripts/service-checks.ts";
import { Saver } from "./state/saver.ts";
import type { State } from "./state/state.ts";

export interface EngineOptions {
  readonly runDir: string;
  readonly etcDir: string;
  /** What outlives a reboot is kept there. */
  readonly stateDir: string;
  readonly log: "syslog" | "stderr";
  /** Demote a host that boots, for so many seconds at most; undefined: do not. */
  readonly bootDemotionS?: number | undefined;
  /** Where metrics are served. */
  readonly metrics: readonly MetricsAddress[];
}

/** What an engine has from its start as root. */
export interface Privileged {
  readonly dataPath: DataPath;
  readonly runner: RunnerProcess;
}

const FORWARDING = "/proc/sys/net/ipv6/conf/all/forwarding";

/** How often the MACs of unicast peers are asked for, while there are any. */
const RESOLVE_EVERY_MS = 800;

export class Engine {
  readonly version = packageJson.version;
  /** Limits how many lines of a kind are written; without a kind the text says of which it is. */
  readonly log: (...line: Parameters<LimitedLog["line"]>) => void;
  readonly runDir: string;
  readonly startedUs: Micros;
  /** How late timers fired. */
  readonly delays = new Delays();
  readonly host: Host;
  /** Tells of changes that the kernel does not notify of. */
  readonly poller = new Poller();
  readonly feed = new Feed(() => this.now().epochUs / 1000);
  readonly history: History;
  /** Resolves when the engine knows the kernel's devices and can take commands. */
  readonly ready: Promise<void>;
  readonly #setReady: () => void;
  readonly #clock: Clock;
  readonly #wire: Wire;
  readonly #links: Links;
  readonly #dataPath: DataPath;
  readonly #loop: Loop;
  readonly #commands: Commands;
  readonly #state: State;
  readonly #saver = new Saver(() => this.#save());
  readonly #scripts: Scripts;
  readonly #followers = new Set<(transition: Transition) => void>();
  #booting: NodeJS.Timeout | undefined;
  /** Runs while there are unicast peers. */
  #resolving: NodeJS.Timeout | undefined;
  #stopping = false;
  #needsRoot: () => void = () => {};

  constructor(options: EngineOptions, { dataPath, runner }: Privileged, state: State) {
    this.runDir = options.runDir;
    const limited = new LimitedLog(createLog(options.log));
    this.log = (...line) => limited.line(...line);
    this.#state = state;
    this.#dataPath = dataPath;
    const { obstacle } = this.#dataPath;
    const balancing = obstacle === undefined ? true : `balancing needs eBPF in the kernel: ${obstacle}`;
    const { counterFloor } = state;
    this.host = new Host({ balancing, counterFloor, hmac: hmacSha1, sendsAhead: true });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#setReady = resolve;
    this.#scripts = new Scripts({
      etcDir: options.etcDir,
      environment: process.env,
      runner,
      log: (priority, text, kind) => this.log(priority, text, kind),
      polling: this.poller,
      failed: () => this.host.failedChecks,
      judge: (failed) => this.#judge(failed),
      lost: () => this.#needsRoot(),
    });
    this.follow((transition) => this.#scripts.hooks.note(transition));
    this.#clock = createClock();
    this.startedUs = this.#clock.now().us;
    this.history = new History({
      directory: options.stateDir,
      bootId: state.bootId,
      now: () => this.now(),
      complain: (text) => this.log(3, text, undefined, { event: "failure" }),
    });
    this.#wire = createWire({
      frames: (frames) => {
        for (const frame of frames) this.handle({ kind: "frame", ...frame });
      },
      repeated: (all) => this.handle({ kind: "repeated", all }),
      aheadEnded: () => this.#loop.aheadEnded(),
      stray: (device, family) => this.handle({ kind: "stray", device, family }),
      deaf: (carpdev, error) =>
        this.handle({ kind: "performed", part: { kind: "listening", carpdev }, errors: [error] }),
      rateLimited: (device, family, count) => this.handle({ kind: "rate-limited", device, family, count }),
      neighbourAdded: () => {
        this.#resolving ??= setTimeout(() => this.#resolve(), RESOLVE_EVERY_MS).unref();
      },
    });
    this.#links = createLinks({
      runDir: options.runDir,
      placed: state.document("placed-addresses"),
      settings: state.document("carpdev-settings"),
      polling: this.poller,
      events: {
        link: (link) => {
          this.#wire.mtuChanged(link.name, link.mtu);
          this.#wire.drain();
          this.handle({ kind: "link", link });
        },
        linkGone: (name) => {
          this.#wire.drain();
          this.handle({ kind: "link-gone", name });
        },
        unfit: (name, why) => this.handle({ kind: "unfit-link", name, why }),
        placed: (name, errors, harm, whileActive) => {
          const part = { kind: "device", interface: name } as const;
          this.handle({ kind: "performed", part, errors, harm, whileActive });
        },
        device: (name, index) => this.handle({ kind: "device", interface: name, index }),
        repaired: (name, what) => this.handle({ kind: "repaired", interface: name, what }),
        complaint: (text) => this.#complain(text),
      },
    });
    const { log } = this;
    const adapters = {
      clock: this.#clock,
      wire: this.#wire,
      links: this.#links,
      dataPath: this.#dataPath,
      log,
      save: () => this.#saver.soon(),
      tell: (news: News) => this.#tell(news),
      explain,
    };
    const alarms = this.delays.observing(createAlarms(this.#clock), this.#clock);
    this.#loop = new Loop(this.host, adapters, alarms);
    this.#commands = new Commands(this.host, this.#loop, {
      caughtUp: () => this.#links.caughtUp(),
      save: () => this.#save(),
      isStopping: () => this.#stopping,
    });
  }

  now(): Instant {
    return this.#clock.now();
  }

  /** Calls the follower with each transition. @returns a function that ends this */
  follow(follower: (transition: Transition) => void): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /** Has the host know all that has arrived so far: advertisements that repeat others may wait. */
  catchUp(): void {
    this.#wire.drain();
    this.#loop.run((now) => this.host.settle(now));
  }

  get dataPathObstacle(): string | undefined {
    return this.#dataPath.obstacle;
  }

  /** Whether there are hooks or service checks that this engine can no longer run. */
  get scriptsDoNotRun(): boolean {
    return this.#scripts.doNotRun;
  }

  /** Sets what to do when something needs root, which this engine has given up. */
  onNeedOfRoot(act: () => void): void {
    this.#needsRoot = act;
  }

  /** The errno name of the last packet to this unicast peer, if it found no way there. */
  unreached(peer: string): string | undefined {
    return this.#wire.unreached(peer);
  }

  /** The devices that carry the packets of another; see Links. */
  carriers(): (device: string) => readonly Carrier[] {
    return this.#links.carriers();
  }

  /** Packet statistics of the interfaces that the data path knows. */
  packets(): Packets[] {
    return this.host.interfaces().flatMap(({ name }) => {
      const counts = this.packetCounts(name);
      return counts === undefined ? [] : [{ interface: name, ...counts }];
    });
  }

  /** Packet counts of an interface that the data path knows. */
  packetCounts(name: string): PacketCounts | undefined {
    return this.#dataPath.counts(name);
  }

  /** The end of the lease that the kernel enforces; 0: none. */
  leaseUntilUs(name: string, vhid: number): Micros {
    return this.#dataPath.leaseUntilUs(name, vhid);
  }

  /** Logs that what another program removed is there again. */
  repaired(what: string): void {
    this.log(2, `repaired: ${what}`, undefined, { event: "repaired", reason: what });
    this.history.note({ kind: "complaint", text: `repaired: ${what}` });
  }

  /** What other owners have on a carpdev that may decide about its packets before the data path. */
  overruled(carpdev: string): Overruled {
    return this.#dataPath.overruled(this.host.link(carpdev)?.index ?? 0);
  }

  /** Handles an event of a kernel adapter. */
  handle(event: Event): void {
    this.#loop.handle(event);
  }

  /**
   * Carries a command out; resolves when the kernel has the change and it is saved, or at once when it is
   * refused.
   */
  command(command: Command): Promise<Outcome> {
    return this.#commands.command(command);
  }

  /** Replaces several interfaces, each as `command` would, and saves them once. See commands.ts. */
  replace(...parameters: Parameters<Commands["replace"]>): Promise<Outcome[]> {
    return this.#commands.replace(...parameters);
  }

  /**
   * Turns maintenance on or off. The file is written first: an engine that ends in between starts as asked.
   */
  async maintenance(on: boolean): Promise<Outcome> {
    const { maintenance } = this.#state;
    const before = maintenance.on;
    const failure = maintenance.remember(on);
    if (failure !== undefined) return { error: failure };
    const outcome = await this.command({ kind: "maintenance", on });
    if ("error" in outcome) maintenance.remember(before);
    return outcome;
  }

  /** Has a unit demote, or no longer. The file is written first, as for maintenance. */
  async setUnit(command: Extract<Command, { kind: "demote-unit" | "promote-unit" }>): Promise<Outcome> {
    const before = this.host.demotion.units;
    const others = before.filter(({ unit }) => unit !== command.unit);
    const after = command.kind === "demote-unit" ? [...others, command] : others;
    const failure = this.#state.units.remember(after);
    if (failure !== undefined) return { error: failure };
    const outcome = await this.command(command);
    if ("error" in outcome) this.#state.units.remember(before);
    return outcome;
  }

  /** The service checks with their last results. */
  get checks(): CountedCheck[] {
    return this.#scripts.checks.all;
  }

  /** Runs the service checks. */
  serviceStatus(): Promise<Evaluation> {
    return this.#scripts.checks.evaluate();
  }

  /** Restores the saved state over what an earlier engine left in the kernel; then commands are taken. */
  async start(): Promise<void> {
    this.history.begin(this.version, process.pid);
    this.#scripts.start();
    await this.#links.start();
    const { configuration, unusable } = this.#state;
    if (unusable !== undefined) {
      this.log(3, `saved state not used, starting without interfaces: ${unusable}`);
      await this.#state.setAside().then(
        (path) => this.log(3, `the unusable saved state is kept as ${path}`),
        () => {},
      );
    }
    if (configuration.reasons.includes(MAINTENANCE))
      this.log(4, `in maintenance: demoted by ${MAINTENANCE.by}`);
    this.#followBoot();
    await this.#links.removeLeftovers(new Set(configuration.interfaces.map((each) => each.name)));
    this.#readForwarding();
    this.#followUnreported();
    this.#saver.start();
    const leaseUntilUs = (name: string, vhid: number) => this.leaseUntilUs(name, vhid);
    this.#loop.run((now) => this.host.restore(configuration, leaseUntilUs, now));
    await this.#commands.settled();
    this.#dataPath.removeLeftovers();
    const { obstacle } = this.#dataPath;
    if (obstacle !== undefined)
      this.log(
        3,
        `no eBPF data path, so addresses fail over without leases, and there is no balancing: ${obstacle}`,
      );
    this.#setReady();
    this.#scripts.checks.look();
  }

  /**
   * Bows out of every virtual host and removes all that the engine put in the kernel.
   *
   * @param state the saved state: "remove": the next engine starts without interfaces; "keep": it starts as
   * this one was configured
   */
  async stop(state: "keep" | "remove"): Promise<void> {
    this.#stopping = true;
    // The state is saved or removed when all interfaces have left.
    this.#saver.stop();
    const leaving = this.host.interfaces().map(({ name }) => this.#commands.left(name));
    this.#loop.run((now) => this.host.shutdown(now));
    await Promise.all(leaving);
    await this.#commands.settled();
    this.#dataPath.shutdown();
    this.release();
    if (state === "remove")
      await this.#state
        .end(this.host.counterFloor, this.now())
        .catch(({ message }) =>
          this.log(
            3,
            `cannot remove the saved state: ${message}: the next engine starts as this one was configured`,
          ),
        );
    await this.history.end(state === "remove" ? "stopped" : "failed");
    await this.#scripts.finish();
  }

  /** Ends without a change in the kernel, so that the next engine adopts devices and leases. */
  async abandon(): Promise<void> {
    this.#stopping = true;
    this.#saver.stop();
    await this.#scripts.stop();
    await this.#save();
    this.release();
    await this.history.end("left");
  }

  /** Closes timers, sockets and the data path without a change in the kernel. */
  release(): void {
    this.#saver.stop();
    clearTimeout(this.#booting);
    this.#loop.stop();
    this.poller.close();
    this.#wire.shutdown();
    this.#links.close();
    this.#dataPath.close();
  }

  /** Ends the demotion of a booting host when that takes too long. */
  #followBoot(): void {
    const { endsUs } = this.#state.boot;
    if (endsUs === undefined) return;
    const seconds = Math.ceil((endsUs - this.now().us) / 1_000_000);
    this.log(
      4,
      `the host boots: demoted by ${BOOT.by} until 'carpctl booted', for ${seconds} seconds at most`,
    );
    this.#booting = setTimeout(() => {
      this.log(4, "the host boots for too long: it is no longer demoted for that, without 'carpctl booted'");
      void this.command({ kind: "promote", reason: BOOT.reason });
    }, seconds * 1000).unref();
  }

  #hasBooted(): void {
    clearTimeout(this.#booting);
    const failure = this.#state.boot.end();
    if (failure !== undefined) this.log(3, failure);
  }

  /** @returns whether the state is saved */
  async #save(): Promise<boolean> {
    this.#loop.run((at) => this.host.settle(at));
    const now = this.now();
    const errors = await this.#state.save(this.host.configuration, this.host.greatestCounter(now), now).then(
      () => [],
      (error: unknown) => [error instanceof Error ? error.message : String(error)],
    );
    this.handle({ kind: "performed", part: { kind: "saved-state" }, errors });
    return errors.length === 0;
  }

  /** Demotes the host and groups for failed service checks, or ends that. */
  async #judge(failed: readonly FailedCheck[]): Promise<{ demoted: boolean } | { error: string }> {
    // Any local user may trigger this, and each command costs a write to the disk.
    if (!this.#stopping && !isDeepStrictEqual(failed, this.host.failedChecks)) {
      const outcome = await this.command({ kind: "services", failed });
      if ("error" in outcome) return outcome;
    }
    return { demoted: this.host.demotion.reasons.some(({ reason }) => reason === SERVICES.reason) };
  }

  /**
   * Repairs and reports the changes that the kernel does not report: of forwarding and of settings, and programs that are
   * detached from a device.
   */
  #followUnreported(): void {
    this.#dataPath.watch(this.poller, (carpdevs) => void this.#repairDataPath(carpdevs));
    this.poller.watch("text", 1, () => this.#readForwarding()).add(FORWARDING);
    const { path } = this.#state;
    const saved = this.poller.watch("file", 1, () => {
      if (this.#stopping || !this.#state.takeRemoval()) return;
      saved.doubt(path);
      void this.#save().then((isSaved) => isSaved && this.repaired("the saved state was removed"));
    });
    saved.add(path);
  }

  #resolve(): void {
    const neighbours = this.#wire.neighbours();
    this.#links.resolve(neighbours, (...of) => this.#wire.resolved(...of));
    this.#resolving =
      neighbours.length > 0 ? setTimeout(() => this.#resolve(), RESOLVE_EVERY_MS).unref() : undefined;
  }

  async #repairDataPath(carpdevs: readonly number[]): Promise<void> {
    for (const { carpdev, what } of await this.#dataPath.repair(carpdevs))
      this.handle({ kind: "repaired", interface: carpdev, what });
  }

  #tell(news: News): void {
    const event = hostEventOf(news);
    this.feed.tell(event);
    this.history.note(event);
    if (news.kind === "transition") for (const follower of this.#followers) follower(news);
    if (news.kind === "demotion" && news.group === undefined && news.reason === BOOT.reason)
      this.#hasBooted();
    if (news.kind === "contested") this.#scripts.hooks.noteContest(news);
  }

  #complain(text: string): void {
    this.log(3, text, undefined, { event: "failure" });
    this.feed.tell({ kind: "complaint", text });
    this.history.note({ kind: "complaint", text });
  }

  #readForwarding(): void {
    let ipv6 = false;
    try {
      ipv6 = readFileSync(FORWARDING, "latin1").startsWith("1");
    } catch {
      // A kernel without IPv6 forwards none.
    }
    this.handle({ kind: "forwarding", ipv6 });
  }
}

/** Converts news to an event of the control protocol, where the reason of a transition is text. */
function hostEventOf(news: News): Exclude<HostEvent, { kind: "left-out" }> {
  return news.kind === "transition" ? { ...news, reason: reasonText(news.reason) } : news;
}
