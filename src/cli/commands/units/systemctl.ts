/**
 * systemd through systemctl: which targets of carp are active, and starting and stopping them. It never waits for what a
 * target pulls in: a later order replaces an earlier one that is not done yet.
 */

import { execa } from "execa";
import { TARGET_PATTERNS } from "./targets.ts";

const LIMIT_MS = 10_000;
/** Units named in one command. */
const AT_ONCE = 256;

export class Systemctl {
  readonly #complain: (text: string) => void;
  #lastComplaint = "";
  /** The targets that systemd has been told to have active; undefined: not known. */
  #active: ReadonlySet<string> | undefined;
  /** Whether some of these are orders of before this process, which may be under way yet. */
  #isFirst = true;

  constructor(complain: (text: string) => void) {
    this.#complain = complain;
  }

  /** Why systemd cannot be told anything; undefined: it can. */
  async obstacle(): Promise<string | undefined> {
    const { error } = await run("list-units", "--no-legend", "--plain", ...TARGET_PATTERNS);
    return error;
  }

  /** Forgets which targets are active: an administrator may have started or stopped one. */
  lookAgain(): void {
    this.#active = undefined;
  }

  /** Makes these targets active, and no others. */
  async bring(wanted: ReadonlySet<string>): Promise<void> {
    const active = this.#active ?? (await this.#read());
    if (active === undefined) return;
    const stop = [...active].filter((each) => !wanted.has(each));
    const start = [...wanted].filter((each) => this.#isFirst || !active.has(each));
    const isDone = (await this.#order("stop", stop)) && (await this.#order("start", start));
    this.#active = isDone ? new Set(wanted) : undefined;
    if (isDone) this.#isFirst = false;
  }

  /** The units of these that are active; undefined: it cannot be told. */
  async activeOf(units: readonly string[]): Promise<ReadonlySet<string> | undefined> {
    const { stdout, error } = await run("show", "--property=Id,Names,ActiveState", "--", ...units);
    if (error !== undefined) return this.#failed(error);
    const found = new Set<string>();
    for (const block of stdout.split("\n\n")) {
      const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(block)?.[1] ?? "";
      if (!/^(active|reloading|refreshing)$/.test(value("ActiveState"))) continue;
      for (const name of [value("Id"), ...value("Names").split(" ")]) found.add(name);
    }
    return found;
  }

  async #read(): Promise<ReadonlySet<string> | undefined> {
    const { stdout, error } = await run(
      ...["list-units", "--no-legend", "--plain", "--full", "--state=active"],
      ...TARGET_PATTERNS,
    );
    if (error !== undefined) return this.#failed(error);
    return new Set(stdout.match(/^carp-(master|backup)@\S+\.target/gm));
  }

  async #order(verb: "start" | "stop", units: readonly string[]): Promise<boolean> {
    for (let at = 0; at < units.length; at += AT_ONCE) {
      const { error } = await run("--no-block", verb, "--", ...units.slice(at, at + AT_ONCE));
      if (error === undefined) continue;
      this.#failed(error);
      return false;
    }
    return true;
  }

  /** Each failure is told once: the next attempt comes soon. */
  #failed(error: string): undefined {
    if (error !== this.#lastComplaint) this.#complain(error);
    this.#lastComplaint = error;
  }
}

interface Ran {
  readonly stdout: string;
  /** Why it failed, in one line. */
  readonly error?: string;
}

async function run(...words: readonly string[]): Promise<Ran> {
  const { failed, stdout, stderr, code, exitCode } = await execa("systemctl", words, {
    stdin: "ignore",
    reject: false,
    cleanup: false,
    timeout: LIMIT_MS,
    env: { LC_ALL: "C", SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" },
  });
  if (!failed) return { stdout };
  const [line = ""] = stderr.trim().split("\n");
  return { stdout, error: `systemctl: ${line || (code ?? `exit status ${exitCode}`)}` };
}
