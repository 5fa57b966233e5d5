/**
 * One virtual host: the state machine of one vhid (INIT, BACKUP, MASTER), its timers and its lease. Everything it
 * shares with the other nodes of its carp interface, the frames, the device, the settings, it asks of its `Owner`.
 */

import { comparePrecedence } from "../protocol/address.ts";
import type { Effective } from "./demotion.ts";
import type { Effect, VirtualHostState } from "./effect.ts";
import type { Family, Instant, InterfaceAddress, Micros } from "./event.ts";
import type { OwnCounters } from "./own-counters.ts";
import { Peers } from "./peers.ts";
import { BOW_OUT, intervalUs, isBowOut, leaseUs, masterDownUs, SECOND } from "./timing.ts";
import type { NodeView } from "./view.ts";

/** What an accepted advertisement says, and who says it. */
export interface Heard {
  readonly family: Family;
  readonly source: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly counter: bigint;
  readonly receivedUs: Micros;
}

/** The carp interface, as its virtual hosts see it. */
export interface Owner {
  readonly name: string;
  readonly advbase: number;
  readonly preempt: boolean;
  readonly addresses: readonly InterfaceAddress[];
  /** In words, for messages: ` (vhid 2)` when there are several nodes, else nothing. */
  label(vhid: number): string;
  effective(advskew: number): Effective;
  /** Our source address in that family's advertisements. */
  source(family: Family): string | undefined;
  /** 0 to 255; on most segments another one on each host. */
  readonly counterTag: number;
  /** Puts the advertisement on the wire, unless it is later than `untilUs` by then. */
  send(
    vhid: number,
    fields: { advbase: number; advskew: number; demote: number; counter: bigint },
    untilUs: Micros,
  ): void;
  /** Tells everybody on the segment where the addresses are, unless it is later than `untilUs` by then. */
  announce(vhid: number, untilUs: Micros): void;
  /** A node became MASTER or ceased to be. */
  mastershipChanged(): void;
  emit(effect: Effect): void;
  log(priority: 2 | 4, text: string): void;
  countTransitionToMaster(): void;
}

/** Announcements are repeated once, after this many further advertisements: the first may have been lost. */
const ADVERTISEMENTS_TO_SECOND_ANNOUNCEMENT = 2;

/** Other masters that are told to give way without waiting for our next advertisement. */
const MAX_ANSWERS_IN_AN_INTERVAL = 8;

export class VirtualHost {
  readonly vhid: number;
  advskew: number;
  #state: VirtualHostState = "INIT";
  #sinceUs: Micros;
  #transitions = 0;
  #heard: Heard | undefined;
  /** The last one, whoever's it was. */
  #bowOut: Heard | undefined;
  #heardOverIpv4Us: Micros | undefined;
  #quickestPeerUs: Micros | undefined;
  /** BACKUP: the last accepted advertisement, or when waiting began. */
  #silentSinceUs: Micros = 0;
  #masterDownAtUs: Micros = 0;
  #advertiseAtUs: Micros = 0;
  /** MASTER: the end of the lease; right after a takeover the time by which a first advertisement must have left. */
  #masterUntilUs: Micros = 0;
  /** The lease for the advertisement that leaves next: the settings it tells of may have changed by then. */
  #promisedUs: Micros = 0;
  #hasAdvertised = false;
  #toSecondAnnouncement = 0;
  /** When we last answered other masters, as long as that counts. */
  #answersUs: Micros[] = [];
  #answeredCounter: bigint | undefined;
  #staleAnsweredUs = Number.NEGATIVE_INFINITY;
  readonly #correctedAtUs = new Map<Family, Micros>();
  #leaving = false;
  readonly #counters: OwnCounters;
  readonly #peers = new Peers();
  readonly #owner: Owner;

  constructor(owner: Owner, vhid: number, advskew: number, counters: OwnCounters, now: Instant) {
    this.#owner = owner;
    this.vhid = vhid;
    this.advskew = advskew;
    this.#counters = counters;
    this.#sinceUs = now.us;
  }

  get state(): VirtualHostState {
    return this.#state;
  }

  /** Its counters will be greater. */
  get lastCounter(): bigint {
    return this.#counters.last;
  }

