/**
 * Loaded into an engine before its own code (node --import): counts its steps on the kernel and on
 * its files, and kills it with SIGKILL before the step with number CRASH_BEFORE. Changes nothing else about
 * the engine.
 */

import fs from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";

/** Number of the step that is not taken, from 1; absent: the engine is not killed. */
const crashBefore = Number(process.env.CRASH_BEFORE ?? 0);
/** File for the names of the steps, a line each. */
const { CRASH_LIST: listPath } = process.env;
const list = listPath === undefined ? undefined : fs.openSync(listPath, "a");

/** Calls that only read, or whose effects end with the process. */
const HARMLESS = new Set([
  "ready",
  "drain",
  "port",
  "share",
  "read",
  "lookup",
  "keys",
  "run",
  "readClocks",
  "peerCredentials",
  "groupId",
  "interfaceName",
  "hasRoom",
  "bpfLayout",
  "listFilters",
  "listTcx",
  "programName",
  "xdpProgram",
  "followRoutes",
  "lockFile",
  "listenerUid",
  "programId",
  "sendDatagram",
  "adopted",
  "userId",
  "giveUpRoot",
  "unlimitLockedMemory",
  "giveBackMemory",
  "scheduleAtOnce",
  "isRead",
  "watch",
  "wake",
  "take",
  "acceptUnix",
  "receiveBytes",
  "sendBytes",
  "closeSocket",
  "fold",
  "unfold",
  "latest",
  "sendAhead",
  "recall",
  "hold",
  "sendDue",
  "release",
]);

/** Objects that only look. */
const LOOKING = new Set(["Poller"]);

type Call = (...words: unknown[]) => unknown;

/** Calls of a MASTER that repeat with every advertisement: only the first in a row count as steps. */
const ADVERTISING = new Set(["Sockets.send", "BpfObject.storeUs"]);
const ADVERTISEMENTS = 3;

let steps = 0;
let advertising = 0;

function step(name: string): void {
  advertising = ADVERTISING.has(name) ? advertising + 1 : 0;
  if (advertising > 2 * ADVERTISEMENTS) return;
  steps += 1;
  if (list !== undefined) fs.writeSync(list, `${name}\n`);
  if (steps === crashBefore) process.kill(process.pid, "SIGKILL");
}

/** Is the netlink message an RTM_GET...? They change nothing; every fourth type is one. */
function isQuestion(datagram: Uint8Array): boolean {
  return new DataView(datagram.buffer, datagram.byteOffset).getUint16(4, true) % 4 === 2;
}

function stepping(owner: string, name: string, call: Call): Call {
  if (HARMLESS.has(name) || LOOKING.has(owner)) return call;
  return (...words) => {
    if (owner !== "NetlinkSocket") step(`${owner}.${name}`);
    else if (name !== "send") step(`${owner}.${name}`);
    else if (!isQuestion(words[0] as Uint8Array)) step(`netlink ${(words[0] as Uint8Array)[4]}`);
    return call(...words);
  };
}

/** Wraps an object so that its methods count as steps; native methods need their own `this`. */
function watched(owner: string, object: object): object {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return stepping(owner, String(name), value.bind(target));
    },
  });
}

function watchedAddon(addon: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(addon).map(([name, value]) => {
    if (typeof value !== "function") return [name, value];
    if (!/^[A-Z]/.test(name)) return [name, stepping("addon", name, value as Call)];
    const construct = (target: new (...words: unknown[]) => object, words: unknown[]) =>
      watched(name, new target(...words));
    return [name, new Proxy(value, { construct })];
  });
  return Object.fromEntries(entries);
}

if (process.argv.includes("engine")) {
  const extensions = createRequire(import.meta.url)("node:module")._extensions;
  const load = extensions[".node"];
  extensions[".node"] = (module: { exports: Record<string, unknown> }, path: string) => {
    load(module, path);
    if (path.endsWith("carp.node")) module.exports = watchedAddon(module.exports);
  };
  for (const [owner, files] of [
    ["fs", fs],
    ["fs.promises", fs.promises],
  ] as const) {
    const calls = files as unknown as Record<string, Call>;
    for (const name of ["mkdir", "open", "rename", "rm", "rmdir", "unlink", "writeFile", "chmod"])
      for (const form of owner === "fs" ? [`${name}Sync`] : [name]) {
        const call = calls[form];
        if (call === undefined) continue;
        calls[form] = (...words) => {
          const reads = name === "open" && (words[1] === "r" || typeof words[1] === "number");
          if (!reads) step(`${owner}.${form}`);
          return call.apply(calls, words);
        };
      }
  }
  syncBuiltinESMExports();
}
