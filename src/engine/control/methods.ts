/**
 * The methods of the control protocol: each message is checked against the schema, authorised, and turned
 * into a command of the core or a question to it. A message that is refused on the way has changed nothing.
 */

import { JSONRPCErrorException, JSONRPCServer } from "json-rpc-2.0";
import {
  type Configuration,
  checkParams,
  ErrorCode,
  type Hello,
  type Method,
  methods,
  type Params,
  type ReplacedEach,
  type Results,
  type ServiceCheck,
} from "../../control/messages.ts";
import type { Command, HostConfiguration } from "../../core/command.ts";
import type { Outcome } from "../../core/host.ts";
import { compareInterfaceNames } from "../../core/interface/name.ts";
import { SYSCTL_VARIABLES } from "../../core/sysctl.ts";
import { examineAround } from "../../doctor/examination.ts";
import type { Engine } from "../engine.ts";
import { readMetrics } from "../metrics/samples.ts";
import { denial, exposure, maySeeSecrets, type Peer, READS } from "./authorisation.ts";
import { changeLine } from "./change-log.ts";
import type { Caller } from "./connection.ts";
import { SharedAnswers } from "./shared-answers.ts";

/** The part of an engine that answers are made from. */
export type Served = Pick<
  Engine,
  | "version"
  | "host"
  | "ready"
  | "catchUp"
  | "now"
  | "command"
  | "replace"
  | "startedUs"
  | "delays"
  | "leaseUntilUs"
  | "packetCounts"
  | "packets"
  | "carriers"
  | "overruled"
  | "feed"
  | "history"
  | "dataPathObstacle"
  | "scriptsDoNotRun"
  | "unreached"
  | "runDir"
  | "maintenance"
  | "setUnit"
  | "serviceStatus"
  | "checks"
  | "log"
>;

type Done = Exclude<Outcome, { error: string }>;
type Answers = {
  [M in Method]: (params: Params<M>, engine: Served, caller: Caller) => Results[M] | Promise<Results[M]>;
};

