/**
 * One virtual host: the state machine of one vhid (INIT, BACKUP, MASTER), its timers and its lease. The
 * frames, device and settings that all nodes of a carp interface share belong to the interface, and are
 * reached through `Owner`.
 */

import { comparePrecedence } from "../../protocol/address.ts";
import type { HeaderFields } from "../counters/counter-format.ts";
import type { VirtualHostCounters } from "../counters/virtual-host-counters.ts";
import type { Effective } from "../demotion.ts";
import type { Timer } from "../event.ts";
import type { Heard, Instant, Micros, VirtualHostState } from "../model.ts";
import { reasonText, type TransitionReason } from "../reason.ts";
import type { NodeView } from "../view.ts";
import { Announcements } from "./announcements.ts";
import { Answers } from "./answers.ts";
import { Concession, slowerThan } from "./concession.ts";
import { Hearing } from "./hearing.ts";
import { Lease } from "./lease.ts";
import type { Owner } from "./owner.ts";
import { PreemptDelay } from "./preempt-delay.ts";
import { decideAsBackup, decideAsMaster, type Standing, staysAfterTie } from "./rules.ts";
import {
  BOW_OUT,
  intervalUs,
  isBowOut,
  LINGER_US,
  leaseUs,
  MILLISECOND,
  masterDownUs,
  nextAdvertisementUs,
  SECOND,
} from "./timing.ts";

/** An advertisement heard, with the interval that its advbase and advskew stand for. */
type HeardAtInterval = Heard & { readonly intervalUs: Micros };

export class VirtualHost {
  readonly vhid: number;
  advskew: number;
  #state: VirtualHostState = "INIT";
  #sinceUs: Micros;
  #transitions = 0;
  readonly #hearing = new Hearing();
  /** BACKUP: when the last accepted advertisement was received, or when waiting began. */
  #silentSinceUs: Micros = 0;
  #masterDownAtUs: Micros = 0;
  #advertiseAtUs: Micros = 0;
  /** While MASTER. */
  readonly #lease = new Lease();
  /** MASTER, and has bowed out. */
  #leaving = false;
  /** Leaving for BACKUP, by `state backup`. */
  #givesWay = false;
  /** MASTER: whether it took over from a master that was heard, which goes on answering until it hears of this one. */
  #relieves = false;
  readonly #answers = new Answers();
  readonly #announcements: Announcements;
  readonly #concession = new Concession();
  readonly #preemptDelay = new PreemptDelay();
  readonly counters: VirtualHostCounters;
  readonly #owner: Owner;
  readonly #advertiseTimer: Timer;
  readonly #masterDownTimer: Timer;
  readonly #leaveTimer: Timer;

