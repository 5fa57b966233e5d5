/** A Unix datagram socket that listens at a path and hands its datagrams to a test; Node offers none. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
path = sys.argv[1]
s.bind("\\0" + path[1:] if path.startswith("@") else path)
print("bound", flush=True)
while True:
    print(s.recv(65536).hex(), flush=True)
`;

export interface Datagrams {
  next(): Promise<string>;
  close(): Promise<void>;
}

export async function datagramsAt(path: string): Promise<Datagrams> {
  const child = spawn("python3", ["-c", program, path], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`nothing listens at ${path}`);
    return String(value);
  };
  await next();
  return {
    next: async () => Buffer.from(await next(), "hex").toString(),
    close: () =>
      new Promise((resolve) => {
        child.once("close", () => resolve());
        child.kill();
      }),
  };
}
