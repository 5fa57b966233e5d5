/**
 * Receiver: hands each packet received to its virtual host, or discards it: counted, logged, and kept as the
 * last one of its kind for `doctor`. input.ts has the checks.
 */

import { sourceMac } from "../protocol/frame.ts";
import type { Diagnosis } from "./digests/diagnosis.ts";
import type { Effect, LogFields } from "./effect.ts";
import { intervalUs } from "./election/timing.ts";
import type { VirtualHost } from "./election/virtual-host.ts";
import type { Event, Repeated } from "./event.ts";
import { type Accepted, checkInput, type Discarded, type ReceivingHost, staleness } from "./input.ts";
import type { CarpInterface } from "./interface/carp-interface.ts";
import type { Family, Heard, Instant, Priority } from "./model.ts";
import type { StatisticName } from "./statistics.ts";
import { UnicastMasters } from "./unicast-masters.ts";
import { type VirtualRouter, VirtualRouters } from "./virtual-routers.ts";

type Copy = Repeated["copies"][number];

/** The part of the host that receiving uses. */
export interface HostOfReceiver extends ReceivingHost {
  readonly diagnosis: Diagnosis;
  /** Counts in the statistics of the host, and of the interface. */
  count(statistic: StatisticName, of?: CarpInterface, times?: number): void;
  emit(effect: Effect): void;
  log(priority: Priority, text: string, fields: LogFields): void;
}

export class Receiver {
  readonly #host: HostOfReceiver;
  readonly #virtualRouters = new VirtualRouters();
  readonly #unicasts = new UnicastMasters();
  /** Whether any have waited since `unfold`. */
  #folds = false;
  /** The last advertisements whose repetitions wait, or did, by family. */
  readonly #folded = new WeakMap<VirtualHost, { [family in Family]?: Accepted }>();

  constructor(host: HostOfReceiver) {
    this.#host = host;
  }

