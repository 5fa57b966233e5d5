/**
 * The process that an engine lives in: one for a run directory, with its control socket, until a signal ends it or
 * starts it anew. Nothing here knows CARP or the kernel's devices.
 */

import { rmdirSync } from "node:fs";
import type { Socket } from "node:net";
import { join, resolve } from "node:path";
import { SOCKET_NAME } from "../control/client.ts";
import { bpfDirectory } from "../kernel/bpffs.ts";
import { createClock } from "../kernel/clock.ts";
import { errnoName, native } from "../kernel/native.ts";
import { notifyReady, notifyReloading, notifyStopping } from "../kernel/notify.ts";
import type { Peer } from "./authorisation.ts";
import { AlreadyRunning, ControlServer, isAnswered } from "./control-server.ts";
import { counterFloor } from "./counter-floor.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { createMethods } from "./methods.ts";
import type { Started } from "./privileged-start.ts";
import type { Keeper } from "./runner/keeper.ts";
import { StateFile } from "./saved-state.ts";
import { obstacleToSuccessor, succeed } from "./successor.ts";
import { applyVariables } from "./variables-file.ts";

/** How long an engine that met a bug may take to leave in order. */
const CRASH_STOP_MS = 2000;
const LOOK_EVERY_MS = 800;

/**
 * In a run directory that there is, with the privileges that were left.
 *
 * @returns the exit status; resolves when the engine has stopped
 */
export async function runEngine(options: EngineOptions, { keeper, failure }: Started): Promise<number> {
  const { runDir } = options;
  const complain = (text: string) => process.stderr.write(`carpctl: ${text}\n`);
  const state = new StateFile(runDir);
  let engine: Engine;
  let server: ControlServer;
  try {
    // Before anything of an engine that runs is touched.
    const path = join(runDir, SOCKET_NAME);
    if (await isAnswered(path)) throw new AlreadyRunning(path);
    const saved = await state.load();
    const known = saved !== undefined && "counterCeiling" in saved ? saved : undefined;
    const floor = counterFloor(known, createClock().now());
    engine = new Engine({ ...options, keeper }, state, floor);
    const rpc = createMethods(engine, () => native.groupId("carp"));
    server = new ControlServer({ path, rpc, identify });
    await server.listen();
  } catch (error) {
    if (error instanceof AlreadyRunning) complain(`an engine is running already (${error.message})`);
    else complain(error instanceof Error ? error.message : String(error));
    return 1;
  }
  if (failure !== undefined) engine.log(4, `the engine has more privileges than it needs: ${failure}`);
  else if (keeper === undefined && engine.scriptsAreConfined)
    engine.log(4, "no keeper runs: hooks and service checks have only the engine's privileges");
  const signals = signalled();
  process.on("SIGHUP", () => void reconsider(engine, options.etcDir));
  process.on("uncaughtException", (error) => void crash(engine, keeper, error));
  await engine.start();
  if (!(await server.isOurs())) {
    engine.release();
    await server.close();
    complain(`an engine is running already (${runDir})`);
    return 1;
  }
  keepSocket(server, engine);
  notifyReady();
  engine.log(6, `carpd ${engine.version} started`);
  for await (const signal of signals) {
    if (signal === "SIGUSR2") {
      const obstacle = await obstacleToSuccessor();
      if (obstacle !== undefined) {
        engine.log(3, `not started anew: ${obstacle}`);
        continue;
      }
      notifyReloading(Number(process.hrtime.bigint() / 1000n));
      await engine.abandon();
      await server.close();
      keeper?.handOn();
      succeed();
    }
    notifyStopping();
    if (signal === "SIGUSR1") await engine.abandon();
    else await stop(engine, keeper);
    break;
  }
  await server.close();
  await keeper?.end();
  return 0;
}

/** Nothing tells when somebody removes it. Without it nobody could give a command, and another engine would start. */
function keepSocket(server: ControlServer, engine: Engine): void {
  const look = async () => {
    if (await server.restore()) engine.log(2, "repaired: the control socket was removed");
  };
  setInterval(() => void look().catch(() => {}), LOOK_EVERY_MS).unref();
}

/** Leaves nothing behind, nor what the engine itself may not take away. */
async function stop(engine: Engine, keeper: Keeper | undefined): Promise<void> {
  await engine.stop();
  const directory = bpfDirectory(resolve(engine.runDir));
  if (!native.isBpf(directory)) return;
  const error = await keeper?.unmount();
  if (error === 0) rmdirSync(directory);
  else
    engine.log(4, `${directory} stays mounted: ${error === undefined ? "no keeper runs" : errnoName(error)}`);
}

/** A bug: better no address than one that nobody looks after. */
async function crash(engine: Engine, keeper: Keeper | undefined, error: Error): Promise<never> {
  engine.log(2, `internal error, giving up: ${error.stack ?? error.message}`);
  setTimeout(() => process.exit(70), CRASH_STOP_MS).unref();
  await stop(engine, keeper).catch(() => {});
  process.exit(70);
}

/** Those that end an engine or start it anew, from now on and in their order. */
function signalled(): AsyncIterable<NodeJS.Signals> {
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

/** What a command would have told whoever gave it. */
async function reconsider(engine: Engine, etcDir: string): Promise<void> {
  await engine.ready;
  await applyVariables(engine, etcDir);
  const evaluation = await engine.serviceStatus();
  if ("error" in evaluation) engine.log(3, evaluation.error);
  else
    for (const { name, outcome, why } of evaluation.checks)
      if (outcome === "refused") engine.log(3, `service check ${name} is not run: ${why}`);
}

function identify(socket: Socket): Peer | undefined {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd: number } };
  return handle === undefined ? undefined : native.peerCredentials(handle.fd);
}
