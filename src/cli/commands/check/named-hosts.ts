/** The hosts that words name, NAME=PATH each, read and compared. */

import { type Comparison, compareHosts } from "../../../cluster/comparison.ts";
import type { HostFiles } from "../../../cluster/host-files.ts";
import { printable } from "../../../control/printable.ts";
import { isRefusal, misused, type Outcome, type Refusal, refuse, refused } from "../../outcome.ts";
import { readHostFiles } from "./host-files.ts";

/** @returns an outcome where the words name no hosts, or there is nothing to read */
export async function compareNamed(words: readonly string[], usage: string): Promise<Comparison | Outcome> {
  const named = hostsIn(words);
  if (isRefusal(named)) return misused(usage, named.refusal);
  const hosts: HostFiles[] = [];
  for (const { name, path } of named) {
    const host = await readHostFiles(name, path);
    if (isRefusal(host)) return refused(host.refusal);
    hosts.push(host);
  }
  return compareHosts(hosts);
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

function hostsIn(words: readonly string[]): { name: string; path: string }[] | Refusal {
  const hosts: { name: string; path: string }[] = [];
  for (const word of words) {
    const [, name = "", path = ""] = /^([^=]*)=(.+)$/s.exec(word) ?? [];
    if (path === "") return refuse(`${printable(word)}: expected NAME=DIRECTORY or NAME=FILE`);
    if (!NAME.test(name))
      return refuse(`${printable(name)}: not a host's name (letters, digits, dots and dashes)`);
    if (hosts.some((each) => each.name === name)) return refuse(`${name}: two hosts have this name`);
    hosts.push({ name, path });
  }
  return hosts.length < 2 ? refuse("at least two hosts are compared") : hosts;
}
