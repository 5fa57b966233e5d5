/**
 * Judges how the states of connections follow the addresses: conntrackd, the hook that makes it take over, and nftables
 * rules that accept only what connection tracking knows. Pure: it sees only the facts it is given, which
 * connection-state-facts.ts gathers.
 */

import { type Finding, type FindingKind, fault, inOrder } from "../control/finding.ts";

/** What a program answered; `silent`: nothing within its time. */
export type Answer =
  | { readonly kind: "answered"; readonly text: string }
  | { readonly kind: "failed"; readonly text: string }
  | { readonly kind: "silent" }
  | { readonly kind: "absent" };

export interface ConnectionStateFacts {
  readonly isRoot: boolean;
  /** The name of the hook that calls conntrackd. */
  readonly hook: string | undefined;
  readonly configurationPath: string;
  /** The text of conntrackd.conf. */
  readonly configuration: string | undefined;
  /** conntrackd's lock file, if it is there. */
  readonly lock: string | undefined;
  /** `conntrackd -s`, and the same after the other host had time to be heard. */
  readonly statistics: readonly [first: Answer, later: Answer];
  /** `nft -j list ruleset`. */
  readonly rules: Answer;
  /** Whether a packet in the middle of a TCP connection begins a connection: net.netfilter.nf_conntrack_tcp_loose. */
  readonly tcpIsLoose: boolean;
}

const PAGE = "see carp-firewall(7)";
const AS_ROOT = "ask again as root";

export function examineConnectionStates(facts: ConnectionStateFacts): Finding[] {
  return [hook(facts), ...daemon(facts), rules(facts)].flatMap((each) => each ?? []);
}

function hook({ hook: name }: ConnectionStateFacts): Finding {
  return name === undefined
    ? fault("conntrackd-no-hook", "conntrackd", "no hook has it take over the states of connections", PAGE)
    : inOrder("conntrackd", `the hook ${name} has it take over the states of connections`);
}

function daemon(facts: ConnectionStateFacts): Finding[] {
  const { isRoot, configuration, configurationPath, lock, statistics } = facts;
  const [first, later] = statistics;
  const say = (kind: FindingKind, text: string, todo?: string) => [fault(kind, "conntrackd", text, todo)];
  if (first.kind === "absent")
    return say("conntrackd-missing", "its hook is there, but conntrackd is not installed", "install it");
  if (configuration === undefined)
    return isRoot
      ? say("conntrackd-no-file", `its hook is there, but no ${configurationPath}`, PAGE)
      : say("needs-root", `only root can read ${configurationPath}`, AS_ROOT);
  if (!isRoot) return say("needs-root", "only root may ask it for its state", AS_ROOT);
  if (first.kind === "failed")
    return say(
      "conntrackd-stopped",
      "it does not run: connections break at a failover",
      lock === undefined
        ? "systemctl start conntrackd"
        : `see that none runs, remove ${lock}, which one that was killed leaves, and start it`,
    );
  if (first.kind === "silent" || later.kind !== "answered")
    return say(
      "conntrackd-silent",
      "it runs, but does not answer: connections break at a failover",
      "systemctl restart conntrackd",
    );
  return link(parsed(first.text), parsed(later.text), /^\s*Mode\s+FTFW/m.test(configuration));
}

interface Statistics {
  readonly own: number;
  readonly foreign: number | undefined;
  readonly received: number | undefined;
  readonly lost: number;
  /** Messages that it did not understand. */
  readonly malformed: number;
}

/** @param speaks whether a conntrackd that has nothing to tell is heard all the same */
function link(first: Statistics, later: Statistics, speaks: boolean): Finding[] {
  const todo =
    "see that conntrackd runs on the other host, and that the link between the two and the rules let it through";
  const say = (kind: FindingKind, text: string) => [fault(kind, "conntrackd", text, todo)];
  if (later.received === undefined)
    return say(
      "conntrackd-no-sync",
      "it does not synchronise states, or answers in a way that is not understood, as another version might",
    );
  if (later.received === 0) return say("conntrackd-unheard", "it has never heard another host");
  if (speaks && later.received === first.received)
    return say("conntrackd-unheard", "it does not hear another host");
  if (later.malformed > first.malformed)
    return [
      fault(
        "conntrackd-version",
        "conntrackd",
        "it does not understand the messages of the other host",
        "see that both have the same version: 'conntrackd -v'",
      ),
    ];
  const foreign = later.foreign === undefined ? "" : `, ${later.foreign} of other hosts`;
  const lost = later.lost === 0 ? "" : `; ${later.lost} messages were lost, and sent again`;
  return [inOrder("conntrackd", `in sync: ${later.own} states of this host${foreign}${lost}`)];
}

