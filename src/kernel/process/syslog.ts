/**
 * The log: writes each line to the system log, as one datagram that every syslogd reads, or to standard error with the
 * priority in front, as service managers read it. Logging never blocks and never fails: a line that cannot be written
 * is lost.
 */

import { writeSync } from "node:fs";
import type { Priority } from "../../core/model.ts";
import { nativeProcess } from "./native-process.ts";

export type Log = (priority: Priority, text: string) => void;

const facilityDaemon = 3;
/** Lines kept for a reader that has fallen behind. */
const MAX_WAITING_LINES = 4096;
const RETRY_MS = 20;
/** A syslog message of RFC 3164 is at most 1024 bytes; this leaves room for the header. */
const MAX_TEXT_BYTES = 960;
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function createLog(target: "syslog" | "stderr", socket = "/dev/log"): Log {
  if (target === "stderr") return toStandardError();
  return (priority, text) => {
    const message = `${syslogHeader(priority, new Date(), process.pid)}${oneLine(text)}`;
    nativeProcess.sendDatagram(socket, Buffer.from(message));
  };
}

/** Asks for room before each write: whether standard error blocks is shared with the process that started this one. */
function toStandardError(): Log {
  const waiting: string[] = [];
  let retry: NodeJS.Timeout | undefined;
  const write = () => {
    retry = undefined;
    for (let line = waiting[0]; line !== undefined && nativeProcess.hasRoom(2); line = waiting[0]) {
      waiting.shift();
      try {
        writeSync(2, line);
      } catch {
        // A closed pipe: the line is lost, the engine goes on.
      }
    }
    if (waiting.length > 0) retry = setTimeout(write, RETRY_MS).unref();
  };
  process.on("exit", write);
  return (priority, text) => {
    if (waiting.length >= MAX_WAITING_LINES) return;
    waiting.push(`<${priority}>${oneLine(text)}\n`);
    if (retry === undefined) write();
  };
}

/** `<26>Jan  2 03:04:05 carpd[7]: `: priority, local time, program and pid. */
export function syslogHeader(priority: Priority, at: Date, pid: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${months[at.getMonth()]} ${String(at.getDate()).padStart(2, " ")}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `<${facilityDaemon * 8 + priority}>${day} ${time} carpd[${pid}]: `;
}

/** Makes text one line, without control characters, short enough for every log. */
export function oneLine(text: string): string {
  // C0, DEL, C1, and the separators that some viewers break lines at.
  const line = text.trimEnd().replaceAll(/[\p{Cc}\u2028\u2029]/gu, "?");
  const bytes = Buffer.from(line);
  if (bytes.length <= MAX_TEXT_BYTES) return line;
  // A character that the cut went through decodes to U+FFFD.
  return `${bytes
    .subarray(0, MAX_TEXT_BYTES - 3)
    .toString()
    .replace(/\uFFFD+$/u, "")}...`;
}
