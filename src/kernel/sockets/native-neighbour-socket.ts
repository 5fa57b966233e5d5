/** Types of the addon's socket for questions to a link (src/native/sockets/neighbour_socket). No code but the cast. */

import { addon } from "../native.ts";

export interface NeighbourSocket {
  /** Listens on the interface. @returns 0 or an errno. */
  open(index: number): number;
  /** @returns 0 or an errno. */
  send(frame: Uint8Array): number;
  /** The next ARP reply or neighbour advertisement that has arrived; undefined: none. Never waits. */
  receive(): Uint8Array | undefined;
  close(): void;
}

export const nativeNeighbourSocket = addon as {
  readonly NeighbourSocket: new () => NeighbourSocket;
};
