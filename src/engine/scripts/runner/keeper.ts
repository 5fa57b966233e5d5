/**
 * The engine's end of the keeper: the small process that keeps the privileges the engine gives up, to start
 * the runner with them and to mount and unmount the bpffs (keeper.c). It outlives the images of the engine's
 * process: each hands it on to the next. A keeper that does not answer is killed, and the engine goes on
 * without it.
 */

import { spawn } from "node:child_process";
import { closeSync, fstatSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import { readLines } from "../../../control/framing.ts";
import { errnoName, KEEPER } from "../../../kernel/native.ts";
import { nativeProcess } from "../../../kernel/process/native-process.ts";
import type { RunnerProcess } from "./runner-process.ts";

/**
 * Descriptor and process id, for the next image of this process, which removes the variable when it has read
 * it.
 */
const VARIABLE = "CARPCTL_KEEPER";
/** bin/carpctl needs a PATH. */
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
/** No order takes the keeper long. */
const ANSWER_MS = 1000;
/** A word and a number. */
const MAX_LINE_BYTES = 256;

export interface KeeperEnds {
  readonly fd: number;
  readonly pid: number;
}

/**
 * @param program absolute; the runner when `runner` is its next word. @returns undefined when it cannot be
 * started
 */
export function startKeeper(filesystem: string, program: readonly string[]): KeeperEnds | undefined {
  const pair = nativeProcess.socketPair();
  if (typeof pair === "number") return undefined;
  const [fd, its] = pair;
  const child = spawn(KEEPER, [filesystem, ...program], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", its],
    env: { PATH },
    cwd: "/",
  });
  closeSync(its);
  child.on("error", () => {});
  child.unref();
  if (child.pid !== undefined) return { fd, pid: child.pid };
  closeSync(fd);
  return undefined;
}

/** Hands the keeper on over an exec that follows at once. */
export function handOn({ fd, pid }: KeeperEnds): void {
  nativeProcess.keepAcrossExec(fd, true);
  process.env[VARIABLE] = `${fd}:${pid}`;
}

/** The keeper that the image before this one handed on; undefined when there is none. */
export function takeOver(): KeeperEnds | undefined {
  const [, fd, pid] = /^(\d+):(\d+)$/.exec(process.env[VARIABLE] ?? "") ?? [];
  delete process.env[VARIABLE];
  if (fd === undefined) return undefined;
  try {
    if (!fstatSync(Number(fd)).isSocket()) return undefined;
  } catch {
    return undefined;
  }
  nativeProcess.keepAcrossExec(Number(fd), false);
  return { fd: Number(fd), pid: Number(pid) };
}

export class Keeper {
  readonly #ends: KeeperEnds;
  readonly #socket: Socket;
  /** Resolves when it is gone; nothing can be asked of it any more. */
  readonly gone: Promise<void>;
  #isThere = true;
  #runnerEnded: ((how: string) => void) | undefined;
  /** Waits for the answer to mount or unmount, one at a time. */
  #mounted: ((error: number | undefined) => void) | undefined;
  #late: NodeJS.Timeout | undefined;

  constructor(ends: KeeperEnds) {
    this.#ends = ends;
    this.#socket = new Socket({ fd: ends.fd, readable: true, writable: true });
    this.#socket.unref();
    this.#socket.on("error", () => {});
    readLines(
      this.#socket,
      MAX_LINE_BYTES,
      (line) => this.#heard(line.toString("latin1")),
      () => this.#kill(),
    );
    this.gone = new Promise((resolve) => this.#socket.once("close", resolve)).then(() => {
      this.#isThere = false;
      clearTimeout(this.#late);
      nativeProcess.reap(ends.pid);
      this.#runnerEnded?.("what started it ended");
      this.#mounted?.(undefined);
    });
  }

  get isThere(): boolean {
    return this.#isThere;
  }

  /** @returns undefined when it is gone, or cannot be asked. There is one runner at a time. */
  startRunner(): RunnerProcess | undefined {
    const pair = this.#isThere ? nativeProcess.socketPair() : 0;
    if (typeof pair === "number") return undefined;
    const [fd, its] = pair;
    const error = this.#order("r", its);
    closeSync(its);
    if (error !== 0) {
      closeSync(fd);
      return undefined;
    }
    const socket = new Socket({ fd, readable: true, writable: true });
    const ended = new Promise<string>((resolve) => {
      this.#runnerEnded = resolve;
    });
    return {
      socket,
      ended,
      kill: () => {
        this.#order("k");
        this.#requireAnswer();
        socket.destroy();
      },
    };
  }

  /** Mounts the bpffs. Resolves with 0, an errno, or undefined without an answer. */
  mount(): Promise<number | undefined> {
    return this.#answer("m");
  }

  /** Unmounts it, with the same results. */
  unmount(): Promise<number | undefined> {
    return this.#answer("u");
  }

  #answer(order: "m" | "u"): Promise<number | undefined> {
    return new Promise((resolve) => {
      this.#mounted?.(undefined);
      this.#mounted = resolve;
      if (!this.#isThere || this.#order(order) !== 0) resolve(undefined);
      else this.#requireAnswer();
    });
  }

  handOn(): void {
    if (this.#isThere) handOn(this.#ends);
  }

  /** Ends the keeper. Resolves when it is gone. */
  async end(): Promise<void> {
    this.#socket.ref();
    this.#socket.end();
    this.#requireAnswer();
    await this.gone;
  }

  /** Kills a keeper that does not answer in time, which ends every wait for it. */
  #requireAnswer(): void {
    clearTimeout(this.#late);
    if (!this.#isThere) return;
    this.#late = setTimeout(() => this.#kill(), ANSWER_MS);
  }

  #kill(): void {
    process.kill(this.#ends.pid, "SIGKILL");
  }

  #order(order: "r" | "k" | "m" | "u", descriptor = -1): number {
    return nativeProcess.sendByte(this.#ends.fd, order.charCodeAt(0), descriptor);
  }

  #heard(line: string): void {
    clearTimeout(this.#late);
    const [what, number] = line.split(" ");
    if (what === "ended") this.#runnerEnded?.(endText(Number(number)));
    if (what === "mounted" || what === "unmounted") this.#mounted?.(Number(number));
  }
}

/** A status as from waitpid(2), or an errno when it is negative. */
function endText(status: number): string {
  if (status < 0) return errnoName(-status);
  const signal = status & 0x7f;
  if (signal === 0) return `exit status ${status >> 8}`;
  return Object.entries(constants.signals).find(([, each]) => each === signal)?.[0] ?? `signal ${signal}`;
}
