/** Heap: a queue whose first item precedes all others. Items know their place, so that each can be moved or removed. */

export interface Placed {
  /** Kept by the heap; less than 0: in none. */
  place: number;
}

export class Heap<T extends Placed> {
  /** A binary heap: each item precedes its two children, or is equal. */
  readonly #items: T[] = [];
  readonly #precedes: (a: T, b: T) => boolean;

  constructor(precedes: (a: T, b: T) => boolean) {
    this.#precedes = precedes;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  /** Adds the item, or moves it after a change to where it belongs. */
  put(item: T): void {
    if (item.place < 0) item.place = this.#items.push(item) - 1;
    this.#rise(item);
    this.#sink(item);
  }

  remove(item: T): void {
    if (item.place < 0) return;
    const last = this.#items.pop() as T;
    if (last !== item) {
      this.#set(item.place, last);
      this.#rise(last);
      this.#sink(last);
    }
    item.place = -1;
  }

  #rise(item: T): void {
    while (item.place > 0) {
      const parent = this.#items[(item.place - 1) >> 1] as T;
      if (!this.#precedes(item, parent)) return;
      this.#exchange(parent, item);
    }
  }

  #sink(item: T): void {
    for (;;) {
      const left = this.#items[2 * item.place + 1];
      const right = this.#items[2 * item.place + 2];
      const child = left !== undefined && right !== undefined && this.#precedes(right, left) ? right : left;
      if (child === undefined || !this.#precedes(child, item)) return;
      this.#exchange(item, child);
    }
  }

  #exchange(parent: T, child: T): void {
    const { place } = child;
    this.#set(parent.place, child);
    this.#set(place, parent);
  }

  #set(place: number, item: T): void {
    this.#items[place] = item;
    item.place = place;
  }
}
