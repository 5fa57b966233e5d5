/**
 * What the engine needs of Linux, as interfaces. The adapters beside this file implement them with real sockets and
 * netlink; they know no CARP rule.
 */

import type { Device, Filter, Transmission } from "../core/effect.ts";
import type { Family, Instant, Link, Micros } from "../core/event.ts";
import type { SignedForm } from "../protocol/authentication.ts";

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
  /** To be told of every change of a carpdev's MTU. */
  mtuChanged(carpdev: string, mtu: number): void;
  /** Receives frames for this multicast MAC too, whenever this device is open. `index` is the kernel's. */
  join(index: number, mac: string): void;
  leave(index: number, mac: string): void;
  /**
   * Delivers advertisements with one of these digests however many others arrive; without any, for no interface, there
   * is nothing to prefer. Replaces those of the interface.
   */
  recognise(name: string, forms: readonly SignedForm[]): void;
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
  /** More packets of strangers came than are delivered: so many were left out. */
  unexamined(device: string, family: Family, count: number): void;
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
  /** Asks for what the kernel tells nobody of when it changes; to be called now and then. */
  look(): void;
  close(): void;
}

export interface LinkEvents {
  /** An Ethernet link appeared or changed; never one of our own carp devices. */
  link(link: Link): void;
  linkGone(name: string): void;
  /** Our device's kernel index; 0 when it is gone. */
  device(name: string, index: number): void;
  /** What somebody else did, in words, has been put back. `name`: of a carp interface, or of a carpdev. */
  repaired(name: string, what: string): void;
  /** Something a person should read that is no event of the protocol. */
  complaint(text: string): void;
}

/** One carp interface, as the data path has to know it. */
export interface DataPathInterface extends Filter {
  readonly name: string;
}

/** What the kernel did with packets for the virtual addresses; numbers of packets since the interface was set up. */
export interface PacketCounts {
  /** In the order of the nodes. */
  readonly nodes: readonly {
    readonly vhid: number;
    readonly accepted: number;
    /** Another host's: this node was not held here. */
    readonly droppedByHash: number;
  }[];
  /** No node was held here. */
  readonly droppedByLease: number;
  readonly malformed: number;
  /** Frames of this host's own that it was not entitled to send. */
  readonly withheld: number;
}

export interface CarpdevRepair {
  readonly carpdev: string;
  readonly what: string;
}

/**
 * The programs in the kernel that hold every packet against the leases. They go on without an engine; nothing here
 * waits, and what fails comes back as a text that a person can read.
 */
export interface DataPath {
  /** Why there is none on this host, in words; undefined when there is. Everything else then does nothing. */
  readonly obstacle: string | undefined;
  /**
   * From now on the kernel decides so for this interface. Leases outlast it while carpdev, MAC, balancing and nodes
   * remain as they are, also those an engine before this one left; otherwise there are none.
   * @returns why it could not be done; nothing of this interface's is accepted then.
   */
  configure(wanted: DataPathInterface): string | undefined;
  /** Packets are no longer held against its leases. Its device has to be gone first. */
  remove(name: string): void;
  /** MASTER of this node until then; 0: not. For an interface the data path does not know nothing happens. */
  lease(name: string, vhid: number, untilUs: Micros): void;
  /** The lease that is in force or ran out last; 0: none. Also of an interface left by an earlier engine. */
  leaseUntilUs(name: string, vhid: number): Micros;
  counts(name: string): PacketCounts | undefined;
  /** What somebody took off carpdevs is put back; to be called now and then. @returns what it was, in words */
  repair(): readonly CarpdevRepair[];
  /** Forgets what an earlier engine left and nobody has configured since. */
  removeLeftovers(): void;
  /** Lets go; the kernel goes on deciding by the leases as they stand. */
  close(): void;
  /** Takes everything out of the kernel. */
  shutdown(): void;
}