  /** A frame arrived on a carpdev. */
  frame({ carpdev, bytes, receivedUs }: Extract<Event, { kind: "frame" }>, now: Instant): void {
    const { family, verdict } = checkInput(bytes, { carpdev, receivedUs, now, host: this.#host });
    const of = verdict?.carpInterface;
    if (family !== undefined) this.#host.count(receivedOver(family), of);
    if (verdict === undefined) return;
    if ("statistic" in verdict) {
      this.#discard(verdict, now);
      this.#noteWrongDigest(carpdev, verdict, bytes, now);
      verdict.stale?.node.heardStale(verdict.stale.heard, now);
      return;
    }
    const { vhid } = verdict.node;
    this.#host.diagnosis.believed(verdict.carpInterface, { vhid, source: verdict.heard.source });
    if (verdict.concedes) {
      verdict.node.concededTo(verdict.heard, now);
      if (this.#unicasts.heard(verdict)) this.#noteUnicasts(verdict, now);
      return;
    }
    verdict.carpInterface.accept(verdict.node, verdict.heard, verdict.form, now);
    const silence = verdict.carpInterface.silenceAfter(verdict);
    if (silence === undefined) return;
    this.#remember(verdict);
    this.#folds = true;
    const { timer, waitUs } = silence;
    this.#host.emit({ kind: "fold", carpdev, frame: bytes, timer, waitUs });
  }

  #remember(accepted: Accepted): void {
    const { node, heard } = accepted;
    const folded = this.#folded.get(node);
    if (folded === undefined) this.#folded.set(node, { [heard.family]: accepted });
    else folded[heard.family] = accepted;
  }

  /** Called when a state or a setting changes: what no longer mattered may matter again. */
  unfold(): void {
    if (this.#folds) this.#host.emit({ kind: "unfold" });
    this.#folds = false;
  }

  /** Advertisements arrived that repeat others. The last one of each virtual host and family stands for all. */
  repeated(all: readonly Repeated[], now: Instant): void {
    const formers = all.map((each) => this.#formerOf(each));
    const last: (Heard | undefined)[] = [];
    const overBoth: { readonly at: number; readonly copy: Copy }[] = [];
    const meet = (at: number, copy: Copy) => {
      last[at] = this.#meet(formers[at], copy, all[at]?.carpdev ?? "", now) ?? last[at];
    };
    // All hosts are met before any of this is accepted, which tells who has been silent.
    for (const [at, { copies }] of all.entries()) {
      const isOverBoth = this.#isFoldedOverBoth(formers[at]?.node);
      for (const copy of copies)
        if (isOverBoth) overBoth.push({ at, copy });
        else meet(at, copy);
    }
    // One after the other as they arrived: a counter that was heard over one family is heard over the other one before the
    // next, which may be much greater when a clock was set.
    overBoth.sort((one, other) => one.copy.receivedUs - other.copy.receivedUs);
    for (const { at, copy } of overBoth) meet(at, copy);
    for (const [at, former] of formers.entries()) {
      const heard = last[at];
      if (heard !== undefined) former?.carpInterface.accept(former.node, heard, former.form, now);
    }
  }

  /** Counts repeated advertisements. @returns what they repeat */
  #formerOf({ carpdev, vhid, family, copies }: Repeated): Accepted | undefined {
    const node = this.#host.with(carpdev, vhid)?.node(vhid);
    const former = node && this.#folded.get(node)?.[family];
    this.#host.count(receivedOver(family), former?.carpInterface, copies.length);
    return this.#host.allow ? former : undefined;
  }

  #isFoldedOverBoth(node: VirtualHost | undefined): boolean {
    const folded = node && this.#folded.get(node);
    return folded?.[4] !== undefined && folded[6] !== undefined;
  }

  /** Checks the counter of a repeated advertisement, and meets its host. @returns what was heard, if it is accepted */
  #meet(
    former: Accepted | undefined,
    { counter, receivedUs }: Copy,
    carpdev: string,
    now: Instant,
  ): Heard | undefined {
    if (former === undefined) return undefined;
    const heard = { ...former.heard, counter, receivedUs };
    const stale = staleness(former, heard, { carpdev, now });
    if (stale !== undefined) {
      this.#discard(stale, now);
      return undefined;
    }
    former.node.meet(heard);
    return heard;
  }

  /** A packet arrived on a device that carries no carp interface. */
  stray({ device, family }: Extract<Event, { kind: "stray" }>, now: Instant): void {
    this.#host.count(receivedOver(family));
    if (!this.#host.allow) return;
    const text = `carp packet received on ${device}, which carries no carp interface`;
    this.#discard({ statistic: "badInterface", priority: 6, text }, now);
  }

  /** Packets with no valid digest were dropped before they were looked at. */
  rateLimited({ device, family, count }: Extract<Event, { kind: "rate-limited" }>): void {
    this.#host.count(receivedOver(family), undefined, count);
    if (!this.#host.allow) return;
    this.#host.count("unexamined", undefined, count);
    this.#host.log(4, `${device}: rate limit: ${count} unauthenticated carp packets dropped`, {
      event: "rate-limited",
    });
  }

  /** The VRRP routers heard on the carpdevs. */
  virtualRouters(): VirtualRouter[] {
    return this.#virtualRouters.view();
  }

  carpdevGone(name: string): void {
    this.#virtualRouters.forget(name);
  }

  /** For `doctor` alone: each of them was taken for a concession. */
  #noteUnicasts({ carpInterface, node: { vhid }, heard: { source } }: Accepted, now: Instant): void {
    const text = `${carpInterface.name}: vhid ${vhid}: carppeer is set on the other host only: unicast advertisement from ${source}`;
    carpInterface.discarded({ counter: "badVhid", cause: "peer-there", source, text, atUs: now.us });
  }

  #noteWrongDigest(carpdev: string, packet: Discarded, frame: Uint8Array, now: Instant): void {
    const { carpInterface, unsigned, router, source } = packet;
    if (unsigned === undefined || router !== undefined || source === undefined) return;
    const { vhid, counter, digest, advbase, advskew } = unsigned;
    const wrong = {
      vhid,
      source,
      mac: sourceMac(frame),
      intervalUs: intervalUs(advbase, advskew),
      counter,
      digest,
    };
    this.#host.diagnosis.unsigned(carpdev, carpInterface, wrong, now);
  }

  #discard(packet: Discarded, now: Instant): void {
    const { statistic, priority, text, carpInterface: of, cause, source = "", router } = packet;
    this.#host.count(statistic, of);
    this.#host.log(priority, text, { event: "discarded", interface: of?.name });
    if (router !== undefined) this.#virtualRouters.heard({ ...router, atUs: now.us });
    else of?.discarded({ counter: statistic, cause, source, text, atUs: now.us });
    this.#host.emit({ kind: "discarded", counter: statistic, interface: of?.name, text });
  }
}

function receivedOver(family: Family): StatisticName {
  return family === 4 ? "receivedIpv4" : "receivedIpv6";
}
