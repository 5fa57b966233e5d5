/**
 * `doctor`: prints the findings about this host, each with what to do about it. The engine examines itself
 * and its surroundings; without an engine this process examines the kernel. conntrackd and the rules of nftables this
 * process examines, which may have privileges that the engine has given up.
 */

import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Chalk } from "chalk";
import packageJson from "../../../package.json" with { type: "json" };
import { distrustRunDirectory } from "../../config/engine-user.ts";
import { ControlError } from "../../control/client.ts";
import { type Finding, fault, inOrder } from "../../control/finding.ts";
import { LIMITS } from "../../control/limits.ts";

import { escapeControls, printable } from "../../control/printable.ts";
import type { CommandContext } from "../context.ts";
import { done, jsonText, type Outcome, refused } from "../outcome.ts";
import { wrapped } from "../show/table.ts";
import { Systemctl } from "./units/systemctl.ts";

/** Tells the engine which of the units that demote are active. */
const FOLLOWER = "carp-units.service";

/** @param listen seconds in which the engine hears the other hosts first, as typed; undefined: none */
export async function runDoctor(listen: string | undefined, context: CommandContext): Promise<Outcome> {
  const listenS = listen === undefined ? 0 : Number(listen);
  const [min, max] = LIMITS.listen;
  if (listen !== undefined && !(/^\d+$/.test(listen) && listenS >= min && listenS <= max))
    return refused(`--listen ${printable(listen)}: must be ${min}..${max}`);
  const { runDir, etcDir } = context.options;
  const findings = worstFirst([
    ...(await runDirectory(runDir)),
    ...(await examined(listenS, context)),
    ...(await passedOver(etcDir)),
    ...(await connectionStates(etcDir)),
  ]);
  const isAble = findings.every(({ level }) => level !== "error");
  const output = context.options.json
    ? jsonText({ ok: isAble, findings: findings.map(findingJson) })
    : findingsText(findings, context);
  return isAble ? done(output) : { kind: "failed", output };
}

async function examined(listenS: number, context: CommandContext): Promise<readonly Finding[]> {
  try {
    const engine = await context.connect();
    try {
      const { version, pid } = await engine.call("hello", {});
      await sleep(listenS * 1000);
      const found = await engine.call("doctor", {});
      const { units = [] } = await engine.call("demotion", {});
      return [running(version, pid), ...found, ...(await followed(units.map(({ unit }) => unit)))];
    } finally {
      engine.close();
    }
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    const { examineInstead } = await import("../../doctor/examination.ts");
    return [fault("no-engine", "engine", error.message), ...examineInstead()];
  }
}

async function passedOver(etcDir: string): Promise<Finding[]> {
  const { passedOver } = await import("../../doctor/service-check-facts.ts");
  const { examinePassedOver } = await import("../../doctor/service-checks.ts");
  return examinePassedOver(passedOver(etcDir));
}

/** Nothing where neither conntrackd nor a hook for it is set up. */
async function connectionStates(etcDir: string): Promise<Finding[]> {
  const { connectionStateFacts } = await import("../../doctor/connection-state-facts.ts");
  const facts = await connectionStateFacts(etcDir);
  if (facts === undefined) return [];
  const { examineConnectionStates } = await import("../../doctor/connection-states.ts");
  return examineConnectionStates(facts);
}

function running(version: string, pid: number): Finding {
  const subject = "engine";
  if (version === packageJson.version) return inOrder(subject, `runs, version ${version}, pid ${pid}`);
  return fault(
    "engine-version",
    subject,
    `runs, pid ${pid}, but is version ${version}, and this command is ${packageJson.version}`,
    "restart the engine: 'systemctl restart carpd', or SIGUSR2 and 'carpctl engine'",
  );
}

/** Whether units that demote this host are followed: the engine counts them as they were last. */
async function followed(units: readonly string[]): Promise<Finding[]> {
  if (units.length === 0) return [];
  const subject = "units";
  let obstacle: string | undefined;
  const active = await new Systemctl((text) => {
    obstacle = text;
  }).activeOf([FOLLOWER]);
  const which = units.join(", ");
  if (active === undefined)
    return [fault("not-examined", subject, `whether ${FOLLOWER} follows ${which}: ${obstacle}`)];
  if (active.has(FOLLOWER)) return [inOrder(subject, `${FOLLOWER} follows ${which}`)];
  return [
    fault(
      "units-not-followed",
      subject,
      `${FOLLOWER} is not active: ${which} may start or fail, and the demotion stays what it is`,
      "start it: 'systemctl enable --now carp-units.path'",
    ),
  ];
}

async function runDirectory(path: string): Promise<Finding[]> {
  const subject = "run directory";
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    if (found.code !== "ENOENT")
      return [fault("needs-root", subject, `${path} cannot be examined: ${found.code}`, "ask again as root")];
    return [inOrder(subject, `${path} is not there yet: the engine makes it`)];
  }
  if (!found.isDirectory())
    return [fault("run-directory", subject, `${path} is not a directory`, "remove it, or use --run-dir")];
  const untrusted = distrustRunDirectory(path);
  if (untrusted !== undefined)
    return [
      fault(
        "run-directory-untrusted",
        subject,
        `${untrusted}: another user could run an engine there`,
        "let root own it and no other user write it, or use --run-dir",
      ),
    ];
  return [inOrder(subject, `${path}, which only the engine can write`)];
}

/** The first line is what to begin with: of findings that are equally bad, the more basic come first. */
function worstFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((one, other) => LEVELS.indexOf(one.level) - LEVELS.indexOf(other.level));
}

/** Every field always there, null where there is nothing. */
function findingJson({ level, kind, subject, text, todo }: Finding) {
  return { level, kind: kind ?? null, subject, text, todo: todo ?? null };
}

const LEVELS = ["error", "warning", "unknown", "ok"] as const satisfies readonly Finding["level"][];
const INDENT = " ".repeat(Math.max(...LEVELS.map((level) => level.length)) + 2);

export function findingsText(
  findings: readonly Finding[],
  { colour, columns }: { readonly colour: boolean; readonly columns: number },
): string {
  const chalk = new Chalk({ level: colour ? 1 : 0 });
  const paint = { ok: chalk.green, unknown: chalk.cyan, warning: chalk.yellow, error: chalk.red };
  const lines = findings.flatMap(({ level, kind, subject, text, todo }) => {
    const name = kind === undefined ? "" : ` [${kind}]`;
    const [first = "", ...rest] = wrapped(escapeControls(`${subject}: ${text}${name}`), columns, INDENT);
    const head = `${paint[level](level)}${first.slice(level.length)}`;
    return [
      head,
      ...rest,
      ...(todo === undefined ? [] : wrapped(`-> ${escapeControls(todo)}`, columns, INDENT)),
    ];
  });
  const count = (level: Finding["level"]) => findings.filter((each) => each.level === level).length;
  const [errors, warnings] = [count("error"), count("warning")];
  if (findings.some(({ kind }) => kind !== undefined))
    lines.push(
      ...wrapped("'carpctl help NAME' says more of each finding whose name is in brackets", columns),
    );
  lines.push(`${counted(errors, "error")}, ${counted(warnings, "warning")}`);
  return lines.map((line) => `${line}\n`).join("");
}

function counted(number: number, what: string): string {
  return `${number === 0 ? "no" : number} ${what}${number === 1 ? "" : "s"}`;
}
