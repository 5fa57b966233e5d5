/**
 * What the files say, brought about in the engine. Each file is one change, so that it comes about whole or not at
 * all; only a command among its lines parts it, because what stands before the command has to be there when it runs.
 */

import { ControlError } from "../../control/client.ts";
import { type SysctlFile, lineOf as sysctlLineOf } from "../../control/files/sysctl-file.ts";
import { ErrorCode } from "../../control/limits.ts";
import {
  checkParams,
  type InterfaceChange,
  type Method,
  type Params,
  type Results,
} from "../../control/messages.ts";
import type { Setting } from "../setting.ts";
import { type HostnameFile, lineOf, type Step } from "./hostname-file.ts";
import type { Report } from "./report.ts";
import { runCommand } from "./shell-command.ts";

/** An interface whose file has been read without an error. */
export interface Interface {
  readonly name: string;
  readonly file: HostnameFile;
  readonly report: Report;
}

type Answer<M extends Method> = Results[M] | { readonly refusal: string; readonly code: number };

export class Application {
  readonly #setting: Setting;
  /** Refused, perhaps because of what another file is about to take away. */
  #refused: Interface[] = [];

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  /** All of them or none. */
  async setVariables({ settings }: SysctlFile, report: Report): Promise<void> {
    if (settings.length === 0) return;
    const writes = settings.map(({ name, value }) => ({ name, value }));
    const changes = await this.#ask("sysctl-set", { writes });
    if ("refusal" in changes)
      report.fail({ line: sysctlLineOf(changes.refusal, settings), message: changes.refusal });
    else report.changed = changes.some(({ from, to }) => from !== to);
  }

  async configure(each: Interface): Promise<void> {
    if (each.file.steps.some(({ kind }) => kind === "command")) await this.#takeSteps(each);
    else if (!(await this.#replace(each, ErrorCode.refused))) this.#refused.push(each);
  }

  /** Tries what was refused again, as long as something comes about that may have stood in its way. */
  async finish(): Promise<void> {
    for (let progress = true; progress; ) {
      const before = this.#refused;
      this.#refused = [];
      for (const each of before) await this.configure(each);
      progress = this.#refused.length < before.length;
    }
    for (const each of this.#refused) await this.#replace(each);
  }

  /**
   * Step by step. An interface that is as the file says already is left alone, and only the commands run: a file may
   * well say `down` before a command and `up` behind it.
   */
  async #takeSteps(each: Interface): Promise<void> {
    const { name, file, report } = each;
    const dry = await this.#ask("replace", { name, change: file.whole, dryRun: true });
    const isSo = "changed" in dry && !dry.changed && file.whole.state === undefined;
    const last = file.steps.findLastIndex(({ kind }) => kind === "parameters");
    if (last < 0 && !isSo && !(await this.#replace(each))) return;
    for (const [at, step] of file.steps.entries()) {
      if (step.kind === "command") await this.#run(step, report);
      else if (isSo) continue;
      else if (!(await (at === last ? this.#replace(each) : this.#change(each, step.change)))) return;
    }
  }

  /** @param unsaid a refusal of this kind is not reported. @returns whether it was done */
  async #replace({ name, file, report }: Interface, unsaid?: number): Promise<boolean> {
    const answer = await this.#ask("replace", { name, change: file.whole });
    if ("refusal" in answer) {
      if (answer.code === unsaid) return false;
      report.fail({ line: lineOf(answer.refusal, file.lines), message: answer.refusal });
      return unsaid !== undefined;
    }
    report.changed ||= answer.changed;
    return true;
  }

  async #change({ name, file, report }: Interface, change: InterfaceChange): Promise<boolean> {
    const answer = await this.#ask("change", { name, change });
    if (!("refusal" in answer)) return true;
    report.fail({ line: lineOf(answer.refusal, file.lines), message: answer.refusal });
    return false;
  }

  async #run({ line, command }: Extract<Step, { kind: "command" }>, report: Report): Promise<void> {
    const failure = await runCommand(command, this.#setting.options);
    if (failure !== undefined) report.fail({ line, message: failure });
  }

  /** On a connection of its own: the engine hangs up on one that says nothing while a command runs. */
  async #ask<M extends Method>(method: M, params: Params<M>): Promise<Answer<M>> {
    const checked = checkParams(method, params);
    if ("refusal" in checked) return { refusal: checked.refusal, code: ErrorCode.invalid };
    try {
      const engine = await this.#setting.connect();
      try {
        return await engine.call(method, checked.params);
      } finally {
        engine.close();
      }
    } catch (error) {
      if (error instanceof ControlError) return { refusal: error.message, code: error.code };
      throw error;
    }
  }
}
