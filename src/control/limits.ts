/**
 * The numbers of the control protocol that both ends need before a message is read. Apart from messages.ts so
 * that a command which only reads loads no schema.
 */

/** A request is one line of at most this many bytes, the newline included. */
export const MAX_REQUEST_BYTES = 65_536;
/** A request of root, who applies files: an interface with the most addresses that it can have fits. */
export const MAX_ROOT_REQUEST_BYTES = 2 * 1024 * 1024;

export function maxRequestBytes(uid: number | undefined): number {
  return uid === 0 ? MAX_ROOT_REQUEST_BYTES : MAX_REQUEST_BYTES;
}

/** Interfaces that one `replace-each` replaces. */
export const MAX_REPLACEMENTS = 256;

/** A longer name of a sysctl variable is unknown without a search. */
export const MAX_VARIABLE_NAME = 256;

/** The method of the notifications that follow `monitor`; their params are a EventNotification. */
export const EVENT_METHOD = "event";

/** JSON-RPC error codes of our own. `message` is what a person reads after `carpctl: `. */
export const ErrorCode = { refused: 1, permission: 2, invalid: -32602 } as const;

/** The ranges of the numbers that a user can set. */
export const LIMITS = {
  vhid: [1, 255],
  advbase: [0, 254],
  advskew: [0, 254],
  announce: [0, 3600],
  preemptdelay: [0, 86_400],
  mtu: [68, 65_535],
  carpdemote: [0, 128],
  demote: [1, 1_048_576],
  "boot-demotion": [1, 86_400],
  listen: [1, 60],
} as const;

/** The name of an interface group. */
export const GROUP_NAME = /^[A-Za-z0-9_.-]{0,14}[A-Za-z_.-]$/;

/** The demotion of a host that boots. */
export const BOOT_REASON = "boot";

export { MAX_ADDRESSES, MAX_GROUPS } from "../core/interface/configuration.ts";
export { compareInterfaceNames, INTERFACE_NAME } from "../core/interface/name.ts";
