/**
 * The interfaces between the engine and Linux: clock, wire, links, data path. The adapters in this room implement them
 * with real sockets, netlink and eBPF; they hold no CARP rule.
 */

import type { AdvertisementAhead } from "../core/effect.ts";
import type { Event, Repeated } from "../core/event.ts";
import type { Device, Family, Filter, Harm, Instant, Link, Micros, Transmission } from "../core/model.ts";
import type { SignedForm } from "../protocol/authentication.ts";

export interface Clock {
  now(): Instant;
}

/** A small JSON document that outlives the engine: read once at the start, replaced whole. */
export interface Document {
  /** The document that an earlier engine left; undefined: there is none that can be read. */
  readonly saved: unknown;
  /** On disk when this returns; undefined removes the document. Throws an ErrnoException. */
  write(value: unknown): void;
}

/** Wakes the engine once for each alarm, at its time or later; one that is very far off may ring early. */
export interface Alarms {
  /** @returns a function that cancels the alarm; harmless once it has rung */
  set(atUs: Micros, ring: () => void): () => void;
}

/** Things of one kind that the kernel does not notify of. */
export interface Watch<Key> {
  /** It is reported once, and then when it has changed. */
  add(key: Key): void;
  remove(key: Key): void;
  /**
   * Has it reported once more: after a change by this engine, and while it is not as it should be, because the next
   * change by another program may undo all that has happened since the last look.
   */
  doubt(key: Key): void;
}

/** Looks now and then for changes that the kernel does not notify of. */
export interface Polling {
  /**
   * Watches for one kind of change: to a link by its index; to the programs on a device, by TCX or in its clsact qdisc;
   * to a file's identity, or to the text of a short one; and for so many page faults more.
   *
   * @param atOnce so many are looked at each time, in turn
   */
  watch(
    kind: "link" | "tcx" | "clsact" | "file" | "text" | "faults",
    atOnce: number,
    changed: (keys: readonly string[]) => void,
  ): Watch<string | number>;
  /** A link as this message describes it has not changed. To be called before the message is acted upon. */
  know(linkMessage: Uint8Array): void;
}

export interface ReceivedFrame {
  readonly carpdev: string;
  readonly bytes: Uint8Array;
  /** The kernel's receive time on CLOCK_BOOTTIME, never later than now nor earlier than the socket was last empty. */
  readonly receivedUs: Micros;
}

/** Packet sockets on carpdevs and raw sockets to unicast peers. Sending is synchronous: it has left or it failed. */
export interface Wire {
  /** Opens the packet socket of a carpdev and joins CARP's multicast groups there. @returns why it failed */
  open(carpdev: string, index: number): string | undefined;
  close(carpdev: string): void;
  /** Must be called at every change of a carpdev's MTU. */
  mtuChanged(carpdev: string, mtu: number): void;
  /**
   * Receives frames for this multicast MAC too, whenever this device is open. `index` is the kernel's.
   * @returns why it failed
   */
  join(index: number, mac: string): string | undefined;
  leave(index: number, mac: string): void;
  /**
   * Advertisements with the digest of one of these forms pass without a rate limit; all others are unauthenticated.
   * Replaces the forms of the carp interface; while no interface has any, nothing is limited.
   */
  expectDigests(name: string, forms: readonly SignedForm[]): void;
  /**
   * Sends a packet to a unicast peer as a frame where the peer's MAC is known; otherwise the kernel routes it.
   * @returns undefined when the packet left, else the errno name (`ENOBUFS`). A peer that is down is not an error.
   */
  send(carpdev: string, transmission: Transmission): string | undefined;
  /**
   * Sends advertisements of a virtual host, each at its time, on a thread of their own; between `hold` and `release` only
   * `sendDue` sends. An advertisement that leaves sets the leases, unless they are later. Those given before leave first.
   *
   * @param leases of the node; undefined: there is no data path
   * @returns false: no advertisement of these will leave
   */
  sendAhead(
    of: AheadOf,
    advertisements: readonly AdvertisementAhead[],
    leases: LeaseMemory | undefined,
  ): boolean;
  /** Calls back the advertisements of a virtual host that were given to `sendAhead` and have not left. */
  recall(interfaceName: string, vhid: number): void;
  /** Keeps the thread from sending until `release`. */
  hold(): void;
  /**
   * Sends the advertisements that are due by then.
   *
   * @returns the ends since the last call: the advertisement of this time did not leave, and none behind it will
   */
  sendDue(us: Micros): readonly AheadEnded[];
  release(): void;
  /** The errno name of the last packet to this unicast peer, if it found no way there (`ENETUNREACH`). */
  unreached(peer: string): string | undefined;
  /** The peers on the link that packets go to, to be resolved now and then. */
  neighbours(): readonly NeighbourInUse[];
  /** The MAC of a peer; undefined: the kernel has none. */
  resolved(neighbour: Neighbour, mac: Uint8Array | undefined): void;
  /**
   * Advertisements that repeat this frame but for counter and digest, which is right, wait for `drain`, `unfold` or another
   * frame of their virtual host, and are delivered together then. For the frame that is being delivered.
   */
  fold(carpdev: string, frame: Uint8Array): void;
  /** Lets no frame wait any more. */
  unfold(): void;
  /** When the last of those arrived that wait for this virtual host, over either family; undefined: none waits. */
  latest(carpdev: string, vhid: number): Micros | undefined;
  /** Delivers, before it returns, every frame that has arrived so far. */
  drain(): void;
  shutdown(): void;
}

