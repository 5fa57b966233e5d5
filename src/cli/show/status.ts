/**
 * The table of `status` for people: every virtual host, the shares of balanced traffic, why an interface does
 * not run, and demotions. The layout may change; programs read `--json`.
 */

import { Chalk, type ChalkInstance } from "chalk";
import { graceText } from "../../control/grace.ts";
import type {
  DemotionView,
  GroupView,
  InterfaceView,
  NodeView,
  Packets,
  ServiceCheck,
} from "../../control/messages.ts";
import { escapeControls } from "../../control/printable.ts";
import { demotionText } from "../commands/demotion.ts";
import { scoped } from "./ifconfig.ts";
import { arrivedOf, conflictOf, preemptDelaySecondsLeft } from "./json.ts";
import { longCheckLine, outputLines } from "./service-check.ts";
import { type Column, drawn, wrapped } from "./table.ts";

export interface Page {
  readonly colour: boolean;
  readonly columns: number;
  readonly nowUs: number;
}

/** The state of a host at one time. */
export interface HostStatus {
  readonly interfaces: readonly InterfaceView[];
  readonly groups: readonly GroupView[];
  readonly packets: readonly Packets[];
  /** Absent: the host is not demoted. */
  readonly demotion?: DemotionView | undefined;
  readonly checks: readonly ServiceCheck[];
}

export function statusText(
  { interfaces, groups, packets, demotion, checks }: HostStatus,
  page: Page,
): string {
  const chalk = new Chalk({ level: page.colour ? 1 : 0 });
  const notes = [
    ...interfaces.flatMap(obstructions).map(escapeControls),
    ...interfaces.flatMap(({ name, carppeer = [], carppeer6 = [] }) => {
      const peers = [...carppeer, ...carppeer6];
      return peers.length === 0 ? [] : [`${name}: unicast peers ${peers.join(", ")}`];
    }),
    ...interfaces.flatMap(({ name, grace }) =>
      grace === undefined ? [] : [`${name}: ${graceText(grace, page.nowUs)}`],
    ),
    ...interfaces.flatMap(({ name, nodes }) =>
      nodes.flatMap((node) => {
        const conflict = conflictOf(node, page.nowUs);
        return conflict === undefined ? [] : `${name} vhid ${node.vhid}: ${conflict}`;
      }),
    ),
    ...interfaces.flatMap((view) =>
      (view.wrongDigests ?? [])
        .filter(({ untilUs }) => page.nowUs <= untilUs)
        .map(({ text, todo, cause }) =>
          escapeControls(`${view.name}: ${named(`${text}: ${todo}`, `digest-${cause}`)}`),
        ),
    ),
    ...interfaces.flatMap(({ name, nodes }) =>
      nodes.flatMap((node) => {
        const seconds = preemptDelaySecondsLeft(node, page.nowUs);
        return seconds === undefined
          ? []
          : `${name} vhid ${node.vhid}: preempts no healthy master for ${seconds} more seconds (preemptdelay)`;
      }),
    ),
    ...groups
      .filter((group) => group.carpDemoteCount > 0)
      .map((group) => `group ${group.name}: carp demote count ${group.carpDemoteCount}`),
    ...demotedFor(demotion),
    ...checks.flatMap((check) => [longCheckLine(check), ...outputLines(check)]),
  ];
  const balanced = packets.filter(({ nodes }) => nodes.length > 1);
  return [
    interfaces.length === 0
      ? "no carp interfaces"
      : drawn(columnsOf(page, chalk), interfaces.flatMap(rowsOf), page.columns),
    ...(balanced.length > 0 ? ["", sharesText(balanced, page, chalk), ""] : []),
    ...notes.flatMap((note) => wrapped(note, page.columns)),
  ]
    .map((line) => `${line}\n`)
    .join("")
    .replace(/\n\n$/, "\n");
}

/** Why an interface does not run, and what is wrong with it, each with its name. */
function obstructions({ name, notRunning, notRunningKind, problems }: InterfaceView): string[] {
  const others = problems.filter(({ text }) => text !== notRunning);
  const why = notRunning === undefined ? [] : [{ kind: notRunningKind, text: notRunning }];
  return [...why, ...others].map(({ kind, text }) => `${name}: ${named(text, kind)}`);
}

/** A text with the name that `carpctl help` explains. */
function named(text: string, kind: string | undefined): string {
  return kind === undefined ? text : `${text} [${kind}]`;
}

function demotedFor(demotion: DemotionView | undefined): string[] {
  const text = demotion && demotionText(demotion);
  const units = (demotion?.units ?? []).map(
    ({ unit, by, active }) =>
      `${unit}: ${active ? "active" : "not active"}, demotes by ${by} while not active`,
  );
  return [...(text === undefined ? [] : [text]), ...units];
}

/**
 * A virtual host, or an interface without one. Cells of the whole interface are filled in its first row only.
 */
