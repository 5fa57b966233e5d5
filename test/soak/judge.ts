/**
 * Watches the answers to a client and reports violations: two hosts answer for one address for longer than a
 * handover takes, or none for longer than the protocol allows. Knows nothing of how faults are made.
 */

import type { Frame } from "../hosts/index.ts";

const ECHO_REPLIES = [0, 129];

export interface Bounds {
  /** From the last fault, or the last answer, to the next answer. Three times as long, whatever faults follow. */
  readonly silenceUs: number;
  /** Two hosts may both answer this long while one takes over from the other. */
  readonly handoverUs: number;
}

/** The answers for one address so far. */
interface Answers {
  count: number;
  lastUs: number;
  holder: string;
  /** The hosts that have answered the latest requests. */
  readonly recent: Map<number, string>;
  doubled: { readonly sinceUs: number; sequence: number; reported: boolean } | undefined;
}

export class Judge {
  readonly violations: string[] = [];
  answers = 0;
  handovers = 0;
  /** Requests that two hosts answered, in a handover or when it was excused. */
  answeredTwice = 0;
  longestSilenceUs = 0;
  readonly #hosts: ReadonlyMap<string, string>;
  readonly #bounds: Bounds;
  readonly #addresses = new Map<string, Answers>();
  readonly #disturbed: { readonly atUs: number; readonly silenceUs: number }[] = [];
  readonly #excused: { readonly fromUs: number; untilUs: number }[] = [];

  /** @param hosts the host of each Ethernet source that answers come from */
  constructor(hosts: ReadonlyMap<string, string>, bounds: Bounds) {
    this.#hosts = hosts;
    this.#bounds = bounds;
  }

  /** Records a fault at a host: silence is counted from then on. @param silenceUs its bound, if not the usual one */
  disturbed(atUs: number, silenceUs = this.#bounds.silenceUs): void {
    this.#disturbed.push({ atUs, silenceUs });
  }

  /**
   * Allows two hosts to answer, because they do not hear each other. @returns a function that ends it at a
   * time
   */
  excuse(fromUs: number): (untilUs: number) => void {
    const window = { fromUs, untilUs: Number.POSITIVE_INFINITY };
    this.#excused.push(window);
    return (untilUs) => {
      window.untilUs = untilUs;
    };
  }

  take(frames: readonly Frame[]): void {
    for (const frame of frames) {
      const address = frame.ipv4?.source ?? frame.ipv6?.source;
      if (frame.icmp === undefined || address === undefined || !ECHO_REPLIES.includes(frame.icmp.type))
        continue;
      this.#answer(address, frame.icmp.sequence, frame);
    }
  }

  /** Reports at the end the addresses that no host has answered for lately. */
  finish(nowUs: number, addresses: readonly string[]): void {
    for (const address of addresses) {
      const known = this.#addresses.get(address);
      if (known === undefined) this.violations.push(`${address}: never answered`);
      else this.#silence(address, known.lastUs, nowUs);
    }
  }

  #answer(address: string, sequence: number, { ethernetSource, timeUs }: Frame): void {
    const host = this.#hosts.get(ethernetSource) ?? ethernetSource;
    this.answers += 1;
    const known = this.#addresses.get(address);
    if (known === undefined) {
      const recent = new Map([[sequence, host]]);
      this.#addresses.set(address, { count: 1, lastUs: timeUs, holder: host, recent, doubled: undefined });
      return;
    }
    known.count += 1;
    this.#silence(address, known.lastUs, timeUs);
    known.lastUs = timeUs;
    const other = known.recent.get(sequence);
    if (other !== undefined && other !== host) this.#twice(address, known, sequence, timeUs, [other, host]);
    if (known.holder !== host) this.handovers += 1;
    known.holder = host;
    known.recent.set(sequence, host);
    known.recent.delete((sequence - 64) & 0xffff);
  }

  /** A fault during a silence begins a new limit; the silence before it still counts. */
  #silence(address: string, fromUs: number, toUs: number): void {
    this.longestSilenceUs = Math.max(this.longestSilenceUs, toUs - fromUs);
    const disturbed = this.#disturbed.filter(({ atUs }) => atUs > fromUs && atUs < toUs);
    const waits = [{ atUs: fromUs, silenceUs: this.#bounds.silenceUs }, ...disturbed];
    const isInTime = waits.every(
      ({ atUs, silenceUs }, n) => (waits[n + 1]?.atUs ?? toUs) - atUs <= silenceUs,
    );
    if (isInTime && toUs - fromUs <= 3 * Math.max(...waits.map(({ silenceUs }) => silenceUs))) return;
    const seconds = ((toUs - fromUs) / 1e6).toFixed(2);
    this.violations.push(`${at(toUs)} ${address}: no answer for ${seconds} s`);
  }

  #twice(address: string, known: Answers, sequence: number, timeUs: number, hosts: readonly string[]): void {
    this.answeredTwice += 1;
    const { doubled } = known;
    if (doubled === undefined || sequence - doubled.sequence > 1) {
      known.doubled = { sinceUs: timeUs, sequence, reported: false };
      return;
    }
    doubled.sequence = sequence;
    const isExcused = this.#excused.some(({ fromUs, untilUs }) => timeUs >= fromUs && timeUs <= untilUs);
    if (isExcused || doubled.reported || timeUs - doubled.sinceUs <= this.#bounds.handoverUs) return;
    doubled.reported = true;
    this.violations.push(
      `${at(timeUs)} ${address}: answered by both ${hosts.join(" and ")} since ${at(doubled.sinceUs)}`,
    );
  }
}

/** Time of day, to the millisecond. */
export function at(timeUs: number): string {
  return new Date(timeUs / 1000).toISOString().slice(11, 23);
}
