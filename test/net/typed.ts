/**
 * Types the console examples of a document on test hosts and compares every line of output. A command begins
 * with the host's name and `# ` or `$ `; one that ends in a backslash goes on in the next line. `cat` of a
 * file in /etc shows the content of a file that is then written.
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

/** The commands of a console example, each with the output that follows it. */
export function typedIn(console: string): Typed[] {
  const pieces = console.split(/^(?=[a-z]*\d?[#$] )/m);
  return pieces.map((piece): Typed => {
    const [, host, command, shown] = /^([a-z]*\d?)[#$] ((?:[^\n]*\\\n)*[^\n]*)\n?(.*)$/s.exec(piece) ?? [];
    assert.ok(command !== undefined && shown !== undefined, `not a command: ${piece}`);
    return { host: host || "a", command, shown };
  });
}

/** Replaces ages, indexes and the widths that follow from them, which differ from run to run. */
function comparable(text: string): string {
  return text
    .replace(/\\\n\s*/g, "")
    .replace(/\bindex \d+/g, "index N")
    .replace(/\b\d+s\b/g, "Ns")
    .replace(/[ \t]+/g, " ")
    .replace(/ $/gm, "")
    .trim();
}

/** Commands that start an engine. */
export const ENGINE = /^(carpctl engine|carpd) &$/;

/** Commands that only read: they are repeated until they print what is shown. */
const READS =
  /^(ip -|ping |cat |grep |(carpctl|ifconfig)( status| -g \w+$|( carp\d*| eth\d)?( \||$))|(carpctl )?sysctl (-n )?[\w.]+$)/;

/** A takeover takes three seconds, and longer on a busy machine. */
const TRIES = 160;
const TRY_EVERY_MS = 250;

/** A second start of an engine belongs to another example: the first is stopped. */
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

/** Runs the command with the host's own /etc mounted for it alone. */
async function withEtc(command: string, host: Host): Promise<string[]> {
  await host.run("cp", "--archive", "--no-clobber", "/etc/.", host.etcDirectory);
  const script = 'mount --bind "$CARP_ETC_DIR" /etc && exec sh -c "$1"';
  return ["unshare", "--mount", "--", "sh", "-c", script, "sh", command];
}
