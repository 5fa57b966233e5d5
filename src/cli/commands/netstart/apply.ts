/**
 * Applies configuration files to the engine. Each file is one change, applied whole or not at all; a command
 * among its lines divides it, because the lines before the command have to be in force when it runs.
 */

import { lineOf } from "../../../config/hostname-file.ts";
import { type SysctlFile, lineOf as sysctlLineOf } from "../../../config/sysctl-file.ts";
import { ControlError } from "../../../control/client.ts";
import { ErrorCode } from "../../../control/limits.ts";
import {
  checkParams,
  type InterfaceChange,
  type Method,
  type Params,
  type Results,
} from "../../../control/messages.ts";
import type { CommandContext } from "../../context.ts";
import type { FileReport } from "./file-report.ts";
import type { InterfaceFile, Step } from "./interface-file.ts";
import { runCommand } from "./shell-command.ts";

/** An interface whose file has been read without an error. */
export interface Interface {
  readonly name: string;
  readonly file: InterfaceFile;
  readonly report: FileReport;
}

type Answer<M extends Method> = Results[M] | { readonly refusal: string; readonly code: number };

/** An interface may have thousands of addresses. */
const ANSWER_MS = 60_000;

export class Application {
  readonly #context: CommandContext;
  /** Refused, perhaps because of a setting that another file is about to remove. */
  #refused: Interface[] = [];

  constructor(context: CommandContext) {
    this.#context = context;
  }

  /** All of them or none. */
  async setVariables({ settings }: SysctlFile, report: FileReport): Promise<void> {
    if (settings.length === 0) return;
    const writes = settings.map(({ name, value }) => ({ name, value }));
    const changes = await this.#call("sysctl-set", { writes }, (message) => report.warn({ message }));
    if ("refusal" in changes)
      report.fail({ line: sysctlLineOf(changes.refusal, settings), message: changes.refusal });
    else report.changed = changes.some(({ from, to }) => from !== to);
  }

  async configure(each: Interface): Promise<void> {
    if (each.file.steps.some(({ kind }) => kind === "command")) await this.#takeSteps(each);
    else if (!(await this.#replace(each, ErrorCode.refused))) this.#refused.push(each);
  }

  /**
   * Tries refused interfaces again, as long as one of them succeeds and may have been in the way of the
   * others.
   */
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
   * Applies a file step by step. For an interface that already is as the file says only the commands run: a file may
   * have `down` before a command and `up` behind it.
   */
  async #takeSteps(each: Interface): Promise<void> {
    const { name, file, report } = each;
    const dry = await this.#call("replace", { name, change: file.whole, dryRun: true });
    const isSo = "changed" in dry && !dry.changed && file.whole.state === undefined;
    const last = file.steps.findLastIndex(({ kind }) => kind === "parameters");
    if (last < 0 && !isSo && !(await this.#replace(each))) return;
    for (const [at, step] of file.steps.entries()) {
      if (step.kind === "command") await this.#run(name, step, report);
      // A command before the last lines may have destroyed the interface.
      else if (isSo && (at < last || at === 0)) continue;
      else if (!(await (at === last ? this.#replace(each) : this.#change(each, step.change)))) return;
    }
  }

  /** @param silent a refusal with this code is not reported. @returns whether it was done, or reported */
  async #replace({ name, file, report }: Interface, silent?: number): Promise<boolean> {
    const answer = await this.#call("replace", { name, change: file.whole }, (message) =>
      report.warn({ line: lineOf(message, file.lines), message }),
    );
    if ("refusal" in answer) {
      if (answer.code === silent) return false;
      report.fail({ line: lineOf(answer.refusal, file.lines), message: answer.refusal });
      return silent !== undefined;
    }
    report.changed ||= answer.changed;
    return true;
  }

  async #change({ name, file, report }: Interface, change: InterfaceChange): Promise<boolean> {
    const answer = await this.#call("change", { name, change, isFromFile: true });
    if (!("refusal" in answer)) return true;
    report.fail({ line: lineOf(answer.refusal, file.lines), message: answer.refusal });
    return false;
  }

  async #run(
    name: string,
    { line, command }: Extract<Step, { kind: "command" }>,
    report: FileReport,
  ): Promise<void> {
    const failure = await runCommand(command, name, this.#context.options);
    if (failure !== undefined) report.fail({ line, message: failure });
  }

  /** Calls the engine on a new connection: the engine drops one that is idle while a command runs. */
  async #call<M extends Method>(
    method: M,
    params: Params<M>,
    warn: (message: string) => void = () => {},
  ): Promise<Answer<M>> {
    const checked = checkParams(method, params);
    if ("refusal" in checked) return { refusal: checked.refusal, code: ErrorCode.invalid };
    try {
      const engine = await this.#context.connect({ timeoutMs: ANSWER_MS });
      try {
        const answer = await engine.call(method, checked.params);
        for (const warning of engine.warnings) warn(warning);
        return answer;
      } finally {
        engine.close();
      }
    } catch (error) {
      if (error instanceof ControlError) return { refusal: error.message, code: error.code };
      throw error;
    }
  }
}
