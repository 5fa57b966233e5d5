/**
 * The examples of the manual pages, typed on two hosts and a client: every command, and every line of output
 * that is shown. Each subsection is one example, and so is the text before the first subsection.
 */

import assert from "node:assert/strict";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { createNetwork, type Host, type Network } from "../hosts/index.ts";
import { ENGINE, type Typed, type, typedIn } from "./typed.ts";

interface Example {
  readonly title: string;
  readonly lines: readonly Typed[];
}

const pages = join(import.meta.dirname, "../../man");
const examples = globSync(join(pages, "*.[0-9]")).sort().flatMap(examplesOf);

function examplesOf(path: string): Example[] {
  const page = readFileSync(path, "utf8");
  const [section = ""] = (page.split(/^\.Sh EXAMPLES\n/m)[1] ?? "").split(/^\.Sh /m);
  return section.split(/^\.Ss /m).flatMap((part, at) => {
    const blocks = [...part.matchAll(/^\.Bd -literal[^\n]*\n(.*?)^\.Ed$/gms)].map(([, block = ""]) =>
      plain(block),
    );
    const lines = blocks.filter((block) => /^[a-z]*[#$] /.test(block)).flatMap(typedIn);
    const title = `${basename(path)}${at === 0 ? "" : `: ${part.split("\n")[0]}`}`;
    return lines.length === 0 ? [] : [{ title, lines }];
  });
}

/** The text that mandoc shows: in a literal display only escapes and a protected dot are special. */
function plain(block: string): string {
  return block.replace(/^\\&/gm, "").replaceAll("\\e", "\\").replaceAll("\\(aq", "'").replaceAll("\\-", "-");
}

/**
 * Makes the networks of the examples: eth0 in 10.0.0.0/24, eth1 in 192.0.2.0/24; the hosts are .2 and .3 in
 * both.
 */
async function onTwoHosts(test: (hosts: ReadonlyMap<string, Host>) => Promise<void>): Promise<void> {
  const networks: Network[] = [];
  const network = async () => {
    const made = await createNetwork();
    networks.push(made);
    return made;
  };
  try {
    const inner = await network();
    const outer = await network();
    const hosts = new Map<string, Host>();
    for (const [name, number] of [
      ["a", 2],
      ["b", 3],
      ["client", 9],
    ] as const) {
      const host = await inner.host(name, { addresses: [`10.0.0.${number}/24`] });
      if (name !== "client") await outer.attach(host, { addresses: [`192.0.2.${number}/24`] });
      hosts.set(name, host);
    }
    await test(hosts);
  } finally {
    for (const each of networks) each.destroy();
  }
}

const carpd = readFileSync(join(pages, "carpd.8"), "utf8");

/**
 * Every file in the run directory of an engine, which is its state directory too, has an entry in carpd(8); one that is
 * being written ends in `.new`.
 */
function assertFilesHaveEntries(host: Host): void {
  for (const name of readdirSync(host.runDirectory).map((each) => each.replace(/\.new$/, "")))
    assert.match(carpd, new RegExp(`^\\.It Pa (.* )?/(run|var/lib)/carp/${name}( ,.*)?$`, "m"));
}

describe("the examples of the manual pages", { concurrency: 3 }, () => {
  test("at least four are found", () => assert.ok(examples.length >= 4, `only ${examples.length}`));
  for (const { title, lines } of examples)
    test(title, () =>
      onTwoHosts(async (hosts) => {
        const starts = lines.some(({ command }) => ENGINE.test(command));
        const used = ["a", "b"].filter((name) => lines.some(({ host }) => host === name));
        if (!starts) await Promise.all(used.map((name) => hosts.get(name)?.startEngine()));
        for (const line of lines) {
          const host = hosts.get(line.host);
          assert.ok(host, `there is no host ${line.host}`);
          await type(line, host);
        }
        for (const host of hosts.values()) assertFilesHaveEntries(host);
      }),
    );
});
