/**
 * Signing: in which form the virtual hosts of a carp interface sign, and which forms they believe: the secret
 * (grace.ts), and for each vhid whether link-local addresses are covered (link-local-digests.ts).
 */

import { isLinkLocal } from "../../protocol/address.ts";
import type { DigestForm, LinkLocals } from "../../protocol/authentication.ts";
import type { Effect } from "../effect.ts";
import type { Timer } from "../event.ts";
import type { Heard, Micros } from "../model.ts";
import type { GraceView, NodeView } from "../view.ts";
import type { InterfaceConfiguration } from "./configuration.ts";
import { changedIn, Grace, type SavedGrace, type Secret } from "./grace.ts";
import { LinkLocalDigests } from "./link-local-digests.ts";

/** The form of a digest, and what it covers. */
export interface SignedAs extends DigestForm {
  readonly secret: Secret;
}

export interface SigningEvents {
  emit(effect: Effect): void;
  /** @param vhid undefined: it is about the whole interface */
  log(text: string, vhid?: number): void;
  /** Other secrets are believed. */
  believedChanged(): void;
}

export class Signing {
  readonly #name: string;
  readonly #events: SigningEvents;
  readonly #grace: Grace;
  readonly #timer: Timer;
  /** It outlasts a change of identity. */
  readonly #linkLocals = new Map<number, LinkLocalDigests>();

  constructor(configuration: InterfaceConfiguration, events: SigningEvents) {
    this.#name = configuration.name;
    this.#events = events;
    this.#grace = new Grace(configuration);
    this.#timer = { kind: "grace", interface: configuration.name };
  }

  /** The secret as it is configured. */
  get present(): Secret {
    return this.#grace.present;
  }

  /** Every secret that is believed. */
  get believed(): readonly Secret[] {
    return this.#grace.believed;
  }

  /** The form of the digests that are sent for a virtual host. */
  formOf(vhid: number): SignedAs {
    return { linkLocals: this.#linkLocalsOf(vhid).form, secret: this.#grace.signed };
  }

  #linkLocalsOf(vhid: number): LinkLocalDigests {
    const known = this.#linkLocals.get(vhid);
    if (known !== undefined) return known;
    const made = new LinkLocalDigests();
    this.#linkLocals.set(vhid, made);
    return made;
  }

  /** An advertisement is sent. */
  sent(): void {
    this.#grace.sent();
  }

  /** An advertisement with this secret was believed. */
  heardSecret(secret: Secret, source: string, nowUs: Micros): void {
    if (this.#grace.heard(secret, source, nowUs)) this.#changed(`signs ${this.#what()}, as ${source} does`);
  }

  /**
   * Before a node answers: a peer may understand the one form of digest only.
   *
   * @param host the virtual host that it arrived for, as in the log
   */
  heardForm(
    { vhid, host, isOurs }: { readonly vhid: number; readonly host: string; readonly isOurs: boolean },
    heard: Heard,
    linkLocals: Exclude<LinkLocals, "none">,
    nowUs: Micros,
  ): void {
    const change = this.#linkLocalsOf(vhid).heard(linkLocals, heard, isOurs, nowUs);
    for (const text of change.texts) this.#events.log(`${host}: ${text}`, vhid);
    if (change.formChanged) this.#events.emit({ kind: "save" });
  }

  // The secret.

  /** The configuration changes. @param isElsewhere it is another virtual host, or on another segment */
  change(
    next: InterfaceConfiguration,
    { isElsewhere, graceUs }: { readonly isElsewhere: boolean; readonly graceUs: Micros },
    nowUs: Micros,
  ): void {
    if (isElsewhere) this.#grace.moved(next);
    else this.#grace.change(next, graceUs, nowUs);
    this.#arm();
  }

  /** `grace off`: only the present secret is believed. */
  endGrace(): void {
    this.#grace.end();
    this.#events.believedChanged();
    this.#arm();
  }

  /** The grace timer fired. */
  timePassed(nowUs: Micros): void {
    const change = this.#grace.passed(nowUs);
    if (change === undefined) this.#arm();
    else
      this.#changed(change === "changed-over" ? `signs ${this.#what()}: the time of grace has passed` : "");
  }

  #what(): string | undefined {
    const { view } = this.#grace;
    return view && `with the ${view.signsOld ? "earlier" : "new"} ${changedIn(view)}`;
  }

  /** @param text for the log; "": none */
  #changed(text: string): void {
    if (text !== "") this.#events.log(`${this.#name}: ${text}`);
    this.#events.emit({ kind: "save" });
    this.#events.believedChanged();
    this.#arm();
  }

  #arm(): void {
    const { nextUs } = this.#grace;
    if (nextUs === undefined) this.#events.emit({ kind: "cancel", timer: this.#timer });
    else this.#events.emit({ kind: "arm", timer: this.#timer, atUs: nextUs });
  }

  get grace(): GraceView | undefined {
    return this.#grace.view;
  }

  get savedGrace(): SavedGrace | undefined {
    return this.#grace.saved(this.#name);
  }

  restoreGrace(saved: SavedGrace, graceUs: Micros, nowUs: Micros): void {
    this.#grace.restore(saved, graceUs, nowUs);
    this.#arm();
  }

  // Link-local addresses.

  /** The vhids whose digests cover the link-local addresses. */
  get signsLinkLocals(): number[] {
    return [...this.#linkLocals].flatMap(([vhid, { form }]) => (form === "covered" ? vhid : []));
  }

  /** Restores what `signsLinkLocals` of an earlier engine was. */
  signLinkLocals(vhids: readonly number[]): void {
    for (const vhid of vhids) this.#linkLocals.set(vhid, new LinkLocalDigests("covered"));
  }

  linkLocalView(
    vhid: number,
    addresses: InterfaceConfiguration["addresses"],
  ): Pick<NodeView, "signsLinkLocals" | "linkLocalConflict"> {
    if (!addresses.some(({ address }) => isLinkLocal(address))) return {};
    const { form, conflict } = this.#linkLocalsOf(vhid);
    return { signsLinkLocals: form === "covered", linkLocalConflict: conflict };
  }
}