const answers: Answers = {
  hello: (_, engine) => hello(engine),
  monitor: (_, engine, caller) => {
    caller.subscribe(engine.feed);
    return hello(engine);
  },
  history: (_, engine) => engine.history.unwritten(),
  interfaces: (_, engine) => ({ nowUs: engine.now().us, interfaces: engine.host.interfaces() }),
  groups: (_, engine) => engine.host.groups(),
  "sysctl-get": ({ names }, engine) => {
    const found = new Map<string, number>();
    for (const name of names) {
      const matching = engine.host.sysctl(name);
      if (matching.length === 0) throw refused(`${name}: no such variable`);
      for (const each of matching) found.set(each.name, each.value);
    }
    return [...found].map(([name, value]) => ({ name, value }));
  },
  "sysctl-set": async ({ writes }, engine, caller) => {
    const { changes = [] } = await run(engine, caller, { kind: "set-sysctl", writes });
    return changes.map((change, at) => ({ name: writes[at]?.name ?? "", ...change }));
  },
  statistics: ({ name }, engine) => {
    const statistics = name === undefined ? engine.host.statistics : engine.host.statisticsOf(name);
    if (statistics === undefined) throw refused(`${name}: no such interface`);
    return { ...statistics };
  },
  metrics: async (_, engine, caller) => ({
    text: (await readMetrics(engine, () => caller.turn())).toString(),
  }),
  packets: (_, engine) => engine.packets(),
  doctor: (_, engine, caller) => examineAround(engine, () => caller.turn()),
  create: async ({ name }, engine, caller) => {
    const created = await run(engine, caller, { kind: "create", name });
    return { name: created.name ?? "" };
  },
  destroy: ({ name }, engine, caller) => nothing(run(engine, caller, { kind: "destroy", name })),
  change: ({ name, change, create, isFromFile }, engine, caller) =>
    nothing(run(engine, caller, { kind: "change", name, change, create, isFromFile })),
  "change-on": async ({ carpdev, change }, engine, caller) => {
    const { name = "", destroyed = false } = await run(engine, caller, {
      kind: "change-on",
      carpdev,
      change,
    });
    return { name, destroyed };
  },
  replace: async ({ name, change, dryRun }, engine, caller) => {
    const { changed = false } = await run(engine, caller, { kind: "replace", name, change, dryRun });
    return { changed };
  },
  "replace-each": ({ replacements }, engine, caller) => replaceEach(replacements, engine, caller),
  "replace-all": async ({ replacements }, engine, caller) => {
    const { replaced = [] } = await run(engine, caller, { kind: "replace-all", replacements });
    return replaced;
  },
  configuration: (_, engine, { peer }) => configurationFor(peer, engine.host.configuration),
  "demote-group": ({ group, by }, engine, caller) =>
    nothing(run(engine, caller, { kind: "demote-group", group, by })),
  demotion: (_, engine) => engine.host.demotion,
  demote: ({ reason, by }, engine, caller) => nothing(run(engine, caller, { kind: "demote", reason, by })),
  promote: ({ reason }, engine, caller) => nothing(run(engine, caller, { kind: "promote", reason })),
  "demote-unit": (unit, engine, caller) =>
    nothing(engine.setUnit({ kind: "demote-unit", ...unit }).then((outcome) => done(outcome, caller))),
  "promote-unit": ({ unit }, engine, caller) =>
    nothing(engine.setUnit({ kind: "promote-unit", unit }).then((outcome) => done(outcome, caller))),
  "unit-states": ({ states }, engine, caller) =>
    nothing(run(engine, caller, { kind: "unit-states", states })),
  maintenance: ({ on }, engine, caller) =>
    nothing(engine.maintenance(on).then((outcome) => done(outcome, caller))),
  "service-status": async (_, engine, { peer }) => {
    const evaluation = await engine.serviceStatus();
    if ("error" in evaluation) throw refused(evaluation.error);
    return { ...evaluation, checks: visible(evaluation.checks, peer) };
  },
  checks: (_, engine, { peer }) =>
    visible(
      engine.checks.map(({ counts: _, file: __, ...check }) => check),
      peer,
    ),
};

/** Questions that cost something, with what their answers depend on: users other than root share them. */
const COSTLY: { readonly [M in Method]?: (params: Params<M>) => string } = {
  history: () => "",
  interfaces: () => "",
  groups: () => "",
  statistics: ({ name = "" }) => name,
  metrics: () => "",
  packets: () => "",
  doctor: () => "",
  configuration: () => "",
};

/** @param carpGroup finds the id of group `carp`; asked each time, since groups come and go */
export function createMethods(engine: Served, carpGroup: () => number | undefined): JSONRPCServer<Caller> {
  const server = new JSONRPCServer<Caller>({
    errorListener: (message, error) => {
      // Refusals go to the caller alone: every user can cause them, and must not fill the log.
      if (error instanceof JSONRPCErrorException) return;
      engine.log(3, `control: ${message} ${error instanceof Error ? error.stack : String(error)}`, "control");
    },
  });
  const shared = { members: new SharedAnswers(), others: new SharedAnswers() };
  for (const method of Object.keys(methods) as Method[])
    server.addMethod(method, (params, caller) =>
      answer(method, params ?? {}, caller, { engine, carpGroup, shared }),
    );
  return server;
}

interface Answering {
  readonly engine: Served;
  readonly carpGroup: () => number | undefined;
  readonly shared: { readonly members: SharedAnswers; readonly others: SharedAnswers };
}

