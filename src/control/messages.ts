/**
 * The control protocol: JSON-RPC 2.0, one JSON object a line, over the engine's Unix socket. One schema for both
 * ends: the engine refuses what does not fit it, the commands build what does and get the same error texts.
 */

import * as z from "zod";
import type { ReplacementOutcome } from "../core/commands.ts";
import type { News } from "../core/effect.ts";
import { CARPDEV_MAC, type InterfaceConfiguration } from "../core/interface/configuration.ts";
import type { StatisticName } from "../core/statistics.ts";
import type { DemotionView, GroupView, InterfaceView } from "../core/view.ts";
import { parseAddress } from "../protocol/address.ts";
import type { Finding } from "./finding.ts";
import type { UnwrittenHistory } from "./history.ts";
import {
  GROUP_NAME,
  INTERFACE_NAME,
  LIMITS,
  MAX_ADDRESSES,
  MAX_GROUPS,
  MAX_REPLACEMENTS,
  MAX_VARIABLE_NAME,
} from "./limits.ts";
import { hasControlCharacter, printable } from "./printable.ts";
import { isUnicast, notAHosts } from "./unicast.ts";

/** An integer in a range, refused as `vhid 256: must be 1..255`. */
function bounded(name: string, [min, max]: readonly [number, number]) {
  const error = (issue: { input?: unknown }) => `${name} ${printable(issue.input)}: must be ${min}..${max}`;
  // What is out of range is not looked at any further.
  const abort = true;
  return z.int({ error, abort }).min(min, { error, abort }).max(max, { error, abort });
}

/** Text for one line: a file of lines and a terminal show it as it is. */
function lineOfText(name: string, max: number) {
  const error = `${name}: at most ${max} characters`;
  return z
    .string({ error })
    .max(max, { error })
    .refine((text) => !hasControlCharacter(text), { error: `${name}: control characters are not allowed` });
}

const Vhid = bounded("vhid", LIMITS.vhid);
export const Advbase = bounded("advbase", LIMITS.advbase);
const Advskew = bounded("advskew", LIMITS.advskew);
export const Announce = bounded("announce", LIMITS.announce);
export const Preemptdelay = bounded("preemptdelay", LIMITS.preemptdelay);
export const Mtu = bounded("mtu", LIMITS.mtu);
export const MAX_NODES = 32;
/** The other hosts of a cluster of 32. */
export const MAX_PEERS = 31;
export const BALANCING_MODES = ["none", "ip", "ip-unicast", "ip-stealth"] as const;
export const STATES = ["master", "backup", "init"] as const;

export const Balancing = z.enum(BALANCING_MODES, {
  error: (issue) => `balancing ${printable(issue.input)}: unknown mode (${BALANCING_MODES.join(", ")})`,
});
export const State = z.enum(STATES, {
  error: (issue) => `state ${printable(issue.input)}: unknown state (${STATES.join(", ")})`,
});

/** Text of a certain form; whatever else it is, also no text at all, is refused in the same words. */
function matching(form: RegExp, refusal: (input: string) => string) {
  const error = (issue: { input?: unknown }) => refusal(printable(issue.input));
  return z.string({ error }).regex(form, { error });
}

export const InterfaceName = matching(
  INTERFACE_NAME,
  (text) => `${text}: not a carp interface name (carp0, carp1, ...)`,
);

/** A Linux device name without control characters. */
export const DeviceName = matching(
  /^(?!\.{1,2}$)[^\s/:\p{Cc}]{1,15}$/u,
  (text) => `carpdev ${text}: not a device name`,
).refine((text) => !hasControlCharacter(text), {
  error: ({ input }) => `carpdev ${printable(input)}: not a device name`,
});

export const GroupName = matching(
  GROUP_NAME,
  (text) => `group ${text}: must be 1..15 characters and not end in a digit`,
);

