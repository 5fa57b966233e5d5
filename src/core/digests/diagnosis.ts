/**
 * Diagnosis: has it found out why digests are wrong, for the virtual hosts of this host and for vhids that it does not
 * have, and tells of the answers.
 */

import type { Carpdevs } from "../carpdevs.ts";
import type { Effect, LogFields } from "../effect.ts";
import type { CarpInterface } from "../interface/carp-interface.ts";
import type { Interfaces } from "../interfaces.ts";
import type { Instant } from "../model.ts";
import type { OtherGroup, WrongDigestView } from "../view.ts";
import { questionAbout, questionAboutOther } from "./asking.ts";
import type { DigestExplanation } from "./question.ts";
import { type Sender, type WrongDigest, WrongDigests } from "./wrong-digests.ts";

export interface HostOfDiagnosis {
  readonly interfaces: Interfaces;
  readonly carpdevs: Carpdevs;
  emit(effect: Effect): void;
  log(priority: 6, text: string, fields: LogFields): void;
}

export class Diagnosis {
  readonly #host: HostOfDiagnosis;
  readonly #ours: WrongDigests;
  readonly #others: WrongDigests;
  #lastId = 0;

  constructor(host: HostOfDiagnosis) {
    this.#host = host;
    const emit = (effect: Effect) => host.emit(effect);
    const nextId = () => ++this.#lastId;
    this.#ours = new WrongDigests({
      nextId,
      emit,
      explained: (sender, explanation) => this.#tell(sender.place, sender, explanation),
    });
    this.#others = new WrongDigests({
      nextId,
      emit,
      // The others are groups of other hosts.
      explained: (sender, explanation) => {
        if (explanation.interface !== undefined) this.#tell(explanation.interface, sender, explanation);
      },
    });
  }

  /** An advertisement was discarded for its digest; `of` undefined: its vhid is none of this carpdev's. */
  unsigned(carpdev: string, of: CarpInterface | undefined, wrong: WrongDigest, now: Instant): void {
    const { interfaces, carpdevs } = this.#host;
    const around = { interfaces, carpdev, link: carpdevs.links.get(carpdev) };
    if (of === undefined) this.#others.heard(carpdev, wrong, () => questionAboutOther(wrong, around), now);
    else this.#ours.heard(of.name, wrong, () => questionAbout(of, wrong, around), now);
  }

  believed({ name }: CarpInterface, of: { readonly vhid: number; readonly source: string }): void {
    this.#ours.believed(name, of);
  }

  explained(answer: { readonly id: number; readonly explanation: DigestExplanation }): void {
    this.#ours.explained(answer);
    this.#others.explained(answer);
  }

  /** The interface is gone or changed. */
  forget({ name, configuration: { carpdev } }: CarpInterface): void {
    this.#ours.forget(name);
    this.#others.forget(name);
    if (carpdev !== undefined) this.#others.forget(carpdev);
  }

  carpdevGone(carpdev: string): void {
    this.#others.forget(carpdev);
  }

  /** What was found out about the peers of an interface. */
  view(name: string): WrongDigestView[] {
    return [...this.#ours.view(name), ...this.#others.view(name)];
  }

  /** The groups of other hosts on a carpdev. */
  otherGroups(carpdev: string): OtherGroup[] {
    return this.#others
      .at(carpdev)
      .filter(({ explanation }) => explanation?.interface === undefined)
      .map(({ vhid, source, lastUs }) => ({ vhid, source, atUs: lastUs }));
  }

  /** Logs a cause at any value of net.inet.carp.log, because a person has to do something; anybody may send what has none. */
  #tell(name: string, { vhid, source }: Sender, explanation: DigestExplanation): void {
    const { cause, text, todo } = explanation;
    const line = `${name}: ${text}: ${todo}`;
    const fields: LogFields = { event: "signing", interface: name, vhid, reason: cause };
    if (cause === "unknown") this.#host.log(6, line, fields);
    else this.#host.emit({ kind: "log", priority: 3, text: line, fields });
    this.#host.emit({ kind: "wrong-digest", interface: name, vhid, source, cause, text, todo });
  }
}
