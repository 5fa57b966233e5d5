/**
 * The user that the engine runs as, and whether a run directory can only be one of that user's, of root's or of the
 * caller's: any other user could answer there in the engine's place, and would be told a pass. Reads files only.
 */

import { lstatSync, readFileSync } from "node:fs";
import { distrust } from "./trusted-path.ts";

const ENGINE_USER = "_carpd";

/** undefined: there is no such user, and engines run as root. */
export function engineUid(passwd = "/etc/passwd"): number | undefined {
  try {
    const entries = readFileSync(passwd, "utf8").split("\n");
    const uid = entries.map((line) => line.split(":")).find(([name]) => name === ENGINE_USER)?.[2];
    return uid !== undefined && /^\d+$/.test(uid) ? Number(uid) : undefined;
  } catch {
    return undefined;
  }
}

/** Why a run directory is not trusted; undefined: it is, or there is none. */
export function distrustRunDirectory(runDir: string): string | undefined {
  return trusts((owner) => distrust(runDir, owner));
}

/** Why a socket in a trusted run directory is not an engine's; undefined: it may be, or there is none. */
export function distrustSocket(path: string): string | undefined {
  return trusts((owner) => {
    const stats = lstatSync(path);
    if (!stats.isSocket()) return `${path} is not a socket`;
    return stats.uid === 0 || stats.uid === owner ? undefined : `${path} is not owned by root`;
  });
}

/** Asks for root, then for each other user whose engine may be talked to. */
function trusts(distrustOf: (owner: number) => string | undefined): string | undefined {
  try {
    const why = distrustOf(0);
    if (why === undefined) return undefined;
    const others = [engineUid(), process.geteuid?.()].filter((uid) => uid !== undefined && uid !== 0);
    return others.some((uid) => distrustOf(uid as number) === undefined) ? undefined : why;
  } catch {
    // There is nothing: connecting says so.
    return undefined;
  }
}
