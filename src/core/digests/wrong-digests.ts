/**
 * WrongDigests: the hosts whose advertisements for our virtual hosts have wrong digests, and why they are wrong once
 * that is found out. Decides whose advertisement is looked into, and when: that costs many HMACs, and any host can send
 * forged ones. It never makes one believed.
 */

import type { Effect } from "../effect.ts";
import { SECOND } from "../election/timing.ts";
import type { CarpInterface } from "../interface/carp-interface.ts";
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

interface Sender {
  readonly interface: string;
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
  question(of: CarpInterface, wrong: WrongDigest): DigestQuestion;
  emit(effect: Effect): void;
  /** Tells of what was found out. */
  explained(
    of: { readonly interface: string; readonly vhid: number; readonly source: string },
    explanation: DigestExplanation,
  ): void;
}

export class WrongDigests {
  readonly #host: HostOfWrongDigests;
  readonly #senders = new Map<string, Sender>();
  /** The question that is being answered. */
  #asked: { readonly key: string; readonly id: number; readonly atUs: Micros } | undefined;
  #lastId = 0;
  #notBeforeUs: Micros = 0;

  constructor(host: HostOfWrongDigests) {
    this.#host = host;
  }

  /** An advertisement with a wrong digest was discarded. */
  heard(of: CarpInterface, wrong: WrongDigest, { us }: Instant): void {
    const key = keyOf(of.name, wrong);
    if (us - (this.#senders.get(key)?.lastUs ?? us) > FORGOTTEN_US) this.#senders.delete(key);
    const known = this.#senders.get(key) ?? this.#admit(key, of.name, wrong, us);
    if (known === undefined) return;
    known.lastUs = us;
    known.untilUs = us + Math.max(AGAIN_US, 4 * wrong.intervalUs);
    if (us - known.sinceUs < PATIENCE_US || us - known.askedUs < AGAIN_US || us < this.#notBeforeUs) return;
    // One at a time; an answer may be lost with what asked for it.
    if (this.#asked !== undefined && us - this.#asked.atUs < AGAIN_US) return;
    known.askedUs = us;
    this.#notBeforeUs = us + APART_US;
    this.#asked = { key, id: ++this.#lastId, atUs: us };
    this.#host.emit({ kind: "explain-digest", id: this.#lastId, question: this.#host.question(of, wrong) });
  }

  /** Takes a sender up; a flood of forged sources displaces none that was heard twice. */
  #admit(key: string, name: string, { vhid, source }: WrongDigest, us: Micros): Sender | undefined {
    if (this.#senders.size >= MOST_SENDERS && !this.#makeRoom(us)) return undefined;
    const askedUs = Number.NEGATIVE_INFINITY;
    const sender: Sender = { interface: name, vhid, source, sinceUs: us, lastUs: us, untilUs: us, askedUs };
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
  believed({ name }: CarpInterface, of: { readonly vhid: number }, source: string): void {
    if (this.#senders.size > 0) this.#senders.delete(keyOf(name, { vhid: of.vhid, source }));
  }

  /** The interface is gone or changed: what was found out about its peers may be wrong. */
  forget(name: string): void {
    for (const [key, sender] of this.#senders) if (sender.interface === name) this.#senders.delete(key);
  }

  /** What was found out about the peers of an interface: known causes first, the latest first. */
  view(name: string): WrongDigestView[] {
    const views = [...this.#senders.values()].flatMap(
      ({ interface: of, vhid, source, lastUs, untilUs, explanation }): WrongDigestView[] =>
        of === name && explanation !== undefined
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
