/**
 * WrongDigests: the hosts whose advertisements for our virtual hosts have wrong digests, or are for a vhid that there is
 * not here, and what is found out about them. Decides whose advertisement is looked into, and when: that costs many HMACs, and any host can send
 * forged ones. It never makes one believed.
 */

import type { Effect } from "../effect.ts";
import { SECOND } from "../election/timing.ts";
import type { Instant, Micros } from "../model.ts";
import type { WrongDigestView } from "../view.ts";
import type { DigestExplanation, DigestQuestion } from "./question.ts";

/** Two hosts disagree for a moment while one of them is configured. */
export const PATIENCE_US: Micros = 2 * SECOND;
/** Between two explanations for one sender, and for all of them together. */
export const AGAIN_US: Micros = 10 * SECOND;
export const APART_US: Micros = SECOND / 5;
/** A sender that was not heard for so long is forgotten, and its place free for another one. */
export const FORGOTTEN_US: Micros = 60 * SECOND;
/** Senders that are known at a time, and that are shown of one interface. */
export const MOST_SENDERS = 64;
const MOST_SHOWN = 8;

/** An advertisement with a wrong digest. */
export interface WrongDigest {
  readonly vhid: number;
  readonly source: string;
  /** As advertised, signed by nobody. */
  readonly intervalUs: Micros;
  /** The Ethernet source. */
  readonly mac: string;
  readonly counter: bigint;
  readonly digest: Uint8Array;
}

/** A host that sends such advertisements. */
export interface Sender {
  /** The interface that they arrived for; the carpdev, for a vhid that there is not here. */
  readonly place: string;
  readonly vhid: number;
  readonly source: string;
  readonly sinceUs: Micros;
  lastUs: Micros;
  untilUs: Micros;
  /** When its advertisement was last looked into. */
  askedUs: Micros;
  explanation?: DigestExplanation | undefined;
}

export interface HostOfWrongDigests {
  /** An id that no other question has. */
  nextId(): number;
  emit(effect: Effect): void;
  /** Tells of what was found out. */
  explained(sender: Sender, explanation: DigestExplanation): void;
}

export class WrongDigests {
  readonly #host: HostOfWrongDigests;
  readonly #senders = new Map<string, Sender>();
  /** The question that is being answered. */
  #asked: { readonly key: string; readonly id: number; readonly atUs: Micros } | undefined;
  #notBeforeUs: Micros = 0;

  constructor(host: HostOfWrongDigests) {
    this.#host = host;
  }

  /** Such an advertisement was discarded. */
  heard(place: string, wrong: WrongDigest, question: () => DigestQuestion, { us }: Instant): void {
    const key = keyOf(place, wrong);
    if (us - (this.#senders.get(key)?.lastUs ?? us) > FORGOTTEN_US) this.#forget(key);
    const known = this.#senders.get(key) ?? this.#admit(key, place, wrong, us);
    if (known === undefined) return;
    known.lastUs = us;
    known.untilUs = us + Math.max(AGAIN_US, 4 * wrong.intervalUs);
    if (us - known.sinceUs < PATIENCE_US || us - known.askedUs < AGAIN_US || us < this.#notBeforeUs) return;
    // One at a time; an answer may be lost with what asked for it.
    if (this.#asked !== undefined && us - this.#asked.atUs < AGAIN_US) return;
    known.askedUs = us;
    this.#notBeforeUs = us + APART_US;
    const id = this.#host.nextId();
    this.#asked = { key, id, atUs: us };
    this.#host.emit({ kind: "explain-digest", id, question: question() });
  }

  /** Takes a sender up; a flood of forged sources displaces none that was heard twice. */
  #admit(key: string, place: string, { vhid, source }: WrongDigest, us: Micros): Sender | undefined {
    if (this.#senders.size >= MOST_SENDERS && !this.#makeRoom(us)) return undefined;
    const askedUs = Number.NEGATIVE_INFINITY;
    const sender: Sender = { place, vhid, source, sinceUs: us, lastUs: us, untilUs: us, askedUs };
    this.#senders.set(key, sender);
    return sender;
  }

  #makeRoom(us: Micros): boolean {
    for (const [key, { sinceUs, lastUs }] of this.#senders)
      if (lastUs === sinceUs || us - lastUs > FORGOTTEN_US) return this.#senders.delete(key);
    return false;
  }

  /** The question was answered. */
  explained({ id, explanation }: { readonly id: number; readonly explanation: DigestExplanation }): void {
    if (this.#asked?.id !== id) return;
    const sender = this.#senders.get(this.#asked.key);
    this.#asked = undefined;
    if (sender === undefined) return;
    const isNews = sender.explanation?.text !== explanation.text;
    sender.explanation = explanation;
    if (isNews) this.#host.explained(sender, explanation);
  }

  /** An advertisement of this sender was believed. */
  believed(place: string, of: { readonly vhid: number; readonly source: string }): void {
    if (this.#senders.size > 0) this.#forget(keyOf(place, of));
  }

  /** An interface, or a carpdev, is gone or changed: what was found out about it may be wrong. */
  forget(place: string): void {
    for (const [key, sender] of this.#senders)
      if (sender.place === place || sender.explanation?.interface === place) this.#forget(key);
  }

  #forget(key: string): void {
    this.#senders.delete(key);
    if (this.#asked?.key === key) this.#asked = undefined;
  }

  /** The senders that were heard there. */
  at(place: string): Sender[] {
    return [...this.#senders.values()].filter((sender) => sender.place === place);
  }

  /** What was found out about the peers of an interface: known causes first, the latest first. */
  view(name: string): WrongDigestView[] {
    const views = [...this.#senders.values()].flatMap(
      ({ place, vhid, source, lastUs, untilUs, explanation }): WrongDigestView[] =>
        explanation !== undefined && (explanation.interface ?? place) === name
          ? [{ vhid, source, ...explanation, atUs: lastUs, untilUs }]
          : [],
    );
    const isUnknown = ({ cause }: WrongDigestView) => Number(cause === "unknown");
    return views.sort((a, b) => isUnknown(a) - isUnknown(b) || b.atUs - a.atUs).slice(0, MOST_SHOWN);
  }
}

function keyOf(name: string, { vhid, source }: { readonly vhid: number; readonly source: string }): string {
  return `${name} ${vhid} ${source}`;
}
