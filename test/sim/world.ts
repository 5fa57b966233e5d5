/**
 * World: the clock of a simulation and the queue of its future events, by time and, at equal times, in the
 * order in which they were scheduled. Knows nothing about the events.
 */

import type { Micros } from "../../src/core/model.ts";

interface Happening {
  readonly atUs: Micros;
  readonly order: number;
  readonly happen: () => void;
}

export class World {
  #us: Micros = 0;
  #order = 0;
  /** A binary heap: each entry precedes its two children. */
  readonly #heap: Happening[] = [];

  /** Whole microseconds since the simulation began, on a clock that no host has. */
  get us(): Micros {
    return this.#us;
  }

  /** Schedules an event. @param atUs its time; a time that has passed means now */
  at(atUs: Micros, happen: () => void): void {
    const added = { atUs: Math.max(this.#us, Math.ceil(atUs)), order: this.#order++, happen };
    const heap = this.#heap;
    let place = heap.length;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above] as Happening;
      if (!precedes(added, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = added;
  }

  run(untilUs: Micros): void {
    for (let next = this.#heap[0]; next !== undefined && next.atUs <= untilUs; next = this.#heap[0]) {
      this.#removeFirst();
      this.#us = next.atUs;
      next.happen();
    }
    this.#us = untilUs;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && precedes(heap[below + 1] as Happening, heap[below] as Happening))
        below++;
      if (!precedes(heap[below] as Happening, last)) break;
      heap[place] = heap[below] as Happening;
      place = below;
    }
    heap[place] = last;
  }
}

function precedes(a: Happening, b: Happening): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}
