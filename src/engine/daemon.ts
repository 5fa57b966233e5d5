/**
 * The engine's process: one for each run directory, with its control socket, until a signal stops or restarts
 * it. Knows nothing of CARP or of the kernel's devices.
 */

import { rmdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { SOCKET_NAME } from "../control/client.ts";
import { bpfDirectory } from "../kernel/data-path/bpffs.ts";
import { nativeBpf } from "../kernel/data-path/native-bpf.ts";
import { errnoName } from "../kernel/native.ts";
import { createClock } from "../kernel/process/clock.ts";
import { nativeProcess } from "../kernel/process/native-process.ts";
import { notifyReady, notifyReloading, notifyStopping } from "../kernel/process/notify.ts";
import { AlreadyRunning, ControlSockets, isAnswered, removeUnfinished } from "./control/control-sockets.ts";
import { createMethods } from "./control/methods.ts";
import { ControlServer } from "./control/server.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import type { Started } from "./privileged-start.ts";
import { execInstalledProgram, obstacleToReExec } from "./re-exec.ts";
import type { Keeper } from "./scripts/runner/keeper.ts";
import { State } from "./state/state.ts";
import { applyVariables } from "./state/variables-file.ts";

/** Time an engine may take to stop in order after an internal error. */
const CRASH_STOP_MS = 2000;
const SOCKET_CHECK_EVERY_MS = 800;

/**
 * Runs an engine until a signal ends it. The run directory exists, and privileges have been given up.
 *
 * @returns the exit status, when the engine has stopped
 */
export async function runEngine(options: EngineOptions, { keeper, failure }: Started): Promise<number> {
  const { runDir } = options;
  const complain = (text: string) => process.stderr.write(`carpctl: ${text}\n`);
  let engine: Engine;
  let server: ControlServer;
  try {
    // Checked before a file of a running engine is touched.
    if (await isAnswered(runDir)) throw new AlreadyRunning(join(runDir, SOCKET_NAME));
    const state = await State.read(options, createClock().now());
    engine = new Engine({ ...options, keeper }, state);
    const report = (error: unknown) =>
      engine.log(3, `control: a request was not answered: ${trace(error)}`, "control");
    await removeUnfinished(runDir);
    // Again: reading the state and loading programs takes time.
    if (await isAnswered(runDir)) throw new AlreadyRunning(join(runDir, SOCKET_NAME));
    server = new ControlServer(new ControlSockets({ runDir }), {
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
  if (failure !== undefined) engine.log(4, `the engine has more privileges than it needs: ${failure}`);
  else if (keeper === undefined && engine.scriptsAreConfined)
    engine.log(4, "no keeper runs: hooks and service checks have only the engine's privileges");
  const signals = terminationSignals();
  process.on("SIGHUP", () => void reload(engine, options.etcDir));
  process.on("uncaughtException", (error) => void crash(engine, keeper, error));
  await engine.start();
  if (!server.isInPlace) {
    engine.release();
    server.close();
    complain(`an engine is running already (${runDir})`);
    return 1;
  }
  keepSocket(server, engine);
  notifyReady();
  engine.log(6, `carpd ${engine.version} started`);
  for await (const signal of signals) {
    if (signal === "SIGUSR2") {
      const obstacle = await obstacleToReExec();
      if (obstacle !== undefined) {
        engine.log(3, `not started anew: ${obstacle}`);
        continue;
      }
      notifyReloading(Number(process.hrtime.bigint() / 1000n));
      await engine.abandon();
      server.close();
      keeper?.handOn();
      execInstalledProgram();
    }
    notifyStopping();
    if (signal === "SIGUSR1") await engine.abandon();
    else await stop(engine, keeper, "remove");
    break;
  }
  server.close();
  await keeper?.end();
  return 0;
}

/**
 * Restores the control socket when it was removed, which the kernel does not report. Without it no command
 * could reach the engine, and a second engine would start.
 */
function keepSocket(server: ControlServer, engine: Engine): void {
  setInterval(() => {
    try {
      if (server.restore()) engine.log(2, "repaired: the control socket was removed");
    } catch {
      // The run directory is gone: a later check makes the socket when it is back.
    }
  }, SOCKET_CHECK_EVERY_MS).unref();
}

/** Stops the engine and removes its bpffs, which only the keeper has the privilege to unmount. */
async function stop(engine: Engine, keeper: Keeper | undefined, state: "keep" | "remove"): Promise<void> {
  await engine.stop(state);
  const directory = bpfDirectory(resolve(engine.runDir));
  if (!nativeBpf.isBpf(directory)) return;
  const error = await keeper?.unmount();
  if (error === 0) rmdirSync(directory);
  else
    engine.log(4, `${directory} stays mounted: ${error === undefined ? "no keeper runs" : errnoName(error)}`);
}

/**
 * Stops the engine after an internal error, so that no address stays with a host that no engine controls. The
 * saved state stays: the next engine starts as this one was configured.
 */
async function crash(engine: Engine, keeper: Keeper | undefined, error: unknown): Promise<never> {
  engine.log(2, `internal error, giving up: ${trace(error)}`);
  setTimeout(() => process.exit(70), CRASH_STOP_MS).unref();
  await stop(engine, keeper, "keep").catch(() => {});
  process.exit(70);
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
    knownGroup = { id: nativeProcess.groupId("carp"), untilMs: now + 1000 };
  return knownGroup.id;
}

/** Yields the signals that stop or restart the engine, from now on and in their order. */
function terminationSignals(): AsyncIterable<NodeJS.Signals> {
  const arrived: NodeJS.Signals[] = [];
  let arrival = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"] as const)
    process.on(signal, () => {
      arrived.push(signal);
      arrival.resolve();
    });
  return (async function* () {
    for (;;) {
      await arrival.promise;
      arrival = Promise.withResolvers<void>();
      yield* arrived.splice(0);
    }
  })();
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
