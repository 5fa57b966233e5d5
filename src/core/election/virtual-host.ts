/**
 * One virtual host: the state machine of one vhid (INIT, BACKUP, MASTER). What it does as MASTER is in mastership.ts. The
 * frames, device and settings that all nodes of a carp interface share belong to the interface, and are
 * reached through `Owner`.
 */

import type { VirtualHostCounters } from "../counters/virtual-host-counters.ts";
import type { Effective } from "../demotion.ts";
import type { Event, Timer, VirtualHostTimer } from "../event.ts";
import type { Heard, Instant, Micros, VirtualHostState } from "../model.ts";
import { reasonText, type TransitionReason } from "../reason.ts";
import type { NodeView } from "../view.ts";
import { advertisementCause, type Cause, silenceCause } from "./cause.ts";
import { Concession, slowerThan } from "./concession.ts";
import { Hearing } from "./hearing.ts";
import { Mastership, type Said } from "./mastership.ts";
import type { Owner } from "./owner.ts";
import type { PeerChange } from "./peers.ts";
import { PreemptDelay } from "./preempt-delay.ts";
import {
  type BackupDecision,
  decideAsBackup,
  decideAsMaster,
  type Standing,
  staysAfterTie,
} from "./rules.ts";
import { intervalUs, isBowOut, LINGER_US, masterDownUs, SECOND } from "./timing.ts";

/** An advertisement heard, with the interval that its advbase and advskew stand for. */
type HeardAtInterval = Heard & { readonly intervalUs: Micros };

type AheadEnded = Extract<Event, { kind: "ahead-ended" }>;

