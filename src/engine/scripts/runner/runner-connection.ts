/**
 * The runner outside the engine's service: each connection to a socket of the service manager starts a runner at the
 * other end of it, which ends with the connection. To the engine it looks like the shell of runner-process.ts: an order
 * connects, and the end of the connection is reported as the end of the runner.
 */

import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { readLines } from "../../../control/framing.ts";
import { MAX_LINE_BYTES } from "./messages.ts";
import type { RunnerProcess } from "./runner-process.ts";

const NEWLINE = Buffer.from("\n");

/** The engine connects as the user that it has become: the socket is that user's group's. */
export function connectRunner(path: string): RunnerProcess {
  let runner: Socket | undefined;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();

  const socket = new Side({
    write: (bytes, done) => (runner?.writable ? runner.write(bytes, () => done()) : done()),
    end: (done) => (runner?.writable ? runner.end(done) : done()),
    destroy: () => runner?.destroy(),
  });
  const shell = new Side({
    write: (_order, done) => {
      start();
      done();
    },
    // With an end of its orders, the shell ends behind its runner.
    end: (done) => {
      if (runner === undefined) end();
      done();
    },
    destroy: () => runner?.destroy(),
  });

  function start(): void {
    const connection = connect(path);
    runner = connection;
    connection.unref();
    connection.on("error", () => {});
    // Whole lines: of one that the runner was killed in, the next runner's would be the rest.
    const take = (line: Buffer) => void socket.push(Buffer.concat([line, NEWLINE]));
    readLines(connection, MAX_LINE_BYTES, take, () => connection.destroy());
    connection.on("close", () => {
      runner = undefined;
      if (shell.writableEnded) end();
      else shell.push("exited 0\n");
    });
  }

  return { socket, shell, ended };
}

interface Actions {
  readonly write: (bytes: Buffer, done: () => void) => void;
  readonly end: (done: () => void) => void;
  readonly destroy: () => void;
}

/** What the engine holds for each of the shell's two sockets. */
class Side extends Duplex {
  readonly #actions: Actions;

  constructor(actions: Actions) {
    super();
    this.#actions = actions;
  }

  /** The runner never keeps the engine from ending. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#actions.write(bytes, done);
  }

  override _final(done: () => void): void {
    this.#actions.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#actions.destroy();
    done(error);
  }
}