async function answer<M extends Method>(
  method: M,
  params: unknown,
  caller: Caller,
  { engine, carpGroup, shared }: Answering,
): Promise<Results[M]> {
  const checked = checkParams(method, params);
  if ("refusal" in checked) throw new JSONRPCErrorException(checked.refusal, ErrorCode.invalid);
  const denied = denial(method, checked.params, caller.peer, carpGroup());
  if (denied !== undefined) throw new JSONRPCErrorException(denied, ErrorCode.permission);
  await engine.ready;
  engine.catchUp();
  const { uid } = caller.peer;
  const unprotected = uid === 0 ? undefined : exposure(method, checked.params, engine.host.configuration);
  if (unprotected !== undefined) throw new JSONRPCErrorException(unprotected, ErrorCode.permission);
  const evaluate = () => answers[method](checked.params, engine, caller);
  const about = uid === 0 ? undefined : COSTLY[method]?.(checked.params);
  // A shared answer is made in the turns of the client that asked first.
  const { members, others } = shared;
  if (about !== undefined)
    return (caller.isPrivileged ? members : others).get(`${method} ${about}`, evaluate);
  const result = await evaluate();
  if (READS.has(method)) return result;
  // Answers given after a change show it.
  members.forget();
  others.forget();
  logChange(engine, caller, method, checked.params, result);
  return result;
}

/** What a check writes is for root. */
function visible(checks: readonly ServiceCheck[], peer: Peer): readonly ServiceCheck[] {
  return maySeeSecrets(peer) ? checks : checks.map((check) => ({ ...check, output: "" }));
}

function hello(engine: Served): Hello {
  return { version: engine.version, pid: process.pid, nowUs: engine.now().us };
}

function configurationFor(peer: Peer, { interfaces, sysctl }: HostConfiguration): Configuration {
  const inOrder = [...interfaces].sort((a, b) => compareInterfaceNames(a.name, b.name));
  return {
    interfaces: maySeeSecrets(peer) ? inOrder : inOrder.map(({ pass: _, ...others }) => others),
    sysctl: sysctl.map(({ name, value }) => ({ name, value, initial: initialValue(name) })),
  };
}

function initialValue(name: string): number {
  return SYSCTL_VARIABLES.find((each) => each.name === name)?.initial ?? 0;
}

/** Takes a turn for each: checking one and carrying it out is as much as other clients' requests are. */
async function replaceEach(
  replacements: readonly unknown[],
  engine: Served,
  caller: Caller,
): Promise<ReplacedEach> {
  const checked: ReturnType<typeof checkParams<"replace">>[] = [];
  for (const each of replacements) {
    checked.push(checkParams("replace", each));
    await caller.turn();
  }
  const good = checked.flatMap((each) => ("params" in each ? [each.params] : []));
  const commands = good.map((params) => ({ kind: "replace", ...params }) as const);
  const outcomes = await engine.replace(commands, () => caller.turn());
  const replaced: ReplacedEach[number][] = [];
  for (const each of checked) {
    const outcome = "params" in each ? outcomes.shift() : undefined;
    if ("refusal" in each) replaced.push({ code: ErrorCode.invalid, refusal: each.refusal });
    else if (outcome === undefined || "error" in outcome)
      replaced.push({ code: ErrorCode.refused, refusal: outcome?.error ?? "" });
    else {
      const { changed = false, warnings = [] } = outcome;
      logChange(engine, caller, "replace", each.params, { changed });
      replaced.push({ changed, warnings });
    }
  }
  return replaced;
}

function logChange<M extends Method>(
  engine: Served,
  { peer: { uid } }: Caller,
  method: M,
  params: Params<M>,
  result: Results[M],
): void {
  const line = changeLine(method, params, result, uid);
  // A user without root's rights must not fill the log.
  if (line === undefined) return;
  engine.log(5, line, uid === 0 ? undefined : `changes by uid ${uid}`, { event: "change" });
  engine.history.noteChange(/^carp\d+(?=: )/.exec(line)?.[0], line, uid);
}

async function run(engine: Served, caller: Caller, command: Command): Promise<Done> {
  return done(await engine.command(command), caller);
}

function done(outcome: Outcome, caller: Caller): Done {
  if ("error" in outcome) throw refused(outcome.error);
  for (const warning of outcome.warnings ?? []) caller.warn(warning);
  return outcome;
}

async function nothing(done: Promise<unknown>): Promise<Record<string, never>> {
  await done;
  return {};
}

function refused(message: string): JSONRPCErrorException {
  return new JSONRPCErrorException(message, ErrorCode.refused);
}
