/** Clusters: the hosts, and the files below /etc of each. The published ones are those of test/fixtures/clusters. */

import { globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after } from "node:test";
import { readHostFiles } from "../../../src/cli/commands/check/host-files.ts";
import { type Comparison, compareHosts } from "../../../src/cluster/comparison.ts";
import { placeText } from "../../../src/cluster/finding.ts";
import type { HostFiles } from "../../../src/cluster/host-files.ts";
import { isRefusal } from "../../../src/control/refusal.ts";

/** By their paths below /etc. */
export type Files = Readonly<Record<string, string>>;
export type Cluster = Readonly<Record<string, Files>>;

/** The clusters of test/fixtures/clusters, by their directories. */
export const PUBLISHED: Readonly<Record<string, Cluster>> = readClusters(
  join(import.meta.dirname, "../../fixtures/clusters"),
);

function readClusters(base: string): Record<string, Cluster> {
  const directories = (path: string) =>
    readdirSync(path, { withFileTypes: true })
      .filter((each) => each.isDirectory())
      .map(({ name }) => name)
      .sort();
  return Object.fromEntries(
    directories(base).map((name) => [
      name,
      Object.fromEntries(
        directories(join(base, name)).map((host) => [host, readFiles(join(base, name, host))]),
      ),
    ]),
  );
}

function readFiles(directory: string): Files {
  return Object.fromEntries(
    globSync("**/*", { cwd: directory, withFileTypes: true })
      .filter((each) => each.isFile())
      .map((each) => join(each.parentPath, each.name))
      .map((path) => [relative(directory, path), readFileSync(path, "utf8")]),
  );
}

const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

/** Writes the files of each host into a directory of its name. @returns the directory above */
export function written(cluster: Cluster): string {
  const base = join(directory, String(++count));
  for (const [host, files] of Object.entries(cluster)) {
    mkdirSync(join(base, host), { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(base, host, path)), { recursive: true });
      writeFileSync(join(base, host, path), text);
    }
  }
  return base;
}

export async function compared(cluster: Cluster): Promise<Comparison & { readonly base: string }> {
  const base = written(cluster);
  const hosts: HostFiles[] = [];
  for (const name of Object.keys(cluster)) {
    const read = await readHostFiles(name, join(base, name), async (host) =>
      host.startsWith("peer") ? `10.0.0.${host.slice(4)}` : undefined,
    );
    if (isRefusal(read)) throw new Error(read.refusal);
    hosts.push(read);
  }
  return { ...compareHosts(hosts), base };
}

/** Each finding as `KIND HOST/FILE:LINE`. */
export async function findingsOf(cluster: Cluster): Promise<string[]> {
  const { findings, base } = await compared(cluster);
  return findings.map((each) => `${each.kind} ${placeText(each).replace(`${base}/`, "")}`);
}
