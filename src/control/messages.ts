/**
 * The control protocol: JSON-RPC 2.0, one JSON object a line, over the engine's Unix socket. One schema for both
 * ends: the engine refuses what does not fit it, the commands build what does and get the same error texts.
 */

import { z } from "zod";
import type { CounterName } from "../core/counters.ts";
import type { GroupView, InterfaceView } from "../core/view.ts";

/** A request is one line of at most this many bytes, the newline included. */
export const MAX_REQUEST_BYTES = 65_536;

/** JSON-RPC error codes of our own. `message` is what a person reads after `carpctl: `. */
export const ErrorCode = { refused: 1, permission: 2, invalid: -32602 } as const;

/** An integer in a range, refused in the words of CLI.md: `vhid 256: must be 1..255`. */
function bounded(name: string, min: number, max: number) {
  const error = (issue: { input?: unknown }) => `${name} ${String(issue.input)}: must be ${min}..${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

function sized(name: string, max: number) {
  return z.string().max(max, { error: `${name}: at most ${max} characters` });
}

export const Vhid = bounded("vhid", 1, 255);
export const Advbase = bounded("advbase", 0, 254);
export const Advskew = bounded("advskew", 0, 254);
export const Mtu = bounded("mtu", 68, 65_535);
export const MAX_NODES = 32;
export const BALANCING_MODES = ["none", "ip", "ip-unicast", "ip-stealth"] as const;
export const STATES = ["master", "backup", "init"] as const;

export const Balancing = z.enum(BALANCING_MODES, {
  error: (issue) => `balancing ${String(issue.input)}: unknown mode (${BALANCING_MODES.join(", ")})`,
});
export const State = z.enum(STATES, {
  error: (issue) => `state ${String(issue.input)}: unknown state (${STATES.join(", ")})`,
});

/** carpN: what Linux takes as a device name, and no more digits than it can hold. */
export const InterfaceName = z.string().regex(/^carp(0|[1-9][0-9]{0,9})$/, {
  error: (issue) => `${String(issue.input)}: not a carp interface name (carp0, carp1, ...)`,
});

/** Any Linux device name. */
export const DeviceName = z.string().regex(/^(?!\.{1,2}$)[^\s/:\p{Cc}]{1,15}$/u, {
  error: (issue) => `carpdev ${String(issue.input)}: not a device name`,
});

export const GroupName = z.string().regex(/^[A-Za-z0-9_.-]{0,14}[A-Za-z_.-]$/, {
  error: (issue) => `group ${String(issue.input)}: must be 1..15 characters and not end in a digit`,
});

export const MacAddress = z.string().regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/, {
  error: (issue) => `lladdr ${String(issue.input)}: expected a unicast address like 02:00:00:00:00:01`,
});

export const IPv4 = z.ipv4();
export const IPv6 = z.ipv6();

const ipv4Address = {
  family: z.literal(4),
  address: IPv4,
  prefixLength: bounded("prefix length", 0, 32),
  broadcast: IPv4.optional(),
};
const ipv6Address = { family: z.literal(6), address: IPv6, prefixLength: bounded("prefix length", 0, 128) };
const alias = z.boolean();

/** `alias: false` on IPv4 replaces the first IPv4 address, as ifconfig does; on IPv6 it adds. */
export const AddedAddress = z.discriminatedUnion("family", [
  z.strictObject({ ...ipv4Address, alias }),
  z.strictObject({ ...ipv6Address, alias }),
]);

export const CarpNode = z.strictObject({ vhid: Vhid, advskew: Advskew });

export const InterfaceChange = z.strictObject({
  carpdev: DeviceName.optional(),
  vhid: Vhid.optional(),
  advbase: Advbase.optional(),
  advskew: Advskew.optional(),
  pass: sized("pass", 1024).optional(),
  carppeer: IPv4.nullable().optional(),
  carppeer6: IPv6.nullable().optional(),
  carpnodes: z
    .array(CarpNode)
    .min(1)
    .max(MAX_NODES, { error: `carpnodes: at most ${MAX_NODES}` })
    .optional(),
  balancing: Balancing.optional(),
  lladdr: MacAddress.nullable().optional(),
  joinGroups: z.array(GroupName).max(64).optional(),
  leaveGroups: z.array(GroupName).max(64).optional(),
  description: sized("description", 63).nullable().optional(),
  mtu: Mtu.optional(),
  up: z.boolean().optional(),
  state: State.optional(),
  addAddresses: z.array(AddedAddress).max(256).optional(),
  removeAddresses: z
    .array(z.union([IPv4, IPv6]))
    .max(256)
    .optional(),
  removeFamilies: z
    .array(z.union([z.literal(4), z.literal(6)]))
    .max(2)
    .optional(),
});
export type InterfaceChange = z.infer<typeof InterfaceChange>;

const nothing = z.strictObject({});

/** What each method takes. Results are typed below; the engine is trusted to send what it says. */
export const methods = {
  /** -> Hello. */
  hello: nothing,
  /** Every carp interface, in numeric order -> InterfaceView[]. */
  interfaces: nothing,
  /** -> GroupView[]. */
  groups: nothing,
  /** Every variable whose name is one of `names` or below one -> Sysctl[]; unknown names are refused. */
  "sysctl-get": z.strictObject({ names: z.array(z.string().max(256)).max(64) }),
  /** -> SysctlChange. */
  "sysctl-set": z.strictObject({ name: z.string().max(256), value: z.int() }),
  /** -> Statistics. */
  statistics: nothing,
  /** Without a name the next free one -> { name }. */
  create: z.strictObject({ name: InterfaceName.optional() }),
  /** Answers when the bow-out has left and the device is gone -> {}. */
  destroy: z.strictObject({ name: InterfaceName }),
  /** Creates the interface when it does not exist. Answers when the kernel has it so -> {}. */
  change: z.strictObject({ name: InterfaceName, change: InterfaceChange }),
  /** Adds to a group's carp demote count, never below 0 -> {}. */
  "demote-group": z.strictObject({ group: GroupName, by: z.int().min(-128).max(128) }),
} as const;

export type Method = keyof typeof methods;
export type Params<M extends Method> = z.infer<(typeof methods)[M]>;

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

/** Counters by name; see src/core/counters.ts for what each counts. */
export type Statistics = Record<CounterName, number>;

export interface Results {
  hello: Hello;
  interfaces: { readonly nowUs: number; readonly interfaces: readonly InterfaceView[] };
  groups: readonly GroupView[];
  "sysctl-get": readonly Sysctl[];
  "sysctl-set": SysctlChange;
  statistics: Statistics;
  create: { readonly name: string };
  destroy: Record<string, never>;
  change: Record<string, never>;
  "demote-group": Record<string, never>;
}

export type { CounterName } from "../core/counters.ts";
export type { GroupView, InterfaceView, NodeView } from "../core/view.ts";