const MAC = /^(?!00(:00){5}$)[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;
const notMac = (text: string) => `lladdr ${text}: expected a unicast address like 02:00:00:00:00:01`;

export const MacAddress = matching(MAC, notMac);
/** A MAC, or the word for the carpdev's own. */
export const Lladdr = matching(new RegExp(`^${CARPDEV_MAC}$|${MAC.source}`), notMac);

/** Canonical text of an address, of one family or of either; `what` goes before it in a refusal. */
function address(family: 4 | 6 | undefined, what = "") {
  const kind = family === undefined ? "an address" : `an IPv${family} address`;
  const error = (issue: { input?: unknown }) => `${what}${printable(issue.input)}: not ${kind}`;
  const fits = (text: string) => {
    const parsed = parseAddress(text);
    return parsed?.address === text && (family ?? parsed.family) === parsed.family;
  };
  return z.string({ error }).refine(fits, { error, abort: true });
}

function unicast(family: 4 | 6, what = "") {
  return address(family, what).refine(isUnicast, {
    error: (issue) => `${what}${printable(issue.input)}: not a unicast address`,
  });
}

/** Unicast peers: distinct addresses in the order given. One address alone is accepted too. */
function peers(family: 4 | 6, keyword: string) {
  const expected = { error: `${keyword}: expected 1..${MAX_PEERS} addresses` };
  const list = z
    .array(unicast(family, `${keyword} `), expected)
    .min(1, expected)
    .max(MAX_PEERS, { error: `${keyword}: at most ${MAX_PEERS}` })
    .superRefine((addresses, context) => {
      const twice = addresses.find((each, at) => addresses.indexOf(each) < at);
      if (twice === undefined) return;
      context.addIssue({ code: "custom", message: `${keyword} ${addresses.join()}: duplicate ${twice}` });
    });
  return z.preprocess((given) => (typeof given === "string" ? [given] : given), list);
}

export const Pass = lineOfText("pass", 1024);
export const Description = lineOfText("description", 63);
export const Carppeer = peers(4, "carppeer");
export const Carppeer6 = peers(6, "carppeer6");
export const IPv4 = address(4);
export const IPv6 = address(6);
const ipv4Address = {
  family: z.literal(4),
  address: unicast(4),
  prefixLength: bounded("prefixlen", [0, 32]),
  broadcast: address(4, "broadcast ").optional(),
};
const ipv6Address = {
  family: z.literal(6),
  address: unicast(6),
  prefixLength: bounded("prefixlen", [0, 128]),
};
const alias = z.boolean();

/** An address that an earlier engine may have taken. */
export const FormerAddress = z.discriminatedUnion("family", [
  z.strictObject({ ...ipv4Address, alias }),
  z.strictObject({ ...ipv6Address, alias }),
]);

/** `alias: false` on IPv4 replaces the first IPv4 address, as ifconfig does; on IPv6 it adds. */
export const AddedAddress = FormerAddress.superRefine((added, context) => {
  const message = refusalOfAddress(added);
  if (message !== undefined) context.addIssue({ code: "custom", message });
});

/** Why an interface cannot have the address; undefined: it can. */
export function refusalOfAddress(added: z.infer<typeof FormerAddress>): string | undefined {
  const { family, address, prefixLength } = added;
  // The whole Internet would be in its subnet.
  if (prefixLength === 0) return `prefixlen 0: must be 1..${family === 4 ? 32 : 128}`;
  const why = notAHosts(added);
  return why && `${address}: ${why}`;
}

export const CarpNode = z.strictObject({ vhid: Vhid, advskew: Advskew });

/** Kept ascending by vhid, each vhid once. */
export const CarpNodes = z
  .array(CarpNode)
  .min(1, { error: "carpnodes '': expected vhid:advskew" })
  .max(MAX_NODES, { error: `carpnodes: at most ${MAX_NODES}` })
  .superRefine((nodes, context) => {
    const twice = nodes.find((node, at) => nodes.findIndex(({ vhid }) => vhid === node.vhid) < at);
    if (twice === undefined) return;
    const text = nodes.map(({ vhid, advskew }) => `${vhid}:${advskew}`).join(",");
    context.addIssue({ code: "custom", message: `carpnodes ${text}: duplicate vhid ${twice.vhid}` });
  })
  .overwrite((nodes) => nodes.toSorted((a, b) => a.vhid - b.vhid));

/** A list with a greatest length. */
function atMost<T extends z.ZodType>(max: number, what: string, item: T) {
  return z.array(item).max(max, { error: `at most ${max} ${what} in one command` });
}

export const InterfaceChange = z.strictObject({
  carpdev: DeviceName.optional(),
  vhid: Vhid.optional(),
  advbase: Advbase.optional(),
  advskew: Advskew.optional(),
  pass: Pass.optional(),
  carppeer: Carppeer.nullable().optional(),
  carppeer6: Carppeer6.nullable().optional(),
  carpnodes: CarpNodes.optional(),
  balancing: Balancing.optional(),
  lladdr: Lladdr.nullable().optional(),
  announce: Announce.nullable().optional(),
  preemptdelay: Preemptdelay.nullable().optional(),
  grace: z.literal("off").optional(),
  joinGroups: atMost(MAX_GROUPS, "groups", GroupName).optional(),
  leaveGroups: atMost(MAX_GROUPS, "groups", GroupName).optional(),
  description: Description.nullable().optional(),
  mtu: Mtu.optional(),
  up: z.boolean().optional(),
  state: State.optional(),
  addAddresses: atMost(MAX_ADDRESSES, "addresses", AddedAddress).optional(),
  removeAddresses: atMost(MAX_ADDRESSES, "addresses", address(undefined)).optional(),
  removeFamilies: atMost(2, "families", z.union([z.literal(4), z.literal(6)])).optional(),
});
export type InterfaceChange = z.infer<typeof InterfaceChange>;

/** A change of a group's demote count by one command. */
const demoteError = (issue: { input?: unknown }) =>
  `carpdemote ${printable(issue.input).replace(/^-/, "")}: must be ${LIMITS.carpdemote.join("..")}`;
const DemoteStep = z
  .int({ error: demoteError })
  .min(-LIMITS.carpdemote[1], { error: demoteError })
  .max(LIMITS.carpdemote[1], { error: demoteError });

const Reason = matching(
  /^[A-Za-z0-9._-]{1,32}$/,
  (text) => `reason ${text}: must be 1..32 letters, digits, dots, underscores and dashes`,
);

export const NamedDemotion = z.strictObject({ reason: Reason, by: bounded("demote", LIMITS.demote) });

/** The name of a systemd unit. */
export const UnitName = matching(
  /^(?=.{1,255}$)[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\@-]*\.(service|socket|target|timer|mount|path|device|swap|slice|scope|automount)$/,
  (text) => `unit ${text}: not the name of a unit, like nginx.service`,
);

export const NamedUnit = z.strictObject({ unit: UnitName, by: bounded("demote", LIMITS.demote) });
export const SavedUnit = NamedUnit.extend({ active: z.boolean() });

const VariableName = z
  .string()
  .max(MAX_VARIABLE_NAME, { error: (issue) => `${printable(issue.input)}: no such variable` });

const SysctlWrite = z.strictObject({
  name: VariableName,
  value: z.int({ error: "the value must be a whole number" }),
});

const nothing = z.strictObject({});

/** The parameters of each method. Results are typed below and not checked: commands trust the engine. */
export const methods = {
  /** -> Hello. */
  hello: nothing,
  /** Subscribes this connection to events, each a notification with an EventNotification -> Hello. */
  monitor: nothing,
  /** The events that the files of the history do not have yet -> UnwrittenHistory. */
  history: nothing,
  /** Every carp interface, in numeric order -> InterfaceView[]. */
  interfaces: nothing,
  /** -> GroupView[]. */
  groups: nothing,
  /** Every variable whose name is one of `names` or below one -> Sysctl[]; unknown names are refused. */
  "sysctl-get": z.strictObject({ names: atMost(64, "names", VariableName) }),
  /** All of them in this order, or none -> SysctlChange[]. */
  "sysctl-set": z.strictObject({ writes: atMost(64, "values", SysctlWrite).min(1) }),
  /** The statistics of the host, or of one interface -> Statistics. */
  statistics: z.strictObject({ name: InterfaceName.optional() }),
  /** Whether the host is able: the engine examines itself and its surroundings -> Finding[]. */
  doctor: nothing,
  /** All metrics, in Prometheus' text format -> Metrics. */
  metrics: nothing,
  /** Packet counts for the shared addresses, by interface; none without a data path -> Packets[]. */
  packets: nothing,
  /** Without a name the next free one -> { name }. */
  create: z.strictObject({ name: InterfaceName.optional() }),
  /** Answers when the bow-out has left and the device is gone -> {}. */
  destroy: z.strictObject({ name: InterfaceName }),
  /**
   * Creates the interface when it does not exist; with `create` it must not exist. Answers when the kernel has it so
   * -> {}.
   */
  change: z.strictObject({
    name: InterfaceName,
    change: InterfaceChange,
    create: z.boolean().optional(),
    /** It is a part of a configuration file, as every `replace` is: a carpdev that is not there is waited for. */
    isFromFile: z.boolean().optional(),
  }),
  /**
   * Changes the interface that has the change's vhid on this device, or creates the next free one with it; with its
   * last address it is destroyed. Without a vhid only addresses may be removed -> ChangedOn.
   */
  "change-on": z.strictObject({ carpdev: DeviceName, change: InterfaceChange }),
  /**
   * Configures the interface as the change would a new one; settings that stay the same are left alone. For root
   * only, because a change without a pass removes it. A dry run changes nothing -> Replaced.
   */
  replace: z.strictObject({
    name: InterfaceName,
    change: InterfaceChange,
    dryRun: z.boolean().optional(),
  }),
  /**
   * Each as `replace` would one, in this order, so that one that is refused stops no other; each is checked by itself as
   * well -> ReplacedEach.
   */
  "replace-each": z.strictObject({ replacements: atMost(MAX_REPLACEMENTS, "interfaces", z.unknown()) }),
  /** Several interfaces together, so that they can exchange vhids and addresses -> ReplacedAll. */
  "replace-all": z.strictObject({
    replacements: z
      .array(z.strictObject({ name: InterfaceName, change: InterfaceChange }))
      .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
        error: "an interface is replaced once",
      }),
  }),
  /** The configuration, interfaces in numeric order; secrets only for root -> Configuration. */
  configuration: nothing,
  /** Adds to a group's carp demote count, never below 0 -> {}. */
  "demote-group": z.strictObject({ group: GroupName, by: DemoteStep }),
  /** The parts of net.inet.carp.demotion -> DemotionView. */
  demotion: nothing,
  /** Adds to net.inet.carp.demotion under a name, instead of what that name added before -> {}. */
  demote: NamedDemotion,
  /** -> {}; a reason that nothing is demoted for is refused. */
  promote: z.strictObject({ reason: Reason }),
  /** Demotes while this unit is not active; `unit-states` tells when that changes -> {}. */
  "demote-unit": SavedUnit,
  /** -> {}; a unit that does not demote is refused. */
  "promote-unit": z.strictObject({ unit: UnitName }),
  /** Units and whether each is active; only units that demote count -> {}. */
  "unit-states": z.strictObject({
    states: atMost(64, "units", z.strictObject({ unit: UnitName, active: z.boolean() })),
  }),
  /** -> {}, also when it was so already. */
  maintenance: z.strictObject({ on: z.boolean() }),
  /** Runs the service checks and demotes for what failed, or takes that back -> ServiceStatus. */
  "service-status": nothing,
  /** The service checks with their last results; runs none -> ServiceCheck[]. */
  checks: nothing,
} as const;

