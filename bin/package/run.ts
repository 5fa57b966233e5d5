/**
 * `npm run package`: makes dist/carpctl, the single executable, and Debian packages with it for amd64 and arm64.
 * Prints their sizes, what the executable's start and memory are beside the tree's, and what lintian says. One of the
 * words `executable`, `amd64` and `arm64` makes that alone, and what it needs; `uncompressed` makes the package for
 * amd64 that test/system installs in `npm test`, and does not judge it.
 */

import { copyFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { arm64Target } from "./arm64.ts";
import { type Architecture, makeDebianPackage } from "./debian.ts";
import { type Executable, makeExecutable } from "./executable.ts";
import { figures } from "./figures.ts";
import { licencesOf } from "./licences.ts";

process.chdir(join(import.meta.dirname, "../.."));
const PRODUCTS = ["executable", "amd64", "arm64", "uncompressed"];
const given = process.argv.slice(2);
const unknown = given.find((word) => !PRODUCTS.includes(word));
if (unknown !== undefined) {
  console.error(`bin/package: ${unknown}: one of ${PRODUCTS.join(", ")}`);
  process.exit(2);
}
const isWanted = (product: string) =>
  given.length === 0 ? product !== "uncompressed" : given.includes(product);

const own = await makeExecutable("dist/executable", {
  node: process.execPath,
  addon: "src/native/build/Release/carp.node",
  strip: "strip",
  isOwn: true,
});
// A program that runs cannot be written to.
copyFileSync(own.path, "dist/carpctl.new");
renameSync("dist/carpctl.new", "dist/carpctl");
tellSize("dist/carpctl");
tellSize(process.execPath);
if (given.length === 0 && process.getuid?.() === 0) for (const line of await figures()) console.log(line);
if (isWanted("amd64")) await packageFor("amd64", own);
if (isWanted("arm64")) await packageFor("arm64", await makeExecutable("dist/arm64", await arm64Target()));
if (isWanted("uncompressed")) await makePackage("amd64", own, true);

function makePackage(architecture: Architecture, made: Executable, uncompressed = false): Promise<string> {
  const { path: executable, addon, modules } = made;
  return makeDebianPackage({ architecture, executable, addon, licences: licencesOf(modules), uncompressed });
}

async function packageFor(architecture: Architecture, executable: Executable): Promise<void> {
  const made = await makePackage(architecture, executable);
  tellSize(made);
  const words = ["--allow-root", "--fail-on", "error,warning", made];
  const { failed, stdout } = await execa("lintian", words, { reject: false });
  if (stdout !== "") console.log(stdout);
  if (failed) process.exitCode = 1;
  console.log(`lintian: ${failed ? "errors or warnings" : "no errors, no warnings"}`);
}

function tellSize(file: string): void {
  console.log(`${file}: ${(statSync(file).size / 1e6).toFixed(1)} MB`);
}
