/**
 * The engine's end of the keeper: the small process that keeps the privileges the engine gives up, to start the runner
 * with them and to mount and unmount the bpffs (keeper.c). It outlives the images of the engine's process: each hands it on to
 * the next. One that does not answer is killed; the engine is the less for it, and goes on.
 */

import { spawn } from "node:child_process";
import { closeSync, fstatSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import { errnoName, KEEPER, native } from "../../kernel/native.ts";
import type { RunnerProcess } from "./runner-process.ts";

/** In the environment of the next image, and gone from it as soon as that has looked: descriptor and process id. */
const VARIABLE = "CARPCTL_KEEPER";
/** The launcher needs one. */
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
/** It does nothing that takes time. */
const ANSWER_MS = 1000;

export interface KeeperEnds {
  readonly fd: number;
  readonly pid: number;
}

/** @param program absolute; the runner when `runner` is its next word. @returns undefined when it cannot be started */
export function startKeeper(filesystem: string, program: readonly string[]): KeeperEnds | undefined {
  const pair = native.socketPair();
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

/** For an exec that follows at once. */
export function handOn({ fd, pid }: KeeperEnds): void {
  native.keepAcrossExec(fd, true);
  process.env[VARIABLE] = `${fd}:${pid}`;
}

/** What the image before this one handed on. */
export function takeOver(): KeeperEnds | undefined {
  const [, fd, pid] = /^(\d+):(\d+)$/.exec(process.env[VARIABLE] ?? "") ?? [];
  delete process.env[VARIABLE];
  if (fd === undefined) return undefined;
  try {
    if (!fstatSync(Number(fd)).isSocket()) return undefined;
  } catch {
    return undefined;
  }
  native.keepAcrossExec(Number(fd), false);
  return { fd: Number(fd), pid: Number(pid) };
}

export class Keeper {
  readonly #ends: KeeperEnds;
  readonly #socket: Socket;
  /** Resolves when it is gone; nothing can be asked of it any more. */
  readonly gone: Promise<void>;
  #isThere = true;
  #said = "";
  #runnerEnded: ((how: string) => void) | undefined;
  /** Or unmounted: one of them at a time. */
  #mounted: ((error: number | undefined) => void) | undefined;
  #late: NodeJS.Timeout | undefined;

  constructor(ends: KeeperEnds) {
    this.#ends = ends;
    this.#socket = new Socket({ fd: ends.fd, readable: true, writable: true });
    this.#socket.unref();
    this.#socket.on("error", () => {});
    this.#socket.setEncoding("latin1").on("data", (text: string) => {
      const lines = `${this.#said}${text}`.split("\n");
      this.#said = lines.pop() ?? "";
      for (const line of lines) this.#heard(line);
    });
    this.gone = new Promise((resolve) => this.#socket.once("close", resolve)).then(() => {
      this.#isThere = false;
      clearTimeout(this.#late);
      native.reap(ends.pid);
      this.#runnerEnded?.("what started it ended");
      this.#mounted?.(undefined);
    });
  }

  get isThere(): boolean {
    return this.#isThere;
  }

  /** @returns undefined when it is gone, or cannot be asked. There is one runner at a time. */
  startRunner(): RunnerProcess | undefined {
    const pair = this.#isThere ? native.socketPair() : 0;
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
        this.#insist();
        socket.destroy();
      },
    };
  }

  /** Resolves with 0, an errno, or undefined when nobody did it. */
  mount(): Promise<number | undefined> {
    return this.#answer("m");
  }

  /** The same. */
  unmount(): Promise<number | undefined> {
    return this.#answer("u");
  }

  #answer(order: "m" | "u"): Promise<number | undefined> {
    return new Promise((resolve) => {
      this.#mounted?.(undefined);
      this.#mounted = resolve;
      if (!this.#isThere || this.#order(order) !== 0) resolve(undefined);
      else this.#insist();
    });
  }

  handOn(): void {
    if (this.#isThere) handOn(this.#ends);
  }

  /** Resolves when it is gone. */
  async end(): Promise<void> {
    this.#socket.ref();
    this.#socket.end();
    this.#insist();
    await this.gone;
  }

  /** Whoever waits for an answer gets one, if only that it is gone. */
  #insist(): void {
    clearTimeout(this.#late);
    if (!this.#isThere) return;
    this.#late = setTimeout(() => process.kill(this.#ends.pid, "SIGKILL"), ANSWER_MS);
  }

  #order(order: "r" | "k" | "m" | "u", descriptor = -1): number {
    return native.sendByte(this.#ends.fd, order.charCodeAt(0), descriptor);
  }

  #heard(line: string): void {
    clearTimeout(this.#late);
    const [what, number] = line.split(" ");
    if (what === "ended") this.#runnerEnded?.(inWords(Number(number)));
    if (what === "mounted" || what === "unmounted") this.#mounted?.(Number(number));
  }
}

/** A status as from waitpid(2), or an errno when it is negative. */
function inWords(status: number): string {
  if (status < 0) return errnoName(-status);
  const signal = status & 0x7f;
  if (signal === 0) return `exit status ${status >> 8}`;
  return Object.entries(constants.signals).find(([, each]) => each === signal)?.[0] ?? `signal ${signal}`;
}
