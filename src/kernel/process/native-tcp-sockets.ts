/**
 * Types of the addon's calls about TCP sockets (src/native/process/tcp_socket.cc). Connections are accepted, read and
 * written by the calls of native-unix-sockets.ts. No code but the cast of the addon.
 */

import { addon } from "../native.ts";

export const nativeTcpSockets = addon as {
  /**
   * Listens at this address, which the host need not have yet.
   *
   * @param address canonical text
   * @returns a descriptor; below 0: -errno
   */
  listenTcp(address: string, port: number, backlog: number): number;
};
