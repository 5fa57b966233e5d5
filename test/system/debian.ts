/**
 * Root file systems of Debian releases for the machines of these tests: the packages that are needed to boot, and
 * nothing of ours. Each is made once by mmdebstrap, kept in a cache directory and never written again: a machine has
 * a layer of its own over it.
 */

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

/** The releases the package is for, with their names for `test.skip` and messages. */
export const RELEASES = { bookworm: "Debian 12", trixie: "Debian 13" } as const;
export type Release = keyof typeof RELEASES;

/** What a server has beside Debian's required packages; libatomic1 is what the package depends on beyond these. */
const PACKAGES = [
  "systemd",
  "systemd-sysv",
  "dbus",
  "udev",
  "iproute2",
  "iputils-ping",
  "procps",
  "libatomic1",
];

/** The part of the name that changes when the contents do. */
const VERSION = 1;

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "carpctl/roots");

/** The directory of a release's root file system, which is made when the cache does not have it. */
export async function rootOf(release: Release): Promise<string> {
  const root = join(cache, `${release}-${VERSION}`);
  if (existsSync(root)) return root;
  mkdirSync(cache, { recursive: true });
  const next = mkdtempSync(`${root}.`);
  try {
    await makeRoot(release, next);
    // Another run may have made it meanwhile.
    if (!existsSync(root)) renameSync(next, root);
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
  return root;
}

async function makeRoot(release: Release, directory: string): Promise<void> {
  const options = [
    "--quiet",
    "--variant=minbase",
    `--include=${PACKAGES.join(",")}`,
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--aptopt=Acquire::Languages none",
    "--format=directory",
  ];
  const { failed, all } = await execa("mmdebstrap", [...options, release, directory, await mirror()], {
    all: true,
    reject: false,
  });
  if (failed) throw new Error(`mmdebstrap ${release}:\n${all}`);
}

/** The mirror that this machine uses. */
async function mirror(): Promise<string> {
  const { stdout } = await execa("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Label: Debian"]);
  const [first] = stdout.split("\n");
  if (!first) throw new Error("apt knows no Debian mirror");
  return first;
}
