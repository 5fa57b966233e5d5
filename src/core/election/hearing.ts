/**
 * Hearing: what one virtual host has heard from the others: the last advertisement, bow-outs, the peers, and
 * the shortest interval. Decides nothing about states.
 */

import type { Heard, Micros } from "../model.ts";
import { type Peer, type PeerChange, Peers } from "./peers.ts";
import { QuickPeers } from "./quick-peers.ts";
import { intervalUs, isBowOut, SECOND } from "./timing.ts";

export class Hearing {
  #last: Heard | undefined;
  /** The last bow-out heard from any host. */
  #bowOut: Heard | undefined;
  #overIpv4Us: Micros | undefined;
  readonly #quickPeers = new QuickPeers();
  readonly #peers = new Peers();

  /** The last accepted advertisement. */
  get last(): Heard | undefined {
    return this.#last;
  }

  /** The virtual host begins to run. */
  begin(): void {
    this.#last = undefined;
    this.#quickPeers.forget();
  }

  forgetPeers(): void {
    this.#peers.forget();
  }

  /** Notes an advertisement. @returns false: it is a bow-out that was heard over the other family already */
  accept(heard: Heard, nowUs: Micros): boolean {
    if (this.#repeatsBowOut(heard)) return false;
    this.#last = heard;
    if (heard.family === 4) this.#overIpv4Us = heard.receivedUs;
    if (!isBowOut(heard)) this.#quickPeers.heard(intervalUs(heard.advbase, heard.advskew), nowUs);
    return true;
  }

  /** Whether an advertisement was heard over IPv4 since then. */
  overIpv4Since(us: Micros): boolean {
    return this.#overIpv4Us !== undefined && this.#overIpv4Us >= us;
  }

  /** The shortest interval heard lately; undefined: none. */
  shortestIntervalUs(nowUs: Micros): Micros | undefined {
    return this.#quickPeers.shortestUs(nowUs);
  }

  /** Notes the peer of an advertisement. @returns how that changes the peers */
  meet(heard: Heard): PeerChange | undefined {
    return this.#peers.heard(heard);
  }

  /** Updates the peers, also by an advertisement. @returns their changes */
  peerChanges(nowUs: Micros, heard?: Heard): readonly PeerChange[] {
    const changed = heard && this.meet(heard);
    const silent = this.#peers.silent(nowUs);
    return changed === undefined ? silent : [...silent, changed];
  }

  /** Whether other hosts are peers too, over the same family: that one of them has gone is to be told in time. */
  hasPeerBeside(heard: Heard): boolean {
    return this.#peers.hasBeside(heard);
  }

  get hasPeers(): boolean {
    return this.#peers.hasAny;
  }

  peers(): Peer[] {
    return this.#peers.view();
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
}
