/**
 * ifstated's process: reads the configuration, follows links, and performs what the state machine asks for, until a
 * signal ends it. Events wait in a queue while one is handled. Holds no rule of the language.
 */

import type { Configuration, LinkState } from "../config/ifstated/syntax.ts";
import type { Connection, ConnectionOptions } from "../control/client.ts";
import { INTERFACE_NAME } from "../control/limits.ts";
import { LinkStates } from "../kernel/netlink/link-states.ts";
import { notifyReady, notifyStopping } from "../kernel/process/notify.ts";
import { AwaitedCommands } from "./awaited-commands.ts";
import { CarpLinks } from "./carp-links.ts";
import { Machine, type Step, type Steps } from "./machine.ts";
import { ScheduledTests } from "./scheduled-tests.ts";

export interface IfstatedOptions {
  /** Reads the file. Undefined: it has errors, which were told. */
  read(): Configuration | undefined;
  connect(options: ConnectionOptions): Promise<Connection>;
  log(priority: 2 | 4 | 6 | 7, text: string): void;
}

const PAUSE_MS = 1000;
/** Exit status after an internal error: the service manager starts it again. */
const INTERNAL_ERROR = 70;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Runs until a signal ends it. @returns the exit status */
export async function runIfstated(options: IfstatedOptions, configuration: Configuration): Promise<number> {
  const daemon = new Ifstated(options);
  const ended = new Promise<void>((resolve) => {
    for (const signal of SIGNALS) process.once(signal, () => resolve());
  });
  process.on("SIGHUP", () => daemon.reload());
  process.on("uncaughtException", (error) => {
    options.log(2, `internal error, giving up: ${error.stack ?? error.message}`);
    process.exit(INTERNAL_ERROR);
  });
  daemon.begin(configuration);
  await ended;
  notifyStopping();
  daemon.close();
  return 0;
}

class Ifstated {
  readonly #options: IfstatedOptions;
  readonly #links = new LinkStates(() => this.#linksChanged());
  #carpLinks: CarpLinks | undefined;
  readonly #commands: AwaitedCommands;
  readonly #tests: ScheduledTests;
  /** Events that wait, each as the steps to take. */
  readonly #queue: (() => Steps | undefined | Promise<Steps | undefined>)[] = [];
  #isBusy = false;
  #machine: Machine | undefined;
  /** The interfaces of the configuration; undefined: there is no such interface. */
  #known = new Map<string, LinkState | undefined>();

  constructor(options: IfstatedOptions) {
    this.#options = options;
    const log = (text: string) => options.log(4, text);
    const debug = (text: string) => options.log(7, text);
    this.#commands = new AwaitedCommands({ log, debug });
    this.#tests = new ScheduledTests({
      queue: (job) => this.#push(job),
      exited: (test, status) => this.#machine?.tested(test, status),
      log,
      debug,
    });
  }

  begin(configuration: Configuration): void {
    this.#push(() => this.#take(configuration));
  }

  /** Reads the file again, and begins anew unless it has errors. */
  reload(): void {
    this.#options.log(6, "reloading config");
    const configuration = this.#options.read();
    if (configuration === undefined) {
      this.#options.log(4, "unable to reload config");
      return;
    }
    this.#commands.hurry(true);
    this.begin(configuration);
  }

  close(): void {
    this.#tests.cancelAll();
    this.#commands.close();
    this.#carpLinks?.close();
    this.#links.close();
  }

  /** Waits until the links of its interfaces are known. @returns the steps of a new machine */
  async #take(configuration: Configuration): Promise<Steps> {
    this.#commands.hurry(false);
    this.#tests.cancelAll();
    if ([...configuration.interfaces.keys()].some(isCarp)) {
      this.#carpLinks ??= new CarpLinks({
        connect: this.#options.connect,
        changed: () => this.#linksChanged(),
        log: (text) => this.#options.log(4, text),
      });
      await this.#carpLinks.ready;
    }
    await this.#links.ready;
    this.#known = new Map([...configuration.interfaces.keys()].map((name) => [name, this.#linkOf(name)]));
    for (const [name, state] of this.#known)
      if (state === undefined) this.#options.log(4, `interface ${name} does not exist: its link is down`);
    const links = [...this.#known].map(([name, state]) => [name, state ?? "down"] as const);
    if (this.#machine === undefined) {
      notifyReady();
      this.#options.log(6, "started");
    }
    this.#machine = new Machine(configuration, new Map(links));
    return this.#machine.begin();
  }

  #linkOf(name: string): LinkState | undefined {
    return isCarp(name) ? this.#carpLinks?.of(name) : this.#links.of(name);
  }

  /** Each change is an event of its own, in the order in which they were told. */
  #linksChanged(): void {
    for (const [name, before] of this.#known) {
      const now = this.#linkOf(name);
      if (now === before) continue;
      this.#known.set(name, now);
      if (now === undefined || before === undefined)
        this.#options.log(6, `interface ${name} ${now === undefined ? "departed" : "arrived"}`);
      this.#options.log(7, `link of ${name}: ${now ?? "down"}`);
      const machine = this.#machine;
      // Of a machine that has been replaced since, the links were read anew.
      this.#push(() => (machine === this.#machine ? machine?.link(name, now ?? "down") : undefined));
    }
  }

  #push(job: () => Steps | undefined | Promise<Steps | undefined>): void {
    this.#queue.push(job);
    if (!this.#isBusy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#isBusy = true;
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      const steps = await job();
      if (steps === undefined) continue;
      let step = steps.next();
      while (step.done !== true) step = steps.next(await this.#perform(step.value));
    }
    this.#isBusy = false;
  }

  async #perform(step: Step): Promise<number | undefined> {
    switch (step.kind) {
      case "log":
        this.#options.log(6, step.text);
        return undefined;
      case "run":
        await this.#commands.run(step.command);
        return undefined;
      case "test":
        return this.#commands.test(step.test);
      case "schedule":
        this.#tests.schedule(step.test);
        return undefined;
      case "cancel":
        this.#tests.cancel(step.test);
        return undefined;
      case "pause":
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        return undefined;
    }
  }
}

function isCarp(name: string): boolean {
  return INTERFACE_NAME.test(name);
}
