/** Two ends of a connection in this process. */

import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";

/** @param directory for the socket that both were connected by */
export async function socketPair(directory: string): Promise<[Socket, Socket]> {
  const path = join(directory, "pair");
  const { promise: accepted, resolve } = Promise.withResolvers<Socket>();
  const server = createServer(resolve).listen(path);
  const near = connect(path);
  const far = await accepted;
  server.close();
  for (const each of [near, far]) each.on("error", () => {});
  return [near, far];
}
