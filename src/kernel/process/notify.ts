/**
 * Tells the service manager that the engine is ready, reloading or stopping, over the socket it names in
 * NOTIFY_SOCKET (sd_notify). Without that variable nothing happens; nothing here ever blocks or fails.
 */

import { nativeProcess } from "./native-process.ts";

/** The engine answers commands. */
export function notifyReady(): void {
  notify("READY=1");
}

/** The engine has been told to stop and gives its virtual hosts up. */
export function notifyStopping(): void {
  notify("STOPPING=1");
}

/** The next engine starts in the same process; `READY` follows. @param atUs time of CLOCK_MONOTONIC */
export function notifyReloading(atUs: number): void {
  notify(`RELOADING=1\nMONOTONIC_USEC=${Math.trunc(atUs)}`);
}

function notify(state: string): void {
  const socket = process.env.NOTIFY_SOCKET;
  if (!socket) return;
  nativeProcess.sendDatagram(socket.replace(/^@/, "\0"), Buffer.from(state));
}
