/**
 * LinkLocalDigests: whether the digests that a virtual host sends cover the link-local addresses. Both forms
 * are accepted, but OpenBSD understands only the one without them, FreeBSD and NetBSD only the one with them:
 * the form follows the peers that are heard. Peers of both kinds cannot agree with one another: then link-local
 * addresses are covered. Hosts of ours understand both: one that covers them is followed, since it knows such a peer; one
 * that leaves them out proves nothing.
 */

import type { LinkLocals } from "../../protocol/authentication.ts";
import { intervalUs, isBowOut, SECOND } from "../election/timing.ts";
import type { Heard, Micros } from "../model.ts";
import { RareMap } from "../rare.ts";

type Form = Exclude<LinkLocals, "none">;

/** The peers that an advertisement is evidence of: `ours` is a host of ours that covers link-local addresses. */
type Kind = Form | "ours";

/** A peer of one kind, by its latest advertisements. */
interface Speaker {
  readonly source: string;
  /** Since when such peers have been heard without a break. */
  readonly sinceUs: Micros;
  readonly lastUs: Micros;
  readonly advertisements: number;
  /** After this time without an advertisement it counts as gone. */
  readonly untilUs: Micros;
}

/** What changes by an advertisement. */
export interface LinkLocalChange {
  /** For the log. */
  readonly texts: readonly string[];
  /** Another form is sent from now on. */
  readonly formChanged: boolean;
}

const UNCHANGED: LinkLocalChange = { texts: [], formChanged: false };
/**
 * The advertisements that are evidence enough: one may be a recording, but not of a host of ours; and such a host
 * is not known at once when its clock differs.
 */
const ENOUGH = { covered: 2, "left-out": 4, ours: 1 } as const satisfies Record<Kind, number>;
const LEAST_LIFE_US: Micros = SECOND;
/** Runs of counters that are remembered, and the greatest step within one: the BSDs count on by one. */
const MAX_RUNS = 64;
const MAX_STEP = 256n;
/** The form does not go back sooner than this, and after twice as long each time when that was wrong. */
const FIRST_HOLD_US: Micros = 10 * SECOND;
const LONGEST_HOLD_US: Micros = 3_600 * SECOND;

export class LinkLocalDigests {
  #form: Form;
  readonly #speakers = new RareMap<Kind, Speaker>();
  /** Counters that have been heard with link-local addresses covered: one of them again is a recording. */
  readonly #runs: { readonly first: bigint; readonly last: bigint }[] = [];
  /** When the form went back to leaving link-local addresses out. */
  #wentBackUs: Micros = Number.NEGATIVE_INFINITY;
  #holdUs: Micros = FIRST_HOLD_US;
  /** It does not go back before this time. */
  #heldUntilUs: Micros = 0;
  #conflict: { readonly text: string; readonly untilUs: Micros } | undefined;

  /** @param saved the form that an earlier engine sent */
  constructor(saved: Form = "left-out") {
    this.#form = saved;
  }

  /** The form to send. */
  get form(): Form {
    return this.#form;
  }

  /** Which peers could not agree last, in words, and until when that holds. */
  get conflict(): { readonly text: string; readonly untilUs: Micros } | undefined {
    return this.#conflict;
  }

