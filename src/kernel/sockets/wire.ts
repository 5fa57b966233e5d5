/**
 * The wire: packet sockets on carpdevs and raw sockets to unicast peers, over the addon's reading thread. It maps
 * frames to carpdevs and decides which send errors count; it never looks inside a frame.
 */

import type { Repeated } from "../../core/event.ts";
import type { Family, Micros, Transmission } from "../../core/model.ts";
import { macBytes } from "../../protocol/address.ts";
import { IPV6_LEAST_MTU } from "../../protocol/ip.ts";
import type { AheadEnded, AheadOf, ReceivedFrame, Wire, WireEvents } from "../kernel.ts";
import { errnoName, native } from "../native.ts";
import { type NativeBatch, nativeSockets } from "./native-sockets.ts";
import { Neighbours } from "./neighbours.ts";

interface Listening {
  readonly handle: number;
  readonly index: number;
}

/** Advertisements that were folded, and the time of the last one. */
interface Folded extends Omit<Repeated, "carpdev"> {
  readonly handle: number;
  readonly lastUs: Micros;
}

/** A failed system call, and its errno name. */
interface Failure {
  readonly call: string;
  readonly error: string;
}

type Unicast = Extract<Transmission, { payload: Uint8Array }>;

/** Send errors that mean the peer is down or not reachable now: the packet itself had left. */
const peerIsDown: ReadonlySet<string> = new Set([
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ECONNREFUSED",
  "ENOPROTOOPT",
  "EPROTO",
]);

/** A family that this host lacks has no strays, and sends over it fail one by one. */
const lacksFamily: ReadonlySet<string> = new Set(["EAFNOSUPPORT", "EPROTONOSUPPORT"]);

const linkLocal = /^fe[89ab]/i;

const nameOf = (index: number) => native.interfaceName(index) ?? `if${index}`;
const familyOf = (number: number | undefined): Family => (number === 4 ? 4 : 6);

const failureOf = (call: string, error: string): Failure => ({ call, error });
const textOf = ({ call, error }: Failure) => `${call}: ${error}`;

const keyOf = (name: string, vhid: number) => `${name}/${vhid}`;

function* repeatedIn({ repeated, copyTimes, copyCounters }: NativeBatch): Generator<Folded, undefined> {
  let copy = 0;
  for (let at = 0; at < repeated.length; at += 4) {
    const handle = repeated[at] ?? 0;
    const vhid = repeated[at + 1] ?? 0;
    const count = repeated[at + 3] ?? 0;
    const copies: Repeated["copies"][number][] = [];
    for (const end = copy + count; copy < end; copy++)
      copies.push({ counter: copyCounters[copy] ?? 0n, receivedUs: copyTimes[copy] ?? 0 });
    yield { handle, vhid, family: familyOf(repeated[at + 2]), copies, lastUs: copyTimes[copy - 1] ?? 0 };
  }
}

/** Repeated advertisements are told so many together: what telling them takes is garbage soon, before V8 keeps it. */
const TOGETHER = 16;

const NONE_ENDED: readonly AheadEnded[] = [];