interface Row {
  readonly view: InterfaceView;
  readonly node: NodeView | undefined;
  readonly isFirst: boolean;
}

function rowsOf(view: InterfaceView): Row[] {
  const nodes: readonly (NodeView | undefined)[] = view.nodes.length > 0 ? view.nodes : [undefined];
  return nodes.map((node, at) => ({ view, node, isFirst: at === 0 }));
}

function columnsOf({ nowUs }: Page, chalk: ChalkInstance): Column<Row>[] {
  const colours = { MASTER: chalk.green, BACKUP: chalk.yellow, INIT: chalk.red };
  const columns: Column<Row>[] = [
    { title: "NAME", cell: ({ view }) => view.name },
    { title: "VHID", cell: ({ node }) => (node ? String(node.vhid) : "-") },
    { title: "STATE", cell: ({ node }) => colours[node?.state ?? "INIT"](node?.state ?? "INIT") },
    { title: "SINCE", cell: ({ node }) => (node ? age(nowUs - node.sinceUs) : "-") },
    {
      title: "ADDRESSES",
      cell: ({ view, isFirst }) => (isFirst ? addressesOf(view).join("\n") || "-" : ""),
      below: ({ view, isFirst }) => (isFirst ? addressesOf(view).join(" ") : undefined),
    },
    { title: "CARPDEV", cell: ({ view, isFirst }) => (isFirst ? (view.carpdev ?? "none") : "") },
    {
      title: "ADV",
      cell: ({ view, node }) => (node ? advertised(view.advbase, node) : `${view.advbase}/-`),
    },
    {
      title: "MASTER",
      cell: ({ node }) => (node ? heardLines(node, nowUs).join("\n") || "-" : "-"),
      below: ({ node }) => node && belowOf(node, nowUs),
    },
    { title: "CHANGES", cell: ({ node }) => (node ? String(node.transitions) : "-") },
  ];
  return columns.map((column) => ({ ...column, title: chalk.bold(column.title) }));
}

function addressesOf(view: InterfaceView): string[] {
  return view.addresses.map((each) => `${scoped(each, view)}/${each.prefixLength}`);
}

/** advbase/advskew as configured, and as sent while demoted. */
function advertised(advbase: number, { advskew, effectiveAdvskew, demote }: NodeView): string {
  const lines = [`${advbase}/${advskew}`];
  if (effectiveAdvskew !== advskew) lines.push(`as ${advbase}/${effectiveAdvskew}`);
  if (demote !== 0) lines.push(`demote ${demote}`);
  return lines.join("\n");
}

function heardLines({ state, heard }: NodeView, nowUs: number): string[] {
  const lines = state === "MASTER" ? ["this host"] : [];
  if (heard) lines.push(heard.source, `${age(nowUs - heard.atUs)} ago`);
  return lines;
}

function belowOf({ heard }: NodeView, nowUs: number): string | undefined {
  return heard && `heard ${heard.source} ${age(nowUs - heard.atUs)} ago`;
}

function sharesText(balanced: readonly Packets[], { columns }: Page, chalk: ChalkInstance): string {
  const rows = balanced.flatMap((packets) =>
    packets.nodes.map((node) => ({ name: packets.interface, node, arrived: arrivedOf(packets) })),
  );
  const shares: Column<(typeof rows)[number]>[] = [
    { title: "NAME", cell: ({ name }) => name },
    { title: "VHID", cell: ({ node }) => String(node.vhid) },
    { title: "ACCEPTED", cell: ({ node }) => String(node.accepted) },
    { title: "SHARE", cell: ({ node, arrived }) => percentage(node.accepted, arrived) },
    { title: "LEFT TO OTHERS", cell: ({ node }) => String(node.droppedByHash) },
  ];
  const totals = balanced.flatMap((packets) => {
    const accepted = sum(packets.nodes.map((node) => node.accepted));
    const arrived = arrivedOf(packets);
    const text = `${packets.interface}: ${accepted} of ${arrived} packets accepted here (${percentage(accepted, arrived)}), ${packets.droppedByLease} dropped without a lease`;
    return wrapped(text, columns);
  });
  const titled = shares.map((column) => ({ ...column, title: chalk.bold(column.title) }));
  return [drawn(titled, rows, columns), ...totals].join("\n");
}

function percentage(part: number, whole: number): string {
  return whole === 0 ? "-" : `${Math.round((100 * part) / whole)}%`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
] as const;

/** Two units at most: `3d4h`, `12m5s`, `0s`. */
export function age(us: number): string {
  const seconds = Math.max(0, Math.floor(us / 1_000_000));
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0s";
  const [unit, size] = UNITS[first] ?? UNITS[3];
  const smaller = UNITS[first + 1];
  const rest = smaller === undefined ? 0 : Math.floor((seconds % size) / smaller[1]);
  return `${Math.floor(seconds / size)}${unit}${rest > 0 && smaller ? `${rest}${smaller[0]}` : ""}`;
}
