/**
 * What these tests need of this machine and of the tree, and on which releases they run: on one in `npm test`, on both
 * when CARPCTL_SYSTEM is `all`. There, what is missing is an error and no reason to skip.
 */

import { execaSync } from "execa";
import { RELEASES, type Release, rootOf } from "./debian.ts";
import { builtPackage } from "./package.ts";

const all = process.env.CARPCTL_SYSTEM === "all";

export interface Tried {
  readonly release: Release;
  /** `Debian 12`, for names of tests. */
  readonly name: string;
  /** The package; the tests that are skipped do not read it. */
  readonly deb: string;
  /** The reason why a test is skipped, for node:test. */
  readonly skip: string | false;
}

/** The releases to try, each with a root file system, or with the reason why it is not tried. */
export async function tried(): Promise<Tried[]> {
  const releases = Object.keys(RELEASES) as Release[];
  const found = [];
  for (const release of all ? releases : releases.slice(0, 1)) {
    const reason = await missing(release);
    if (all && reason !== undefined) throw new Error(reason);
    found.push({ release, name: RELEASES[release], deb: builtPackage() ?? "", skip: reason ?? false });
  }
  return found as Tried[];
}

async function missing(release: Release): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "machines need root";
  for (const [command, debian] of [
    ["systemd-nspawn", "systemd-container"],
    ["mmdebstrap", "mmdebstrap"],
  ] as const)
    if (execaSync("which", [command], { reject: false }).failed)
      return `no ${command}: apt-get install ${debian}`;
  if (builtPackage() === undefined) return "no package in dist: npm run package";
  try {
    await rootOf(release);
  } catch (error) {
    return `no root file system: ${(error as Error).message}`;
  }
  return undefined;
}
