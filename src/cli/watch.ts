/**
 * `status --watch`: the table again as soon as something happens, and on a terminal each second, in place. The
 * terminal is left as it was found. Elsewhere each change is a table of its own, and with --json a document on a line.
 */

import { type Connection, ControlError } from "../control/client.ts";
import { localTime } from "./event-text.ts";
import { type Lasting, pause } from "./lasting.ts";
import { done, type Outcome } from "./outcome.ts";
import type { Setting } from "./setting.ts";
import { readStatus, type Status, statusJson } from "./status.ts";
import { statusText } from "./status-text.ts";

const EVERY_MS = 1000;
/** A flood of events is no reason to read more often. */
const AT_LEAST_MS = 50;

/** The other screen, without a cursor; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_TO_END_OF_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** What is known now, or why nothing is. */
type Seen = Status | string;

export async function watchStatus(setting: Setting): Promise<Outcome> {
  const woken = { wake: () => {} };
  const connect = async () => {
    const engine = await setting.connect({ told: () => woken.wake() });
    await engine.call("monitor", {});
    return engine;
  };
  const first = await connect();
  const lasting = setting.goOn();
  const { isTTY } = process.stdout;
  if (!isTTY || setting.options.json) {
    await watch(connect, first, lasting.ended, woken, printing(setting, lasting));
    return done();
  }
  const leave = takeScreen(lasting, woken);
  try {
    await watch(connect, first, lasting.ended, woken, (seen) => lasting.write(frame(seen, setting)));
  } finally {
    leave();
  }
  return done();
}

/** Until it is given back, and whenever somebody else has the terminal meanwhile. @returns what gives it back */
function takeScreen({ write }: Lasting, woken: { readonly wake: () => void }): () => void {
  const enter = () => {
    write(ENTER);
    woken.wake();
  };
  const suspend = () => {
    write(LEAVE);
    process.off("SIGTSTP", suspend);
    // Here we stand still until somebody continues us; where nobody could, the kernel does not stop us.
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

/** As much as the terminal has room for, over what was there before. */
function frame(seen: Seen, setting: Setting): string {
  const { rows = 24, columns = 80 } = process.stdout;
  const text = typeof seen === "string" ? `${seen}\n` : statusText(seen, { ...setting, ...seen, columns });
  const lines = [localTime(Date.now()).replace(/\.\d+$/, ""), "", ...text.trimEnd().split("\n")];
  const shown =
    lines.length <= rows ? lines : [...lines.slice(0, rows - 1), `... ${lines.length - rows + 1} more`];
  return HOME + shown.map((line) => line + CLEAR_TO_END_OF_LINE).join("\r\n") + CLEAR_BELOW;
}

/** Only what differs from the last, the passing of time and the counting of packets left aside. */
function printing({ options, ...page }: Setting, { write }: Lasting): (seen: Seen) => void {
  let last: string | undefined;
  return (seen) => {
    const now = essence(seen);
    if (now === last) return;
    last = now;
    if (options.json)
      write(`${JSON.stringify(typeof seen === "string" ? { error: seen } : statusJson(seen))}\n`);
    else {
      const text = typeof seen === "string" ? `${seen}\n` : statusText(seen, { ...page, ...seen });
      write(`${localTime(Date.now())}\n${text}\n`);
    }
  };
}

function essence(seen: Seen): string {
  if (typeof seen === "string") return seen;
  const { nowUs: _, packets: __, ...lasting } = seen;
  return JSON.stringify(lasting, (key, value: unknown) =>
    key === "atUs" || key === "peers" || key === "discarded" ? undefined : value,
  );
}
