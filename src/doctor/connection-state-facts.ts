/**
 * Gathers the facts about conntrackd, its hook and the rules of nftables, in the command's process: the engine has not
 * the privileges. Every program that it runs has a limit.
 */

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Answer, ConnectionStateFacts } from "./connection-states.ts";

const LIMIT_MS = 2000;
/** A conntrackd in mode FTFW is heard every second. */
const HEARD_WITHIN_MS = 2500;
const LOOK_EVERY_MS = 250;
const MAX_OUTPUT = 64 * 1024 * 1024;
const DEFAULT_LOCK = "/var/lock/conntrack.lock";

/** undefined: neither conntrackd nor a hook for it is set up on this host. */
export async function connectionStateFacts(etcDir: string): Promise<ConnectionStateFacts | undefined> {
  const configurationPath = join(etcDir, "conntrackd/conntrackd.conf");
  const configuration = read(configurationPath);
  const hook = hookIn(join(etcDir, "carp/hooks.d"));
  const synchronises = configuration !== undefined && /^\s*Sync\b/m.test(configuration);
  if (hook === undefined && !(synchronises && (await isInstalled()))) return undefined;
  const [, lock = DEFAULT_LOCK] = /^\s*LockFile\s+(\S+)/im.exec(configuration ?? "") ?? [];
  const [statistics, rules] = await Promise.all([
    statisticsOf(configurationPath),
    run("nft", ["-j", "list", "ruleset"]),
  ]);
  return {
    isRoot: process.geteuid?.() === 0,
    hook,
    configurationPath,
    configuration,
    lock: existsSync(lock) ? lock : undefined,
    statistics,
    rules,
    tcpIsLoose: read("/proc/sys/net/netfilter/nf_conntrack_tcp_loose")?.trim() !== "0",
  };
}

const isInstalled = async () => (await run("conntrackd", ["-v"])).kind !== "absent";

/** The second time is as soon as something was received. */
async function statisticsOf(configuration: string): Promise<[Answer, Answer]> {
  const ask = () => run("conntrackd", ["-C", configuration, "-s"]);
  const first = await ask();
  if (first.kind !== "answered") return [first, first];
  const received = (answer: Answer) =>
    answer.kind === "answered" ? /\d+ Pckts recv/.exec(answer.text)?.[0] : undefined;
  for (let waited = 0; ; waited += LOOK_EVERY_MS) {
    await sleep(LOOK_EVERY_MS);
    const later = await ask();
    if (received(later) !== received(first) || waited >= HEARD_WITHIN_MS) return [first, later];
  }
}

/** The name of the first executable file in the directory that speaks of conntrackd. */
function hookIn(directory: string): string | undefined {
  try {
    return readdirSync(directory)
      .sort()
      .find((name) => {
        const path = join(directory, name);
        const stats = statSync(path, { throwIfNoEntry: false });
        if (name.startsWith(".") || !stats?.isFile() || (stats.mode & 0o111) === 0) return false;
        return name.includes("conntrackd") || read(path)?.includes("conntrackd");
      });
  } catch {
    return undefined;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function run(program: string, words: readonly string[]): Promise<Answer> {
  const PATH = `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
  const options = { env: { PATH }, timeout: LIMIT_MS, killSignal: "SIGKILL", maxBuffer: MAX_OUTPUT } as const;
  return new Promise((resolve) => {
    execFile(program, words, options, (error, stdout, stderr) => {
      if (error === null) resolve({ kind: "answered", text: stdout });
      else if (error.code === "ENOENT") resolve({ kind: "absent" });
      else if (error.killed) resolve({ kind: "silent" });
      else resolve({ kind: "failed", text: stderr });
    });
  });
}
