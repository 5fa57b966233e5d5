/**
 * Applies configuration files to the engine. Each file is one change, applied whole or not at all; a command
 * among its lines divides it, because the lines before the command have to be in force when it runs. Files without
 * commands go to the engine many at a time; files that exchange vhids or addresses are applied together.
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
  type ReplacedEach,
  type Results,
} from "../../../control/messages.ts";
import type { CommandContext } from "../../context.ts";
import { Batch } from "./batch.ts";
import type { FileReport } from "./file-report.ts";
import type { InterfaceFile, Step } from "./interface-file.ts";
import { runCommand } from "./shell-command.ts";

/** An interface whose file has been read without an error. */
export interface Interface {
  readonly name: string;
  readonly file: InterfaceFile;
  readonly report: FileReport;
}

const hasCommands = ({ file }: Interface): boolean => file.steps.some(({ kind }) => kind === "command");

type Refused = { readonly refusal: string; readonly code: number };
type Answer<M extends Method> = Results[M] | Refused;

/** An interface may have thousands of addresses. */
const ANSWER_MS = 60_000;

export class Application {
  readonly #context: CommandContext;
  readonly #waiting = new Batch<Interface>();
  /** Resolves when the files that were sent last are applied: the next ones are read meanwhile. */
  #applied: Promise<void> = Promise.resolve();
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

  /** The names of the interfaces that exist. Rejects with a ControlError. */
  async interfaces(): Promise<string[]> {
    const answer = await this.#call("interfaces", {});
    if ("refusal" in answer) throw new ControlError(answer.code, answer.refusal);
    return answer.interfaces.map(({ name }) => name);
  }

  /** @returns why it was refused */
  async destroy(name: string): Promise<string | undefined> {
    const answer = await this.#call("destroy", { name });
    return "refusal" in answer ? answer.refusal : undefined;
  }

  /** Applies a file, or keeps it to be applied with the next ones. */
  async configure(each: Interface): Promise<void> {
    if (hasCommands(each)) {
      // Its commands find what the files before it say.
      await this.#applyAll();
      await this.#tryWithCommands(each);
      return;
    }
    const replacement = { name: each.name, change: each.file.whole };
    if (!this.#waiting.hasRoomFor(replacement)) await this.#sendWaiting();
    if (this.#waiting.hasRoomFor(replacement)) {
      this.#waiting.add(each, replacement);
      return;
    }
    // Too large to go with others, or at all.
    await this.#applied;
    await this.#replace(each);
  }

  /**
   * Tries refused interfaces again: each, as long as one of them succeeds and may have been in the way of the others,
   * and then replaces the refused interfaces together, because they may be in the way of each other.
   */
  async finish(): Promise<void> {
    do {
      await this.#applyAll();
      for (let progress = true; progress; ) {
        const before = this.#refused;
        this.#refused = [];
        for (const each of before) await this.configure(each);
        await this.#applyAll();
        progress = this.#refused.length < before.length;
      }
    } while (await this.#replaceTogether());
    for (const each of this.#refused) await (hasCommands(each) ? this.#takeSteps(each) : this.#replace(each));
  }

  async #applyAll(): Promise<void> {
    await this.#sendWaiting();
    await this.#applied;
  }

  /** Sends the waiting files when the files sent before are applied. */
  async #sendWaiting(): Promise<void> {
    await this.#applied;
    const { of: interfaces, replacements } = this.#waiting.take();
    if (interfaces.length > 0) this.#applied = this.#replaceEach(interfaces, replacements);
  }

  /** Applies files, each by itself. */
  async #replaceEach(
    interfaces: readonly Interface[],
    replacements: Params<"replace-each">["replacements"],
  ): Promise<void> {
    const answer = await this.#call("replace-each", { replacements });
    for (const [at, each] of interfaces.entries()) {
      const replaced = "refusal" in answer ? answer : answer[at];
      if (replaced === undefined) this.#refuse(each, "the engine did not answer about it");
      else if (!("refusal" in replaced)) this.#note(each, replaced);
      else if (replaced.code === ErrorCode.refused) this.#refused.push(each);
      else this.#refuse(each, replaced.refusal);
    }
  }

  async #tryWithCommands(each: Interface): Promise<void> {
    const dry = await this.#dryRun(each);
    if ("refusal" in dry && dry.code === ErrorCode.refused) this.#refused.push(each);
    else await this.#takeSteps(each, dry);
  }

  #dryRun({ name, file }: Interface): Promise<Answer<"replace">> {
    return this.#call("replace", { name, change: file.whole, dryRun: true });
  }

  /** Replaces the refused interfaces together. @returns whether one of them could be */
  async #replaceTogether(): Promise<boolean> {
    const refused = this.#refused;
    if (refused.length < 2) return false;
    const replacements = refused.map(({ name, file }) => ({ name, change: file.whole }));
    const answer = await this.#call("replace-all", { replacements }, (message) => {
      const about = refused.find(({ name }) => message.startsWith(`${name}:`)) ?? refused[0];
      about?.report.warn({ line: lineOf(message, about.file.lines), message });
    });
    if ("refusal" in answer) return false;
    const isReplaced = (_: Interface, at: number) => "changed" in (answer[at] ?? {});
    this.#refused = refused.filter((each, at) => !isReplaced(each, at));
    for (const each of refused.filter(isReplaced)) {
      each.report.changed = true;
      if (hasCommands(each)) await this.#takeSteps(each);
    }
    return this.#refused.length < refused.length;
  }

  /**
   * Applies a file step by step. For an interface that already is as the file says only the commands run: a file may
   * have `down` before a command and `up` behind it.
   */
  async #takeSteps(each: Interface, dry?: Answer<"replace">): Promise<void> {
    const { name, file, report } = each;
    dry ??= await this.#dryRun(each);
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

  /** @returns whether it was done */
  async #replace(each: Interface): Promise<boolean> {
    const warnings: string[] = [];
    const replacement = { name: each.name, change: each.file.whole };
    const answer = await this.#call("replace", replacement, (message) => warnings.push(message));
    if ("refusal" in answer) this.#refuse(each, answer.refusal);
    else this.#note(each, { ...answer, warnings });
    return !("refusal" in answer);
  }

  #note({ file, report }: Interface, { changed, warnings }: Exclude<ReplacedEach[number], Refused>): void {
    for (const message of warnings) report.warn({ line: lineOf(message, file.lines), message });
    report.changed ||= changed;
  }

  #refuse({ file, report }: Interface, message: string): void {
    report.fail({ line: lineOf(message, file.lines), message });
  }

  async #change(each: Interface, change: InterfaceChange): Promise<boolean> {
    const answer = await this.#call("change", { name: each.name, change, isFromFile: true });
    if ("refusal" in answer) this.#refuse(each, answer.refusal);
    return !("refusal" in answer);
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
