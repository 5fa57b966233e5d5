/**
 * KnownHosts: the tags of the hosts of one virtual host that run this program, by what was heard: their
 * counters are the time of day, and advance with the clock. Others stand still (OpenBSD), or count from what
 * they heard by one for each advertisement (FreeBSD, NetBSD, ucarp). Decides nothing about an advertisement.
 */

import { MILLISECOND, SECOND } from "../election/timing.ts";
import type { Micros } from "../model.ts";
import { RareMap } from "../rare.ts";
import { TAGS } from "./counter-format.ts";

const MAX_HOSTS = 32;
/** Clocks that agree, as precisely as it matters here. */
const SAME_TIME: Micros = 10 * SECOND;

export class KnownHosts {
  /** When each was heard last, by its tag. */
  readonly #heardAtUs = new Map<number, Micros>();
  /** The greatest counter of a tag that is not known yet. */
  readonly #candidates = new RareMap<number, { readonly us: bigint; readonly atUs: Micros }>();
  /** The counters by which hosts are known that have been heard once. */
  readonly #provisional = new RareMap<number, bigint>();

  /** The one heard longest ago is first. */
  get tags(): number[] {
    return [...this.#heardAtUs].sort(([, a], [, b]) => a - b).map(([tag]) => tag);
  }

  has(tag: number): boolean {
    return this.#heardAtUs.has(tag);
  }

  /** Notes that a known host was heard, or that this one advertised. @returns true: it was not known yet */
  add(tag: number, atUs: Micros): boolean {
    const isNew = !this.#heardAtUs.has(tag);
    this.#heardAtUs.set(tag, atUs);
    if (!isNew) return false;
    this.#candidates.delete(tag);
    const [oldest] = this.#heardAtUs.size > MAX_HOSTS ? this.tags : [];
    if (oldest !== undefined) this.#heardAtUs.delete(oldest);
    return true;
  }

  /**
   * Notes a counter of a tag that is not known yet. The first one suffices when it shows the time of our
   * clock, until another implementation turns out to have made it.
   *
   * @returns true when the host is known by it
   */
  learn(tag: number, us: bigint, atUs: Micros, clockUs: number): boolean {
    if (Math.abs(Number(us) - clockUs) < SAME_TIME) {
      this.#provisional.set(tag, us);
      this.add(tag, atUs);
      return true;
    }
    const former = this.#candidates.get(tag);
    // An earlier counter is no evidence: it may be a recording.
    if (former !== undefined && us <= former.us) return false;
    this.#candidates.set(tag, { us, atUs });
    if (former === undefined) return false;
    const passed = atUs - former.atUs;
    const advanced = Number(us - former.us);
    if (2 * advanced < passed || advanced > 2 * passed + 10 * MILLISECOND) return false;
    this.add(tag, atUs);
    return true;
  }

  /**
   * Another implementation sent this counter: a host that was known by one counter close to it is that one,
   * which counts by one.
   *
   * @returns whether that was so: it is no longer known
   */
  doubt(counter: bigint): boolean {
    for (const [tag, us] of this.#provisional) {
      if (counter - us >= TAGS || us - counter >= TAGS) continue;
      this.#provisional.delete(tag);
      return this.#heardAtUs.delete(tag);
    }
    return false;
  }
}
