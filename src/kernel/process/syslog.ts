/**
 * The log: writes each line to the system log, as one datagram, or to standard error with the priority in front, as
 * service managers read it. Where systemd's journal is the system log, or reads standard error, it gets the line with
 * its fields instead, by its own protocol. Logging never blocks and never fails: a line that cannot be written is lost.
 */

import { writeSync } from "node:fs";
import { constants } from "node:os";
import type { LogFields } from "../../core/effect.ts";
import type { Priority } from "../../core/model.ts";
import { isJournal, JOURNAL_SOCKET, journalEntry } from "./journal.ts";
import { FACILITY_DAEMON, oneLine } from "./log-line.ts";
import { nativeProcess } from "./native-process.ts";

/** @param fields what the text tells, as data */
export type Log = (priority: Priority, text: string, fields?: LogFields) => void;

/** Lines kept for a reader that has fallen behind. */
const MAX_WAITING_LINES = 4096;
const RETRY_MS = 20;
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

interface LogOptions {
  readonly syslog?: string;
  readonly journal?: string;
  /** Name of the program in the log. */
  readonly ident?: string;
}

export function createLog(
  target: "syslog" | "stderr",
  { syslog = "/dev/log", journal = JOURNAL_SOCKET, ident = "carpd" }: LogOptions = {},
): Log {
  if (target === "syslog") return toJournal(journal, ident, toSyslog(syslog, ident));
  return isJournal(2) ? toJournal(journal, ident, toStandardError()) : toStandardError();
}

function toSyslog(socket: string, ident: string): Log {
  return (priority, text) => {
    const message = `${syslogHeader(priority, new Date(), process.pid, ident)}${oneLine(text)}`;
    nativeProcess.sendDatagram(socket, Buffer.from(message));
  };
}

/** @param otherwise takes the lines while no journal listens at the socket; it may be started later */
function toJournal(socket: string, ident: string, otherwise: Log): Log {
  return (priority, text, fields) => {
    const entry = journalEntry(priority, text, fields, ident);
    const error = nativeProcess.sendDatagram(socket, Buffer.from(entry));
    if (error !== 0 && !isFull(error)) otherwise(priority, text, fields);
  };
}

/** Whether a journal listens, and takes nothing more at present. */
function isFull(error: number): boolean {
  return error === constants.errno.EAGAIN || error === constants.errno.ENOBUFS;
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
export function syslogHeader(priority: Priority, at: Date, pid: number, ident = "carpd"): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${months[at.getMonth()]} ${String(at.getDate()).padStart(2, " ")}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `<${FACILITY_DAEMON * 8 + priority}>${day} ${time} ${ident}[${pid}]: `;
}