/** The end of a master-down time: when the timer fires, so long after the last advertisement. */
export interface Silence {
  readonly timer: VirtualHostTimer;
  readonly waitUs: Micros;
}

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
  readonly #mastership: Mastership;
  /** MASTER, and has bowed out. */
  #leaving = false;
  /** Leaving for BACKUP, by `state backup`. */
  #givesWay = false;
  readonly #concession = new Concession();
  readonly #preemptDelay = new PreemptDelay();
  readonly counters: VirtualHostCounters;
  readonly #owner: Owner;
  readonly #masterDownTimer: VirtualHostTimer;
  readonly #leaveTimer: Timer;

  constructor(owner: Owner, vhid: number, advskew: number, counters: VirtualHostCounters, now: Instant) {
    this.#owner = owner;
    this.vhid = vhid;
    this.advskew = advskew;
    this.counters = counters;
    this.#sinceUs = now.us;
    this.#masterDownTimer = { kind: "master-down", interface: owner.name, vhid };
    this.#leaveTimer = { kind: "leave", interface: owner.name, vhid };
    this.#mastership = new Mastership({
      owner,
      vhid,
      counters,
      hearing: this.#hearing,
      says: () => this.#says,
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
    const { intervalUs, demote } = this.#says;
    return { intervalUs, demote };
  }

  /** What it says, or would say, as MASTER. */
  get #says(): Said {
    const { advbase } = this.#owner;
    const { advskew, demote } = this.#effective;
    return { advbase, advskew, demote, intervalUs: intervalUs(advbase, advskew) };
  }

  get #mayPreemptAtUs(): Micros {
    return this.#preemptDelay.endUs(this.#owner.preemptDelayUs);
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
      this.#mastership.resume(leaseUntilUs, now);
      return;
    }
    this.#become("BACKUP", { kind: "interface-runs" }, now);
    this.#waitForMaster(now.us);
  }

  /**
   * The interface no longer runs, or changes its identity: -> INIT, without a bow-out.
   *
   * @param heard the advertisement that is the reason
   */
  stop(reason: TransitionReason, now: Instant, heard?: Heard): void {
    if (this.#state === "INIT") return;
    this.recall(now);
    this.#cancel(this.#masterDownTimer);
    this.#hearing.forgetPeers();
    this.#concession.forget();
    this.#become("INIT", reason, now, heard && advertisementCause(heard));
    this.#endLeaving();
  }

  /**
   * Sends a bow-out, so that a peer takes over. Stays MASTER until `stop`: the addresses remain until a
   * successor has them.
   */
  bowOut(now: Instant): void {
    if (!this.#serves(now)) return;
    this.#leaving = true;
    this.#mastership.bowOut(now);
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
    if (this.#givesWay) this.#yield({ kind: "forced" }, now.us, now, { kind: "timer", timer: "leave" });
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

  /** The host of this advertisement is there: one that is accepted before this one does not make it silent. */
  meet(heard: Heard): void {
    const change = this.#hearing.meet(heard);
    if (change !== undefined) this.#tell(change);
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

  /**
   * The master-down time that more advertisements like this one restart, when that is all they do as long as no setting
   * changes. Undefined: they do more, as those of a master that this host will preempt when its delay is over.
   */
  silenceAfter(heard: Heard): Silence | undefined {
    if (this.#state !== "BACKUP" || this.#concession.isPending || this.#hearing.hasPeerBeside(heard))
      return undefined;
    if (this.#decideAsBackup(heard, this.#owner.preempt) !== "wait") return undefined;
    return { timer: this.#masterDownTimer, waitUs: masterDownUs(this.#intervalUs) };
  }

  /** Whether this is a master's advertisement and that master has to give way to this host. */
  outranks(heard: Heard): boolean {
    if (this.#state !== "MASTER" || this.#leaving || isBowOut(heard)) return false;
    const other = { intervalUs: intervalUs(heard.advbase, heard.advskew), demote: heard.demote };
    return decideAsMaster(this.#standing, other) === "answer";
  }

  /** Another master conceded to this one; see concession.ts. */
  concededTo(heard: Heard, now: Instant): void {
    if (!this.outranks(heard) || this.#mastership.isLeaseOver(now.us)) return;
    // It gave way at the takeover, which all addresses were announced at.
    if (this.#tookOverJustNow(now)) this.#mastership.announceAgain();
    else this.#answer(heard, now);
  }

  #tookOverJustNow(now: Instant): boolean {
    return now.us - this.#sinceUs < this.#intervalUs;
  }

  /**
   * An advertisement with a valid digest whose counter is not new: it is not accepted, but a MASTER may answer it. An
   * advertisement of ours makes the other MASTER give way, or reply with a counter that is ahead.
   */
  heardStale(heard: Heard, now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || isBowOut(heard)) return;
    if (!this.#mastership.isLeaseOver(now.us) && this.#mastership.allowsAnswerToStale(heard, now))
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
    else this.#takeOver({ kind: "master-silent" }, now, silenceCause(this.#hearing.last, now));
  }

  /** The advertise timer fired. */
  advertiseTimer(now: Instant): void {
    this.#followPeers(now);
    if (this.#serves(now)) this.#mastership.advertiseTimer(now);
  }

  /** The announce timer fired. */
  announceTimer(now: Instant): void {
    if (this.#state === "MASTER" && !this.#lostLease(now.us, now)) this.#mastership.announceTimer(now);
  }

  /** Announces at the pace of the present configuration, while MASTER. */
  paceAnnouncements(now: Instant): void {
    if (this.#state === "MASTER" && !this.#leaving) this.#mastership.paceAnnouncements(now);
  }

  /** Its addresses have another MAC now. */
  macChanged(now: Instant): void {
    if (this.#serves(now)) this.#mastership.macChanged(now);
  }

  /** Announces the addresses of a MASTER: clients and switches may have lost where they are. */
  announce(now: Instant): void {
    if (this.#serves(now)) this.#mastership.announce();
  }

  /** An announcement did not leave: it is repeated with the next advertisement. */
  announcementFailed(now: Instant): void {
    this.recall(now);
    this.#mastership.announceAgain();
  }

  /** Takes the advertisements into account that were made ahead and have left by now. */
  settle(now: Instant): void {
    this.#mastership.settle(now.us);
  }

  /** Something happens that the next advertisements, made ahead, may not fit: none of them leaves. */
  recall(now: Instant): void {
    this.#mastership.recall(now.us);
  }

  /** Of the advertisements that were made ahead, those of this time and later did not leave. */
  aheadEnded({ atUs, inPart }: AheadEnded, now: Instant): void {
    if (this.#state === "MASTER" && !this.#leaving) this.#mastership.aheadEnded(atUs, inPart, now.us);
  }

  /** An advertisement left: the lease is renewed from that moment, if it had not expired by then. */
  advertisementLeft(leftUs: Micros, now: Instant): void {
    if (this.#serves(now, leftUs)) this.#mastership.advertisementLeft(leftUs);
  }

  /** An advertisement did not leave. */
  advertisementFailed(): void {
    if (this.#state !== "MASTER") return;
    this.#mastership.takeBackLease();
    if (!this.#leaving) this.#mastership.advertisementFailed();
  }

  /** advbase, advskew or demotion changed. @param atOnce advertise the change now */
  settingsChanged(atOnce: boolean, now: Instant): void {
    this.#preemptDelay.demoted(this.#effective.demote, now.us);
    if (this.#state === "BACKUP") this.#waitForMaster(this.#silentSinceUs);
    if (!this.#serves(now)) return;
    if (atOnce) this.#mastership.advertise(now);
    else this.#mastership.advertiseWithinInterval(now);
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
    for (const change of this.#hearing.peerChanges(now.us, heard)) this.#tell(change);
  }

  #tell(change: PeerChange): void {
    this.#owner.emit({ ...change, interface: this.#owner.name, vhid: this.vhid });
  }

  #heardAsMaster(other: HeardAtInterval, now: Instant): void {
    // A bow-out is no claim. It comes over each family, and the first copy may be what made this host MASTER.
    if (isBowOut(other)) return;
    if (this.#leaving) {
      this.#yield({ kind: "forced" }, other.receivedUs, now, advertisementCause(other));
      return;
    }
    const decision = decideAsMaster(this.#standing, other);
    if (decision === "answer") this.#answer(other, now);
    else if (decision === "tie") this.#breakTie(other, now);
    else this.#yieldTo(other, decision, now);
  }

  #heardAsBackup(other: HeardAtInterval, now: Instant): void {
    this.#concession.heard(other);
    // A demotion may end with this very advertisement (send-record.ts), before settingsChanged tells of it.
    this.#preemptDelay.demoted(this.#effective.demote, now.us);
    const decision = this.#decideAsBackup(other, this.#owner.preempt && now.us >= this.#mayPreemptAtUs);
    if (decision === "wait") this.#waitForMaster(other.receivedUs);
    else this.#takeOver({ kind: decision }, now, advertisementCause(other));
  }

  #decideAsBackup(heard: Heard, preempt: boolean): BackupDecision {
    const { advbase, intervalUs: ownUs, demote } = this.#says;
    const own = { intervalUs: ownUs, demote, advbase, preempt };
    return decideAsBackup(own, {
      intervalUs: intervalUs(heard.advbase, heard.advskew),
      demote: heard.demote,
      bowsOut: isBowOut(heard),
    });
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
    const isNews = this.#mastership.answer(other, now);
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

  #takeOver(reason: TransitionReason, now: Instant, cause?: Cause): void {
    this.#cancel(this.#masterDownTimer);
    this.#concession.forget();
    this.#become("MASTER", reason, now, cause);
    this.#owner.countTransitionToMaster();
    this.#owner.mastershipChanged();
    const heardUs = this.#hearing.last?.receivedUs ?? Number.NEGATIVE_INFINITY;
    this.#mastership.begin(now.us - heardUs < masterDownUs(this.#intervalUs), now);
  }

  /** Gives way to a master heard, and concedes if that one has not heard this host. */
  #yieldTo(
    other: HeardAtInterval,
    kind: "other-less-demoted" | "other-more-frequent" | "other-has-precedence",
    now: Instant,
  ): void {
    if (this.#owner.transmitter.mayConcedeTo(other)) this.#concession.begin(other, other.intervalUs, now.us);
    this.#yield({ kind }, other.receivedUs, now, advertisementCause(other));
  }

  #concede(now: Instant): void {
    const to = this.#concession.take(now.us);
    if (to === undefined) return;
    const fields = slowerThan(to);
    const counter = this.counters.next(fields, this.#owner.counterStyle, now);
    this.#owner.transmitter.concede(this.vhid, { ...fields, counter }, to, now.us + SECOND);
  }

  /** MASTER -> BACKUP. @param sinceUs when the other master was heard */
  #yield(reason: TransitionReason, sinceUs: Micros, now: Instant, cause: Cause): void {
    this.#become("BACKUP", reason, now, cause);
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

  /** Whether it is MASTER, has not bowed out, and holds its lease at that time. Without the lease it gives way. */
  #serves(now: Instant, atUs = now.us): boolean {
    return this.#state === "MASTER" && !this.#leaving && !this.#lostLease(atUs, now);
  }

  /** Gives way when the lease has expired; checked before a MASTER does anything. @returns whether it did */
  #lostLease(atUs: Micros, now: Instant): boolean {
    if (this.#state !== "MASTER" || this.#leaving) return false;
    this.settle(now);
    if (!this.#mastership.isLeaseOver(atUs)) return false;
    this.#preemptDelay.begin(this.#effective.demote, now.us);
    this.#yield({ kind: "lease-expired" }, now.us, now, { kind: "timer", timer: "lease" });
    return true;
  }

  #become(to: VirtualHostState, reason: TransitionReason, now: Instant, cause?: Cause): void {
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
    this.#owner.unfold();
    const transition = { interface: name, vhid: this.vhid, from, to, reason, addresses };
    this.#owner.emit({ kind: "transition", ...transition, ...(cause && { cause }) });
    if (from === "MASTER") this.#mastership.end(now.us);
  }

  /**
   * Restarts the master-down time. An advertisement from before waiting began does not make the wait shorter.
   */
  #waitForMaster(sinceUs: Micros): void {
    this.#silentSinceUs = Math.max(this.#silentSinceUs, sinceUs);
    this.#arm(this.#masterDownTimer, this.#silentSinceUs + masterDownUs(this.#intervalUs));
  }

  #arm(timer: Timer, atUs: Micros): void {
    if (timer === this.#masterDownTimer) this.#masterDownAtUs = atUs;
    const soonestUs = timer === this.#masterDownTimer ? Math.min(atUs, this.#concession.dueUs) : atUs;
    this.#owner.emit({ kind: "arm", timer, atUs: soonestUs });
  }

  #cancel(timer: Timer): void {
    this.#owner.emit({ kind: "cancel", timer });
  }
}