export function createWire(events: WireEvents): Wire {
  const sockets = new nativeSockets.Sockets(
    (batch) => {
      deliver(batch);
      // In the next turn of the event loop: timers come first, however many frames arrive.
      setImmediate(() => sockets.ready());
    },
    () => events.aheadEnded(),
  );
  const listening = new Map<string, Listening>();
  const carpdevs = new Map<number, string>();
  const neighbours = new Neighbours(() => events.neighbourAdded());
  /** Carpdevs whose MTU is below IPv6's least: the kernel has taken IPv6 off them. */
  const tooSmall = new Set<string>();
  /** Errors of the last packets to unicast peers that had no way there. */
  const unreached = new Map<string, string>();
  /** The virtual hosts whose advertisements were made ahead, and not called back since. */
  const ahead = new Map<string, AheadOf & { readonly handle: number }>();
  let isHeld = false;
  /** The frames of the batch under way whose repetitions wait. */
  const toFold: { readonly handle: number; readonly frame: Uint8Array }[] = [];
  /** Multicast MACs to receive, by the index of the carpdev. */
  const memberships = new Map<number, Set<string>>();

  function deliver(batch: NativeBatch): void {
    const { bytes, frames, strays, rateLimited, deaf } = batch;
    const folded = repeatedIn(batch);
    let next = folded.next().value;
    let heard: ReceivedFrame[] = [];
    let again: Repeated[] = [];
    const tell = () => {
      if (heard.length > 0) events.frames(heard);
      heard = [];
    };
    const tellAgain = () => {
      if (again.length === 0) return;
      tell();
      events.repeated(again);
      again = [];
    };
    const tellRepeated = (untilUs: Micros) => {
      for (; next !== undefined && next.lastUs <= untilUs; next = folded.next().value) {
        const { handle, vhid, family, copies } = next;
        const carpdev = carpdevs.get(handle);
        if (carpdev !== undefined) again.push({ carpdev, vhid, family, copies });
        if (again.length === TOGETHER) tellAgain();
      }
      tellAgain();
    };
    for (let at = 0; at < frames.length; at += 4) {
      const receivedUs = frames[at + 1] ?? 0;
      tellRepeated(receivedUs);
      const carpdev = carpdevs.get(frames[at] ?? 0);
      // Its socket was closed while the frame was queued.
      if (carpdev === undefined) continue;
      heard.push({ carpdev, bytes: new Uint8Array(bytes, frames[at + 2], frames[at + 3]), receivedUs });
    }
    tell();
    tellRepeated(Number.POSITIVE_INFINITY);
    // Not before, because a frame behind one of these may say something else.
    for (const { handle, frame } of toFold) sockets.fold(handle, frame);
    toFold.length = 0;

    for (let at = 0; at < strays.length; at += 2) {
      const index = strays[at] ?? 0;
      if (isListening(index)) continue;
      events.stray(nameOf(index), familyOf(strays[at + 1]));
    }

    for (let at = 0; at < rateLimited.length; at += 3) {
      const [index = 0, family, count = 0] = rateLimited.subarray(at);
      events.rateLimited(nameOf(index), familyOf(family), count);
    }

    for (let at = 0; at < deaf.length; at += 2) {
      const carpdev = carpdevs.get(deaf[at] ?? 0);
      const index = carpdev === undefined ? undefined : listening.get(carpdev)?.index;
      if (carpdev === undefined || index === undefined) continue;
      const error = errnoName(deaf[at + 1] ?? 0);
      // ENODEV: the device is gone, which its own notification tells; or has been gone, which nothing may tell.
      const failure = error === "ENODEV" ? open(carpdev, index) : failureOf("recvmmsg", error);
      if (failure !== undefined && failure.error !== "ENODEV") events.deaf(carpdev, textOf(failure));
    }
  }

  /** Listens on a carpdev anew. @returns what failed: the former socket stays then */
  function open(carpdev: string, index: number): Failure | undefined {
    const opened = sockets.open(index);
    if (typeof opened !== "number") return failureOf(opened.call, errnoName(opened.error));
    forget(carpdev);
    listening.set(carpdev, { handle: opened, index });
    carpdevs.set(opened, carpdev);
    for (const mac of memberships.get(index) ?? []) sockets.membership(opened, macBytes(mac), true);
    return undefined;
  }

  function isListening(index: number): boolean {
    for (const each of listening.values()) if (each.index === index) return true;
    return false;
  }

  function forget(carpdev: string): void {
    const former = listening.get(carpdev);
    if (former === undefined) return;
    sockets.close(former.handle);
    listening.delete(carpdev);
    carpdevs.delete(former.handle);
    neighbours.forget(former.index);
  }

  /** The frame to a peer on the link whose MAC is known; undefined: the kernel has to send the packet. */
  function frameTo(index: number, { destination, onLink }: Unicast): Uint8Array | undefined {
    const mac = onLink && neighbours.macOf(index, destination);
    if (mac === undefined) return undefined;
    const frame = Uint8Array.from(onLink ?? []);
    frame.set(mac);
    return frame;
  }

  function sendUnicast(
    index: number,
    { family, source, destination, trafficClass, payload }: Unicast,
  ): number {
    const [peer = ""] = destination.split("%");
    const [own = ""] = source.split("%");
    const scope = family === 6 && (linkLocal.test(peer) || linkLocal.test(own)) ? index : 0;
    return sockets.sendUnicast(family, own, peer, trafficClass, scope, payload);
  }

  function endedIn(told: Float64Array): AheadEnded[] {
    const ofSocket = new Map([...ahead].map(([key, { handle, vhid }]) => [`${handle}/${vhid}`, key]));
    const ended: AheadEnded[] = [];
    for (let at = 0; at < told.length; at += 4) {
      const [handle, vhid = 0, atUs = 0, inPart] = told.subarray(at);
      const key = ofSocket.get(`${handle}/${vhid}`) ?? "";
      const of = ahead.get(key);
      if (of === undefined) continue;
      ahead.delete(key);
      ended.push({ kind: "ahead-ended", interface: of.interface, vhid, atUs, inPart: inPart === 1 });
    }
    return ended;
  }

  function shutdown(): void {
    process.off("exit", shutdown);
    sockets.shutdown();
    listening.clear();
    carpdevs.clear();
  }

  // Node runs no cleanup of addons when process.exit() is called: the thread must not outlive the event loop.
  process.on("exit", shutdown);

  return {
    open(carpdev, index) {
      const failure = open(carpdev, index);
      if (failure !== undefined) return textOf(failure);
      const raw = sockets.openRaw();
      if (raw === undefined || lacksFamily.has(errnoName(raw.error))) return undefined;
      return textOf(failureOf(raw.call, errnoName(raw.error)));
    },

    close(carpdev) {
      forget(carpdev);
      if (listening.size === 0) sockets.closeRaw();
    },

    mtuChanged(carpdev, mtu) {
      if (mtu < IPV6_LEAST_MTU) tooSmall.add(carpdev);
      else if (tooSmall.delete(carpdev)) {
        const on = listening.get(carpdev);
        if (on !== undefined) sockets.rejoin(on.handle);
      }
    },

    expectDigests(name, forms) {
      sockets.setForms(name, forms);
    },

    join(index, mac) {
      memberships.set(index, (memberships.get(index) ?? new Set()).add(mac));
      const errors = [...listening.values()]
        .filter((on) => on.index === index)
        .map((on) => sockets.membership(on.handle, macBytes(mac), true));
      const error = errors.find((each) => each !== 0);
      return error === undefined ? undefined : errnoName(error);
    },

    leave(index, mac) {
      if (!memberships.get(index)?.delete(mac)) return;
      for (const on of listening.values())
        if (on.index === index) sockets.membership(on.handle, macBytes(mac), false);
    },

    send(carpdev, transmission) {
      const on = listening.get(carpdev);
      if (on === undefined) return "ENODEV";
      const routed = "payload" in transmission ? transmission : undefined;
      const frame = "frame" in transmission ? transmission.frame : frameTo(on.index, transmission);
      const error =
        frame !== undefined ? sockets.send(on.handle, frame) : routed ? sendUnicast(on.index, routed) : 0;
      if (routed !== undefined) unreached.delete(routed.destination);
      if (error === 0) return undefined;
      const name = errnoName(error);
      if (routed === undefined || frame !== undefined || !peerIsDown.has(name)) return name;
      unreached.set(routed.destination, name);
      return undefined;
    },

    sendAhead({ interface: name, vhid, carpdev }, advertisements, leases = []) {
      const handle = listening.get(carpdev)?.handle;
      const [first] = advertisements;
      if (handle === undefined || first === undefined) return false;
      const lengths = Float64Array.from(first.frames, ({ frame }) => frame.length);
      const times = new Float64Array(3 * advertisements.length);
      const frames = new Uint8Array(advertisements.length * lengths.reduce((sum, each) => sum + each, 0));
      let filled = 0;
      for (const [n, { atUs, untilUs, leaseUntilUs, frames: each }] of advertisements.entries()) {
        times[3 * n] = atUs;
        times[3 * n + 1] = untilUs;
        times[3 * n + 2] = leaseUntilUs;
        for (const { frame } of each) {
          frames.set(frame, filled);
          filled += frame.length;
        }
      }
      ahead.set(keyOf(name, vhid), { interface: name, vhid, carpdev, handle });
      return sockets.sendAhead(handle, vhid, times, lengths, frames, leases);
    },

    recall(name, vhid) {
      const key = keyOf(name, vhid);
      const known = ahead.get(key);
      if (known === undefined) return;
      sockets.recall(known.handle, vhid);
      ahead.delete(key);
    },

    hold() {
      isHeld = ahead.size > 0;
      if (isHeld) sockets.hold();
    },

    sendDue(us) {
      const ended = ahead.size > 0 ? sockets.sendDue(us) : undefined;
      return ended === undefined ? NONE_ENDED : endedIn(ended);
    },

    release() {
      if (isHeld) sockets.release();
      isHeld = false;
    },

    unreached: (peer) => unreached.get(peer),

    neighbours: () => neighbours.look(),

    resolved: (neighbour, mac) => neighbours.learn(neighbour, mac),

    fold(carpdev, frame) {
      const on = listening.get(carpdev);
      if (on !== undefined) toFold.push({ handle: on.handle, frame });
    },

    unfold() {
      toFold.length = 0;
      sockets.unfold();
    },

    latest(carpdev, vhid) {
      const on = listening.get(carpdev);
      const us = on === undefined ? 0 : sockets.latest(on.handle, vhid);
      return us === 0 ? undefined : us;
    },

    drain() {
      deliver(sockets.drain());
    },

    shutdown,
  };
}
