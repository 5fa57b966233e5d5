/**
 * The engine's process: one for each run directory, with its control socket, until a signal ends it. Knows
 * nothing of CARP or of the kernel's devices.
 */

import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { SOCKET_NAME } from "../control/client.ts";
import type { Polling } from "../kernel/kernel.ts";
import { createClock } from "../kernel/process/clock.ts";
import { nativeProcess } from "../kernel/process/native-process.ts";
import {
  isSupervised,
  notifyReady,
  notifyStopping,
  notifyWatchdog,
  watchdogMs,
} from "../kernel/process/notify.ts";
import { CARP_GROUP } from "../kernel/process/privileges.ts";
import { AlreadyRunning, ControlSockets, isAnswered, removeUnfinished } from "./control/control-sockets.ts";
import { createMethods } from "./control/methods.ts";
import { ControlServer } from "./control/server.ts";
import { Engine, type EngineOptions, type Privileged } from "./engine.ts";
import type { MetricsListener } from "./metrics/listener.ts";
import { readMetrics } from "./metrics/samples.ts";
import { MetricsServer } from "./metrics/server.ts";
import type { BootFacts } from "./state/boot.ts";
import type { RunDirectoryLock } from "./state/run-directory-lock.ts";
import { State } from "./state/state.ts";
import { applyVariables } from "./state/variables-file.ts";

/** Time an engine may take to stop in order after an internal error. */
const CRASH_STOP_MS = 5000;
/** Pages that come into memory between two checks while something is done that is seldom done, or the host is attacked. */
const FAULTS_OF_WORK = 1200;
/** So many since the last time are given back. */
const FAULTS_WORTH_IT = 500;

/** Exit status after an internal error. */
const INTERNAL_ERROR = 70;
/** Exit status when only a new engine can do what needs root. */
const NEEDS_ROOT = 75;

export interface Started extends Privileged {
  readonly lock: RunDirectoryLock;
  /** Where metrics are served. */
  readonly listeners: readonly MetricsListener[];
  readonly boot: BootFacts;
  /** Failures of the start that prevented nothing, for the log. */
  readonly complaints: readonly string[];
  /** What of root could not be given up. */
  readonly failures: readonly string[];
}

/**
 * Runs an engine until a signal ends it. The run directory exists, and root has been given up.
 *
 * @returns the exit status, when the engine has stopped
 */
export async function runEngine(options: EngineOptions, started: Started): Promise<number> {
  compileWithLess();
  const { runDir } = options;
  const complain = (text: string) => process.stderr.write(`carpctl: ${text}\n`);
  let engine: Engine;
  let server: ControlServer;
  let sockets: ControlSockets;
  try {
    const state = await State.read({ ...options, boot: started.boot }, createClock().now());
    engine = new Engine(options, started, state);
    const report = (error: unknown) =>
      engine.log(3, `control: a request was not answered: ${trace(error)}`, "control");
    await removeUnfinished(runDir);
    // Again: reading the state and loading programs takes time.
    if (await isAnswered(runDir)) throw new AlreadyRunning(join(runDir, SOCKET_NAME));
    sockets = new ControlSockets({ runDir });
    server = new ControlServer(sockets, {
      rpc: createMethods(engine, carpGroup),
      identify: nativeProcess.peerCredentials,
      carpGroup,
      report,
    });
  } catch (error) {
    if (error instanceof AlreadyRunning) complain(`an engine is running already (${error.message})`);
    else complain(error instanceof Error ? error.message : String(error));
    return 1;
  }
  for (const text of started.complaints) engine.log(3, text);
  for (const text of started.failures) engine.log(4, `the engine has more privileges than it needs: ${text}`);
  const orders = new Orders();
  engine.onNeedOfRoot(() => {
    if (isSupervised()) orders.push("start-again");
    else engine.log(4, "hooks and service checks do not run until the engine is started anew");
  });
  process.on("SIGHUP", () => void reload(engine, options.etcDir));
  process.on("uncaughtException", (error) => void crash(engine, error));
  await engine.start();
  if (!server.isInPlace) {
    engine.release();
    server.close();
    complain(`an engine is running already (${runDir})`);
    return 1;
  }
  const { lock, listeners } = started;
  const metrics = listeners.length > 0 ? serveMetrics(listeners, engine) : undefined;
  keepRunDirectory(server, sockets, engine, lock);
  notifyReady();
  answerWatchdog();
  giveBackMemory(engine.poller);
  engine.log(6, `carpd ${engine.version} started`, undefined, { event: "started" });
  const order = await orders.next();
  if (order === "stop") {
    notifyStopping();
    await engine.stop("remove");
  } else {
    if (order === "start-again")
      engine.log(4, "leaving everything in place: a new engine is needed, as root");
    await engine.abandon();
  }
  server.close();
  metrics?.close();
  if (order === "stop") lock.release();
  return order === "start-again" ? NEEDS_ROOT : 0;
}