/** A virtual host whose advertisements are made ahead. */
export interface AheadOf {
  readonly interface: string;
  readonly vhid: number;
  readonly carpdev: string;
}

export type AheadEnded = Extract<Event, { kind: "ahead-ended" }>;

/**
 * The bytes of a node's lease and those of its interface's, in the data path's memory, where they stay until the interface
 * is configured anew.
 */
export type LeaseMemory = readonly Uint8Array[];

/** A host on the link of a device. */
export interface Neighbour {
  /** The kernel's index of the device. */
  readonly index: number;
  /** Canonical text. */
  readonly address: string;
}

export interface NeighbourInUse extends Neighbour {
  /** Packets went there since the last look. */
  readonly isInUse: boolean;
}

export interface WireEvents {
  frames(frames: readonly ReceivedFrame[]): void;
  /** Told in its place among the frames, by the last copies. */
  repeated(all: readonly Repeated[]): void;
  /** Some of what was sent ahead has ended: `sendDue` tells which. */
  aheadEnded(): void;
  /** CARP reached this host on a device no packet socket of ours listens on. */
  stray(device: string, family: Family): void;
  /** The socket of a carpdev receives nothing any more. It has to be opened again. @param error in words */
  deaf(carpdev: string, error: string): void;
  /** The rate limit dropped so many unauthenticated packets. */
  rateLimited(device: string, family: Family, count: number): void;
  /** A packet went to a unicast peer that `neighbours` did not have. */
  neighbourAdded(): void;
}

/** Links and addresses: watched, and those of carp interfaces made and repaired, through rtnetlink. */
export interface Links {
  /** Reads every link and address, reports each through `LinkEvents.link`, then follows changes. */
  start(): Promise<void>;
  /**
   * Makes and keeps the device of a carp interface as described; a change by another program is undone and reported.
   * null removes it. `placed` tells what is not in place; then `done` is called once: when the kernel has the device
   * so, when that failed, or when the carpdev is missing (the device is built when it is back).
   */
  apply(name: string, device: Device | null, done: () => void): void;
  /** Sets arp_ignore and arp_announce as carp needs them; `restoreCarpdev` puts the former values back. */
  prepareCarpdev(carpdev: string): void;
  restoreCarpdev(carpdev: string): void;
  /** Removes devices that a killed engine of this run directory left behind, except these names. */
  removeLeftovers(keep: ReadonlySet<string>): Promise<void>;
  /**
   * The devices that carry a device's packets: the ports of a bridge or bond, the device below a VLAN or macvlan, and
   * theirs. As they are now: the function is to be used at once.
   */
  carriers(): (device: string) => readonly Carrier[];
  /** Resolves when all that the kernel has notified of so far has been reported. */
  caughtUp(): Promise<void>;
  /**
   * Asks the kernel for the MACs of these neighbours, and has it confirm those in use. `resolved` is called once for
   * each, later; undefined: the kernel has none.
   */
  resolve(
    neighbours: readonly NeighbourInUse[],
    resolved: (neighbour: Neighbour, mac: Uint8Array | undefined) => void,
  ): void;
  close(): void;
}

