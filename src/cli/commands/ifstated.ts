/**
 * `ifstated`: checks the file (`-n`), or runs the daemon with it in this process, which stays in the foreground. The
 * daemon itself is in src/ifstated.
 */

import { readConfigurationFile } from "../../config/configuration-file.ts";
import { parseIfstatedFile } from "../../config/ifstated/parser.ts";
import type { Configuration } from "../../config/ifstated/syntax.ts";
import type { Complaint } from "../../config/lines.ts";
import { INTERFACE_NAME } from "../../control/limits.ts";
import { escapeControls, printable } from "../../control/printable.ts";
import type { CommandContext } from "../context.ts";
import { hasDevice } from "../network-device.ts";
import { done, isRefusal, type Outcome, type Refusal, refuse } from "../outcome.ts";

export interface IfstatedCommand {
  readonly path: string;
  /** Macros that the file cannot define anew. */
  readonly macros: ReadonlyMap<string, string>;
  /** Log there, and not to the system's log. */
  readonly toStandardError: boolean;
  readonly checksOnly: boolean;
  /** How often `-v` was given. */
  readonly verbosity: number;
}

/** Words like `MACRO=VALUE`. */
export function macrosOf(words: readonly string[]): Map<string, string> | Refusal {
  const macros = new Map<string, string>();
  for (const word of words) {
    const [, name, value = ""] = /^(\w+)=(.*)$/s.exec(word) ?? [];
    if (name === undefined)
      return refuse(`-D ${printable(word)}: expected MACRO=VALUE, where MACRO is letters, digits and _`);
    macros.set(name, value);
  }
  return macros;
}

export async function runIfstatedHere(command: IfstatedCommand, context: CommandContext): Promise<Outcome> {
  const say = (complaint: Complaint) => context.complain(textOf(command.path, complaint));
  const configuration = read(command, say);
  if (configuration === undefined) return { kind: "failed", output: "" };
  if (command.checksOnly) return check(configuration, command, context);
  const { runIfstated } = await import("../../ifstated/daemon.ts");
  const log = await logOf(command, context);
  const again = () => read(command, (complaint) => log(3, textOf(command.path, complaint)));
  return { kind: "exited", status: await runIfstated({ ...context, log, read: again }, configuration) };
}

/** Undefined: it has errors, of which each was told. */
function read(
  { path, macros }: IfstatedCommand,
  complain: (complaint: Complaint) => void,
): Configuration | undefined {
  const file = readConfigurationFile(path, { mode: 0o644, repair: false });
  if (isRefusal(file)) {
    complain({ message: file.refusal });
    return undefined;
  }
  const parsed = parseIfstatedFile(file.bytes, macros);
  if (!("errors" in parsed)) return parsed;
  for (const error of parsed.errors) complain(error);
  return undefined;
}

/** An interface that does not exist is a warning: a device may be plugged in later. */
async function check(
  { interfaces, macros }: Configuration,
  { path, verbosity }: IfstatedCommand,
  context: CommandContext,
): Promise<Outcome> {
  const carp = await carpInterfaces(context);
  for (const [name, line] of interfaces) {
    const exists = hasDevice(name) || (INTERFACE_NAME.test(name) && carp?.includes(name) !== false);
    if (!exists) context.complain(textOf(path, { line, message: `warning: ${name}: no such interface now` }));
  }
  if (verbosity > 1)
    for (const { name, isUsed } of macros) if (!isUsed) context.complain(`warning: macro '${name}' not used`);
  context.complain("configuration OK");
  return done(
    verbosity > 0
      ? macros.map(({ name, value }) => `${escapeControls(`${name} = "${value}"`)}\n`).join("")
      : "",
  );
}

/** Undefined: no engine tells. */
async function carpInterfaces(context: CommandContext): Promise<readonly string[] | undefined> {
  try {
    const engine = await context.connect();
    const { interfaces } = await engine.call("interfaces", {}).finally(() => engine.close());
    return interfaces.map(({ name }) => name);
  } catch {
    return undefined;
  }
}

type Log = (priority: 2 | 3 | 4 | 6 | 7, text: string) => void;

/** `-d`: each line as it is. */
async function logOf({ toStandardError, verbosity }: IfstatedCommand, context: CommandContext): Promise<Log> {
  const { createLog } = await import("../../kernel/process/syslog.ts");
  const log: Log = toStandardError
    ? (_, text) => context.complain(text)
    : createLog("syslog", { ident: "ifstated" });
  return (priority, text) => (priority < 7 || verbosity > 0) && log(priority, text);
}

/** `FILE:LINE: MESSAGE`, as compilers print it. */
function textOf(path: string, { line, message }: Complaint): string {
  return escapeControls(`${path}${line === undefined ? "" : `:${line}`}: ${message}`);
}
