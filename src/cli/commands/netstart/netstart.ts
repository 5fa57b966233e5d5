/**
 * `netstart`: reads the configuration files one after the other and applies them, or lists them as commands.
 * An interface that fails stops no other one.
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { readConfigurationFile } from "../../../config/configuration-file.ts";
import { fileOf, interfaceOf } from "../../../config/hostname-file.ts";
import { readSysctlFile, type SysctlFile } from "../../../config/sysctl-file.ts";
import { distrust, distrustOfFiles } from "../../../config/trusted-path.ts";
import { compareInterfaceNames, INTERFACE_NAME } from "../../../control/limits.ts";
import { escapeControlsInCommand, printable } from "../../../control/printable.ts";
import type { CommandContext } from "../../context.ts";
import { isRefusal, json, type Outcome, type Refusal, refuse, refused } from "../../outcome.ts";
import { Application, type Interface } from "./apply.ts";
import { FileReport } from "./file-report.ts";
import { readInterfaceFile } from "./interface-file.ts";
import { interfaceCommands, variableCommands } from "./listing.ts";
import { connectInTime } from "./wait-for-engine.ts";

export interface NetstartOptions {
  /** `-n`: print the commands and run none. */
  readonly dryRun: boolean;
  /** `--prune`: destroy the interfaces that have no file. */
  readonly prune: boolean;
  /** `--wait`: for an engine that is being started. */
  readonly wait: boolean;
}

const WAIT_MS = 30_000;

/** @param asked names of interfaces; none: all that have a file, and the variables before them */
export async function runNetstart(
  asked: readonly string[],
  options: NetstartOptions,
  context: CommandContext,
): Promise<Outcome> {
  const names = await namesToConfigure(asked, context.options.etcDir);
  if (isRefusal(names)) return refused(names.refusal);
  if (!options.dryRun) (await connectInTime(context, options.wait ? WAIT_MS : 0)).close();
  return new Run(context, options).everything(names, asked.length === 0);
}

class Run {
  readonly #context: CommandContext;
  readonly #dryRun: boolean;
  readonly #prune: boolean;
  readonly #application: Application;
  readonly #distrusts = distrustOfFiles();
  readonly #reports: FileReport[] = [];
  readonly #commands: string[] = [];
  /** Names of interfaces without a file, and whether they were destroyed. */
  readonly #withoutFile: { readonly name: string; readonly destroyed: boolean }[] = [];

  constructor(context: CommandContext, { dryRun, prune }: NetstartOptions) {
    this.#context = context;
    this.#dryRun = dryRun;
    this.#prune = prune;
    this.#application = new Application(context);
  }

