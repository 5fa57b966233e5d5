/**
 * Runs the checks (types, style) and the tests, or the test files that are named. Tests that compute run
 * beside tests that wait. They start bin/carpctl, or the program that the variable CARPCTL names; without it
 * some of them run once more with the single executable. Prints which tests it skips and why; fails when a
 * test leaves a process, namespace, mount, device or file.
 */

import { chmodSync, existsSync, globSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { run as runFiles } from "node:test";
import { spec } from "node:test/reporters";
import { execa } from "execa";
import { FailureReport } from "./failure-report.ts";
import { leftoversOf, RUN_PREFIX, removeDirectory, run, sweep } from "./hosts/resources.ts";

const tree = join(import.meta.dirname, "..");
process.chdir(tree);

/** A test file that takes longer hangs. On a busy machine the longest takes a third of it. */
const FILE_TIMEOUT_MS = 900_000;

/**
 * Other programs make namespaces and mounts on this machine meanwhile: they are not leftovers of the tests.
 */
const othersAtWork = process.env.CARPCTL_TEST_OTHERS_AT_WORK === "1";

interface Check {
  readonly name: string;
  readonly failed: boolean;
  readonly output: string;
}

/** Test files that run `concurrency` at a time; the phases of one turn run side by side. */
interface Phase {
  /** Patterns without the ending `.test.ts`. */
  readonly files: readonly string[];
  readonly concurrency: number;
  readonly needsRoot: boolean;
  /** Runs at a lower priority: these tests only compute, and the hosts of the others have to be on time. */
  readonly givesWay: boolean;
  /** Runs these tests once more, with the single executable. */
  readonly ofExecutable?: boolean;
}

/** Tests that count lost packets or late ones get few neighbours. */
const PUNCTUAL = "attack*|group-carp*|handover*|hostile*|input*";

/** Commands, an upgrade, the lease, hooks, what a privileged program obeys: all parts of the executable are used. */
const OF_EXECUTABLE = "commands|commands-engine|hooks|lease|privileges";

/** Files that take minutes: they begin first, so that the others do not wait for them in the end. */
const LONG = /\/net\/(recordings|crash-points|lease|unicast)\.test\.ts$/;

/**
 * The turns run one after the other. Hosts wait most of the time: several files of net tests fit on few
 * processors, and tests that compute take the rest.
 */
const turns: readonly (readonly Phase[])[] = [
  [
    {
      files: ["test/unit/@(core|protocol)/**/*", "test/unit/*", "test/sim/**/*", "test/fuzz/*"],
      concurrency: 1,
      needsRoot: false,
      givesWay: true,
    },
    {
      files: ["test/unit/!(kernel|core|protocol)/**/*"],
      concurrency: 1,
      needsRoot: false,
      givesWay: false,
    },
    {
      files: ["test/unit/kernel/**/*", `test/net/!(${PUNCTUAL})`, "test/interop/**/*"],
      concurrency: 6,
      needsRoot: true,
      givesWay: false,
    },
    { files: ["test/soak/**/*"], concurrency: 1, needsRoot: true, givesWay: false },
  ],
  [{ files: [`test/net/@(${PUNCTUAL})`], concurrency: 3, needsRoot: true, givesWay: false }],
  [
    {
      files: [`test/net/@(${OF_EXECUTABLE})`],
      concurrency: 4,
      needsRoot: true,
      givesWay: false,
      ofExecutable: true,
    },
    { files: ["test/system/@(pair|package|readme)"], concurrency: 2, needsRoot: true, givesWay: false },
  ],
];

const interrupted = new AbortController();
let interruptedBy = 0;
for (const [signal, number] of [["SIGINT", 2] as const, ["SIGTERM", 15] as const]) {
  process.on(signal, () => {
    interruptedBy = number;
    interrupted.abort();
  });
}

const named = process.argv.slice(2).map((file) => resolve(tree, file));
const absent = named.filter((file) => !existsSync(file));
if (absent.length > 0) {
  console.error(`test/run: no such file: ${absent.join(" ")}`);
  process.exit(2);
}

const report = new FailureReport(tmpdir());
const checks = named.length === 0 ? runChecks() : [];
/** undefined: no test runs once more with it. */
const executable =
  named.length === 0 && !process.env.CARPCTL && process.getuid?.() === 0 ? makeExecutable() : undefined;
// Each file is a process and starts others: V8 compiles our code once for all of them.
const compiled = mkdtempSync(join(tmpdir(), `${run}-compiled-`));
process.env.NODE_COMPILE_CACHE = compiled;
// The temporary files of all tests and of the programs that they start.
const temporary = mkdtempSync(join(tmpdir(), `${run}-`));
// Engines and commands of tests may be other users.
chmodSync(temporary, 0o755);
process.env.TMPDIR = temporary;
const notes: string[] = [];
const before = machine();
let failed = await testsFail();
failed = checksFail([...(await checks), ...(executable ? [await executable] : [])]) || failed;
failed = leaks() || failed;
for (const note of notes) console.log(note);
process.exit(interruptedBy > 0 ? 128 + interruptedBy : failed ? 1 : 0);

/**
 * Runs tsc and biome with what the tests leave of the processors; their results are printed after the tests.
 */
async function runChecks(): Promise<Check[]> {
  const commands = [
    ["tsc", "--noEmit"],
    ["biome", "check", "."],
  ] as const;
  return Promise.all(
    commands.map(async ([command, ...words]) => {
      const program = join("node_modules/.bin", command);
      const { failed, all } = await execa("nice", ["-n", "5", program, ...words], {
        all: true,
        reject: false,
        cancelSignal: interrupted.signal,
      });
      return { name: [command, ...words].join(" "), failed, output: all };
    }),
  );
}

/** Makes dist/carpctl and a package with it, with what the tests leave of the processors. */
async function makeExecutable(): Promise<Check> {
  const words = ["-n", "5", process.execPath, "bin/package/run.ts", "uncompressed"];
  const { failed, all } = await execa("nice", words, {
    all: true,
    reject: false,
    cancelSignal: interrupted.signal,
  });
  return { name: "dist/carpctl, the single executable, and its package", failed, output: all };
}

function checksFail(checks: readonly Check[]): boolean {
  for (const { name, failed, output } of checks) {
    console.log(`${failed ? "✖" : "✔"} ${name}`);
    if (failed) console.log(report.shortenOutput(name, output));
  }
  return checks.some(({ failed }) => failed);
}

async function testsFail(): Promise<boolean> {
  const isRoot = process.getuid?.() === 0;
  const totals = new Map<string, number>();
  let anyFailed = false;

  function streamOf({ files: patterns, concurrency, needsRoot, givesWay, ofExecutable }: Phase) {
    if (ofExecutable && executable === undefined) return [];
    const files = filesOf(patterns).filter((file) => named.length === 0 || named.includes(file));
    if (files.length === 0 || interrupted.signal.aborted) return [];
    if (needsRoot && !isRoot) {
      notes.push(`skipped: ${patterns.join(", ")} (${files.length} files): network namespaces need root`);
      return [];
    }
    const execArgv = givesWay ? ["--import", join(import.meta.dirname, "gives-way.ts")] : [];
    const env = { ...process.env, ...(ofExecutable && { CARPCTL: resolve("dist/carpctl") }) };
    return [
      runFiles({ files, concurrency, execArgv, env, timeout: FILE_TIMEOUT_MS, signal: interrupted.signal }),
    ];
  }

  async function* events() {
    for (const [n, turn] of [...turns, outsideTheSuite()].entries()) {
      // It was made during the first turn.
      if (n > 0) await executable;
      // All phases of the turn run from now on; the events of a later one wait in its stream.
      for (const stream of turn.flatMap(streamOf)) {
        for await (const event of stream) {
          if (event.type === "test:fail" && event.data.todo === undefined) anyFailed = true;
          if (event.type === "test:fail") yield { ...event, data: report.shorten(event.data) };
          else if (!addTotal(event)) yield event;
        }
      }
    }
    if (totals.size > 0) totals.set("duration_ms", performance.now());
    for (const [what, total] of totals) {
      yield {
        type: "test:diagnostic",
        data: { message: `${what} ${Math.round(total)}`, nesting: 0, level: "info" },
      };
    }
  }

  /**
   * Adds the closing lines of a phase up to those of the whole run. @returns whether the event was one of
   * them
   */
  function addTotal(event: { readonly type: string; readonly data: unknown }): boolean {
    if (event.type === "test:summary") return true;
    if (event.type !== "test:diagnostic") return false;
    const { message, nesting } = event.data as { message: string; nesting: number };
    const [, what, value] =
      /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/.exec(message) ?? [];
    if (nesting > 0 || what === undefined) return false;
    totals.set(what, (totals.get(what) ?? 0) + Number(value));
    return true;
  }

  for await (const text of Readable.from(events()).compose(spec)) process.stdout.write(String(text));
  if (!totals.has("tests")) console.log("no tests were run");
  return anyFailed || !totals.has("tests");
}

function filesOf(patterns: readonly string[]): string[] {
  const files = patterns.flatMap((pattern) => globSync(`${pattern}.test.ts`).sort());
  const isLong = (file: string) => LONG.test(file);
  return [...files.filter(isLong), ...files.filter((file) => !isLong(file))].map((file) => resolve(file));
}

/** Named files that belong to no phase of the suite. */
function outsideTheSuite(): readonly Phase[] {
  const suite = turns.flat().flatMap(({ files }) => filesOf(files));
  const files = named.filter((file) => !suite.includes(file)).map((file) => file.replace(/\.test\.ts$/, ""));
  return [{ files, concurrency: 1, needsRoot: false, givesWay: false }];
}

/**
 * Namespaces, devices, pins and mounts of the machine that carry no run's name: a test could have left them.
 */
function machine(): Set<string> {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").trimEnd().split("\n");
  const things = [
    ...globSync("/run/netns/*").map((path) => `namespace ${path}`),
    ...globSync("/sys/class/net/carp*").map((path) => `device ${path}`),
    ...globSync("/sys/fs/bpf/*").map((path) => `pin ${path}`),
    ...mounts.map((line) => `mount ${line.split(" ")[4]}`).filter((mount) => /carp|bpf|tmp/.test(mount)),
  ];
  return new Set(things.filter((thing) => !thing.includes(RUN_PREFIX)));
}

function leaks(): boolean {
  const { processes, namespaces, cgroups } = leftoversOf(run);
  const left = [
    ...processes.map((process) => `process ${process}`),
    ...namespaces.map((name) => `namespace ${name}`),
    ...cgroups.map((name) => `cgroup ${name}`),
    ...readdirSync(temporary).map((name) => `file ${join(temporary, name)}`),
  ];
  sweep(run);
  for (const directory of [temporary, compiled]) removeDirectory(directory);
  // Interrupted tests cannot clean up: what they left is removed and not reported.
  if (interruptedBy > 0) return true;
  const after = machine();
  if (!othersAtWork) left.push(...[...after].filter((thing) => !before.has(thing)));
  for (const thing of left) console.log(`✖ left behind: ${thing}`);
  if (left.length === 0) console.log("✔ nothing left behind");
  return left.length > 0;
}
