/** README's `Developing` part compared with the tree: every file and directory that it names exists. */

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import packageJson from "../../package.json" with { type: "json" };

const tree = join(import.meta.dirname, "../..");
const [, developing = ""] = readFileSync(join(tree, "README.md"), "utf8").split(/^## Developing$/m);

const exists = (path: string) => existsSync(join(tree, path));

test("every room of src and every kind of test is in the map", () => {
  const map = [...developing.matchAll(/^ {4}((?:src|test)\/\S*)/gm)].map(([, path = ""]) =>
    path.replace(/\/$/, ""),
  );
  for (const path of map) assert.ok(exists(path), `${path} does not exist`);
  const rooms = globSync("src/*", { cwd: tree });
  assert.deepEqual(map.filter((path) => path.startsWith("src/")).sort(), rooms.sort());
});

test("every file that the text names exists", () => {
  const names = [...developing.matchAll(/`([\w./-]+(?:\.(?:ts|cc|gyp|test\.ts)|\/))`/g)].map(
    ([, name = ""]) => name,
  );
  assert.ok(names.length > 30, `only ${names.length}`);
  for (const name of names) {
    const alone = basename(name) === name ? globSync(`src/**/${name}`, { cwd: tree }) : [];
    assert.ok(exists(name) || exists(`src/${name}`) || alone.length > 0, `${name} does not exist`);
  }
});

test("every command of development exists", () => {
  const scripts = [...developing.matchAll(/^ {4}npm run ([\w-]+)/gm)].map(([, name = ""]) => name);
  assert.ok(scripts.length > 5);
  for (const name of scripts) assert.ok(Object.hasOwn(packageJson.scripts, name), name);
});
