/**
 * Makes the single executable: a stripped Node with the tree's script, code compiled in advance and the addon in itself.
 * Startup snapshots are no way to make it: they take longer to read than the code that was compiled, and more memory.
 */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { execa } from "execa";

export interface Target {
  /** Node of the architecture. */
  readonly node: string;
  readonly addon: string;
  readonly strip: string;
  /** Whether this machine runs it: code is compiled in advance for one architecture. */
  readonly isOwn: boolean;
}

/** Node's options, which nothing on the command line or in the environment changes. */
const OPTIONS = [
  "--disable-sigusr1",
  "--max-semi-space-size=1",
  "--max-old-space-size=512",
  "--no-memory-reducer",
  "--v8-pool-size=1",
];
const QUICK = ["quick-show", "quick-status", "quick-netstart"];

export interface Executable {
  readonly path: string;
  /** The stripped addon, which is in it too. */
  readonly addon: string;
  /** The directories of npm packages in it. */
  readonly modules: readonly string[];
}

/** @param directory where the executable is made, with what it is made of in `parts` */
export async function makeExecutable(directory: string, target: Target): Promise<Executable> {
  const parts = join(directory, "parts");
  mkdirSync(parts, { recursive: true });
  const [node, addon] = [join(parts, "node"), join(parts, "carp.node")];
  // An executable that is stripped afterwards loses what was added.
  await execa(target.strip, ["-o", node, target.node]);
  await execa(target.strip, ["-o", addon, target.addon]);
  const modules = await makeMain(parts, target.isOwn);
  for (const name of QUICK)
    if (target.isOwn) copyFileSync(join("dist", name), join(parts, name));
    else writeFileSync(join(parts, name), withoutCode(readFileSync(join("dist", name))));
  const output = join(directory, "carpctl");
  const configuration = join(parts, "sea.json");
  writeFileSync(
    configuration,
    JSON.stringify({
      main: "dist/command.cjs",
      executable: node,
      output,
      disableExperimentalSEAWarning: true,
      execArgv: OPTIONS,
      execArgvExtension: "none",
      assets: Object.fromEntries(["main", "carp.node", ...QUICK].map((name) => [name, join(parts, name)])),
    }),
  );
  await execa(process.execPath, ["--build-sea", configuration]);
  return { path: output, addon, modules };
}

/** All of main.ts as one script: the executable loads no files. @returns the directories of npm packages in it */
async function makeMain(parts: string, isOwn: boolean): Promise<string[]> {
  const [bundle, main] = [join(parts, "main.cjs"), join(parts, "main")];
  const { metafile } = await build({
    metafile: true,
    entryPoints: ["src/main.ts"],
    outfile: bundle,
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "node26",
    minify: true,
    // Stacks of internal errors are logged.
    keepNames: true,
    charset: "ascii",
    alias: { "string-width": "./src/cli/show/printed-width.ts" },
    // Only the tree looks for files beside the script.
    define: { "import.meta.url": '"file:///"' },
    supported: { "dynamic-import": false },
    banner: { js: "(function(require,module){" },
    footer: { js: "return module.exports})" },
    logLevel: "warning",
  });
  if (isOwn) await execa(process.execPath, ["bin/precompile.ts", bundle, main, "carp0"]);
  else {
    const source = readFileSync(bundle);
    writeFileSync(main, Buffer.concat([Buffer.from(`${source.length}\n`), source]));
  }
  const inputs = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
  const modules = inputs.flatMap((file) => /^(.*node_modules\/(@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  return [...new Set(modules)].sort();
}

/** What bin/precompile.ts made, without what V8 compiled. */
function withoutCode(file: Buffer): Buffer {
  const start = file.indexOf("\n") + 1;
  return file.subarray(0, start + Number(file.toString("latin1", 0, start)));
}
