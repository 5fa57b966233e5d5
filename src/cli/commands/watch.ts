/**
 * `status --watch`: prints the table again when something changes, and on a terminal each second, in place.
 * The terminal is left as it was found. In a pipe each change is a table of its own, and with --json a line
 * of JSON.
 */

import { type Connection, ControlError } from "../../control/client.ts";
import { jsonLine } from "../../control/framing.ts";
import type { CommandContext } from "../context.ts";
import { type LongRunning, pause } from "../long-running.ts";
import { done, type Outcome } from "../outcome.ts";
import { localTime } from "../show/event.ts";
import { statusText } from "../show/status.ts";
import { readStatus, type Status, statusJson } from "./status.ts";

/** Longest time between two reads. */
const EVERY_MS = 1000;
/** Shortest time between two reads, in a flood of events. */
const AT_LEAST_MS = 50;

/** Switches to the terminal's other screen, without a cursor, and back. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_TO_END_OF_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** The status, or why it cannot be read. */
type Seen = Status | string;

export async function watchStatus(context: CommandContext): Promise<Outcome> {
  const woken = { wake: () => {} };
  const connect = async () => {
    const engine = await context.connect({ onEvent: () => woken.wake() });
    await engine.call("monitor", {});
    return engine;
  };
  const first = await connect();
  const longRunning = context.runLong();
  const { isTTY } = process.stdout;
  if (!isTTY || context.options.json) {
    await watch(connect, first, longRunning.ended, woken, printing(context, longRunning));
    return done();
  }
  const leave = takeScreen(longRunning, woken);
  try {
    await watch(connect, first, longRunning.ended, woken, (seen) => longRunning.write(frame(seen, context)));
  } finally {
    leave();
  }
  return done();
}

/**
 * Takes the terminal, and gives it back while the process is suspended. @returns a function that gives it
 * back
 */
function takeScreen({ write }: LongRunning, woken: { readonly wake: () => void }): () => void {
  const enter = () => {
    write(ENTER);
    woken.wake();
  };
  const suspend = () => {
    write(LEAVE);
    process.off("SIGTSTP", suspend);
    // The process stops here until SIGCONT. In an orphaned process group the kernel ignores SIGTSTP.
    process.kill(process.pid, "SIGTSTP");
    process.on("SIGTSTP", suspend);
    enter();
  };
  process.on("SIGTSTP", suspend);
  process.on("SIGCONT", enter);
  enter();
  return () => {
    process.off("SIGTSTP", suspend);
    process.off("SIGCONT", enter);
    write(LEAVE);
  };
}

async function watch(
  connect: () => Promise<Connection>,
  first: Connection,
  ended: AbortSignal,
  woken: { wake: () => void },
  show: (seen: Seen) => void,
): Promise<void> {
  let engine: Connection | undefined = first;
  while (!ended.aborted) {
    const happened = new AbortController();
    woken.wake = () => happened.abort();
    try {
      engine ??= await connect();
      show(await readStatus(engine));
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      engine?.close();
      engine = undefined;
      show(error.message);
    }
    await pause(AT_LEAST_MS, ended);
    await pause(EVERY_MS - AT_LEAST_MS, AbortSignal.any([ended, happened.signal]));
  }
  engine?.close();
}

/** The lines that fit into the terminal, written over the frame before. */
function frame(seen: Seen, context: CommandContext): string {
  const { rows = 24, columns = 80 } = process.stdout;
  const text = typeof seen === "string" ? `${seen}\n` : statusText(seen, { ...context, ...seen, columns });
  const lines = [localTime(Date.now()).replace(/\.\d+$/, ""), "", ...text.trimEnd().split("\n")];
  const shown =
    lines.length <= rows ? lines : [...lines.slice(0, rows - 1), `... ${lines.length - rows + 1} more`];
  return HOME + shown.map((line) => line + CLEAR_TO_END_OF_LINE).join("\r\n") + CLEAR_BELOW;
}

/** Prints a status that differs from the last one; ages and packet counts do not count as a difference. */
function printing({ options, ...page }: CommandContext, { write }: LongRunning): (seen: Seen) => void {
  let last: string | undefined;
  return (seen) => {
    const now = withoutTimes(seen);
    if (now === last) return;
    last = now;
    if (options.json) write(jsonLine(typeof seen === "string" ? { error: seen } : statusJson(seen)));
    else {
      const text = typeof seen === "string" ? `${seen}\n` : statusText(seen, { ...page, ...seen });
      write(`${localTime(Date.now())}\n${text}\n`);
    }
  };
}

function withoutTimes(seen: Seen): string {
  if (typeof seen === "string") return seen;
  const { nowUs: _, packets: __, ...others } = seen;
  return JSON.stringify(others, (key, value: unknown) =>
    key === "atUs" || key === "untilUs" || key === "peers" || key === "discarded" ? undefined : value,
  );
}
