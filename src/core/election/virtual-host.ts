/**
 * One virtual host: the state machine of one vhid (INIT, BACKUP, MASTER), its timers and its lease. The
 * frames, device and settings that all nodes of a carp interface share belong to the interface, and are
 * reached through `Owner`.
 */

import { comparePrecedence } from "../../protocol/address.ts";
import type { HeaderFields } from "../counters/counter-format.ts";
import type { CounterStyle } from "../counters/own-counters.ts";
import type { VirtualHostCounters } from "../counters/virtual-host-counters.ts";
import type { Effective } from "../demotion.ts";
import type { Effect } from "../effect.ts";
import type { Timer } from "../event.ts";
import type { Family, Heard, Instant, InterfaceAddress, Micros, VirtualHostState } from "../model.ts";
import type { TransitionReason } from "../reason.ts";
import type { NodeView } from "../view.ts";
import { Answers } from "./answers.ts";
import { Peers } from "./peers.ts";
import { QuickPeers } from "./quick-peers.ts";
import { decideAsBackup, decideAsMaster, staysAfterTie } from "./rules.ts";
import {
  BOW_OUT,
  intervalUs,
  isBowOut,
  leaseUs,
  MILLISECOND,
  masterDownUs,
  renewedLeaseUs,
  SECOND,
} from "./timing.ts";

/** The part of the carp interface that its virtual hosts use. */
export interface Owner {
  readonly name: string;
  readonly advbase: number;
  readonly preempt: boolean;
  readonly addresses: readonly InterfaceAddress[];
  /** The vhid for messages: ` (vhid 2)` when there are several nodes, otherwise empty. */
  label(vhid: number): string;
  effective(advskew: number): Effective;
  /** The source address of our advertisements in that family to this host. */
  source(family: Family, peer: string): string | undefined;
  readonly counterStyle: CounterStyle;
  /** Sends the advertisement, unless that would be later than `untilUs`. */
  send(
    vhid: number,
    fields: { advbase: number; advskew: number; demote: number; counter: bigint },
    untilUs: Micros,
  ): void;
  /** Sends gratuitous ARP and neighbour advertisements, unless that would be later than `untilUs`. */
  announce(vhid: number, untilUs: Micros): void;
  /** A node became MASTER or ceased to be. */
  mastershipChanged(): void;
  emit(effect: Effect): void;
  log(priority: 2 | 4, text: string): void;
  countTransitionToMaster(): void;
}

/** The first announcement may be lost: it is repeated after this many further advertisements. */
const ADVERTISEMENTS_TO_SECOND_ANNOUNCEMENT = 2;

/** An advertisement heard, with the interval that its advbase and advskew stand for. */
type HeardAtInterval = Heard & { readonly intervalUs: Micros };

export class VirtualHost {
  readonly vhid: number;
  advskew: number;
  #state: VirtualHostState = "INIT";
  #sinceUs: Micros;
  #transitions = 0;
  #heard: Heard | undefined;
  /** The last bow-out heard from any host. */
  #bowOut: Heard | undefined;
  #heardOverIpv4Us: Micros | undefined;
  readonly #quickPeers = new QuickPeers();
  /** BACKUP: when the last accepted advertisement was received, or when waiting began. */
  #silentSinceUs: Micros = 0;
  #masterDownAtUs: Micros = 0;
  #advertiseAtUs: Micros = 0;
  /**
   * MASTER: the end of the lease; right after a takeover the time by which a first advertisement must have
   * left.
   */
  #masterUntilUs: Micros = 0;
  /** Length of the lease by the settings in the advertisement under way; they may change before it leaves. */
  #promisedUs: Micros = 0;
  #hasAdvertised = false;
  #toSecondAnnouncement = 0;
  #leaving = false;
  readonly #answers = new Answers();
  readonly counters: VirtualHostCounters;
  readonly #peers = new Peers();
  readonly #owner: Owner;
  readonly #advertiseTimer: Timer;
  readonly #masterDownTimer: Timer;

