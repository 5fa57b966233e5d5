/**
 * What a document shows being typed on hosts, typed as it stands there: every command, and every line of output it
 * shows. A command begins with the host's name and `# ` or `$ `; one that ends in a backslash goes on in the next line.
 * `cat` of a file in /etc shows what the file is to hold: it is written.
 */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Engine, Host } from "../hosts/index.ts";

const tree = join(import.meta.dirname, "../..");

export interface Typed {
  readonly host: string;
  readonly command: string;
  readonly shown: string;
}

/** The commands of a console in a document, each with the output shown behind it. */
export function typedIn(console: string): Typed[] {
  const pieces = console.split(/^(?=[a-z]*[#$] )/m);
  return pieces.map((piece): Typed => {
    const [, host, command, shown] = /^([a-z]*)[#$] ((?:[^\n]*\\\n)*[^\n]*)\n?(.*)$/s.exec(piece) ?? [];
    assert.ok(command !== undefined && shown !== undefined, `not a command: ${piece}`);
    return { host: host || "a", command, shown };
  });
}

/** Ages, indexes and the widths that follow from them differ from run to run. */
function comparable(text: string): string {
  return text
    .replace(/\\\n\s*/g, "")
    .replace(/\bindex \d+/g, "index N")
    .replace(/\b\d+s\b/g, "Ns")
    .replace(/[ \t]+/g, " ")
    .replace(/ $/gm, "")
    .trim();
}

/** What starts an engine. */
export const ENGINE = /^(carpctl engine|carpd) &$/;

/** What is read is what it comes to; what is changed is changed once. */
const READS =
  /^(ip -|ping |cat |grep |(carpctl|ifconfig)( status| -g \w+$|( carp\d*)?( \||$))|(carpctl )?sysctl (-n )?[\w.]+$)/;

/** Tries for ten seconds: a takeover takes three. */
const TRIES = 40;
const TRY_EVERY_MS = 250;

/** Where an engine is started twice, the second is another example's: it begins anew. */
const engines = new WeakMap<Host, Engine>();

export async function type({ command, shown }: Typed, host: Host): Promise<void> {
  if (ENGINE.test(command)) {
    await engines.get(host)?.stop();
    engines.set(host, await host.startEngine());
    return;
  }
  const file = /^cat \/etc\/(\S+)$/.exec(command)?.[1];
  if (file !== undefined) {
    const path = join(host.etcDirectory, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, shown, { mode: 0o640 });
    return;
  }
  let output = await run(command, host);
  for (let tries = 0; READS.test(command) && output !== comparable(shown) && tries < TRIES; tries++) {
    await wait(TRY_EVERY_MS);
    output = await run(command, host);
  }
  assert.equal(output, comparable(shown), `${host.name}# ${command}`);
}

async function run(command: string, host: Host): Promise<string> {
  const environment = { PATH: `${tree}/bin:${process.env.PATH}` };
  const words = command.includes("/etc/") ? await withEtc(command, host) : ["sh", "-c", command];
  const { stdout, stderr } = await host.exec(words[0] ?? "", words.slice(1), { environment });
  return comparable((stdout + stderr).replaceAll(host.etcDirectory, "/etc"));
}

/** The host has an /etc of its own, seen by this command alone. */
async function withEtc(command: string, host: Host): Promise<string[]> {
  await host.run("cp", "--archive", "--no-clobber", "/etc/.", host.etcDirectory);
  const script = 'mount --bind "$CARP_ETC_DIR" /etc && exec sh -c "$1"';
  return ["unshare", "--mount", "--", "sh", "-c", script, "sh", command];
}
