/**
 * Tells the service manager how the engine fares, over the socket it names in NOTIFY_SOCKET. Where there is none,
 * nothing happens; nothing here ever blocks or fails.
 */

import { native } from "./native.ts";
import { oneLine } from "./syslog.ts";

/** The engine answers commands. */
export function notifyReady(): void {
  notify("READY=1");
}

/** The engine has been told to stop and is handing over. */
export function notifyStopping(): void {
  notify("STOPPING=1");
}

/** The engine gives way to the next one in the same process; `READY` follows. @param atUs of CLOCK_MONOTONIC */
export function notifyReloading(atUs: number): void {
  notify(`RELOADING=1\nMONOTONIC_USEC=${Math.trunc(atUs)}`);
}

/** One line for `systemctl status`. */
export function notifyStatus(text: string): void {
  notify(`STATUS=${oneLine(text)}`);
}

/** The engine is alive; due at least every `watchdogIntervalUs`. */
export function notifyAlive(): void {
  notify("WATCHDOG=1");
}

/** How often the service manager wants to hear from this process, or undefined when it does not. */
export function watchdogIntervalUs(): number | undefined {
  const { WATCHDOG_USEC, WATCHDOG_PID } = process.env;
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(process.pid)) return undefined;
  const intervalUs = Number(WATCHDOG_USEC);
  return Number.isSafeInteger(intervalUs) && intervalUs > 0 ? intervalUs : undefined;
}

function notify(state: string): void {
  const socket = process.env.NOTIFY_SOCKET;
  if (!socket) return;
  native.sendDatagram(socket.replace(/^@/, "\0"), Buffer.from(state));
}
