/**
 * Reads how a trusted script is run from its head. A script whose head says what is not understood, or names a user
 * whom there is not, is refused: run otherwise, it might run as root, or never.
 */

import { closeSync, openSync, readSync } from "node:fs";
import { HEAD_BYTES, parseScriptHead, type ScriptSettings } from "../../../config/script-head.ts";
import type { User } from "../../../kernel/process/native-process.ts";
import type { Script } from "./trusted-scripts.ts";

export interface Headed extends Script {
  readonly settings: ScriptSettings;
  /** The user that it is run as; undefined: root. */
  readonly as?: User | undefined;
}

const MAX_REFUSAL = 1024;

export async function withHead(script: Script, kind: "checks" | "hooks"): Promise<Headed> {
  // What others could have written is not read either.
  if (script.refusal !== undefined) return { ...script, settings: {} };
  const refused = (why: string): Headed => ({ ...script, settings: {}, refusal: why.slice(0, MAX_REFUSAL) });
  let bytes: Buffer;
  try {
    bytes = beginningOf(script.path);
  } catch (error) {
    return refused(`cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const head = parseScriptHead(bytes, kind);
  if ("message" in head) return refused(`${script.file}:${head.line}: ${head.message}`);
  const { settings, userLine } = head;
  if (settings.user === undefined) return { ...script, settings };
  const as = await userNamed(settings.user);
  if (as === undefined) return refused(`${script.file}:${userLine}: user ${settings.user}: no such user`);
  return { ...script, settings, as };
}

function beginningOf(path: string): Buffer {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(HEAD_BYTES);
    return bytes.subarray(0, readSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
}

/** The addon is loaded only when it is needed. */
async function userNamed(name: string): Promise<User | undefined> {
  const { nativeProcess } = await import("../../../kernel/process/native-process.ts");
  return nativeProcess.userId(name);
}
