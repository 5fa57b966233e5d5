/**
 * Mastership: what a virtual host does while it is MASTER. It advertises, holds a lease as long as that works, announces
 * its addresses, and answers other masters. Decides nothing about states: virtual-host.ts does, and asks for nothing here
 * in another state.
 */

import { comparePrecedence } from "../../protocol/address.ts";
import type { HeaderFields } from "../counters/counter-format.ts";
import type { VirtualHostCounters } from "../counters/virtual-host-counters.ts";
import type { Timer } from "../event.ts";
import type { Heard, Instant, Micros } from "../model.ts";
import { Ahead, moreAheadUs, timesAhead } from "./ahead.ts";
import { Announcements } from "./announcements.ts";
import { Answers, MAX_ANSWERS_AN_INTERVAL } from "./answers.ts";
import type { Hearing } from "./hearing.ts";
import { Lease } from "./lease.ts";
import type { Owner } from "./owner.ts";
import { BOW_OUT, leaseUs, MILLISECOND, masterDownUs, nextAdvertisementUs } from "./timing.ts";

/** What its advertisements say, and the interval that this stands for. */
export interface Said {
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly intervalUs: Micros;
}

export interface MastershipOptions {
  readonly owner: Owner;
  readonly vhid: number;
  readonly counters: VirtualHostCounters;
  readonly hearing: Hearing;
  readonly says: () => Said;
}

export class Mastership {
  readonly #options: MastershipOptions;
  readonly #lease = new Lease();
  readonly #answers = new Answers();
  readonly #announcements: Announcements;
  readonly #ahead = new Ahead();
  readonly #timer: Timer;
  /** When the next advertisement is due that has not been sent, nor made ahead. */
  #advertiseAtUs: Micros = 0;
  /** Whether it took over from a master that was heard, which goes on answering until it hears of this one. */
  #relieves = false;

