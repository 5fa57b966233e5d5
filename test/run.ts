/**
 * Runs the checks and the tests: types and style first, then what needs no network, then real hosts. Says what it
 * leaves out and why, and fails when a test leaves anything behind. Named files are run instead of all.
 */

import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { run as runFiles } from "node:test";
import { spec } from "node:test/reporters";
import { execa } from "execa";
import { leftoversOf, RUN_PREFIX, removeDirectory, run, sweep } from "./hosts/resources.ts";

const tree = join(import.meta.dirname, "..");
process.chdir(tree);

/** A test or a file that takes longer hangs. */
const FILE_TIMEOUT_MS = 270_000;

/** Somebody else makes and removes namespaces and mounts on this machine meanwhile: not blamed on the tests. */
const othersAtWork = process.env.CARPCTL_TEST_OTHERS_AT_WORK === "1";

/** The tests of one concurrency. Hosts wait most of the time, so several files of theirs fit on few processors. */
interface Phase {
  /** Patterns, of which those that end in .test.ts are tests. */
  readonly files: readonly string[];
  readonly concurrency: number;
  readonly needsRoot: boolean;
}

/** What shows that nothing is lost or late must not be starved by its neighbours. */
const PUNCTUAL = "handover*|hostile*|input*";

const phases: readonly Phase[] = [
  {
    files: ["test/unit/!(kernel)/**/*", "test/unit/*", "test/sim/**/*", "test/fuzz/*"],
    concurrency: 2,
    needsRoot: false,
  },
  { files: ["test/unit/kernel/**/*"], concurrency: 2, needsRoot: true },
  {
    files: ["test/soak/**/*", `test/net/!(${PUNCTUAL})`, "test/interop/**/*"],
    concurrency: 4,
    needsRoot: true,
  },
  { files: [`test/net/@(${PUNCTUAL})`], concurrency: 2, needsRoot: true },
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

let failed = named.length === 0 && !(await checksPass());
// A process for each file, and all those that they start: what V8 made of our code is made once.
const compiled = mkdtempSync(join(tmpdir(), `${run}-compiled-`));
process.env.NODE_COMPILE_CACHE = compiled;
// Temporary files of every test land here, whoever makes them.
const temporary = mkdtempSync(join(tmpdir(), `${run}-`));
process.env.TMPDIR = temporary;
const notes: string[] = [];
const before = machine();
failed = (await testsFail()) || failed;
failed = leaks() || failed;
for (const note of notes) console.log(note);
process.exit(interruptedBy > 0 ? 128 + interruptedBy : failed ? 1 : 0);

async function checksPass(): Promise<boolean> {
  const checks = [
    ["tsc", "--noEmit"],
    ["biome", "check", "."],
  ] as const;
  const results = await Promise.all(
    checks.map(([command, ...words]) =>
      execa(join("node_modules/.bin", command), words, {
        all: true,
        reject: false,
        cancelSignal: interrupted.signal,
      }),
    ),
  );
  for (const [n, { failed, all }] of results.entries()) {
    console.log(`${failed ? "✖" : "✔"} ${checks[n]?.join(" ")}`);
    if (failed) console.log(all);
  }
  return results.every(({ failed }) => !failed);
}

async function testsFail(): Promise<boolean> {
  const isRoot = process.getuid?.() === 0;
  const totals = new Map<string, number>();
  let anyFailed = false;

  async function* events() {
    for (const { files: patterns, concurrency, needsRoot } of phases) {
      const files = patterns
        .flatMap((pattern) => globSync(`${pattern}.test.ts`).sort())
        .map((file) => resolve(file))
        .filter((file) => named.length === 0 || named.includes(file));
      if (files.length === 0 || interrupted.signal.aborted) continue;
      if (needsRoot && !isRoot) {
        notes.push(`skipped: ${patterns.join(", ")} (${files.length} files): network namespaces need root`);
        continue;
      }
      const stream = runFiles({ files, concurrency, timeout: FILE_TIMEOUT_MS, signal: interrupted.signal });
      for await (const event of stream) {
        if (event.type === "test:fail" && event.data.todo === undefined) anyFailed = true;
        if (!addTotal(event)) yield event;
      }
    }
    for (const [what, total] of totals) {
      yield {
        type: "test:diagnostic",
        data: { message: `${what} ${Math.round(total)}`, nesting: 0, level: "info" },
      };
    }
  }

  /** The closing lines of each phase become those of the whole run. */
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

/** What tests could leave on the machine itself without the name of this or another run on it. */
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
  const { processes, namespaces } = leftoversOf(run);
  const left = [
    ...processes.map((process) => `process ${process}`),
    ...namespaces.map((name) => `namespace ${name}`),
    ...readdirSync(temporary).map((name) => `file ${join(temporary, name)}`),
  ];
  sweep(run);
  for (const directory of [temporary, compiled]) removeDirectory(directory);
  // Interrupted tests are swept up after, not blamed.
  if (interruptedBy > 0) return true;
  const after = machine();
  if (!othersAtWork) left.push(...[...after].filter((thing) => !before.has(thing)));
  for (const thing of left) console.log(`✖ left behind: ${thing}`);
  if (left.length === 0) console.log("✔ nothing left behind");
  return left.length > 0;
}