/** A device that is up and carries the packets of another. */
export interface Carrier {
  readonly name: string;
  readonly mtu: number;
}

export interface LinkEvents {
  /** An Ethernet link appeared or changed; never one of our own carp devices. */
  link(link: Link): void;
  linkGone(name: string): void;
  /** A device that can be no carpdev appeared, with the reason; undefined: it is gone, or can be one now. */
  unfit(name: string, why: string | undefined): void;
  /**
   * The parts of a carp interface's device that are not in place, in words; none when all are. Told at every change.
   *
   * @param harm of the errors together
   * @param whileActive whether this holds for a device that is to have its addresses, and tells nothing of any other
   */
  placed(name: string, errors: readonly string[], harm: Harm, whileActive: boolean): void;
  /** Our device's kernel index; 0 when it is gone. */
  device(name: string, index: number): void;
  /** A change by another program, in words, has been undone. `name`: of a carp interface, or of a carpdev. */
  repaired(name: string, what: string): void;
  /** A message for the administrator that is no event of the protocol. */
  complaint(text: string): void;
}

/** The configuration of one carp interface in the data path. */
export interface DataPathInterface extends Filter {
  readonly name: string;
}

/** Packet counts of a carp interface in the data path, since it was configured. */
export interface PacketCounts {
  /** In the order of the nodes. */
  readonly nodes: readonly {
    readonly vhid: number;
    readonly accepted: number;
    /** The hash named this node, and another host holds it. */
    readonly droppedByHash: number;
  }[];
  /** Dropped while this host held no lease of the interface at all. */
  readonly droppedByLease: number;
  readonly malformed: number;
  /** Frames of this host that use a virtual address without a lease: not sent. */
  readonly withheld: number;
}

export interface CarpdevRepair {
  readonly carpdev: string;
  readonly what: string;
}

/** What other owners have on a carpdev that may decide about its packets before the data path's programs. */
export interface Overruled {
  /** TCX programs or filters, in words. */
  readonly before: readonly string[];
  /** The id of an XDP program, which always runs first; 0: none. */
  readonly xdp: number;
}

/**
 * The eBPF programs that accept or drop every packet for the virtual addresses by the leases, also while no engine
 * runs. Calls never wait; errors come back as text for the administrator.
 */
export interface DataPath {
  /** Why this host has no data path, in words; undefined when it has one. Without it every other call does nothing. */
  readonly obstacle: string | undefined;
  /**
   * Configures this interface in the kernel. Its leases, also those of an earlier engine, stay in force while carpdev,
   * MAC, balancing and nodes are the same; otherwise it has none.
   * @returns why it failed; then no packet of this interface is accepted
   */
  configure(wanted: DataPathInterface): string | undefined;
  /** Removes the interface from the data path. Its device has to be gone first. */
  remove(name: string): void;
  /** MASTER of this node until then; 0: not. Does nothing for an interface that is not configured. */
  lease(name: string, vhid: number, untilUs: Micros): void;
  /** For `Wire.sendAhead`. undefined: the interface is not configured. */
  leaseMemory(name: string, vhid: number): LeaseMemory | undefined;
  /** The lease in force, or the last one; 0: none. Also of an interface that an earlier engine configured. */
  leaseUntilUs(name: string, vhid: number): Micros;
  counts(name: string): PacketCounts | undefined;
  /** Has changes to the programs on carpdevs told, by the kernel's index: `repair` is to be called then. */
  watch(polling: Polling, changed: (carpdevs: readonly number[]) => void): void;
  /**
   * Puts back programs that another program removed, and first where another one was put before them. While an earlier
   * call waits for the kernel it does nothing.
   *
   * @param carpdevs default: all
   */
  repair(carpdevs?: readonly number[]): Promise<readonly CarpdevRepair[]>;
  /** `carpdev`: the kernel's index. */
  overruled(carpdev: number): Overruled;
  /** Removes interfaces that an earlier engine configured and this one has not. */
  removeLeftovers(): void;
  /** Closes the maps; the programs stay on the carpdevs and go on by the leases as they stand. */
  close(): void;
  /** Takes the programs and maps out of the kernel. */
  shutdown(): void;
}
