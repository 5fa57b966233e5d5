/**
 * `netstart`: the configuration files, read one after the other and applied, or listed as commands. An interface that
 * does not come about stops no other one.
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readConfigurationFile } from "../../control/files/configuration-file.ts";
import { readSysctlFile, type SysctlFile } from "../../control/files/sysctl-file.ts";
import { INTERFACE_NAME } from "../../control/limits.ts";
import { shown } from "../../control/shown.ts";
import { isRefusal, json, type Outcome, type Refusal, refuse, refused } from "../outcome.ts";
import type { Setting } from "../setting.ts";
import { Application, type Interface } from "./application.ts";
import { readHostnameFile } from "./hostname-file.ts";
import { interfaceCommands, variableCommands } from "./listing.ts";
import { Report } from "./report.ts";
import { connectInTime } from "./waiting.ts";

export interface NetstartOptions {
  /** `-n`: print the commands and run none. */
  readonly dryRun: boolean;
  /** `--wait`: for an engine that is being started. */
  readonly wait: boolean;
}

const WAIT_MS = 30_000;

/** @param asked names of interfaces; none: all that have a file, and the variables before them */
export async function runNetstart(
  asked: readonly string[],
  options: NetstartOptions,
  setting: Setting,
): Promise<Outcome> {
  const names = await namesToConfigure(asked, setting.options.etcDir);
  if (isRefusal(names)) return refused(names.refusal);
  if (!options.dryRun) (await connectInTime(setting, options.wait ? WAIT_MS : 0)).close();
  return new Run(setting, options.dryRun).everything(names, asked.length === 0);
}

class Run {
  readonly #setting: Setting;
  readonly #dryRun: boolean;
  readonly #application: Application;
  readonly #reports: Report[] = [];
  readonly #commands: string[] = [];

  constructor(setting: Setting, dryRun: boolean) {
    this.#setting = setting;
    this.#dryRun = dryRun;
    this.#application = new Application(setting);
  }

  async everything(names: readonly string[], andVariables: boolean): Promise<Outcome> {
    if (andVariables) await this.#variables();
    for (const name of names) await this.#interface(name);
    await this.#application.finish();
    const { json: asJson } = this.#setting.options;
    const commands = this.#commands.map((line) => `${line}\n`).join("");
    const summary = this.#dryRun ? { commands: this.#commands } : { files: this.#reports };
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

  async #sysctlFile(report: Report): Promise<SysctlFile | undefined> {
    const read = await readConfigurationFile(report.path, { mode: 0o644, repair: !this.#dryRun });
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

  async #interface(name: string): Promise<void> {
    const each = await this.#read(name);
    if (each === undefined) return;
    if (this.#dryRun) this.#commands.push(...interfaceCommands(each, process.geteuid?.() === 0));
    else await this.#application.configure(each);
  }

  async #read(name: string): Promise<Interface | undefined> {
    const report = this.#reportOn(`hostname.${name}`);
    const read = await readConfigurationFile(report.path, { mode: 0o640, repair: !this.#dryRun });
    if (isRefusal(read)) {
      report.fail({ message: read.refusal });
      return undefined;
    }
    if (read.warning !== undefined) report.warn({ message: read.warning });
    const file = await readHostnameFile(read.bytes, name);
    if ("errors" in file) {
      report.fail(...file.errors);
      return undefined;
    }
    report.warn(...file.warnings);
    return { name, file, report };
  }

  #reportOn(file: string): Report {
    const report = new Report(join(this.#setting.options.etcDir, file), this.#setting);
    this.#reports.push(report);
    return report;
  }
}

/** In numeric order. */
async function namesToConfigure(
  asked: readonly string[],
  etcDir: string,
): Promise<readonly string[] | Refusal> {
  const stranger = asked.find((name) => !INTERFACE_NAME.test(name));
  if (stranger !== undefined)
    return refuse(`${shown(stranger)}: not a carp interface name (carp0, carp1, ...)`);
  const present = await namesWithFile(etcDir);
  if (isRefusal(present)) return present;
  const missing = asked.find((name) => !present.includes(name));
  if (missing !== undefined) return refuse(`${missing}: no ${join(etcDir, `hostname.${missing}`)}`);
  const numberOf = (name: string) => Number(name.slice("carp".length));
  return [...new Set(asked.length > 0 ? asked : present)].sort((a, b) => numberOf(a) - numberOf(b));
}

/** What an editor or a package left beside a file (hostname.carp0~, hostname.carp0.bak) is no interface's. */
async function namesWithFile(etcDir: string): Promise<readonly string[] | Refusal> {
  try {
    const files = (await readdir(etcDir)).filter((file) => file.startsWith("hostname."));
    return files.map((file) => file.slice("hostname.".length)).filter((name) => INTERFACE_NAME.test(name));
  } catch (error) {
    return refuse(`${etcDir}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
