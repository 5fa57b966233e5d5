/**
 * Attacker: a host on the segment without the key. Sends random frames and recorded advertisements, unchanged
 * or changed.
 */

import { ADVERTISEMENT_BYTES } from "../../src/protocol/advertisement.ts";
import { altered, fromElsewhere } from "./frames.ts";
import type { Attack, Step } from "./plan.ts";
import type { Random } from "./random.ts";
import type { Segment } from "./segment.ts";
import type { World } from "./world.ts";

const RECORDED_FRAMES = 64;
/** One frame of so many is kept for longer. */
const KEPT_OF = 16;

export class Attacker {
  readonly #world: World;
  readonly #segment: Segment;
  readonly #random: Random;
  readonly #recorded: Uint8Array[] = [];
  /** Older ones. */
  readonly #kept: Uint8Array[] = [];
  #next = 0;

  constructor(world: World, segment: Segment, random: Random) {
    this.#world = world;
    this.#segment = segment;
    this.#random = random;
    segment.tap = ({ bytes, from }) => {
      if (from === undefined) return;
      this.#recorded[this.#next++ % RECORDED_FRAMES] = bytes;
      if (this.#next % KEPT_OF === 0) this.#kept[(this.#next / KEPT_OF) % RECORDED_FRAMES] = bytes;
    };
  }

  /** Sends the frames of one attack, spread over time. */
  attack({ attack, times, everyUs }: Extract<Step, { kind: "attack" }>): void {
    for (let i = 0; i < times; i++)
      this.#world.at(this.#world.us + i * everyUs, () => {
        const bytes = this.#frame(attack);
        if (bytes !== undefined)
          this.#segment.carry({
            bytes,
            from: undefined,
            to: undefined,
            sentUs: this.#world.us,
            reading: undefined,
          });
      });
  }

  #frame(attack: Attack): Uint8Array | undefined {
    const random = this.#random;
    const records = this.#kept.length > 0 && random.chance(0.3) ? this.#kept : this.#recorded;
    const recorded = records[random.integer(0, Math.max(0, records.length - 1))];
    if (attack === "garbage" || recorded === undefined)
      return Uint8Array.from({ length: random.integer(0, 120) }, () => random.integer(0, 255));
    switch (attack) {
      case "replay":
        return recorded;
      case "alter":
        return altered(recorded, this.#fields());
      case "disguise":
        return fromElsewhere(altered(recorded, this.#fields()), random.integer(1, 7));
      case "dismiss":
        return altered(recorded, { advbase: 255, advskew: 255 });
      case "forge": {
        const bytes = altered(recorded, this.#fields());
        const digest = bytes.length - ADVERTISEMENT_BYTES + 16 + random.integer(0, 19);
        bytes[digest] = (bytes[digest] ?? 0) ^ random.integer(1, 255);
        return altered(bytes, {});
      }
      case "damage": {
        const bytes = Uint8Array.from(recorded.subarray(0, recorded.length - random.pick(0, 0, 0, 1, 40)));
        const at = random.integer(0, bytes.length - 1);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 7));
        return bytes;
      }
    }
  }

  #fields() {
    const random = this.#random;
    return {
      advbase: random.pick(0, 1, 2, 255),
      advskew: random.pick(0, 1, 100, 254, 255),
      demote: random.pick(0, 0, 1, 255),
    };
  }
}
