/**
 * The orders of the engine: runs the scripts of a kind and reports on them. Which directories those are in, and what
 * their environment is apart from the change that a hook hears of, no order says.
 */

import type { Socket } from "node:net";
import { jsonLine } from "../../../control/framing.ts";
import { commonEnvironment, directoriesOf } from "../directories.ts";
import { KINDS, MAX_OUTPUTS_BYTES, type Result, Run, type RunnerMessage, readMessages } from "./messages.ts";
import { killGroup, runScript } from "./run-script.ts";
import { type Headed, withHead } from "./script-settings.ts";
import { scriptsIn } from "./trusted-scripts.ts";

/**
 * Takes orders until the socket is closed or what comes is no order; then kills all that it runs.
 *
 * @param from the directories, and CARP_FIRST_JOB: earlier jobs were given to a runner that died
 * @param ended is called at the end
 */
export function takeOrders(engine: Socket, from: NodeJS.ProcessEnv, ended: () => void): void {
  const firstJob = Number(from.CARP_FIRST_JOB);
  const running = new Set<number>();
  const end = () => {
    for (const pid of running) killGroup(pid);
    ended();
  };
  const report = (message: RunnerMessage) => void engine.write(jsonLine(message));
  engine.on("error", end);
  engine.on("end", end);
  readMessages(
    engine,
    Run,
    (run) => {
      const { id } = run;
      if (id < firstJob) return;
      const began = (pid: number) => {
        running.add(pid);
        report({ kind: "began", id, pid });
      };
      const gone = (pid: number) => {
        running.delete(pid);
        report({ kind: "ended", id, pid });
      };
      void results(run, from, began, gone).then((all) =>
        report({ kind: "ran", id, results: shortened(all) }),
      );
    },
    end,
  );
}

async function results(
  run: Run,
  from: NodeJS.ProcessEnv,
  began: (pid: number) => void,
  ended: (pid: number) => void,
): Promise<Result[]> {
  const { together, limitMs } = KINDS[run.kind];
  const only = run.kind === "checks" && run.only !== undefined ? new Set(run.only) : undefined;
  const found = directoriesOf(from)
    [run.kind].flatMap((directory) => scriptsIn(directory, 0, only))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const scripts = await Promise.all(found.map((script) => withHead(script, run.kind)));
  const change = run.kind === "hooks" ? run.change : {};
  const environment = { ...commonEnvironment(from), ...change };
  const result = async (script: Headed): Promise<Result> => {
    const { settings, as } = script;
    if (!isAsked(script, run)) return listed(script);
    const ownMs = settings.timeout === undefined ? limitMs : settings.timeout * 1000;
    const ran = await runScript(script, { limitMs: ownMs, as, environment, began, ended });
    return { ...ran, settings };
  };
  if (together) return Promise.all(scripts.map(result));
  const done: Result[] = [];
  for (const script of scripts) done.push(await result(script));
  return done;
}

/** Whether the order is to run the script, and not only to tell of it. */
function isAsked({ settings, refusal }: Headed, run: Run): boolean {
  if (run.kind === "hooks" || refusal !== undefined || run.only !== undefined) return true;
  return run.list === undefined && settings.every === undefined;
}

function listed({ name, file, path, settings }: Headed): Result {
  return { name, file, path, settings, outcome: "listed", output: "" };
}

/** Drops output beyond the room of one message. */
function shortened(all: readonly Result[]): Result[] {
  let room = MAX_OUTPUTS_BYTES;
  return all.map((result) => {
    const { output } = result;
    const kept = result.outcome === "passed" || output.length > room ? "" : output;
    room -= kept.length;
    return { ...result, output: kept };
  });
}
