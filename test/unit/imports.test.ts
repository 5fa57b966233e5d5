/** Imports point one way: who only wants to know what CARP does meets no Linux, and a command nothing of the engine's. */

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const tree = join(import.meta.dirname, "../..");

/** What each part of src may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  core: ["protocol"],
  kernel: ["core", "protocol"],
  control: ["core", "protocol"],
  engine: ["control", "core", "kernel", "protocol"],
  cli: ["control", "protocol"],
};

/** Verbs that run something of the engine's in their own process load it when they run. */
const IN_PROCESS = ["src/cli/doctor.ts -> engine", "src/cli/verbs.ts -> engine"];

/** Digests are bytes from bytes. */
const PURE = ["node:crypto"];

interface Import {
  readonly from: string;
  readonly to: string;
  /** By `import(...)`. */
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

const files = globSync("src/*/**/*.ts", { cwd: tree });
const imports = files.flatMap(importsOf);
const partOf = (path: string) => /^src\/([^/]+)\//.exec(path)?.[1];

test("every part of src is one of these", () => {
  assert.deepEqual([...new Set(files.map(partOf))].sort(), Object.keys(MAY_IMPORT).sort());
});

test("the parts of src import each other one way", () => {
  const against = imports.filter(({ from, to, late }) => {
    const [own = "", other] = [partOf(from), partOf(to)];
    if (other === undefined || other === own || MAY_IMPORT[own]?.includes(other)) return false;
    return !(late && IN_PROCESS.includes(`${from} -> ${other}`));
  });
  assert.deepEqual(against, []);
});

test("what is exempt is there", () => {
  const late = imports.filter((each) => each.late).map(({ from, to }) => `${from} -> ${partOf(to)}`);
  assert.deepEqual(
    IN_PROCESS.filter((each) => !late.includes(each)),
    [],
  );
});

test("protocol and core have no clock, no chance and no input or output of their own", () => {
  const pure = files.filter((file) => ["protocol", "core"].includes(partOf(file) ?? ""));
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
