/**
 * The import rules of src: rooms import each other one way, no file is part of an import circle, protocol and core
 * are pure, and no room holds more than a third of the code. And every file begins with a comment.
 */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const tree = join(import.meta.dirname, "../..");

/** The rooms that each room of src may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  core: ["protocol"],
  kernel: ["core", "protocol"],
  topics: ["core"],
  control: ["core", "protocol", "topics"],
  config: ["control", "core", "protocol"],
  cluster: ["config", "control", "core", "protocol", "topics"],
  doctor: ["control", "core", "kernel", "protocol"],
  engine: ["config", "control", "core", "doctor", "kernel", "protocol"],
  ifstated: ["config", "control", "core", "kernel", "protocol"],
  cli: ["cluster", "config", "control", "protocol", "topics"],
};

/** Commands that run in this process what another room holds load it with `import()` when they run. */
const LOADED_LATE = [
  "src/cli/commands/doctor.ts -> doctor",
  "src/cli/commands/ifstated.ts -> ifstated",
  "src/cli/commands/ifstated.ts -> kernel",
  "src/cli/grammar/verbs.ts -> engine",
];

/** Node's modules that a pure room may use: digests are bytes from bytes. */
const PURE = ["node:crypto"];

interface Import {
  readonly from: string;
  readonly to: string;
  /** Imported with `import(...)`. */
  readonly late: boolean;
}

const IMPORT = /(?:^(?:import|export)\b[^;"]*?from |^import |\bimport(\()\s*)"([^"]+)"/gms;

function importsOf(file: string): Import[] {
  const text = readFileSync(join(tree, file), "utf8");
  return [...text.matchAll(IMPORT)].map(([, late, to = ""]) => ({
    from: file,
    to: to.startsWith(".") ? relative(tree, join(tree, dirname(file), to)) : to,
    late: late !== undefined,
  }));
}

const files = globSync("src/**/*.ts", { cwd: tree });
const imports = files.flatMap(importsOf);
const roomOf = (path: string) => /^src\/([^/]+)\//.exec(path)?.[1];

test("every room of src is one of these", () => {
  const rooms = new Set(files.flatMap((file) => roomOf(file) ?? []));
  assert.deepEqual([...rooms].sort(), Object.keys(MAY_IMPORT).sort());
});

test("the rooms of src import each other one way", () => {
  const against = imports.filter(({ from, to, late }) => {
    const [own, other] = [roomOf(from), roomOf(to)];
    if (own === undefined || other === undefined || other === own || MAY_IMPORT[own]?.includes(other))
      return false;
    return !(late && LOADED_LATE.includes(`${from} -> ${other}`));
  });
  assert.deepEqual(against, []);
});

test("every exemption from the import directions is used", () => {
  const late = imports.filter((each) => each.late).map(({ from, to }) => `${from} -> ${roomOf(to)}`);
  assert.deepEqual(
    LOADED_LATE.filter((each) => !late.includes(each)),
    [],
  );
});

test("no file imports itself through others, types included", () => {
  const targets = new Map(
    files.map((file) => [
      file,
      imports.filter((each) => each.from === file && !each.late).map(({ to }) => to),
    ]),
  );
  const finished = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    const start = path.indexOf(file);
    if (start >= 0) circles.push([...path.slice(start), file].join(" -> "));
    if (start >= 0 || finished.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    finished.add(file);
  };
  for (const file of files) visit(file, []);
  assert.deepEqual(circles, []);
});

test("no room holds more than a third of src", () => {
  const sources = globSync("src/**/*.{ts,cc,c,h,sh}", { cwd: tree }).filter(
    (file) => !file.startsWith("src/native/build/"),
  );
  const lines = (file: string) => readFileSync(join(tree, file), "utf8").split("\n").length;
  const sizes = Map.groupBy(sources, roomOf);
  const all = sources.reduce((sum, file) => sum + lines(file), 0);
  for (const [room, own] of sizes) {
    const size = own.reduce((sum, file) => sum + lines(file), 0);
    assert.ok(size <= all / 3, `${room} has ${size} of ${all} lines`);
  }
});

test("protocol, core and cluster have no clock, no chance and no input or output of their own", () => {
  const pure = files.filter((file) => ["protocol", "core", "cluster"].includes(roomOf(file) ?? ""));
  assert.ok(pure.length > 20);
  for (const file of pure) {
    const text = readFileSync(join(tree, file), "utf8");
    const code = text.replace(/\/\*.*?\*\/|\/\/[^\n]*/gs, "");
    const modules = importsOf(file).map(({ to }) => to);
    assert.deepEqual(
      modules.filter((to) => to.startsWith("node:") && !PURE.includes(to)),
      [],
      file,
    );
    assert.doesNotMatch(
      code,
      /\b(Date|performance|setTimeout|setInterval|setImmediate|process|Math\.random)\b/,
      file,
    );
  }
});

test("every file begins with a comment that says what it holds", () => {
  const sources = globSync(
    ["{bin,src,test}/**/*.{ts,py,c,cc,h,sh}", "bin/{bootstrap,carpctl}", "test/{run,kernels/run}"],
    {
      cwd: tree,
      exclude: ["src/native/build/**", "test/fuzz/corpus/**"],
    },
  );
  const begins = (file: string) =>
    /^(#!.*\n)?(\/\*|\/\/|# |""")/.test(readFileSync(join(tree, file), "utf8"));
  assert.ok(sources.length > files.length);
  assert.deepEqual(
    sources.filter((file) => !begins(file)),
    [],
  );
});
