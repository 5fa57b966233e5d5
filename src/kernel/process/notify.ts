/**
 * The service manager (sd_notify): tells it that the engine is ready, stops, or still runs (watchdog), over the socket
 * it names in NOTIFY_SOCKET. Without that variable no service manager starts the engine again, and nothing is sent;
 * nothing here ever blocks or fails.
 */

import { nativeProcess } from "./native-process.ts";

/** Whether a service manager watches over this process. */
export function isSupervised(): boolean {
  return (process.env.NOTIFY_SOCKET ?? "") !== "";
}

/** The engine answers commands. */
export function notifyReady(): void {
  notify("READY=1");
}

/** The engine has been told to stop and gives its virtual hosts up. */
export function notifyStopping(): void {
  notify("STOPPING=1");
}

/** The engine's event loop runs. */
export function notifyWatchdog(): void {
  notify("WATCHDOG=1");
}

/** Time after which the service manager kills a silent process, in milliseconds; undefined: it does not. */
export function watchdogMs(): number | undefined {
  const { WATCHDOG_USEC: us, WATCHDOG_PID: pid } = process.env;
  if (!isSupervised() || us === undefined || (pid !== undefined && Number(pid) !== process.pid))
    return undefined;
  const ms = Number(us) / 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

function notify(state: string): void {
  const socket = process.env.NOTIFY_SOCKET;
  if (!socket) return;
  nativeProcess.sendDatagram(socket.replace(/^@/, "\0"), Buffer.from(state));
}
