/**
 * The commands that have a name of their own; everything else is ifconfig. One table drives parsing, dispatch and
 * help, and each loads its module only when it runs. Printing and exit statuses are program.ts's.
 */

import type { Argv } from "yargs";
import { LIMITS } from "../control/limits.ts";
import type { Kind } from "./completion/kinds.ts";
import { misused, type Outcome } from "./outcome.ts";
import type { Setting } from "./setting.ts";
import { variablesHelp } from "./variables.ts";

/** Options and words of a verb, as yargs read them. */
export type Arguments = Readonly<Record<string, unknown>>;

export interface Verb {
  readonly names: readonly string[];
  /** Behind the name, in yargs' own notation. */
  readonly words?: string;
  readonly usage: string;
  readonly help: string;
  options(command: Argv): Argv;
  /** What its words and the values of its options may be, by their names, for the shells; choices need none. */
  readonly completes?: Readonly<Record<string, Kind>>;
  run(given: Arguments, setting: Setting): Promise<Outcome>;
}

const SYSCTL_USAGE = "carpctl sysctl [-a] [-n] [-q] NAME[=VALUE]...";

export const VERBS: readonly Verb[] = [
  {
    names: ["engine"],
    usage: "carpctl engine [--log syslog|stderr]",
    help: "run the engine in the foreground",
    options: (command) =>
      command.option("log", {
        type: "string",
        requiresArg: true,
        choices: ["syslog", "stderr"],
        default: "syslog",
        describe: "where to log",
      }),
    run: runEngineHere,
  },
  {
    names: ["sysctl"],
    words: "[names..]",
    usage: SYSCTL_USAGE,
    help: "read and set variables",
    options: (command) =>
      command
        .positional("names", {
          type: "string",
          array: true,
          describe: "NAME, a prefix of names, or NAME=VALUE",
        })
        .option("a", { type: "boolean", describe: "every variable" })
        .option("n", { type: "boolean", describe: "values without names" })
        .option("q", { type: "boolean", describe: "print nothing about what was set" })
        .option("w", { type: "boolean", hidden: true })
        .epilogue(variablesHelp()),
    completes: { names: "variables" },
    run: async (given, setting) => {
      const names = (given.names as string[] | undefined) ?? [];
      const flags = { all: given.a === true, bare: given.n === true, quiet: given.q === true };
      if (names.length === 0 && !flags.all) return misused(SYSCTL_USAGE);
      const { runSysctl } = await import("./sysctl.ts");
      return runSysctl(names, flags, setting);
    },
  },
  {
    names: ["netstart"],
    words: "[interfaces..]",
    usage: "carpctl netstart [-n] [--wait] [INTERFACE]...",
    help: "apply the configuration files",
    options: (command) =>
      command
        .positional("interfaces", { type: "string", array: true, describe: "only these, and no variables" })
        .option("n", { type: "boolean", describe: "print the commands and run none" })
        .option("wait", { type: "boolean", describe: "wait for the engine to be up, at most 30 seconds" }),
    completes: { interfaces: "configured" },
    run: async (given, setting) => {
      const { runNetstart } = await import("./netstart/netstart.ts");
      const names = (given.interfaces as string[] | undefined) ?? [];
      return runNetstart(names, { dryRun: given.n === true, wait: given.wait === true }, setting);
    },
  },
  {
    names: ["dump"],
    words: "[interface]",
    usage: "carpctl dump [--sysctl | INTERFACE]",
    help: "print the configuration as netstart reads it",
    options: (command) =>
      command
        .positional("interface", { type: "string", describe: "only this one" })
        .option("sysctl", { type: "boolean", describe: "variables whose value is not the default" }),
    completes: { interface: "interfaces" },
    run: async (given, setting) => {
      const { runDump, runSysctlDump } = await import("./dump.ts");
      const name = given.interface as string | undefined;
      const variables = given.sysctl === true;
      if (variables && name !== undefined) return misused("carpctl dump [--sysctl | INTERFACE]");
      return variables ? runSysctlDump(setting) : runDump(name, setting);
    },
  },
  {
    names: ["netstat", "stats"],
    usage: "carpctl netstat [-s] [-p carp] [-I INTERFACE]",
    help: "count what was sent, received and discarded",
    options: (command) =>
      command
        .option("s", { type: "boolean", describe: "statistics: always" })
        .option("p", {
          type: "string",
          requiresArg: true,
          choices: ["carp"],
          describe: "protocol: always carp",
        })
        .option("I", { type: "string", requiresArg: true, describe: "of one interface" }),
    completes: { I: "interfaces" },
    run: async (given, setting) => {
      const name = [given.I].flat().at(-1);
      const { runNetstat } = await import("./netstat.ts");
      return runNetstat(name === undefined ? undefined : String(name), setting);
    },
  },
  {
    names: ["status"],
    usage: "carpctl status [--watch]",
    help: "show every virtual host in a table",
    options: (command) =>
      command.option("watch", { type: "boolean", describe: "again whenever something changes" }),
    run: async ({ watch }, setting) =>
      watch === true
        ? (await import("./watch.ts")).watchStatus(setting)
        : (await import("./status.ts")).runStatus(setting),
  },
  {
    names: ["doctor"],
    usage: "carpctl doctor",
    help: "look whether this host is able, and say what to do where it is not",
    options: (command) => command,
    run: async (_given, setting) => (await import("./doctor.ts")).runDoctor(setting),
  },
  {
    names: ["monitor"],
    usage: "carpctl monitor",
    help: "print a line for every event as it happens",
    options: (command) => command,
    run: async (_given, setting) => (await import("./monitor.ts")).runMonitor(setting),
  },
  {
    names: ["help"],
    words: "[topic]",
    usage: "carpctl help [TOPIC]",
    help: "tell more of a command, `ifconfig`, `variables`, a parameter or a variable",
    options: (command) => command.positional("topic", { type: "string", describe: "what to tell of" }),
    completes: { topic: "topics" },
    run: async (given) => (await import("./help.ts")).helpOn(given.topic as string | undefined),
  },
  {
    names: ["demote"],
    words: "<reason> <n>",
    usage: "carpctl demote REASON N",
    help: "give way to the other hosts, for a reason with a name",
    options: (command) =>
      command
        .positional("reason", { type: "string", describe: "letters, digits, dots, underscores, dashes" })
        .positional("n", {
          type: "string",
          describe: `how much net.inet.carp.demotion grows, ${LIMITS.demote.join("..")}`,
        }),
    run: async ({ reason, n }, setting) =>
      (await import("./demotion.ts")).runDemote(String(reason), String(n), setting),
  },
  {
    names: ["promote"],
    words: "<reason>",
    usage: "carpctl promote REASON",
    help: "take a demotion back",
    options: (command) =>
      command.positional("reason", { type: "string", describe: "as it was given to demote" }),
    completes: { reason: "reasons" },
    run: async ({ reason }, setting) => (await import("./demotion.ts")).runPromote(String(reason), setting),
  },
  {
    names: ["service-status"],
    usage: "carpctl service-status",
    help: "run the service checks; demoted while any fails",
    options: (command) => command,
    run: async (_given, setting) => (await import("./service-status.ts")).runServiceStatus(setting),
  },
  {
    names: ["maintenance"],
    words: "[mode]",
    usage: "carpctl maintenance [on|off]",
    help: "give way until it is switched off, also after a restart; show whether it is on",
    options: (command) =>
      command.positional("mode", { type: "string", choices: ["on", "off"], describe: "switch it" }),
    run: async ({ mode }, setting) =>
      (await import("./demotion.ts")).runMaintenance(mode as "on" | "off" | undefined, setting),
  },
];

export const VERB_NAMES: readonly string[] = VERBS.flatMap((verb) => verb.names);

async function runEngineHere(given: Arguments, { options }: Setting): Promise<Outcome> {
  const { beginEngine } = await import("../engine/privileged-start.ts");
  const log = [given.log].flat().at(-1) === "stderr" ? "stderr" : "syslog";
  const status = await beginEngine({ runDir: options.runDir, etcDir: options.etcDir, log });
  return { kind: "exited", status };
}
