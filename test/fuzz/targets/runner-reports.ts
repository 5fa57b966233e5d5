/**
 * The engine's end of the runner, with any bytes from the runner and from the shell that starts it: every job is
 * settled, with the results that were reported on it or the reason why there are none; no process is killed; the log is
 * bounded.
 *
 * An input is a list of steps, one a line: `>` and `.` are the runner's bytes, `s` the shell's, with and without a
 * line's end; `j` gives a job.
 */

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { RunnerMessage } from "../../../src/engine/scripts/runner/messages.ts";
import { type Job, type Ran, Runner } from "../../../src/engine/scripts/runner/runner.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import type { Target, Trial } from "../target.ts";
import { inTime, until } from "./in-time.ts";
import { withOneChanged } from "./leaves.ts";
import { socketPair } from "./socket-pair.ts";

const MOST_STEPS = 64;

const HOOKS: Job = {
  kind: "hooks",
  change: {
    CARP_INTERFACE: "carp0",
    CARP_VHID: "1",
    CARP_EVENT: "transition",
    CARP_STATE: "MASTER",
    CARP_PREVIOUS_STATE: "BACKUP",
    CARP_ADDRESSES: "",
  },
};

/** Nothing may be killed for real: the pids are made up. */
class Kills {
  readonly #kill = process.kill;
  readonly all: number[] = [];

  begin(): void {
    process.kill = (pid) => {
      this.all.push(pid);
      throw Object.assign(new Error("not for real"), { code: "ESRCH" });
    };
  }

  end(): void {
    process.kill = this.#kill;
  }
}

function open(): Trial {
  const directory = makeDirectory("reports");
  const kills = new Kills();
  kills.begin();

  async function feed(input: Uint8Array): Promise<void> {
    const steps = Buffer.from(input).toString("latin1").split("\n").slice(0, MOST_STEPS);
    const [socket, runnerEnd] = await socketPair(directory);
    const [shell, shellEnd] = await socketPair(directory);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const logged: string[] = [];
    let losses = 0;
    const runner = new Runner({
      log: (_priority, text) => logged.push(text),
      process: { socket, shell, ended },
      lost: () => losses++,
    });
    const jobs: Promise<Ran>[] = [];
    const said: string[] = [];
    const sent = { runner: 0, shell: 0 };
    const say = (text: string) => {
      const bytes = Buffer.from(text, "latin1");
      said.push(text);
      sent.runner += bytes.length;
      runnerEnd.write(bytes);
    };
    for (const each of [runnerEnd, shellEnd]) each.resume();
    try {
      for (const step of steps) {
        const [kind, rest] = [step[0], step.slice(1)];
        if (kind === "j") jobs.push(runner.run(rest === "" ? { kind: "checks" } : HOOKS));
        else if (kind === "s") {
          sent.shell += rest.length + 1;
          shellEnd.write(Buffer.from(`${rest}\n`, "latin1"));
        } else if (kind === ".") say(rest);
        else say(`${kind === ">" ? rest : step}\n`);
        await turn();
      }
      const read = (it: typeof socket, bytes: number) => it.destroyed || it.bytesRead >= bytes;
      await until("all read", () => read(socket, sent.runner) && read(shell, sent.shell));
      const stopping = runner.stop();
      end();
      await inTime(stopping);
      const settled = await inTime(Promise.all(jobs));
      check(settled, said.join(""));
      assert.deepEqual(await runner.run(HOOKS), { interrupted: "the engine is stopping", again: false });
      assert.ok(losses <= 1);
      const exits = steps.filter((each) => each.startsWith("s")).length;
      assert.ok(logged.length <= exits + 1, `${logged.length} lines`);
      for (const line of logged) assert.ok(line.length < 200, line);
    } finally {
      end();
      for (const each of [socket, runnerEnd, shell, shellEnd]) each.destroy();
    }
  }

  function check(settled: readonly Ran[], said: string): void {
    const reports = said.split("\n").flatMap((line) => {
      const report = RunnerMessage.safeParse(parsed(Buffer.from(line, "latin1").toString()));
      return report.success ? [report.data] : [];
    });
    const results = reports.flatMap((each) => (each.kind === "ran" ? [JSON.stringify(each.results)] : []));
    for (const ran of settled)
      if ("results" in ran) assert.ok(results.includes(JSON.stringify(ran.results)), "results of no report");
      else assert.ok(ran.interrupted !== "" && ran.interrupted.length < 200);
    assert.deepEqual(kills.all.splice(0), [], "killed");
  }

  return {
    feed,
    close() {
      kills.end();
      removeDirectory(directory);
    },
  };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const id = fc.integer({ min: 1, max: 4 });
const pid = fc.integer({ min: -1, max: 40_000 });
const text = fc.string({ unit: "binary", maxLength: 20 });
const report = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("began", "ended"), id, pid }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("ran"),
      id,
      results: fc.array(
        fc.record({
          name: text,
          path: text,
          outcome: fc.constantFrom("passed", "failed", "refused"),
          output: text,
        }),
        { maxLength: 2 },
      ),
    }),
  },
);
const message = report.map((each) => Buffer.from(JSON.stringify(each)));
const line = fc
  .oneof({ weight: 6, arbitrary: message }, { weight: 1, arbitrary: withOneChanged(message) })
  .map((bytes) => `>${Buffer.from(bytes).toString("latin1").replaceAll("\n", "")}`);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("j", "jh") },
  { weight: 8, arbitrary: line },
  {
    weight: 2,
    arbitrary: fc.constantFrom("sexited 0", "sexited 137", "sexited 255", "sexited", "s-1", "snonsense"),
  },
  { weight: 1, arbitrary: fc.constantFrom('.{"kind":', ".\0", `.${" ".repeat(70_000)}`) },
);

export const runnerReports: Target = {
  name: "runner-reports",
  sensible: fc
    .array(step, { minLength: 1, maxLength: 14 })
    .map((steps) => Buffer.from(["j", ...steps].join("\n"), "latin1")),
  tokens: [
    "\nj\n",
    "\nsexited 1\n",
    "\ns",
    "\n.",
    "\n>",
    '"kind":"began"',
    '"pid":1',
    '"pid":-1',
    '"id":1',
    "\0",
  ],
  tries: 150,
  open,
};