  constructor(options: MastershipOptions) {
    this.#options = options;
    const { vhid, owner } = options;
    this.#timer = { kind: "advertise", interface: owner.name, vhid };
    const announceTimer: Timer = { kind: "announce", interface: owner.name, vhid };
    this.#announcements = new Announcements({
      announce: (part) => owner.transmitter.announce(vhid, this.#lease.untilUs, part),
      arm: (atUs) => owner.emit({ kind: "arm", timer: announceTimer, atUs }),
      cancel: () => owner.emit({ kind: "cancel", timer: announceTimer }),
    });
  }

  /** Begins it at a takeover. @param relieves whether a master was heard within the master-down time */
  begin(relieves: boolean, now: Instant): void {
    this.#lease.grant(now.us + this.#leaseUs(now.us));
    // Before the advertisement, which draws the clients' packets here at once.
    this.#grantLease();
    this.#relieves = relieves;
    this.advertise(now);
    this.announce();
    this.#announcements.tookOver();
    this.paceAnnouncements(now);
    this.#answers.renew();
  }

  /** Goes on with it, under a lease of an earlier engine. */
  resume(leaseUntilUs: Micros, now: Instant): void {
    this.#lease.resume(leaseUntilUs);
    this.advertise(now);
    // The carpdev may have got another MAC since the earlier engine announced it.
    if (this.#options.owner.transmitter.announceEveryUs > 0) this.#announcements.repeat();
  }

  /** Bows out: the lease stays until `end`. */
  bowOut(now: Instant): void {
    this.#cease(now.us);
    this.#send({ ...BOW_OUT, demote: this.#options.says().demote }, now);
  }

  end(nowUs: Micros): void {
    this.#cease(nowUs);
    this.#emitLease(0);
  }

  #cease(nowUs: Micros): void {
    this.recall(nowUs);
    this.#options.owner.emit({ kind: "cancel", timer: this.#timer });
    this.#announcements.stop();
  }

  isLeaseOver(atUs: Micros): boolean {
    return this.#lease.isOver(atUs);
  }

  /**
   * Advertises: at once, since the peers of a silent master have to hear of this host before they take over as well. Until
   * a master that answers has heard of it, only when the device is in place and this host can answer instead.
   */
  advertise(now: Instant): void {
    this.recall(now.us);
    this.#advertise(now);
  }

  #advertise(now: Instant): void {
    const { advbase, advskew, demote, intervalUs } = this.#options.says();
    this.#lease.promise(this.#leaseUs(now.us, intervalUs));
    this.#send({ advbase, advskew, demote }, now, this.#isUnheard);
    // The next interval counts from when this one was due, so that small delays do not add up; after a long
    // one from now.
    const dueUs = this.#advertiseAtUs;
    const onTime = dueUs <= now.us && now.us < dueUs + intervalUs;
    this.#arm(nextAdvertisementUs(onTime ? dueUs : now.us, intervalUs));
  }

  /** Advertises an interval from now, unless that is due earlier. */
  advertiseWithinInterval(now: Instant): void {
    this.recall(now.us);
    this.#arm(Math.min(this.#advertiseAtUs, now.us + this.#options.says().intervalUs));
  }

  /**
   * The advertise timer fired: advertises, and announces again when that is due. The announcement goes first: a host that
   * the advertisement moves to take over would lose the switch to an announcement behind it. Or it fired between two
   * advertisements, to make the next ones ahead.
   */
  advertiseTimer(now: Instant): void {
    const dueUs = this.#advertiseAtUs;
    if (now.us >= dueUs) {
      if (this.#announcements.advertised()) this.announce();
      this.#advertise(now);
      if (this.#mayAdvertiseAhead(now)) this.#armAt((now.us + this.#advertiseAtUs) / 2);
    } else if (!this.#mayAdvertiseAhead(now) || !this.#advertiseAhead(now)) this.#armAt(dueUs);
  }

  /** Whether the next advertisements can be made now: they will be like this one, and nothing else is to be done with them. */
  #mayAdvertiseAhead(now: Instant): boolean {
    const { owner, hearing, says } = this.#options;
    return (
      owner.mayAdvertiseAhead &&
      this.#lease.isRenewed &&
      !this.#announcements.isPlanned &&
      !hearing.hasPeers &&
      this.#ahead.pays(now.us, says().intervalUs)
    );
  }

  /** Makes the next advertisements ahead, and plans when the ones behind them are made. @returns whether it could */
  #advertiseAhead(now: Instant): boolean {
    const { owner, vhid, counters } = this.#options;
    const { advbase, advskew, demote, intervalUs } = this.#options.says();
    const fields = { advbase, advskew, demote };
    const style = owner.counterStyle;
    const timesUs = timesAhead(this.#advertiseAtUs, intervalUs, now.us);
    const lastUs = timesUs.at(-1);
    if (lastUs === undefined) return false;
    const epochOffsetUs = now.epochUs - now.us;
    const waiting = this.#ahead.waiting();
    const times = [...waiting, ...timesUs.map((us) => ({ us, epochUs: us + epochOffsetUs }))];
    const made = counters.foresee(fields, style, { times, now }).slice(waiting.length);
    const leaseUs = this.#leaseUs(now.us, intervalUs);
    const before = waiting.at(-1)?.us;
    const heldUs = before === undefined ? this.#lease.untilUs : before + leaseUs;
    const advertisements = made.map((counter, n) => {
      const atUs = timesUs[n] ?? lastUs;
      const untilUs = n === 0 ? heldUs : (timesUs[n - 1] ?? 0) + leaseUs;
      return { fields: { ...fields, counter }, atUs, untilUs, leaseUntilUs: atUs + leaseUs };
    });
    const families = owner.transmitter.advertiseAhead(vhid, advertisements);
    if (families === undefined) return false;
    this.#ahead.add({ fields, style, families, leaseUs, epochOffsetUs, timesUs });
    this.#advertiseAtUs = nextAdvertisementUs(lastUs, intervalUs);
    this.#armAt(Math.max(now.us, moreAheadUs(lastUs, intervalUs)));
    return true;
  }

  /** Takes the advertisements into account that were made ahead and have left by now. */
  settle(nowUs: Micros): void {
    if (!this.#ahead.isDue(nowUs)) return;
    const { owner, counters } = this.#options;
    this.#ahead.take(nowUs, ({ fields, style, families, leaseUs }, at) => {
      counters.next(fields, style, at);
      owner.leftAhead(families);
      this.#lease.resume(at.us + leaseUs);
    });
  }

  /** Calls back the advertisements made ahead that have not left: something else happens. */
  recall(nowUs: Micros): void {
    this.settle(nowUs);
    const { nextUs } = this.#ahead;
    if (nextUs !== undefined) this.#arm(nextUs);
    this.#callBack(nowUs);
  }

  #callBack(nowUs: Micros): void {
    const { owner, vhid } = this.#options;
    if (this.#ahead.disturb(nowUs)) owner.emit({ kind: "recall", interface: owner.name, vhid });
  }

  /** The advertisement made ahead for this time did not leave, nor any behind it. @param inPart it left over one family */
  aheadEnded(atUs: Micros, inPart: boolean, nowUs: Micros): void {
    this.settle(Math.min(nowUs, atUs - 1));
    this.#arm(Math.min(atUs, this.#ahead.nextUs ?? atUs));
    const { counters } = this.#options;
    if (inPart) this.#ahead.take(atUs, ({ fields, style }, at) => counters.next(fields, style, at));
    this.#callBack(nowUs);
  }

  /** An advertisement left: the lease is renewed from that moment. */
  advertisementLeft(leftUs: Micros): void {
    const isFirst = this.#isUnheard;
    this.#lease.renew(leftUs, this.#leaseUs(leftUs));
    this.#grantLease();
    if (isFirst) this.#announcements.relieved(leftUs);
  }

  /** An advertisement did not leave. A takeover's lease was granted for its first one: it is taken back. */
  takeBackLease(): void {
    if (!this.#lease.isRenewed) this.#emitLease(0);
  }

  /** An advertisement did not leave. The lease may expire before the next one is due: the timer fires then, to give way. */
  advertisementFailed(): void {
    const expiredUs = this.#lease.untilUs + MILLISECOND;
    if (expiredUs < this.#advertiseAtUs) this.#arm(expiredUs);
  }

  /** Announces all addresses. */
  announce(): void {
    const { owner, vhid } = this.#options;
    owner.transmitter.announce(vhid, this.#lease.untilUs);
  }

  /** The announce timer fired. */
  announceTimer(now: Instant): void {
    this.#announcements.timer(now.us);
  }

  /** Plans that all addresses are announced with the next advertisement. */
  announceAgain(): void {
    this.#announcements.repeat();
  }

  /** Announces at the pace of the present configuration. */
  paceAnnouncements(now: Instant): void {
    const { addresses, transmitter } = this.#options.owner;
    this.#announcements.setPace(addresses.length, transmitter.announceEveryUs, now.us);
  }

  /** Its addresses have another MAC now: a filter for that one holds no lease yet, and clients have the old. */
  macChanged(now: Instant): void {
    this.#grantLease();
    this.advertise(now);
    this.announce();
    this.#announcements.tookOver();
  }

  /** Answers another MASTER that has to give way; see answers.ts. @returns whether it is news that there is one */
  answer(other: Heard, now: Instant): boolean {
    const { intervalUs } = this.#options.says();
    const answer = this.#answers.to(other, intervalUs, now.us);
    if (answer.kind === "later" && answer.atUs < this.#advertiseAtUs) this.#arm(answer.atUs);
    if (answer.kind !== "now") return false;
    if (answer.advertise) this.advertise(now);
    this.announce();
    return this.#answers.contested(masterDownUs(intervalUs), now.us);
  }

  /**
   * Whether an advertisement whose counter is not new is to be answered: another MASTER that does not accept ours may have
   * sent it, one with a counter of the same microsecond as ours, so that each takes the other's advertisement for its own,
   * or one whose counters are behind (strict_replay).
   */
  allowsAnswerToStale(heard: Heard, now: Instant): boolean {
    const { owner, counters, says } = this.#options;
    const own = owner.transmitter.source(heard.family, heard.source);
    if (own === undefined || own === heard.source || comparePrecedence(own, heard.source) === 0) return false;
    const { tag, signed } = owner.counterStyle;
    const { intervalUs } = says();
    if (!signed || heard.counter !== counters.lastSent) return this.#answers.allowStale(intervalUs, now.us);
    // Where the limit of answers is reached, the one that differs is still to come: further copies take none of its answers.
    if (counters.willDiffer) return true;
    counters.collided(tag);
    if (this.#answers.allowCollision(intervalUs, now.us)) return true;
    // In a crowd no answers may be left: the next advertisement makes the difference, and comes soon.
    this.#arm(Math.min(this.#advertiseAtUs, now.us + intervalUs / MAX_ANSWERS_AN_INTERVAL));
    return false;
  }

  /** Whether it relieves a master that cannot have heard of it: no advertisement has left. */
  get #isUnheard(): boolean {
    return this.#relieves && !this.#lease.isRenewed;
  }

  /** Length of the lease that an advertisement renews, from the time when it leaves. */
  #leaseUs(leftUs: Micros, intervalUs = this.#options.says().intervalUs): Micros {
    const { owner, hearing } = this.#options;
    return leaseUs(owner.advbase, intervalUs, hearing.shortestIntervalUs(leftUs));
  }

  #grantLease(): void {
    this.#emitLease(this.#lease.untilUs);
  }

  #emitLease(untilUs: Micros): void {
    const { owner, vhid } = this.#options;
    owner.emit({ kind: "lease", interface: owner.name, vhid, untilUs });
  }

  /** @param waits until the device is in place */
  #send(fields: HeaderFields, now: Instant, waits = false): void {
    const { owner, vhid, counters } = this.#options;
    const counter = counters.next(fields, owner.counterStyle, now);
    owner.transmitter.advertise(vhid, { ...fields, counter }, this.#lease.untilUs, waits);
  }

  #arm(atUs: Micros): void {
    this.#advertiseAtUs = atUs;
    this.#armAt(atUs);
  }

  #armAt(atUs: Micros): void {
    this.#options.owner.emit({ kind: "arm", timer: this.#timer, atUs });
  }
}