function serveMetrics(listeners: readonly MetricsListener[], engine: Engine): MetricsServer {
  return new MetricsServer(listeners, {
    read: (turn) => readMetrics(engine, turn),
    report: (error) => engine.log(3, `metrics: they cannot be read: ${trace(error)}`, "metrics"),
  });
}

/** Tells the service manager from the event loop, so that an engine that stands still is killed and started again. */
function answerWatchdog(): void {
  const everyMs = watchdogMs();
  if (everyMs === undefined) return;
  notifyWatchdog();
  setInterval(notifyWatchdog, everyMs / 4).unref();
}

/**
 * Leaves out V8's slowest compiler, TurboFan: its code and its work take 5 to 8 MB of an engine with hundreds of carp
 * interfaces, and save 3 us of an advertisement. On the command line the flag would be one that the code which Node has
 * compiled in advance does not fit.
 */
function compileWithLess(): void {
  setFlagsFromString("--no-turbofan");
}

/** Gives back the memory that only starting, configuring and other rare work needed, once that is over. */
function giveBackMemory(polling: Polling): void {
  const faults = () => process.resourceUsage().minorPageFault;
  let before = 0;
  /** Where faults are counted from; undefined: some of what was given back is still coming in again. */
  let from: number | undefined = 0;
  const watch = polling.watch("faults", 1, () => {
    const now = faults();
    const isOver = now - before < FAULTS_OF_WORK;
    before = now;
    from ??= now;
    if (isOver && now - from < FAULTS_WORTH_IT) return;
    watch.doubt(FAULTS_WORTH_IT);
    if (!isOver) return;
    nativeProcess.giveBackMemory();
    before = faults();
    from = undefined;
  });
  watch.add(FAULTS_WORTH_IT);
}

/**
 * Restores the control socket and the lock when they were removed, which the kernel does not report. Without the
 * socket no command could reach the engine.
 */
function keepRunDirectory(
  server: ControlServer,
  sockets: ControlSockets,
  engine: Engine,
  lock: RunDirectoryLock,
): void {
  const paths = [lock.path, ...sockets.paths];
  const watch = engine.poller.watch("file", paths.length, () => {
    let wereThere = false;
    try {
      wereThere = lock.keep();
      if (server.restore()) {
        wereThere = false;
        engine.repaired("the control socket was removed");
      }
    } catch {
      // The run directory is gone: a later look makes the socket when it is back.
    }
    if (!wereThere) for (const path of paths) watch.doubt(path);
  });
  for (const path of paths) watch.add(path);
}

/**
 * Ends the engine after an internal error. The saved state stays: the next engine starts as this one was configured.
 * With a service manager that starts it at once, everything is left in place and nothing is lost; without one the
 * engine bows out, so that no address stays with a host that no engine controls.
 */
async function crash(engine: Engine, error: unknown): Promise<never> {
  engine.log(2, `internal error, giving up: ${trace(error)}`, undefined, { event: "internal-error" });
  if (!isSupervised()) {
    setTimeout(() => process.exit(INTERNAL_ERROR), CRASH_STOP_MS).unref();
    await engine.stop("keep").catch(() => {});
  } else await engine.history.end("failed");
  process.exit(INTERNAL_ERROR);
}

/** An error with its stack, for the log. */
function trace(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

let knownGroup: { readonly id: number | undefined; readonly untilMs: number } | undefined;

/** The id of group `carp`, looked up at most once a second: groups come and go, and each request needs it. */
function carpGroup(): number | undefined {
  const now = performance.now();
  if (knownGroup === undefined || now >= knownGroup.untilMs)
    knownGroup = { id: nativeProcess.groupId(CARP_GROUP), untilMs: now + 1000 };
  return knownGroup.id;
}

/** stop: bow out and remove everything. leave, start-again: leave everything in place for the next engine. */
type Order = "stop" | "leave" | "start-again";

const SIGNALS = [
  ["SIGTERM", "stop"],
  ["SIGINT", "stop"],
  ["SIGUSR2", "leave"],
] as const;

/** The first order that ends the engine: by a signal, from now on, or by the engine itself. */
class Orders {
  readonly #first = Promise.withResolvers<Order>();

  constructor() {
    for (const [signal, order] of SIGNALS) process.on(signal, () => this.push(order));
  }

  push(order: Order): void {
    this.#first.resolve(order);
  }

  next(): Promise<Order> {
    return this.#first.promise;
  }
}

/** SIGHUP: reads sysctl.conf again and runs the service checks; logs what a command would print. */
async function reload(engine: Engine, etcDir: string): Promise<void> {
  await engine.ready;
  await applyVariables(engine, etcDir);
  const evaluation = await engine.serviceStatus();
  if ("error" in evaluation) engine.log(3, evaluation.error);
  else
    for (const { name, outcome, why } of evaluation.checks)
      if (outcome === "refused") engine.log(3, `service check ${name} is not run: ${why}`);
}
