/**
 * What the engine needs of Linux, as interfaces. The adapters beside this file implement them with real sockets and
 * netlink; they know no CARP rule.
 */

import type { Device, Transmission } from "../core/effect.ts";
import type { Family, Instant, Link, Micros } from "../core/event.ts";

export interface Clock {
  now(): Instant;
}

export interface ReceivedFrame {
  readonly carpdev: string;
  readonly bytes: Uint8Array;
  /** The kernel's receive time on CLOCK_BOOTTIME, never later than now nor earlier than the socket was last empty. */
  readonly receivedUs: Micros;
}

/** Packet sockets on carpdevs and raw sockets to unicast peers. Sending is synchronous: it has left or it failed. */
export interface Wire {
  /** Opens the packet socket of a carpdev and joins carp's multicast groups there. Throws an ErrnoException. */
  open(carpdev: string, index: number): void;
  close(carpdev: string): void;
  /** @returns undefined when the packet left, else the errno name (`ENOBUFS`). A peer that is down is not an error. */
  send(carpdev: string, transmission: Transmission): string | undefined;
  /** Delivers, before it returns, every frame that has arrived so far. */
  drain(): void;
  shutdown(): void;
}

export interface WireEvents {
  frames(frames: readonly ReceivedFrame[]): void;
  /** CARP reached this host on a device no packet socket of ours listens on. */
  stray(device: string, family: Family): void;
}

/** Links and addresses, seen and made so through rtnetlink. */
export interface Links {
  /** Reads every link and address, reports each through `LinkEvents.link`, then follows changes. */
  start(): Promise<void>;
  /**
   * Makes the device of this carp interface be so, and keeps it so: whatever somebody else changes is put back and
   * reported. null removes it. Resolves when the kernel has it so, or when the carpdev is missing (built when it is
   * back). Never rejects for what a device that went away causes.
   */
  apply(name: string, device: Device | null): Promise<void>;
  /** arp_ignore and arp_announce as carp needs them; the former values are kept and put back by `restore`. */
  prepareCarpdev(carpdev: string): void;
  restoreCarpdev(carpdev: string): void;
  /** Devices an engine of this run directory left behind when it was killed: removed unless their names are listed. */
  removeLeftovers(keep: ReadonlySet<string>): Promise<void>;
  close(): void;
}

export interface LinkEvents {
  /** An Ethernet link appeared or changed; never one of our own carp devices. */
  link(link: Link): void;
  linkGone(name: string): void;
  /** Our device's kernel index; 0 when it is gone. */
  device(name: string, index: number): void;
  repaired(name: string, what: string): void;
  /** Something a person should read that is no event of the protocol. */
  complaint(text: string): void;
}