/** The numbers of `conntrackd -s`. */
export function parsed(text: string): Statistics {
  const number = (pattern: RegExp) => {
    const [, digits] = pattern.exec(text) ?? [];
    return digits === undefined ? undefined : Number(digits);
  };
  return {
    own: number(/^cache internal:\ncurrent active connections:\s+(\d+)/m) ?? 0,
    foreign: number(/^cache external:\ncurrent active connections:\s+(\d+)/m),
    received: number(/(\d+) Pckts recv/),
    lost: number(/(\d+) Lost msgs/) ?? 0,
    malformed: number(/(\d+) Malformed msgs/) ?? 0,
  };
}

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly expr: readonly Readonly<Record<string, unknown>>[];
}

function rules({ isRoot, rules: answer, tcpIsLoose }: ConnectionStateFacts): Finding {
  const subject = "nftables";
  if (!isRoot) return fault("needs-root", subject, "only root may list the rules", AS_ROOT);
  if (answer.kind !== "answered")
    return fault(
      "not-examined",
      subject,
      "the rules cannot be listed: there is no nft, or it does not answer",
    );
  const listed: readonly { chain?: Chain; rule?: Rule }[] = JSON.parse(answer.text).nftables;
  const ofForward = listed.flatMap(({ chain }) => (chain?.hook === "forward" ? [chain] : []));
  const all = listed.flatMap(({ rule }) => rule ?? []);
  const reached = ofForward.map((chain) => ({ chain, rules: reachable(chain, all) }));
  if (reached.some(({ rules }) => rules.some(({ expr }) => expr.some((each) => "xt" in each))))
    return fault("not-examined", subject, "rules of iptables are not examined");
  const closed = reached.filter(
    ({ chain, rules }) => chain.policy === "drop" || rules.some(({ expr }) => dropsAll(expr)),
  );
  if (closed.length === 0)
    return fault(
      "forwards-unknown",
      subject,
      "packets are forwarded that belong to no known connection: no chain at the hook forward drops by default",
      PAGE,
    );
  if (!closed.some(({ rules }) => rules.some(({ expr }) => acceptsKnown(expr))))
    return fault("drops-known", subject, "no rule accepts packets of known connections", PAGE);
  if (tcpIsLoose && !closed.some(({ rules }) => rules.some(({ expr }) => dropsByFlags(expr))))
    return fault(
      "accepts-without-syn",
      subject,
      "until its state arrives, a packet of a TCP connection can begin another: no rule drops new ones without SYN",
      PAGE,
    );
  return inOrder(subject, "only packets of known connections, and those that begin one, are forwarded");
}

/** The rules of a chain and of the chains that it jumps to. */
function reachable({ family, table, name }: Chain, all: readonly Rule[]): Rule[] {
  const names = new Set([name]);
  const found: Rule[] = [];
  for (const each of names)
    for (const rule of all) {
      if (rule.family !== family || rule.table !== table || rule.chain !== each) continue;
      found.push(rule);
      for (const [, target = ""] of JSON.stringify(rule.expr).matchAll(
        /"(?:jump|goto)":\{"target":"([^"]+)"/g,
      ))
        names.add(target);
    }
  return found;
}

const dropsAll = (expr: Rule["expr"]) =>
  expr.some((each) => "drop" in each || "reject" in each) &&
  !expr.some((each) => "match" in each || "vmap" in each || "limit" in each);

function acceptsKnown(expr: Rule["expr"]): boolean {
  const text = JSON.stringify(expr);
  return ['"ct":{"key":"state"}', '"established"', '"accept"'].every((each) => text.includes(each));
}

function dropsByFlags(expr: Rule["expr"]): boolean {
  const text = JSON.stringify(expr);
  return /"protocol":"tcp","field":"flags"/.test(text) && /"(drop|reject)"/.test(text);
}
