/** Makes the Debian package of an architecture from src/install, the manuals, the completions and the executable. */

import {
  chmodSync,
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { debianChangelog } from "./changelog.ts";

export type Architecture = "amd64" | "arm64";

export interface Contents {
  readonly architecture: Architecture;
  readonly executable: string;
  readonly addon: string;
  /** Licences of what is in the executable, by name. */
  readonly licences: ReadonlyMap<string, string>;
  /** For tests: made and installed sooner. */
  readonly uncompressed?: boolean;
}

/** @returns the path of the package */
export async function makeDebianPackage(contents: Contents): Promise<string> {
  const { architecture, executable, addon, licences, uncompressed = false } = contents;
  const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
  const directory = `dist/debian-${architecture}${uncompressed ? "-uncompressed" : ""}`;
  rmSync(directory, { recursive: true, force: true });
  const source = join(directory, name);
  for (const [from, to] of files()) {
    mkdirSync(dirname(join(source, to)), { recursive: true });
    cpSync(from, join(source, to), { recursive: true });
  }
  copyFileSync(executable, join(source, "carpctl"));
  copyFileSync(addon, join(source, "carp.node"));
  // A shared library is not executed.
  chmodSync(join(source, "carp.node"), 0o644);
  const maintainer =
    /^Maintainer: (.*)$/m.exec(readFileSync("src/install/debian/control", "utf8"))?.[1] ?? "";
  const changelog = debianChangelog(readFileSync("CHANGELOG.md", "utf8"), {
    name,
    maintainer,
    today: new Date(),
  });
  writeFileSync(join(source, "debian/changelog"), changelog);
  const texts = [...licences].map(([each, text]) => `${"=".repeat(80)}\n${each}\n\n${text.trim()}\n`);
  writeFileSync(join(source, "third-party-licences"), texts.join("\n"));
  const words = ["--build=binary", "--no-sign", "-d", `--host-arch=${architecture}`];
  const env = { COMPRESSION: uncompressed ? "none" : "xz" };
  await execa("dpkg-buildpackage", words, { cwd: source, env });
  return join(directory, `${name}_${version}_${architecture}.deb`);
}

/** Files and directories of the tree, and their places in the source package. */
export function files(): readonly (readonly [from: string, to: string])[] {
  return [
    ["src/install/debian", "debian"],
    ["src/install/carpctl.sysusers", "debian/carpctl.sysusers"],
    ["src/install/carpctl.tmpfiles", "debian/carpctl.tmpfiles"],
    ["src/install/systemd", "systemd"],
    ["src/install/examples", "examples"],
    ["src/install/prometheus", "examples/prometheus"],
    ["src/install/grafana", "examples/grafana"],
    ...globSync("man/*").map((file) => [file, file] as const),
    ["completions/carpctl.bash", "completions/bash/carpctl"],
    ["completions/_carpctl", "completions/_carpctl"],
    ["completions/carpctl.fish", "completions/carpctl.fish"],
  ];
}
