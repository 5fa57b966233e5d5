/**
 * The commands with a name of their own, in one table that drives parsing, dispatch, help and completion;
 * everything else is ifconfig. Each command's module is loaded only when it runs.
 */

import { join } from "node:path";
import type { Argv } from "yargs";
import { LIMITS } from "../../control/limits.ts";
import { type MetricsAddress, parseMetricsAddress } from "../../control/metrics-address.ts";
import type { CandidateKind } from "../completion/candidates.ts";
import type { CommandContext } from "../context.ts";
import { isRefusal, misused, type Outcome } from "../outcome.ts";
import { variablesHelp } from "../show/variables-help.ts";

/** Options and words of a verb, as yargs read them. */
export type Arguments = Readonly<Record<string, unknown>>;

export interface Verb {
  readonly names: readonly string[];
  /** Behind the name, in yargs' own notation. */
  readonly words?: string;
  readonly usage: string;
  readonly help: string;
  options(command: Argv): Argv;
  /** The letters of its options whose value may stand behind them without a blank, as getopt(3) has it. */
  readonly attached?: string;
  /** Completion candidates for its words and option values, by name; those with choices need none. */
  readonly completes?: Readonly<Record<string, CandidateKind>>;
  run(given: Arguments, context: CommandContext): Promise<Outcome>;
}

const ENGINE_USAGE =
  "carpctl engine [--log syslog|stderr] [--boot-demotion SECONDS] [--metrics ADDRESS:PORT|unix:PATH]";

const SYSCTL_USAGE = "carpctl sysctl [-a] [-n] [-q] NAME[=VALUE]...";

const NETSTART_USAGE = "carpctl netstart [-n] [--wait] [--prune | INTERFACE...]";

const IFSTATED_USAGE = "carpctl ifstated [-d] [-n] [-v] [-D MACRO=VALUE] [-f FILE]";

const PLAN_USAGE = "carpctl plan [--timeline] [--svg FILE] NAME=PATH NAME=PATH...";

