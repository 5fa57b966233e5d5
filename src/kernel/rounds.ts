/**
 * Rounds: goes round things that come and go, a few at a time, so that each gets its turn as often as every other and
 * the work of one time has a limit.
 */

export class Rounds<T> {
  readonly #all: () => Iterable<T>;
  #left: Iterator<T> | undefined;

  /** @param all whose iterator takes in what is added meanwhile and leaves out what is deleted, as a Map's and a Set's */
  constructor(all: () => Iterable<T>) {
    this.#all = all;
  }

  /** The next ones, or all when there are not so many. */
  next(count: number): ReadonlySet<T> {
    const taken = new Set<T>();
    for (let ends = 0; ends < 2 && taken.size < count; ) {
      this.#left ??= this.#all()[Symbol.iterator]();
      const { done, value } = this.#left.next();
      if (!done) taken.add(value);
      else {
        ends++;
        this.#left = undefined;
      }
    }
    return taken;
  }
}