  async everything(names: readonly string[], andVariables: boolean): Promise<Outcome> {
    if (andVariables) await this.#variables();
    // Before the files are applied: one of them may take over a vhid or an address.
    if (andVariables && (this.#prune || !this.#dryRun)) await this.#interfacesWithoutFile();
    for (const name of names) {
      await this.#interface(name);
      // The engine is answering about the files before.
      await turn();
    }
    await this.#application.finish();
    const { json: asJson } = this.#context.options;
    const commands = this.#commands.map((line) => `${escapeControlsInCommand(line)}\n`).join("");
    const { withoutFile, files } = { withoutFile: this.#withoutFile, files: this.#reports };
    const summary = this.#dryRun ? { commands: this.#commands } : { files, withoutFile };
    const outcome = asJson ? json(summary) : ({ kind: "done", output: commands } as const);
    const failed = this.#reports.some(({ errors }) => errors.length > 0);
    return failed && outcome.kind === "done" ? { kind: "failed", output: outcome.output } : outcome;
  }

  async #variables(): Promise<void> {
    const report = this.#reportOn("carp/sysctl.conf");
    const file = await this.#sysctlFile(report);
    if (file === undefined) return;
    if (this.#dryRun) this.#commands.push(...variableCommands(file));
    else await this.#application.setVariables(file, report);
  }

  async #sysctlFile(report: FileReport): Promise<SysctlFile | undefined> {
    const read = readConfigurationFile(report.path, { mode: 0o644, repair: !this.#dryRun });
    if (isRefusal(read)) {
      if (read.refusal !== "no such file") report.fail({ message: read.refusal });
      return undefined;
    }
    if (read.warning !== undefined) report.warn({ message: read.warning });
    const file = readSysctlFile(read.bytes);
    if ("settings" in file) return file;
    report.fail(...file.errors);
    return undefined;
  }

  /** Names the interfaces that have no file, or destroys them. A file that cannot be read or applied is one. */
  async #interfacesWithoutFile(): Promise<void> {
    const { etcDir } = this.#context.options;
    const existing = await this.#application.interfaces();
    // Read after the engine was asked: a file may just have been made for a new interface.
    const present = await namesWithFile(etcDir);
    const names = existing.filter((name) => isRefusal(present) || !present.includes(name));
    if (names.length === 0) return;
    // Who could remove a file must not have an interface destroyed.
    const why = isRefusal(present) ? present.refusal : distrust(etcDir, process.geteuid?.());
    if (this.#prune && why !== undefined) {
      this.#reportOn("").fail({ message: `nothing is destroyed: ${why}` });
      return;
    }
    for (const name of names) {
      if (this.#dryRun) this.#commands.push(`carpctl ${name} destroy`);
      else if (this.#prune) await this.#destroy(name);
      else {
        const message = `${name} has no file, and is left as it is: 'carpctl netstart --prune' destroys it`;
        this.#context.complain(`${join(etcDir, fileOf(name))}: warning: ${message}`);
        this.#withoutFile.push({ name, destroyed: false });
      }
    }
  }

  async #destroy(name: string): Promise<void> {
    const refusal = await this.#application.destroy(name);
    this.#withoutFile.push({ name, destroyed: refusal === undefined });
    if (refusal !== undefined) this.#reportOn(fileOf(name)).fail({ message: refusal });
  }

  async #interface(name: string): Promise<void> {
    const each = await this.#read(name);
    if (each === undefined) return;
    if (this.#dryRun) this.#commands.push(...interfaceCommands(each, process.geteuid?.() === 0));
    else await this.#application.configure(each);
  }

  async #read(name: string): Promise<Interface | undefined> {
    const report = this.#reportOn(fileOf(name));
    const policy = { mode: 0o640, repair: !this.#dryRun };
    const read = readConfigurationFile(report.path, policy, this.#distrusts);
    if (isRefusal(read)) {
      report.fail({ message: read.refusal });
      return undefined;
    }
    if (read.warning !== undefined) report.warn({ message: read.warning });
    const file = await readInterfaceFile(read.bytes, name);
    if ("errors" in file) {
      report.fail(...file.errors);
      return undefined;
    }
    report.warn(...file.warnings);
    return { name, file, report };
  }

  #reportOn(file: string): FileReport {
    const report = new FileReport(join(this.#context.options.etcDir, file), this.#context);
    this.#reports.push(report);
    return report;
  }
}

/** In numeric order. */
async function namesToConfigure(
  asked: readonly string[],
  etcDir: string,
): Promise<readonly string[] | Refusal> {
  const unknown = asked.find((name) => !INTERFACE_NAME.test(name));
  if (unknown !== undefined)
    return refuse(`${printable(unknown)}: not a carp interface name (carp0, carp1, ...)`);
  const present = await namesWithFile(etcDir);
  if (isRefusal(present)) return present;
  const missing = asked.find((name) => !present.includes(name));
  if (missing !== undefined) return refuse(`${missing}: no ${join(etcDir, fileOf(missing))}`);
  return [...new Set(asked.length > 0 ? asked : present)].sort(compareInterfaceNames);
}

/** Interfaces that have a file. hostname.carp0~ and hostname.carp0.bak are backups and configure none. */
async function namesWithFile(etcDir: string): Promise<readonly string[] | Refusal> {
  try {
    return (await readdir(etcDir)).flatMap((file) => interfaceOf(file) ?? []);
  } catch (error) {
    return refuse(`${etcDir}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