  constructor(owner: Owner, vhid: number, advskew: number, counters: VirtualHostCounters, now: Instant) {
    this.#owner = owner;
    this.vhid = vhid;
    this.advskew = advskew;
    this.counters = counters;
    this.#sinceUs = now.us;
    this.#advertiseTimer = { kind: "advertise", interface: owner.name, vhid };
    this.#masterDownTimer = { kind: "master-down", interface: owner.name, vhid };
  }

  get state(): VirtualHostState {
    return this.#state;
  }

  get #effective(): Effective {
    return this.#owner.effective(this.advskew);
  }

  get #intervalUs(): Micros {
    return intervalUs(this.#owner.advbase, this.#effective.advskew);
  }

  /** Length of the lease that an advertisement renews, from the time when it leaves. */
  #leaseUs(leftUs: Micros): Micros {
    return leaseUs(this.#owner.advbase, this.#intervalUs, this.#quickPeers.shortestUs(leftUs));
  }

  /**
   * The interface runs: INIT -> BACKUP; or MASTER while a lease is in force, since then no peer has taken
   * over.
   */
  start(leaseUntilUs: Micros, now: Instant): void {
    this.#heard = undefined;
    this.#quickPeers.forget();
    if (leaseUntilUs > now.us) {
      this.#become("MASTER", { kind: "lease-in-force" }, now);
      this.#masterUntilUs = leaseUntilUs;
      this.#hasAdvertised = true;
      this.#advertise(now);
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
    this.#peers.forget();
    this.#become("INIT", reason, now);
    this.#leaving = false;
  }

  /**
   * Sends a bow-out, so that a peer takes over. Stays MASTER until `stop`: the addresses remain until a
   * successor has them.
   */
  bowOut(now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    this.#leaving = true;
    this.#cancel(this.#advertiseTimer);
    this.#send({ ...BOW_OUT, demote: this.#effective.demote }, now);
  }

  /** `state master`: takes over from BACKUP. */
  forceMaster(now: Instant): void {
    if (this.#state === "BACKUP") this.#takeOver({ kind: "forced" }, now);
  }

  /** `state backup`: gives way. Without the bow-out this host would take over again before any other. */
  forceBackup(now: Instant): void {
    this.bowOut(now);
    if (this.#state === "MASTER") this.#yield({ kind: "forced" }, now.us, now);
  }

  /** An advertisement with a valid digest arrived for this virtual host. */
  accept(heard: Heard, now: Instant): void {
    this.#followPeers(now, heard);
    if (this.#repeatsBowOut(heard)) return;
    this.#heard = heard;
    if (heard.family === 4) this.#heardOverIpv4Us = heard.receivedUs;
    const other = { ...heard, intervalUs: intervalUs(heard.advbase, heard.advskew) };
    if (!isBowOut(heard)) this.#quickPeers.heard(other.intervalUs, now.us);
    if (this.#lostLease(now.us, now)) return;
    if (this.#state === "MASTER") this.#heardAsMaster(other, now);
    else if (this.#state === "BACKUP") this.#heardAsBackup(other, now);
  }

  /**
   * Whether this is the same bow-out over the other family. Between the two the next master may have been
   * heard: the second one must not make this host take over from it.
   */
  #repeatsBowOut(heard: Heard): boolean {
    if (!isBowOut(heard)) return false;
    const former = this.#bowOut;
    this.#bowOut = heard;
    return (
      former !== undefined &&
      former.family !== heard.family &&
      former.counter === heard.counter &&
      heard.receivedUs - former.receivedUs < SECOND
    );
  }

  /**
   * An advertisement with a valid digest whose counter is not new: it is not accepted, but a MASTER may
   * answer it. Another MASTER that does not accept ours may have sent it: one with a counter of the same
   * microsecond as ours, so that each takes the other's advertisement for its own, or one whose counters are
   * behind (strict_replay). An advertisement of ours makes it give way, or reply with a counter that is
   * ahead.
   */
  heardStale(heard: Heard, now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || now.us > this.#masterUntilUs || isBowOut(heard)) return;
    const own = this.#owner.source(heard.family, heard.source);
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
    if (this.#toSecondAnnouncement > 0 && --this.#toSecondAnnouncement === 0) this.announce(now);
  }

  /** Announces the addresses of a MASTER: clients and switches may have lost where they are. */
  announce(now: Instant): void {
    if (this.#state === "MASTER" && !this.#lostLease(now.us, now))
      this.#owner.announce(this.vhid, this.#masterUntilUs);
  }

  /** An announcement did not leave: it is repeated after the next advertisement. */
  announcementFailed(): void {
    this.#toSecondAnnouncement = Math.max(1, this.#toSecondAnnouncement);
  }

  /** An advertisement left: the lease is renewed from that moment, if it had not expired by then. */
  advertisementLeft(leftUs: Micros, now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(leftUs, now)) return;
    this.#masterUntilUs = leftUs + renewedLeaseUs(this.#leaseUs(leftUs), this.#promisedUs);
    this.#hasAdvertised = true;
    this.#grantLease();
  }

  /**
   * An advertisement did not leave. A takeover's lease was granted for its first advertisement: it is taken
   * back. Any other lease may expire before the next advertisement is due: the timer fires then, to give way.
   */
  advertisementFailed(): void {
    if (this.#state !== "MASTER" || this.#leaving) return;
    if (!this.#hasAdvertised)
      this.#owner.emit({ kind: "lease", interface: this.#owner.name, vhid: this.vhid, untilUs: 0 });
    const expiredUs = this.#masterUntilUs + MILLISECOND;
    if (expiredUs < this.#advertiseAtUs) this.#arm(this.#advertiseTimer, expiredUs);
  }

  #grantLease(): void {
    const untilUs = this.#masterUntilUs;
    this.#owner.emit({ kind: "lease", interface: this.#owner.name, vhid: this.vhid, untilUs });
  }

  /** advbase, advskew or demotion changed. @param atOnce advertise the change now */
  settingsChanged(atOnce: boolean, now: Instant): void {
    if (this.#state === "BACKUP") this.#waitForMaster(this.#silentSinceUs);
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    if (atOnce) this.#advertise(now);
    else this.#arm(this.#advertiseTimer, Math.min(this.#advertiseAtUs, now.us + this.#intervalUs));
  }

  view(): NodeView {
    const { advskew, demote } = this.#effective;
    const heard = this.#heard;
    return {
      vhid: this.vhid,
      advskew: this.advskew,
      effectiveAdvskew: advskew,
      demote,
      state: this.#state,
      sinceUs: this.#sinceUs,
      transitions: this.#transitions,
      heard: heard && {
        source: heard.source,
        advbase: heard.advbase,
        advskew: heard.advskew,
        demote: heard.demote,
        atUs: heard.receivedUs,
      },
      peers: this.#peers.view(),
    };
  }

  /**
   * Updates the peers and emits their changes. Called with every event, at least once in a master-down time.
   */
  #followPeers(now: Instant, heard?: Heard): void {
    const appeared = heard && this.#peers.heard({ ...heard, atUs: heard.receivedUs });
    const changes = this.#peers.silent(now.us);
    for (const change of appeared === undefined ? changes : [...changes, appeared])
      this.#owner.emit({ ...change, interface: this.#owner.name, vhid: this.vhid });
  }

  #heardAsMaster(other: HeardAtInterval, now: Instant): void {
    // A bow-out is no claim. It comes over each family, and the first copy may be what made this host MASTER.
    if (this.#leaving || isBowOut(other)) return;
    const own = { intervalUs: this.#intervalUs, demote: this.#effective.demote };
    const decision = decideAsMaster(own, other);
    if (decision === "answer") this.#answer(other, now);
    else if (decision === "tie") this.#breakTie(other, now);
    else this.#yield({ kind: decision }, other.receivedUs, now);
  }

  #heardAsBackup(other: HeardAtInterval, now: Instant): void {
    const { advbase, preempt } = this.#owner;
    const own = { intervalUs: this.#intervalUs, demote: this.#effective.demote, advbase, preempt };
    const { intervalUs, demote } = other;
    const decision = decideAsBackup(own, { intervalUs, demote, bowsOut: isBowOut(other) });
    if (decision === "wait") this.#waitForMaster(other.receivedUs);
    else this.#takeOver({ kind: decision }, now);
  }

  /**
   * Breaks a tie with an equal master. Both hosts must compare the same pair of addresses: IPv4's where it
   * gets through.
   */
  #breakTie(other: HeardAtInterval, now: Instant): void {
    const heardOverIpv4 =
      this.#heardOverIpv4Us !== undefined && now.us - this.#heardOverIpv4Us <= 3 * other.intervalUs;
    const own = { source: this.#owner.source(other.family, other.source), counter: this.counters.lastSent };
    if ((other.family === 6 && heardOverIpv4) || staysAfterTie(own, other)) this.#answer(other, now);
    else this.#yield({ kind: "other-has-precedence" }, other.receivedUs, now);
  }

  /** Answers another MASTER that has to give way; see answers.ts. */
  #answer(other: Heard, now: Instant): void {
    const answer = this.#answers.to(other, this.#intervalUs, now.us);
    if (answer.kind === "later" && answer.atUs < this.#advertiseAtUs)
      this.#arm(this.#advertiseTimer, answer.atUs);
    if (answer.kind !== "now") return;
    if (answer.advertise) this.#advertise(now);
    this.#owner.announce(this.vhid, this.#masterUntilUs);
  }

  #takeOver(reason: TransitionReason, now: Instant): void {
    this.#cancel(this.#masterDownTimer);
    this.#become("MASTER", reason, now);
    this.#owner.countTransitionToMaster();
    this.#masterUntilUs = now.us + this.#leaseUs(now.us);
    this.#hasAdvertised = false;
    this.#owner.mastershipChanged();
    // Before the advertisement, which draws the clients' packets here at once.
    this.#grantLease();
    this.#advertise(now);
    this.#owner.announce(this.vhid, this.#masterUntilUs);
    this.#toSecondAnnouncement = ADVERTISEMENTS_TO_SECOND_ANNOUNCEMENT;
    this.#answers.renew();
  }

  /** MASTER -> BACKUP. @param sinceUs when the other master was heard */
  #yield(reason: TransitionReason, sinceUs: Micros, now: Instant): void {
    this.#cancel(this.#advertiseTimer);
    this.#become("BACKUP", reason, now);
    this.#leaving = false;
    this.#owner.mastershipChanged();
    this.#waitForMaster(sinceUs);
  }

  /** Gives way when the lease has expired; checked before a MASTER does anything. @returns whether it did */
  #lostLease(atUs: Micros, now: Instant): boolean {
    if (this.#state !== "MASTER" || this.#leaving || atUs <= this.#masterUntilUs) return false;
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
    );
    this.#owner.emit({ kind: "transition", interface: name, vhid: this.vhid, from, to, reason, addresses });
    if (from === "MASTER") this.#owner.emit({ kind: "lease", interface: name, vhid: this.vhid, untilUs: 0 });
  }

  #advertise(now: Instant): void {
    const stepUs = this.#intervalUs;
    this.#promisedUs = this.#leaseUs(now.us);
    this.#send({ advbase: this.#owner.advbase, ...this.#effective }, now);
    // The next interval counts from when this one was due, so that small delays do not add up; after a long
    // one from now.
    const dueUs = this.#advertiseAtUs;
    const onTime = dueUs <= now.us && now.us < dueUs + stepUs;
    this.#arm(this.#advertiseTimer, (onTime ? dueUs : now.us) + stepUs);
  }

  #send(fields: HeaderFields, now: Instant): void {
    const counter = this.counters.next(fields, this.#owner.counterStyle, now);
    this.#owner.send(this.vhid, { ...fields, counter }, this.#masterUntilUs);
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
    else this.#masterDownAtUs = atUs;
    this.#owner.emit({ kind: "arm", timer, atUs });
  }

  #cancel(timer: Timer): void {
    this.#owner.emit({ kind: "cancel", timer });
  }
}