  /** Notes the form of an accepted advertisement. @param isOurs whether its sender is known to run this program */
  heard(form: Form, heard: Heard, isOurs: boolean, nowUs: Micros): LinkLocalChange {
    const kind: Kind = form === "covered" && isOurs ? "ours" : form;
    if (isBowOut(heard)) {
      if (this.#speakers.get(kind)?.source === heard.source) this.#speakers.delete(kind);
      return UNCHANGED;
    }
    if (form === "left-out" && isOurs) return UNCHANGED;
    if (kind === "covered" && !this.#isNew(heard.counter)) return UNCHANGED;
    this.#note(kind, heard, nowUs);
    const followed = this.#follow(kind, nowUs);
    const conflict = this.#noteConflict(nowUs);
    const texts = [followed, conflict].filter((text) => text !== undefined);
    return { texts, formChanged: followed !== undefined };
  }

  #note(kind: Kind, { source, advbase, advskew }: Heard, nowUs: Micros): void {
    const former = this.#speakers.get(kind);
    const goesOn = former !== undefined && nowUs <= former.untilUs;
    this.#speakers.set(kind, {
      source,
      sinceUs: goesOn ? former.sinceUs : nowUs,
      lastUs: nowUs,
      advertisements: goesOn ? former.advertisements + 1 : 1,
      untilUs: nowUs + Math.max(LEAST_LIFE_US, 4 * intervalUs(advbase, advskew)),
    });
  }

  /**
   * Changes the form. A peer that covers link-local addresses shows that it is there with each counter; one that
   * leaves them out may be a recording, since OpenBSD's counter stays the same. @returns a text for the log
   */
  #follow(kind: Kind, nowUs: Micros): string | undefined {
    const speaker = this.#alive(kind, nowUs);
    const form = kind === "ours" ? "covered" : kind;
    if (form === this.#form || speaker === undefined || speaker.advertisements < ENOUGH[kind])
      return undefined;
    if (form === "left-out") {
      if (this.#alive("covered", nowUs) !== undefined || nowUs < this.#heldUntilUs) return undefined;
      this.#form = form;
      this.#wentBackUs = nowUs;
      return `${speaker.source} does not sign the link-local addresses: this host no longer signs them`;
    }
    const lifeUs = speaker.untilUs - nowUs;
    // Another host of ours may need longer to go back.
    if (kind === "ours" && nowUs - this.#wentBackUs < 2 * lifeUs) return undefined;
    const wasWrong = nowUs - this.#wentBackUs < 8 * this.#holdUs + 4 * lifeUs;
    this.#holdUs = wasWrong ? Math.min(2 * this.#holdUs, LONGEST_HOLD_US) : FIRST_HOLD_US;
    this.#heldUntilUs = nowUs + this.#holdUs;
    this.#form = form;
    return `${speaker.source} signs the link-local addresses: this host signs them too`;
  }

  /** Notes whether peers are in conflict. @returns a text for the log if they were not before */
  #noteConflict(nowUs: Micros): string | undefined {
    const [covered, leftOut] = [this.#speakers.get("covered"), this.#speakers.get("left-out")];
    if (covered === undefined || leftOut === undefined) return undefined;
    // Either is silent while this host's form is its own: then it was wrong to go back.
    const alternate = this.#holdUs > FIRST_HOLD_US && nowUs <= this.#heldUntilUs;
    if (!alternate && !areSideBySide(covered, leftOut, nowUs)) return undefined;
    const isKnown = nowUs <= (this.#conflict?.untilUs ?? 0);
    const text = `${covered.source} signs the link-local addresses and ${leftOut.source} does not: they cannot agree`;
    const untilUs = alternate ? this.#heldUntilUs : Math.min(covered.untilUs, leftOut.untilUs);
    this.#conflict = { text, untilUs };
    return isKnown ? undefined : text;
  }

  #alive(kind: Kind, nowUs: Micros): Speaker | undefined {
    const speaker = this.#speakers.get(kind);
    return speaker !== undefined && nowUs <= speaker.untilUs ? speaker : undefined;
  }

  /** Whether this counter was not heard before; notes it. */
  #isNew(counter: bigint): boolean {
    if (this.#runs.some(({ first, last }) => counter >= first && counter <= last)) return false;
    const at = this.#runs.findIndex(({ last }) => counter > last && counter - last <= MAX_STEP);
    const [{ first } = { first: counter }] = at < 0 ? [] : this.#runs.splice(at, 1);
    this.#runs.push({ first, last: counter });
    if (this.#runs.length > MAX_RUNS) this.#runs.shift();
    return true;
  }
}

/** Whether both have been heard for longer than a host of ours, not known yet, needs to follow one of them. */
function areSideBySide(a: Speaker, b: Speaker, nowUs: Micros): boolean {
  const sinceUs = Math.max(a.sinceUs, b.sinceUs);
  return [a, b].every(({ lastUs, untilUs }) => nowUs <= untilUs && lastUs - sinceUs >= untilUs - lastUs);
}