  constructor(owner: Owner, vhid: number, advskew: number, counters: VirtualHostCounters, now: Instant) {
    this.#owner = owner;
    this.vhid = vhid;
    this.advskew = advskew;
    this.counters = counters;
    this.#sinceUs = now.us;
    this.#advertiseTimer = { kind: "advertise", interface: owner.name, vhid };
    this.#masterDownTimer = { kind: "master-down", interface: owner.name, vhid };
    this.#leaveTimer = { kind: "leave", interface: owner.name, vhid };
    const announceTimer: Timer = { kind: "announce", interface: owner.name, vhid };
    this.#announcements = new Announcements({
      announce: (part) => owner.transmitter.announce(vhid, this.#lease.untilUs, part),
      arm: (atUs) => owner.emit({ kind: "arm", timer: announceTimer, atUs }),
      cancel: () => this.#cancel(announceTimer),
    });
  }

  get state(): VirtualHostState {
    return this.#state;
  }

  /** Whether it gives way (`state backup`): it has bowed out, and a `left` effect is still to come. */
  get givesWay(): boolean {
    return this.#givesWay;
  }

  /** Whether it is MASTER still, and has sent a bow-out. */
  get hasBowedOut(): boolean {
    return this.#state === "MASTER" && this.#leaving;
  }

  get #effective(): Effective {
    return this.#owner.effective(this.advskew);
  }

  get #intervalUs(): Micros {
    return this.#standing.intervalUs;
  }

  get #standing(): Standing {
    const { advskew, demote } = this.#effective;
    return { intervalUs: intervalUs(this.#owner.advbase, advskew), demote };
  }

  get #mayPreemptAtUs(): Micros {
    return this.#preemptDelay.endUs(this.#owner.preemptDelayUs);
  }

  /** Length of the lease that an advertisement renews, from the time when it leaves. */
  #leaseUs(leftUs: Micros, intervalUs = this.#intervalUs): Micros {
    return leaseUs(this.#owner.advbase, intervalUs, this.#hearing.shortestIntervalUs(leftUs));
  }

  /**
   * The interface runs: INIT -> BACKUP; or MASTER while a lease is in force, since then no peer has taken
   * over.
   */
  start(leaseUntilUs: Micros, now: Instant): void {
    this.#hearing.begin();
    this.#preemptDelay.begin(this.#effective.demote, now.us);
    if (leaseUntilUs > now.us) {
      this.#become("MASTER", { kind: "lease-in-force" }, now);
      this.#lease.resume(leaseUntilUs);
      this.#advertise(now);
      // The carpdev may have got another MAC since the earlier engine announced it.
      if (this.#owner.transmitter.announceEveryUs > 0) this.#announcements.repeat();
      return;
    }
    this.#become("BACKUP", { kind: "interface-runs" }, now);
    this.#waitForMaster(now.us);
  }

  /** The interface no longer runs, or changes its identity: -> INIT, without a bow-out. */
  stop(reason: TransitionReason, now: Instant): void {
    if (this.#state === "INIT") return;
    this.#cancel(this.#advertiseTimer);
    this.#cancel(this.#masterDownTimer);
    this.#hearing.forgetPeers();
    this.#concession.forget();
    this.#become("INIT", reason, now);
    this.#endLeaving();
  }

  /**
   * Sends a bow-out, so that a peer takes over. Stays MASTER until `stop`: the addresses remain until a
   * successor has them.
   */
  bowOut(now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    this.#leaving = true;
    this.#cancel(this.#advertiseTimer);
    this.#announcements.stop();
    this.#send({ ...BOW_OUT, demote: this.#effective.demote }, now);
    this.#owner.bowedOut();
  }

  /** Bows out, and stays MASTER until `stop`, which is called when a successor is heard or the leave timer fires. */
  leave(now: Instant): void {
    this.#givesWay = false;
    if (this.#leaving) return;
    this.bowOut(now);
    if (this.#leaving) this.#arm(this.#leaveTimer, now.us + LINGER_US);
  }

  /** The leave timer fired: no successor was heard. */
  leaveTimer(now: Instant): void {
    if (this.#givesWay) this.#yield({ kind: "forced" }, now.us, now);
  }

  /** `state master`: takes over from BACKUP, and again while it gives way. */
  forceMaster(now: Instant): void {
    this.leaveTimer(now);
    if (this.#state === "BACKUP") this.#takeOver({ kind: "forced" }, now);
  }

  /**
   * `state backup`: gives way as an interface that leaves does. Without the bow-out this host would take over again
   * before any other.
   */
  forceBackup(now: Instant): void {
    this.leave(now);
    this.#givesWay = this.#leaving;
  }

  /** An advertisement with a valid digest arrived for this virtual host. */
  accept(heard: Heard, now: Instant): void {
    this.#followPeers(now, heard);
    if (!this.#hearing.accept(heard, now.us)) return;
    const other = { ...heard, intervalUs: intervalUs(heard.advbase, heard.advskew) };
    if (this.#lostLease(now.us, now)) return;
    if (this.#state === "MASTER") this.#heardAsMaster(other, now);
    else if (this.#state === "BACKUP") this.#heardAsBackup(other, now);
  }

  /** Whether this is a master's advertisement and that master has to give way to this host. */
  outranks(heard: Heard): boolean {
    if (this.#state !== "MASTER" || this.#leaving || isBowOut(heard)) return false;
    const other = { intervalUs: intervalUs(heard.advbase, heard.advskew), demote: heard.demote };
    return decideAsMaster(this.#standing, other) === "answer";
  }

  /** Another master conceded to this one; see concession.ts. */
  concededTo(heard: Heard, now: Instant): void {
    if (!this.outranks(heard) || this.#lostLease(now.us, now)) return;
    // It gave way at the takeover, which all addresses were announced at.
    if (this.#tookOverJustNow(now)) this.#announcements.repeat();
    else this.#answer(heard, now);
  }

  #tookOverJustNow(now: Instant): boolean {
    return now.us - this.#sinceUs < this.#intervalUs;
  }

  /**
   * An advertisement with a valid digest whose counter is not new: it is not accepted, but a MASTER may
   * answer it. Another MASTER that does not accept ours may have sent it: one with a counter of the same
   * microsecond as ours, so that each takes the other's advertisement for its own, or one whose counters are
   * behind (strict_replay). An advertisement of ours makes it give way, or reply with a counter that is
   * ahead.
   */
  heardStale(heard: Heard, now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lease.isOver(now.us) || isBowOut(heard)) return;
    const own = this.#owner.transmitter.source(heard.family, heard.source);
    if (own === undefined || own === heard.source || comparePrecedence(own, heard.source) === 0) return;
    const { tag, signed } = this.#owner.counterStyle;
    const collides = signed && heard.counter === this.counters.lastSent;
    if (!this.#answers.allowStale(this.#intervalUs, now.us, collides)) return;
    if (collides) this.counters.collided(tag);
    this.#answer(heard, now);
  }

  /**
   * The master-down timer fired: takes over, unless the time is not over or this engine did not run
   * meanwhile.
   */
  masterDownTimer(now: Instant): void {
    this.#followPeers(now);
    if (this.#state !== "BACKUP") return;
    this.#concede(now);
    if (now.us < this.#masterDownAtUs) {
      this.#arm(this.#masterDownTimer, this.#masterDownAtUs);
      return;
    }
    // An engine that did not run for so long (the host slept, or the process was stopped) heard no master
    // either.
    const waitUs = masterDownUs(this.#intervalUs);
    if (now.us - this.#masterDownAtUs > Math.max(waitUs, SECOND)) this.#waitForMaster(now.us);
    else this.#takeOver({ kind: "master-silent" }, now);
  }

  /** The advertise timer fired: advertises, and announces again when that is due. */
  advertiseTimer(now: Instant): void {
    this.#followPeers(now);
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    this.#advertise(now);
    if (this.#announcements.advertised()) this.announce(now);
  }

  /** The announce timer fired. */
  announceTimer(now: Instant): void {
    if (this.#state === "MASTER" && !this.#lostLease(now.us, now)) this.#announcements.timer(now.us);
  }

  /** Announces at the pace of the present configuration, while MASTER. */
  paceAnnouncements(now: Instant): void {
    const { addresses, transmitter } = this.#owner;
    if (this.#state === "MASTER" && !this.#leaving)
      this.#announcements.setPace(addresses.length, transmitter.announceEveryUs, now.us);
  }

  /** Its addresses have another MAC now: a filter for that one holds no lease yet, and clients have the old. */
  macChanged(now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    this.#grantLease();
    this.#advertise(now);
    this.#owner.transmitter.announce(this.vhid, this.#lease.untilUs);
    this.#announcements.tookOver();
  }

  /** Announces the addresses of a MASTER: clients and switches may have lost where they are. */
  announce(now: Instant): void {
    if (this.#state === "MASTER" && !this.#leaving && !this.#lostLease(now.us, now))
      this.#owner.transmitter.announce(this.vhid, this.#lease.untilUs);
  }

  /** An announcement did not leave: it is repeated after the next advertisement. */
  announcementFailed(): void {
    this.#announcements.repeat();
  }

  /** An advertisement left: the lease is renewed from that moment, if it had not expired by then. */
  advertisementLeft(leftUs: Micros, now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(leftUs, now)) return;
    this.#lease.renew(leftUs, this.#leaseUs(leftUs));
    this.#grantLease();
  }

  /**
   * An advertisement did not leave. A takeover's lease was granted for its first advertisement: it is taken
   * back. Any other lease may expire before the next advertisement is due: the timer fires then, to give way.
   */
  advertisementFailed(): void {
    if (this.#state !== "MASTER" || this.#leaving) return;
    if (!this.#lease.isRenewed)
      this.#owner.emit({ kind: "lease", interface: this.#owner.name, vhid: this.vhid, untilUs: 0 });
    const expiredUs = this.#lease.untilUs + MILLISECOND;
    if (expiredUs < this.#advertiseAtUs) this.#arm(this.#advertiseTimer, expiredUs);
  }

  #grantLease(): void {
    const untilUs = this.#lease.untilUs;
    this.#owner.emit({ kind: "lease", interface: this.#owner.name, vhid: this.vhid, untilUs });
  }

  /** advbase, advskew or demotion changed. @param atOnce advertise the change now */
  settingsChanged(atOnce: boolean, now: Instant): void {
    this.#preemptDelay.demoted(this.#effective.demote, now.us);
    if (this.#state === "BACKUP") this.#waitForMaster(this.#silentSinceUs);
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    if (atOnce) this.#advertise(now);
    else this.#arm(this.#advertiseTimer, Math.min(this.#advertiseAtUs, now.us + this.#intervalUs));
  }

  view(): NodeView {
    const { advskew, demote } = this.#effective;
    const heard = this.#hearing.last;
    return {
      vhid: this.vhid,
      advskew: this.advskew,
      effectiveAdvskew: advskew,
      demote,
      state: this.#state,
      sinceUs: this.#sinceUs,
      transitions: this.#transitions,
      mayPreemptAtUs: this.#state === "BACKUP" && this.#owner.preempt ? this.#mayPreemptAtUs : undefined,
      heard: heard && {
        source: heard.source,
        advbase: heard.advbase,
        advskew: heard.advskew,
        demote: heard.demote,
        atUs: heard.receivedUs,
      },
      peers: this.#hearing.peers(),
    };
  }

  /** Emits the changes of peers. Called with every event, at least once in a master-down time. */
  #followPeers(now: Instant, heard?: Heard): void {
    for (const change of this.#hearing.peerChanges(now.us, heard))
      this.#owner.emit({ ...change, interface: this.#owner.name, vhid: this.vhid });
  }

  #heardAsMaster(other: HeardAtInterval, now: Instant): void {
    // A bow-out is no claim. It comes over each family, and the first copy may be what made this host MASTER.
    if (isBowOut(other)) return;
    if (this.#leaving) {
      this.#yield({ kind: "forced" }, other.receivedUs, now);
      return;
    }
    const decision = decideAsMaster(this.#standing, other);
    if (decision === "answer") this.#answer(other, now);
    else if (decision === "tie") this.#breakTie(other, now);
    else this.#yieldTo(other, decision, now);
  }

  #heardAsBackup(other: HeardAtInterval, now: Instant): void {
    this.#concession.heard(other);
    const { advbase } = this.#owner;
    // A demotion may end with this very advertisement (send-record.ts), before settingsChanged tells of it.
    this.#preemptDelay.demoted(this.#effective.demote, now.us);
    const preempt = this.#owner.preempt && now.us >= this.#mayPreemptAtUs;
    const own = { ...this.#standing, advbase, preempt };
    const { intervalUs, demote } = other;
    const decision = decideAsBackup(own, { intervalUs, demote, bowsOut: isBowOut(other) });
    if (decision === "wait") this.#waitForMaster(other.receivedUs);
    else this.#takeOver({ kind: decision }, now);
  }

  /**
   * Breaks a tie with an equal master. Both hosts must compare the same pair of addresses: IPv4's where both
   * send over it and it gets through.
   */
  #breakTie(other: HeardAtInterval, now: Instant): void {
    const overIpv4 =
      this.#owner.addresses.some(({ family }) => family === 4) &&
      this.#hearing.overIpv4Since(now.us - 3 * other.intervalUs);
    const own = {
      source: this.#owner.transmitter.source(other.family, other.source),
      counter: this.counters.lastSent,
    };
    if ((other.family === 6 && overIpv4) || staysAfterTie(own, other)) this.#answer(other, now);
    else this.#yieldTo(other, "other-has-precedence", now);
  }

  /** Answers another MASTER that has to give way; see answers.ts. */
  #answer(other: Heard, now: Instant): void {
    const answer = this.#answers.to(other, this.#intervalUs, now.us);
    if (answer.kind === "later" && answer.atUs < this.#advertiseAtUs)
      this.#arm(this.#advertiseTimer, answer.atUs);
    if (answer.kind !== "now") return;
    if (answer.advertise) this.#advertise(now);
    this.#owner.transmitter.announce(this.vhid, this.#lease.untilUs);
    const isNews = this.#answers.contested(masterDownUs(this.#intervalUs), now.us);
    // The takeover told of itself.
    if (!isNews || this.#tookOverJustNow(now)) return;
    const { name, addresses } = this.#owner;
    this.#owner.emit({
      kind: "contested",
      interface: name,
      vhid: this.vhid,
      source: other.source,
      addresses,
    });
  }

  #takeOver(reason: TransitionReason, now: Instant): void {
    this.#cancel(this.#masterDownTimer);
    this.#concession.forget();
    this.#become("MASTER", reason, now);
    this.#owner.countTransitionToMaster();
    this.#lease.grant(now.us + this.#leaseUs(now.us));
    this.#owner.mastershipChanged();
    // Before the advertisement, which draws the clients' packets here at once.
    this.#grantLease();
    const heardUs = this.#hearing.last?.receivedUs ?? Number.NEGATIVE_INFINITY;
    this.#relieves = now.us - heardUs < masterDownUs(this.#intervalUs);
    this.#advertise(now);
    this.#owner.transmitter.announce(this.vhid, this.#lease.untilUs);
    if (this.#relieves) this.#announcements.relieved(now.us);
    else this.#announcements.tookOver();
    this.paceAnnouncements(now);
    this.#answers.renew();
  }

  /** Gives way to a master heard, and concedes if that one has not heard this host. */
  #yieldTo(
    other: HeardAtInterval,
    kind: "other-less-demoted" | "other-more-frequent" | "other-has-precedence",
    now: Instant,
  ): void {
    if (this.#owner.transmitter.mayConcedeTo(other)) this.#concession.begin(other, other.intervalUs, now.us);
    this.#yield({ kind }, other.receivedUs, now);
  }

  #concede(now: Instant): void {
    const to = this.#concession.take(now.us);
    if (to === undefined) return;
    const fields = slowerThan(to);
    const counter = this.counters.next(fields, this.#owner.counterStyle, now);
    this.#owner.transmitter.concede(this.vhid, { ...fields, counter }, to, now.us + SECOND);
  }

  /** MASTER -> BACKUP. @param sinceUs when the other master was heard */
  #yield(reason: TransitionReason, sinceUs: Micros, now: Instant): void {
    this.#cancel(this.#advertiseTimer);
    this.#become("BACKUP", reason, now);
    this.#owner.mastershipChanged();
    this.#waitForMaster(sinceUs);
    this.#endLeaving();
  }

  #endLeaving(): void {
    if (!this.#leaving) return;
    this.#leaving = false;
    this.#cancel(this.#leaveTimer);
    if (!this.#givesWay) return;
    this.#givesWay = false;
    this.#owner.emit({ kind: "left", interface: this.#owner.name });
  }

  /** Gives way when the lease has expired; checked before a MASTER does anything. @returns whether it did */
  #lostLease(atUs: Micros, now: Instant): boolean {
    if (this.#state !== "MASTER" || this.#leaving || !this.#lease.isOver(atUs)) return false;
    this.#preemptDelay.begin(this.#effective.demote, now.us);
    this.#yield({ kind: "lease-expired" }, now.us, now);
    return true;
  }

  #become(to: VirtualHostState, reason: TransitionReason, now: Instant): void {
    const from = this.#state;
    const { name, addresses } = this.#owner;
    this.#state = to;
    this.#sinceUs = now.us;
    this.#transitions++;
    this.#owner.log(
      from === "INIT" || to === "INIT" ? 4 : 2,
      `${name}: state transition${this.#owner.label(this.vhid)}: ${from} -> ${to}`,
      {
        event: "transition",
        interface: name,
        vhid: this.vhid,
        state: to,
        previousState: from,
        reason: reasonText(reason),
      },
    );
    this.#owner.emit({ kind: "transition", interface: name, vhid: this.vhid, from, to, reason, addresses });
    if (from !== "MASTER") return;
    this.#owner.emit({ kind: "lease", interface: name, vhid: this.vhid, untilUs: 0 });
    this.#announcements.stop();
  }

  /**
   * Advertises: at once, since the peers of a silent master have to hear of this host before they take over as well. Until
   * a master that answers has heard of it, only when the device is in place and this host can answer instead.
   */
  #advertise(now: Instant): void {
    const { advbase } = this.#owner;
    const { advskew, demote } = this.#effective;
    const stepUs = intervalUs(advbase, advskew);
    this.#lease.promise(this.#leaseUs(now.us, stepUs));
    this.#send({ advbase, advskew, demote }, now, this.#relieves && !this.#lease.isRenewed);
    // The next interval counts from when this one was due, so that small delays do not add up; after a long
    // one from now.
    const dueUs = this.#advertiseAtUs;
    const onTime = dueUs <= now.us && now.us < dueUs + stepUs;
    this.#arm(this.#advertiseTimer, nextAdvertisementUs(onTime ? dueUs : now.us, stepUs));
  }

  /** @param waits until the device is in place */
  #send(fields: HeaderFields, now: Instant, waits = false): void {
    const counter = this.counters.next(fields, this.#owner.counterStyle, now);
    this.#owner.transmitter.advertise(this.vhid, { ...fields, counter }, this.#lease.untilUs, waits);
  }

  /**
   * Restarts the master-down time. An advertisement from before waiting began does not make the wait shorter.
   */
  #waitForMaster(sinceUs: Micros): void {
    this.#silentSinceUs = Math.max(this.#silentSinceUs, sinceUs);
    this.#arm(this.#masterDownTimer, this.#silentSinceUs + masterDownUs(this.#intervalUs));
  }

  #arm(timer: Timer, atUs: Micros): void {
    if (timer === this.#advertiseTimer) this.#advertiseAtUs = atUs;
    if (timer === this.#masterDownTimer) this.#masterDownAtUs = atUs;
    const soonestUs = timer === this.#masterDownTimer ? Math.min(atUs, this.#concession.dueUs) : atUs;
    this.#owner.emit({ kind: "arm", timer, atUs: soonestUs });
  }

  #cancel(timer: Timer): void {
    this.#owner.emit({ kind: "cancel", timer });
  }
}
