/** Paths that another user could change, in a temporary directory. Needs root. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { distrustOfFiles, distrust as distrustPath } from "../../../src/config/trusted-path.ts";

/** Asked about many files in turn, the same is said. */
function distrust(path: string, owner?: number): string | undefined {
  const why = distrustPath(path, owner);
  const ofFiles = distrustOfFiles();
  for (let n = 0; n < 2; n++) assert.equal(ofFiles(path, owner), why, path);
  return why;
}

const OTHER = 65534;

/** Holds `above/directory/file`, all root's. */
let base: string;
let above: string;
let directory: string;
let file: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "carpctl-trusted-"));
  above = join(base, "above");
  directory = join(above, "directory");
  file = join(directory, "file");
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, "");
});

afterEach(() => rmSync(base, { recursive: true }));

test("what root alone can change is trusted, also below a sticky directory like /tmp", () => {
  for (const path of [file, directory, base, "/", "/etc/passwd"])
    assert.equal(distrust(path), undefined, path);
  chmodSync(above, 0o1777);
  assert.equal(distrust(file), undefined);
});

test("a file or directory that others can write is not, nor is one below such a directory", () => {
  for (const mode of [0o664, 0o646]) {
    chmodSync(file, mode);
    assert.equal(distrust(file), "it can be written by others than root");
  }
  chmodSync(file, 0o644);
  for (const changed of [directory, above]) {
    chmodSync(changed, 0o775);
    assert.equal(distrust(file), `directory ${changed} can be written by others than root`);
    chmodSync(changed, 0o755);
  }
  // Sticky, it keeps others from replacing what root has there, and from nothing else.
  chmodSync(directory, 0o1777);
  assert.equal(distrust(directory), `directory ${directory} can be written by others than root`);
});

test("what another user owns is not, unless it is the owner that is asked for", () => {
  chownSync(file, OTHER, OTHER);
  assert.equal(distrust(file), "it is not owned by root");
  assert.equal(distrust(file, OTHER), undefined);
  chownSync(file, 0, 0);
  chownSync(above, OTHER, OTHER);
  assert.equal(distrust(file), `directory ${above} is not owned by root`);
  assert.equal(distrust(file, OTHER), undefined);
});

test("nor are further links on the way, and the directories that these are in", () => {
  const [first, second] = [join(base, "first"), join(above, "second")];
  for (const [target, link] of [
    [second, first],
    ["directory/file", second],
  ] as const)
    symlinkSync(target, link);
  assert.equal(distrust(first), undefined);
  lchownSync(second, OTHER, OTHER);
  assert.equal(distrust(first), `symbolic link ${second} is not owned by root`);
  lchownSync(second, 0, 0);
  const writable = join(base, "writable");
  mkdirSync(writable);
  chmodSync(writable, 0o777);
  symlinkSync(file, join(writable, "third"));
  symlinkSync(join(writable, "third"), join(base, "fourth"));
  assert.equal(distrust(join(base, "fourth")), `directory ${writable} can be written by others than root`);
});

test("a .. behind a link is taken where the link leads, as the kernel takes it", () => {
  const elsewhere = join(base, "elsewhere");
  mkdirSync(join(elsewhere, "deep"), { recursive: true });
  writeFileSync(join(elsewhere, "file"), "");
  chownSync(join(elsewhere, "file"), OTHER, OTHER);
  symlinkSync(join(elsewhere, "deep"), join(directory, "link"));
  assert.equal(distrust(`${directory}/link/../file`), "it is not owned by root");
});

test("a symbolic link is followed, and not trusted where another user could point it elsewhere", () => {
  const link = join(base, "link");
  symlinkSync(directory, link);
  assert.equal(distrust(join(link, "file")), undefined);
  assert.equal(distrust(link), undefined);
  lchownSync(link, OTHER, OTHER);
  assert.equal(distrust(join(link, "file")), `symbolic link ${link} is not owned by root`);
  lchownSync(link, 0, 0);
  chmodSync(base, 0o777);
  assert.equal(distrust(join(link, "file")), `directory ${base} can be written by others than root`);
  const elsewhere = mkdtempSync(join(tmpdir(), "carpctl-trusted-"));
  try {
    symlinkSync(file, join(elsewhere, "link"));
    assert.equal(distrust(join(elsewhere, "link")), `directory ${base} can be written by others than root`);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});

test("nothing at the path: an error", () => {
  assert.throws(() => distrust(join(base, "missing")), { code: "ENOENT" });
});
