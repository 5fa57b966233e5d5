/**
 * What is checked of a packet before a virtual host hears of it: the checks and their order are the protocol's, each
 * with its counter and its log priority. Nothing here changes state but the memory of strict_replay.
 */

import { parseAdvertisement, vhidIn } from "../protocol/advertisement.ts";
import { parseCarpFrame } from "../protocol/frame.ts";
import type { CarpInterface } from "./carp-interface.ts";
import type { CounterName } from "./counters.ts";
import type { Priority } from "./effect.ts";
import type { Family, Micros } from "./event.ts";
import type { Heard, VirtualHost } from "./virtual-host.ts";

export interface Discarded {
  readonly counter: CounterName;
  readonly priority: Priority;
  readonly text: string;
  /** The interface it was meant for, by the vhid it names; undefined when there is none. */
  readonly carpInterface?: CarpInterface | undefined;
  /** Set when it has the digest and says nothing new. */
  readonly stale?: Pick<Accepted, "node" | "heard">;
}

export interface Accepted {
  readonly carpInterface: CarpInterface;
  readonly node: VirtualHost;
  readonly heard: Heard;
}

/** What the checks need to know besides the frame. */
export interface Reception {
  readonly carpdev: string;
  readonly receivedUs: Micros;
  /** The carp interfaces on that carpdev. */
  readonly here: readonly CarpInterface[];
  readonly allow: boolean;
  readonly strictReplay: boolean;
}

export interface Checked {
  /** Set as soon as it is a packet at all: it counts as received. */
  readonly family?: Family;
  /** Absent when it is nothing to us. */
  readonly verdict?: Discarded | Accepted;
}

export function checkInput(bytes: Uint8Array, reception: Reception): Checked {
  const frame = parseCarpFrame(bytes);
  if ("reason" in frame) {
    if (frame.reason === "not-carp" || !reception.allow) return {};
    const text = `${reception.carpdev}: malformed carp packet (${frame.reason})`;
    return { verdict: { counter: "shorterThanHeader", priority: 6, text } };
  }
  const { family } = frame.packet;
  return reception.allow ? { family, verdict: judge(frame.packet, reception) } : { family };
}

type Packet = Extract<ReturnType<typeof parseCarpFrame>, { packet: unknown }>["packet"];

function judge(packet: Packet, { carpdev, receivedUs, here, strictReplay }: Reception): Discarded | Accepted {
  const { family, source, addresses, multicast, hopLimit, message } = packet;
  const named = here.find((each) => each.node(vhidIn(message) ?? 0) !== undefined);
  const discarded = (counter: CounterName, priority: Priority, what: string): Discarded => ({
    counter,
    priority,
    text: `${what} from ${source} on ${carpdev}`,
    carpInterface: named,
  });
  if (here.length === 0) return discarded("badInterface", 6, "carp packet without a carp interface");
  // A router between unicast peers has decremented it; what is multicast can only come from the segment itself.
  const routed = !multicast && here.some((each) => each.isUnicast(family));
  if (hopLimit !== 255 && !routed) return discarded("badTtl", 5, `TTL ${hopLimit} instead of 255`);
  const parsed = parseAdvertisement(message, addresses);
  if ("reason" in parsed)
    return parsed.reason === "bad-checksum"
      ? discarded("badChecksum", 6, "wrong checksum")
      : discarded("tooShort", 6, `carp packet of ${message.length} bytes`);
  const { vhid, version, type, counter, advbase, advskew, demote } = parsed.advertisement;
  const carpInterface = here.find(
    (each) => each.isUnicast(family) === !multicast && each.node(vhid) !== undefined,
  );
  const node = carpInterface?.node(vhid);
  if (carpInterface === undefined || node === undefined)
    return discarded("badVhid", 7, `unknown vhid ${vhid}`);
  const virtualHost = `${carpInterface.name}: vhid ${vhid}`;
  if (version !== 2 || type !== 1)
    return discarded("badVersion", 5, `${virtualHost}: version ${version} type ${type}`);
  if (!carpInterface.verify(parsed.advertisement))
    return discarded("badAuthentication", 6, `${virtualHost}: incorrect hash`);
  const heard = { family, source, advbase, advskew, demote, counter, receivedUs };
  const stale = (what: string): Discarded => ({
    ...discarded("badAuthentication", 4, `${virtualHost}: ${what}`),
    stale: { node, heard },
  });
  if (node.isOwn(counter)) return stale("replay or network loop detected");
  if (strictReplay && carpInterface.isReplay(vhid, heard))
    return stale("replay detected: the counter is not new");
  return { carpInterface, node, heard };
}