  get #effective(): Effective {
    return this.#owner.effective(this.advskew);
  }

  get #intervalUs(): Micros {
    return intervalUs(this.#owner.advbase, this.#effective.advskew);
  }

  /** From when an advertisement leaves. */
  get #leaseUs(): Micros {
    return leaseUs(this.#owner.advbase, this.#intervalUs, this.#quickestPeerUs);
  }

  /** The interface runs: INIT -> BACKUP. With a lease still in force, no peer has taken over yet: on as MASTER. */
  start(leaseUntilUs: Micros, now: Instant): void {
    this.#heard = undefined;
    this.#quickestPeerUs = undefined;
    if (leaseUntilUs > now.us) {
      this.#become("MASTER", "its lease is in force", now);
      this.#masterUntilUs = leaseUntilUs;
      this.#hasAdvertised = true;
      this.#advertise(now);
      return;
    }
    this.#become("BACKUP", "the interface runs", now);
    this.#waitForMaster(now.us);
  }

  /** The interface no longer runs, or changes its identity: -> INIT, without a word to the network. */
  stop(reason: string, now: Instant): void {
    if (this.#state === "INIT") return;
    this.#cancel("advertise");
    this.#cancel("master-down");
    this.#peers.forget();
    this.#become("INIT", reason, now);
    this.#leaving = false;
  }

  /** Tells the peers to take over now. Stays MASTER until `stop`: the addresses remain until a successor has them. */
  bowOut(now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    this.#leaving = true;
    this.#cancel("advertise");
    const counter = this.#counters.next(now, this.#owner.counterTag);
    this.#owner.send(this.vhid, { ...BOW_OUT, demote: this.#effective.demote, counter }, this.#masterUntilUs);
  }

  /** `state master`: somebody wants it here. */
  forceMaster(now: Instant): void {
    if (this.#state === "BACKUP") this.#takeOver("forced", now);
  }

  /** `state backup`: somebody wants it elsewhere. Without a bow-out nobody would take over before we do. */
  forceBackup(now: Instant): void {
    this.bowOut(now);
    if (this.#state === "MASTER") this.#yield("forced", now.us, now);
  }

  /** An advertisement with a valid digest arrived for this virtual host. */
  accept(heard: Heard, now: Instant): void {
    this.#followPeers(now, heard);
    if (this.#repeatsBowOut(heard)) return;
    this.#heard = heard;
    if (heard.family === 4) this.#heardOverIpv4Us = heard.receivedUs;
    const his = { ...heard, intervalUs: intervalUs(heard.advbase, heard.advskew) };
    if (!isBowOut(heard))
      this.#quickestPeerUs = Math.min(this.#quickestPeerUs ?? Number.POSITIVE_INFINITY, his.intervalUs);
    if (this.#lostLease(now.us, now)) return;
    if (this.#state === "MASTER") this.#heardAsMaster(his, now);
    else if (this.#state === "BACKUP") this.#heardAsBackup(his, now);
  }

  /** A bow-out goes out once over each family. Between the two the next master may have been heard: it stays. */
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

  /** Whether an advertisement with this counter is one we sent ourselves. */
  isOwn(counter: bigint): boolean {
    return this.#counters.has(counter);
  }

  /**
   * What has been said before is not to be believed. But it may be what another MASTER says that does not hear us yet
   * or no more: one that began in the same microsecond, and takes our advertisement for its own, or one whose counters
   * are behind (strict_replay). It gives way to what we say now, or says why not with a counter that is ahead.
   */
  heardStale(heard: Heard, now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || now.us > this.#masterUntilUs) return;
    // Once: it could not get ahead of somebody who goes on with everything it says.
    if (now.us - this.#staleAnsweredUs < this.#intervalUs || isBowOut(heard)) return;
    const own = this.#owner.source(heard.family);
    if (own === undefined || own === heard.source || comparePrecedence(own, heard.source) === 0) return;
    this.#staleAnsweredUs = now.us;
    this.#assert(heard, now);
  }

  masterDownTimer(now: Instant): void {
    this.#followPeers(now);
    if (this.#state !== "BACKUP") return;
    if (now.us < this.#masterDownAtUs) {
      this.#arm("master-down", this.#masterDownAtUs);
      return;
    }
    // An engine that did not run for so long (the host slept, or was stopped) has not listened either.
    const waitUs = masterDownUs(this.#intervalUs);
    if (now.us - this.#masterDownAtUs > Math.max(waitUs, SECOND)) this.#waitForMaster(now.us);
    else this.#takeOver("the master is silent", now);
  }

  advertiseTimer(now: Instant): void {
    this.#followPeers(now);
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    this.#advertise(now);
    if (this.#toSecondAnnouncement > 0 && --this.#toSecondAnnouncement === 0) this.announce(now);
  }

  /** Something may have made others forget where the addresses are. */
  announce(now: Instant): void {
    if (this.#state === "MASTER" && !this.#lostLease(now.us, now))
      this.#owner.announce(this.vhid, this.#masterUntilUs);
  }

  /** An advertisement has really left: the lease runs from that moment, if it had not run out by then. */
  advertisementLeft(leftUs: Micros, now: Instant): void {
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(leftUs, now)) return;
    this.#masterUntilUs = leftUs + Math.min(this.#leaseUs, this.#promisedUs);
    this.#hasAdvertised = true;
    this.#holdLease();
  }

  /** One did not. Who has not been heard at all since taking over has no lease: it was given for that advertisement. */
  advertisementFailed(): void {
    if (this.#state !== "MASTER" || this.#hasAdvertised) return;
    this.#owner.emit({ kind: "lease", interface: this.#owner.name, vhid: this.vhid, untilUs: 0 });
  }

  #holdLease(): void {
    this.#owner.emit({
      kind: "lease",
      interface: this.#owner.name,
      vhid: this.vhid,
      untilUs: this.#masterUntilUs,
    });
  }

  /** advbase, advskew or demotion changed. `atOnce`: peers must hear of it now. */
  settingsChanged(atOnce: boolean, now: Instant): void {
    if (this.#state === "BACKUP") this.#waitForMaster(this.#silentSinceUs);
    if (this.#state !== "MASTER" || this.#leaving || this.#lostLease(now.us, now)) return;
    if (atOnce) this.#advertise(now);
    else this.#arm("advertise", Math.min(this.#advertiseAtUs, now.us + this.#intervalUs));
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

  /** Looked at whenever there is something to do, which is at least once in a master-down time. */
  #followPeers(now: Instant, heard?: Heard): void {
    const appeared = heard && this.#peers.heard({ ...heard, atUs: heard.receivedUs });
    const changes = this.#peers.silent(now.us);
    for (const change of appeared === undefined ? changes : [...changes, appeared])
      this.#owner.emit({ ...change, interface: this.#owner.name, vhid: this.vhid });
  }

  #heardAsMaster(his: Heard & { intervalUs: Micros }, now: Instant): void {
    // A bow-out is no claim. It comes twice, over either family: the first may be what made us MASTER.
    if (this.#leaving || isBowOut(his)) return;
    const { demote } = this.#effective;
    const ownIntervalUs = this.#intervalUs;
    if (his.demote < demote) this.#yield("a master is less demoted", his.receivedUs, now);
    else if (his.demote > demote || his.intervalUs > ownIntervalUs) this.#assert(his, now);
    else if (his.intervalUs < ownIntervalUs)
      this.#yield("a master advertises more often", his.receivedUs, now);
    else this.#breakTie(his, now);
  }

  /** The order of the rules is the protocol's. */
  #heardAsBackup(his: Heard & { intervalUs: Micros }, now: Instant): void {
    const { demote } = this.#effective;
    const { advbase, preempt } = this.#owner;
    if (preempt && this.#intervalUs < his.intervalUs && his.demote >= demote)
      this.#takeOver("preempting a slower master", now);
    else if (his.demote > demote) this.#takeOver("the master is demoted", now);
    else if (isBowOut(his)) this.#takeOver("the master left", now);
    else if (advbase > 0 && his.intervalUs > 3 * advbase * SECOND)
      this.#takeOver("the master is too slow", now);
    else this.#waitForMaster(his.receivedUs);
  }

  /**
   * Two masters with nothing to choose between them. OpenBSD sends both to BACKUP and leaves it to the timers; here
   * one of the source addresses has precedence, at once and without an outage. Both hosts must look at the same pair
   * of addresses: IPv4's where it gets through.
   */
  #breakTie(his: Heard & { intervalUs: Micros }, now: Instant): void {
    const own = this.#owner.source(his.family);
    if (
      his.family === 6 &&
      this.#heardOverIpv4Us !== undefined &&
      now.us - this.#heardOverIpv4Us <= 3 * his.intervalUs
    ) {
      this.#assert(his, now);
      return;
    }
    const order = own === undefined ? 0 : comparePrecedence(own, his.source);
    // Hosts without addresses of their own speak from the shared one; the counter then tells them apart.
    const stays = order === 0 ? his.counter < this.#counters.lastSent : order < 0;
    if (stays) this.#assert(his, now);
    else this.#yield("an equal master has precedence", his.receivedUs, now);
  }

  /**
   * Another master is heard that has to give way: let it know at once. Each of its frames has made the switches look
   * for the shared MAC where it is, and over two families it is two frames: correct them after either. Answers are
   * few, whatever is heard: anybody can send again what others have said. Where there were many, one more comes soon.
   * (OpenBSD's counter is always the same: it gets one answer an interval.)
   */
  #assert(his: Heard, now: Instant): void {
    const latestUs = now.us - this.#intervalUs;
    const isKnown = his.counter === this.#answeredCounter;
    if (isKnown && (this.#correctedAtUs.get(his.family) ?? Number.NEGATIVE_INFINITY) > latestUs) return;
    this.#answersUs = this.#answersUs.filter((us) => us > latestUs);
    const isAnswered = isKnown && this.#answersUs.length > 0;
    if (!isAnswered) {
      if (this.#answersUs.length >= MAX_ANSWERS_IN_AN_INTERVAL) {
        const soonUs = now.us + this.#intervalUs / MAX_ANSWERS_IN_AN_INTERVAL;
        if (soonUs < this.#advertiseAtUs) this.#arm("advertise", soonUs);
        return;
      }
      this.#answersUs.push(now.us);
      this.#answeredCounter = his.counter;
      this.#advertise(now);
    }
    this.#correctedAtUs.set(his.family, now.us);
    this.#owner.announce(this.vhid, this.#masterUntilUs);
  }

  #takeOver(reason: string, now: Instant): void {
    this.#cancel("master-down");
    this.#become("MASTER", reason, now);
    this.#owner.countTransitionToMaster();
    this.#masterUntilUs = now.us + this.#leaseUs;
    this.#hasAdvertised = false;
    this.#owner.mastershipChanged();
    // Before the advertisement: it draws the clients' packets here at once.
    this.#holdLease();
    this.#advertise(now);
    this.#owner.announce(this.vhid, this.#masterUntilUs);
    this.#toSecondAnnouncement = ADVERTISEMENTS_TO_SECOND_ANNOUNCEMENT;
    this.#answersUs = [];
  }

  /** MASTER -> BACKUP; `sinceUs` is when the one who is MASTER now was heard. */
  #yield(reason: string, sinceUs: Micros, now: Instant): void {
    this.#cancel("advertise");
    this.#become("BACKUP", reason, now);
    this.#leaving = false;
    this.#owner.mastershipChanged();
    this.#waitForMaster(sinceUs);
  }

  /** Losing the lease by running out is leaving MASTER; noticed before anything else is done. */
  #lostLease(atUs: Micros, now: Instant): boolean {
    if (this.#state !== "MASTER" || this.#leaving || atUs <= this.#masterUntilUs) return false;
    this.#yield("no advertisement has left in time", now.us, now);
    return true;
  }

  #become(to: VirtualHostState, reason: string, now: Instant): void {
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
    const effective = this.#effective;
    const stepUs = this.#intervalUs;
    const counter = this.#counters.next(now, this.#owner.counterTag);
    this.#promisedUs = this.#leaseUs;
    this.#owner.send(this.vhid, { advbase: this.#owner.advbase, ...effective, counter }, this.#masterUntilUs);
    // From when it was due, so that small delays do not add up; from now after a long one.
    const dueUs = this.#advertiseAtUs;
    const onTime = dueUs <= now.us && now.us < dueUs + stepUs;
    this.#arm("advertise", (onTime ? dueUs : now.us) + stepUs);
  }

  /** An advertisement that came before this began to wait does not make the wait shorter. */
  #waitForMaster(sinceUs: Micros): void {
    this.#silentSinceUs = Math.max(this.#silentSinceUs, sinceUs);
    this.#arm("master-down", this.#silentSinceUs + masterDownUs(this.#intervalUs));
  }

  #arm(timer: "advertise" | "master-down", atUs: Micros): void {
    if (timer === "advertise") this.#advertiseAtUs = atUs;
    else this.#masterDownAtUs = atUs;
    this.#owner.emit({ kind: "arm", timer: timerId(this.#owner.name, this.vhid, timer), atUs });
  }

  #cancel(timer: "advertise" | "master-down"): void {
    this.#owner.emit({ kind: "cancel", timer: timerId(this.#owner.name, this.vhid, timer) });
  }
}

export function timerId(name: string, vhid: number, timer: "advertise" | "master-down"): string {
  return `${name}/${vhid}/${timer}`;
}