export type Method = keyof typeof methods;
export type Params<M extends Method> = z.infer<(typeof methods)[M]>;

/** The request as the engine will take it, or what is wrong with it in words for a person. */
export function checkParams<M extends Method>(
  method: M,
  params: unknown,
): { readonly params: Params<M> } | { readonly refusal: string } {
  const result = methods[method].safeParse(params);
  if (result.success) return { params: result.data as Params<M> };
  return { refusal: result.error.issues[0]?.message ?? "not a request the engine knows" };
}

export interface Hello {
  readonly version: string;
  readonly pid: number;
  /** CLOCK_BOOTTIME now, to turn the views' times into ages. Microseconds. */
  readonly nowUs: number;
}

export interface Sysctl {
  readonly name: string;
  readonly value: number;
}

export interface SysctlChange {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export interface Replaced {
  readonly changed: boolean;
}

export interface ChangedOn {
  readonly name: string;
  readonly destroyed: boolean;
}

/** What `replace` would have answered to each, in their order. */
export type ReplacedEach = readonly (
  | (Replaced & { readonly warnings: readonly string[] })
  | { readonly code: number; readonly refusal: string }
)[];

/** One for each replacement, in their order. */
export type ReplacedAll = readonly ReplacementOutcome[];

export interface Configuration {
  /** Without a pass for a user who may not see it. */
  readonly interfaces: readonly (Omit<InterfaceConfiguration, "pass"> & { readonly pass?: string })[];
  /** The demotion counter as it was set, without what faults add. */
  readonly sysctl: readonly (Sysctl & { readonly initial: number })[];
}

/** Counts by name; src/core/statistics.ts has what each counts. */
export type Statistics = Record<StatisticName, number>;

/** An event of the host as `monitor` tells it. */
export type HostEvent =
  | Exclude<News, { kind: "transition" }>
  | (Omit<Extract<News, { kind: "transition" }>, "reason"> & {
      /** The rule or the event behind it, for people. */
      readonly reason: string;
    })
  /** The subscriber read too slowly: `count` events are missing here. */
  | { readonly kind: "left-out"; readonly count: number };

export interface EventNotification {
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** Number of events of this kind since the last notification. */
  readonly times: number;
  readonly event: HostEvent;
}

/** Numbers of packets for the addresses of an interface, since it was set up. */
export interface Packets {
  readonly interface: string;
  /** In the order of the nodes. */
  readonly nodes: readonly {
    readonly vhid: number;
    readonly accepted: number;
    /** Packets of this node while another host held it. */
    readonly droppedByHash: number;
  }[];
  /** Packets while no node was held here. */
  readonly droppedByLease: number;
  readonly malformed: number;
  /** This host's own frames that it was not entitled to send. */
  readonly withheld: number;
}

export interface Metrics {
  readonly text: string;
}

export interface ServiceCheck {
  readonly name: string;
  readonly path: string;
  /**
   * `refused`: it was not run, since others than root could have written it, or its head is not understood; `waiting`: it
   * has not been run yet.
   */
  readonly outcome: "passed" | "failed" | "refused" | "waiting";
  /** In words; absent when it passed. */
  readonly why?: string | undefined;
  /** The beginning of its output; empty when it passed, and for every user but root. */
  readonly output: string;
  /** Results in a row with this outcome. */
  readonly count: number;
  /** Of the last run, and since; absent when there was none. */
  readonly durationSeconds?: number | undefined;
  readonly ageSeconds?: number | undefined;
  /** Whether it demotes now. */
  readonly demotes: boolean;
  /** As its head says, or as it is without one; absent: run on request, demotes the host, run as root. */
  readonly every?: number | undefined;
  readonly timeout: number;
  readonly fall: number;
  readonly rise: number;
  readonly demote: number;
  readonly group?: string | undefined;
  readonly user?: string | undefined;
}

export interface ServiceStatus {
  /** Whether the host is demoted for its services now. */
  readonly demoted: boolean;
  /** The checks, in the order of their names. */
  readonly checks: readonly ServiceCheck[];
}

export interface Results {
  hello: Hello;
  monitor: Hello;
  history: UnwrittenHistory;
  interfaces: { readonly nowUs: number; readonly interfaces: readonly InterfaceView[] };
  groups: readonly GroupView[];
  "sysctl-get": readonly Sysctl[];
  "sysctl-set": readonly SysctlChange[];
  statistics: Statistics;
  metrics: Metrics;
  packets: readonly Packets[];
  doctor: readonly Finding[];
  create: { readonly name: string };
  destroy: Record<string, never>;
  change: Record<string, never>;
  "change-on": ChangedOn;
  replace: Replaced;
  "replace-each": ReplacedEach;
  "replace-all": ReplacedAll;
  configuration: Configuration;
  "demote-group": Record<string, never>;
  demotion: DemotionView;
  demote: Record<string, never>;
  promote: Record<string, never>;
  "demote-unit": Record<string, never>;
  "promote-unit": Record<string, never>;
  "unit-states": Record<string, never>;
  maintenance: Record<string, never>;
  "service-status": ServiceStatus;
  checks: readonly ServiceCheck[];
}

export type { StatisticName } from "../core/statistics.ts";
export type { DemotionView, GraceView, GroupView, InterfaceView, NodeView } from "../core/view.ts";
export type { Finding } from "./finding.ts";
export { ErrorCode, EVENT_METHOD, LIMITS, MAX_REQUEST_BYTES, maxRequestBytes } from "./limits.ts";