export const VERBS: readonly Verb[] = [
  {
    names: ["engine"],
    usage: ENGINE_USAGE,
    help: "run the engine in the foreground",
    options: (command) =>
      command
        .option("log", {
          type: "string",
          requiresArg: true,
          choices: ["syslog", "stderr"],
          default: "syslog",
          describe: "where to log",
        })
        .option("boot-demotion", {
          type: "string",
          requiresArg: true,
          describe: "demoted while the host boots, at most so long",
        })
        .option("metrics", {
          type: "string",
          requiresArg: true,
          describe: "serve metrics there, at /metrics",
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
    run: async (given, context) => {
      const names = (given.names as string[] | undefined) ?? [];
      const flags = { all: given.a === true, bare: given.n === true, quiet: given.q === true };
      if (names.length === 0 && !flags.all) return misused(SYSCTL_USAGE);
      const { runSysctl } = await import("../commands/sysctl.ts");
      return runSysctl(names, flags, context);
    },
  },
  {
    names: ["netstart"],
    words: "[interfaces..]",
    usage: NETSTART_USAGE,
    help: "apply the configuration files",
    options: (command) =>
      command
        .positional("interfaces", { type: "string", array: true, describe: "only these, and no variables" })
        .option("n", { type: "boolean", describe: "print the commands and run none" })
        .option("prune", { type: "boolean", describe: "destroy the interfaces that have no file" })
        .option("wait", { type: "boolean", describe: "wait for the engine to be up, at most 30 seconds" }),
    completes: { interfaces: "configured" },
    run: async (given, context) => {
      const { runNetstart } = await import("../commands/netstart/netstart.ts");
      const names = (given.interfaces as string[] | undefined) ?? [];
      const options = { dryRun: given.n === true, prune: given.prune === true, wait: given.wait === true };
      if (options.prune && names.length > 0) return misused(NETSTART_USAGE, "--prune: takes no interfaces");
      return runNetstart(names, options, context);
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
    run: async (given, context) => {
      const { runDump, runSysctlDump } = await import("../commands/dump.ts");
      const name = given.interface as string | undefined;
      const variables = given.sysctl === true;
      if (variables && name !== undefined) return misused("carpctl dump [--sysctl | INTERFACE]");
      return variables ? runSysctlDump(context) : runDump(name, context);
    },
  },
  {
    names: ["netstat", "stats"],
    usage: "carpctl netstat [-s] [-p carp] [-I INTERFACE]",
    help: "print statistics of packets sent, received and discarded",
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
    run: async (given, context) => {
      const name = [given.I].flat().at(-1);
      const { runNetstat } = await import("../commands/netstat.ts");
      return runNetstat(name === undefined ? undefined : String(name), context);
    },
  },
  {
    names: ["status"],
    usage: "carpctl status [--watch]",
    help: "show every virtual host in a table",
    options: (command) =>
      command.option("watch", { type: "boolean", describe: "again whenever something changes" }),
    run: async ({ watch }, context) =>
      watch === true
        ? (await import("../commands/watch.ts")).watchStatus(context)
        : (await import("../commands/status.ts")).runStatus(context),
  },
  {
    names: ["metrics"],
    usage: "carpctl metrics [--textfile PATH]",
    help: "print the metrics of the engine in Prometheus' text format",
    options: (command) =>
      command.option("textfile", {
        type: "string",
        requiresArg: true,
        describe: "write them to a file instead, for node_exporter",
      }),
    completes: { textfile: "files" },
    run: async ({ textfile }, context) =>
      (await import("../commands/metrics.ts")).runMetrics(
        [textfile].flat().at(-1) as string | undefined,
        context,
      ),
  },
  {
    names: ["doctor"],
    usage: "carpctl doctor [--listen SECONDS]",
    help: "check whether this host can run CARP, and say what to do where it cannot",
    options: (command) =>
      command.option("listen", {
        type: "string",
        requiresArg: true,
        describe: `let the engine hear the other hosts for so long first, ${LIMITS.listen.join("..")}`,
      }),
    run: async ({ listen }, context) => {
      const seconds = listen === undefined ? undefined : String([listen].flat().at(-1));
      return (await import("../commands/doctor.ts")).runDoctor(seconds, context);
    },
  },
  {
    names: ["check"],
    words: "<hosts..>",
    usage: "carpctl check NAME=PATH NAME=PATH...",
    help: "compare the files of several hosts, and say what does not fit together",
    options: (command) =>
      command.positional("hosts", {
        type: "string",
        array: true,
        describe: "a host's name, and a copy of its /etc or of what dump printed there",
      }),
    completes: { hosts: "named-files" },
    run: async ({ hosts }, context) =>
      (await import("../commands/check/check.ts")).runCheck(
        (hosts as readonly string[]).map(String),
        context,
      ),
  },
  {
    names: ["plan"],
    words: "<hosts..>",
    usage: PLAN_USAGE,
    help: "simulate every single failure of several hosts with these files",
    options: (command) =>
      command
        .positional("hosts", {
          type: "string",
          array: true,
          describe: "a host's name, and a copy of its /etc or of what dump printed there",
        })
        .option("timeline", { type: "boolean", describe: "draw who answers when, instead of the table" })
        .option("svg", {
          type: "string",
          requiresArg: true,
          describe: "write a picture to this file; -: print it instead of the table",
        }),
    completes: { hosts: "named-files", svg: "files" },
    run: async ({ hosts, timeline, svg }, context) => {
      const file = svg === undefined ? undefined : String([svg].flat().at(-1));
      const options = { timeline: [timeline].flat().includes(true), svg: file };
      const { runPlan } = await import("../commands/plan/plan.ts");
      if (file === "") return misused(PLAN_USAGE, "--svg: needs a value (FILE)");
      return runPlan((hosts as readonly string[]).map(String), options, context);
    },
  },
  {
    names: ["monitor"],
    usage: "carpctl monitor",
    help: "print a line for every event as it happens",
    options: (command) => command,
    run: async (_given, context) => (await import("../commands/monitor.ts")).runMonitor(context),
  },
  {
    names: ["history"],
    words: "[interface]",
    usage: "carpctl history [--since TIME] [--until TIME] [INTERFACE]",
    help: "print the last events with the cause of each, also of earlier engines",
    options: (command) =>
      command
        .positional("interface", { type: "string", describe: "only what concerns this one" })
        .option("since", {
          type: "string",
          requiresArg: true,
          describe: "from then on, with the states at that time: 03:12, 2026-11-21 or 2h",
        })
        .option("until", { type: "string", requiresArg: true, describe: "and no later" }),
    completes: { interface: "interfaces" },
    run: async (given, context) => {
      const last = (value: unknown) => {
        const text = [value].flat().at(-1);
        return text === undefined ? undefined : String(text);
      };
      const options = {
        since: last(given.since),
        until: last(given.until),
        stateDir: stateDirOf(context.options.runDir),
      };
      const { runHistory } = await import("../commands/history/history.ts");
      return runHistory(given.interface as string | undefined, options, context);
    },
  },
  {
    names: ["ifstated"],
    usage: IFSTATED_USAGE,
    help: "run commands when links and tests change, as ifstated.conf(5) says",
    options: (command) =>
      command
        .option("d", { type: "boolean", describe: "log to standard error" })
        .option("n", { type: "boolean", describe: "check the file and run nothing" })
        .option("v", { type: "count", describe: "log every command; with -n, print macros" })
        .option("D", { type: "string", requiresArg: true, describe: "MACRO=VALUE, instead of the file's" })
        .option("f", { type: "string", requiresArg: true, describe: "another file than ifstated.conf" }),
    attached: "Df",
    completes: { f: "files" },
    run: async (given, context) => {
      const { macrosOf, runIfstatedHere } = await import("../commands/ifstated.ts");
      const macros = macrosOf(given.D === undefined ? [] : [given.D].flat().map(String));
      if (isRefusal(macros)) return misused(IFSTATED_USAGE, macros.refusal);
      const file = [given.f].flat().at(-1);
      const options = {
        path: file === undefined ? join(context.options.etcDir, "ifstated.conf") : String(file),
        macros,
        toStandardError: [given.d].flat().includes(true),
        checksOnly: [given.n].flat().includes(true),
        verbosity: Number(given.v),
      };
      return runIfstatedHere(options, context);
    },
  },
  {
    names: ["help"],
    words: "[topic]",
    usage: "carpctl help [TOPIC]",
    help: "print the help of a command, `ifconfig`, `variables`, `findings`, a parameter, a variable or a finding",
    options: (command) =>
      command.positional("topic", { type: "string", describe: "command, parameter, variable or finding" }),
    completes: { topic: "topics" },
    run: async (given) => (await import("../commands/help.ts")).helpOn(given.topic as string | undefined),
  },
  {
    names: ["demote"],
    words: "<reason> <n>",
    usage: "carpctl demote REASON N | --unit UNIT N",
    help: "demote this host for a named reason, or while a unit is not active",
    options: (command) =>
      command
        .positional("reason", { type: "string", describe: "letters, digits, dots, underscores, dashes" })
        .option("unit", {
          type: "boolean",
          describe: "it is a unit of systemd, and demotes while not active",
        })
        .positional("n", {
          type: "string",
          describe: `how much net.inet.carp.demotion grows, ${LIMITS.demote.join("..")}`,
        }),
    run: async ({ reason, n, unit }, context) => {
      if (unit === true)
        return (await import("../commands/unit-demotion.ts")).runDemoteUnit(
          String(reason),
          String(n),
          context,
        );
      return (await import("../commands/demotion.ts")).runDemote(String(reason), String(n), context);
    },
  },
  {
    names: ["promote"],
    words: "<reason>",
    usage: "carpctl promote REASON | --unit UNIT",
    help: "end a demotion",
    options: (command) =>
      command
        .positional("reason", { type: "string", describe: "a reason given to demote" })
        .option("unit", { type: "boolean", describe: "it is a unit given to demote" }),
    completes: { reason: "reasons" },
    run: async ({ reason, unit }, context) => {
      if (unit === true)
        return (await import("../commands/unit-demotion.ts")).runPromoteUnit(String(reason), context);
      return (await import("../commands/demotion.ts")).runPromote(String(reason), context);
    },
  },
  {
    names: ["service-status"],
    usage: "carpctl service-status",
    help: "run the service checks; demoted while any fails",
    options: (command) => command,
    run: async (_given, context) => (await import("../commands/service-status.ts")).runServiceStatus(context),
  },
  {
    names: ["units"],
    usage: "carpctl units",
    help: "keep systemd's targets as the states of the interfaces are",
    options: (command) => command,
    run: async (_given, context) => (await import("../commands/units/units.ts")).runUnits(context),
  },
  {
    names: ["booted"],
    usage: "carpctl booted",
    help: "end the demotion of a booting host once the service checks pass",
    options: (command) => command,
    run: async (_given, context) => (await import("../commands/booted.ts")).runBooted(context),
  },
  {
    names: ["maintenance"],
    words: "[mode]",
    usage: "carpctl maintenance [on|off]",
    help: "demote this host until switched off, also after a restart; or print the mode",
    options: (command) =>
      command.positional("mode", { type: "string", choices: ["on", "off"], describe: "switch it on or off" }),
    run: async ({ mode }, context) =>
      (await import("../commands/demotion.ts")).runMaintenance(mode as "on" | "off" | undefined, context),
  },
];

export const VERB_NAMES: readonly string[] = VERBS.flatMap((verb) => verb.names);

/** Ends the process: an engine that has stopped may still have threads. */
async function runEngineHere(given: Arguments, { options }: CommandContext): Promise<Outcome> {
  const { limitedNumber } = await import("./ifconfig/keyword-values.ts");
  const { beginEngine } = await import("../../engine/privileged-start.ts");
  const log = [given.log].flat().at(-1) === "stderr" ? "stderr" : "syslog";
  const metrics: MetricsAddress[] = [];
  for (const text of [given.metrics].flat()) {
    if (text === undefined) continue;
    const address = parseMetricsAddress(String(text));
    if (isRefusal(address)) return misused(ENGINE_USAGE, address.refusal);
    metrics.push(address);
  }
  const { runDir, etcDir } = options;
  const seconds = [given["boot-demotion"]].flat().at(-1);
  const bootDemotionS = seconds === undefined ? undefined : limitedNumber("boot-demotion", String(seconds));
  if (isRefusal(bootDemotionS)) return misused(ENGINE_USAGE, `--${bootDemotionS.refusal}`);
  const stateDir = stateDirOf(runDir);
  process.exit(await beginEngine({ runDir, etcDir, stateDir, log, bootDemotionS, metrics }));
}

/** Where an engine keeps what outlives a reboot. One with a run directory of its own keeps everything there. */
function stateDirOf(runDir: string): string {
  return process.env.CARP_STATE_DIR || (runDir === "/run/carp" ? "/var/lib/carp" : runDir);
}
