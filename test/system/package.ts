/** The Debian package under test: the one that was built, and the same contents with a higher version. */

import { globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";

const tree = join(import.meta.dirname, "../..");

/** The package that was made last for this machine's architecture, compressed or not; undefined: none was made. */
export function builtPackage(): string | undefined {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const made = globSync(join(tree, `dist/debian-${architecture}*/carpctl_*.deb`));
  return made.sort((one, other) => statSync(one).mtimeMs - statSync(other).mtimeMs).at(-1);
}

/** Writes a package with the same contents and a higher version into the directory. @returns its path */
export async function higherVersionOf(deb: string, directory: string): Promise<string> {
  const contents = join(directory, "contents");
  await execa("dpkg-deb", ["--raw-extract", deb, contents]);
  const control = join(contents, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace(/^(Version: .*)$/m, "$1+later"));
  const higher = join(directory, "higher.deb");
  await execa("dpkg-deb", ["--root-owner-group", "-Znone", "--build", contents, higher]);
  return higher;
}
