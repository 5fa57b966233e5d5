/** The other end of the control socket for tests of the commands: answers as told and remembers what it was asked. */

import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { InterfaceView, NodeView } from "../../../src/control/messages.ts";

export interface Asked {
  readonly method: string;
  readonly params: unknown;
}

/** A result, or `{ error }` with the code and message to refuse with. */
type Answer = (asked: Asked) => unknown;

export interface ScriptedEngine {
  readonly runDir: string;
  readonly asked: Asked[];
  close(): Promise<void>;
}

export function scriptedEngine(answer: Answer): Promise<ScriptedEngine> {
  const asked: Asked[] = [];
  return listening(asked, (socket) => {
    const lines = createInterface({ input: socket });
    // A command that has heard enough hangs up; readline passes that on.
    lines.on("error", () => {});
    lines.on("line", (line) => {
      const { id, method, params } = JSON.parse(line);
      asked.push({ method, params });
      const given = answer({ method, params });
      const isError = typeof given === "object" && given !== null && "error" in given;
      socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...(isError ? given : { result: given }) })}\n`);
    });
  });
}

/** A socket on which `serve` does as it likes. */
export async function listening(asked: Asked[], serve: (socket: Socket) => void): Promise<ScriptedEngine> {
  const runDir = await mkdtemp(join(tmpdir(), "carpctl-test-"));
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(join(runDir, "engine.sock"), resolve));
  return {
    runDir,
    asked,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(runDir, { recursive: true });
    },
  };
}

export function node(fields: Partial<NodeView> = {}): NodeView {
  return {
    vhid: 1,
    advskew: 0,
    effectiveAdvskew: 0,
    demote: 0,
    state: "MASTER",
    sinceUs: 1_000_000,
    transitions: 1,
    heard: undefined,
    peers: [],
    ...fields,
  };
}

export function view(fields: Partial<InterfaceView> = {}): InterfaceView {
  return {
    name: "carp0",
    up: true,
    running: true,
    mtu: 1500,
    lladdr: "00:00:5e:00:01:01",
    description: undefined,
    index: 5,
    carpdev: "eth0",
    advbase: 1,
    balancing: "none",
    carppeer: undefined,
    carppeer6: undefined,
    announce: undefined,
    preemptdelay: undefined,
    nodes: [node()],
    groups: ["carp"],
    addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
    status: "master",
    sendFailure: undefined,
    repairs: 0,
    problems: [],
    discarded: [],
    notRunning: undefined,
    ...fields,
  };
}
