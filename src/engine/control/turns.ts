/**
 * Turns: the order in which clients are served. Users take turns, however many connections each has; root goes
 * before all others.
 */

export class Turns<T> {
  /** By uid, in the order of their next turns. */
  readonly #waiting = new Map<number, Set<T>>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  push(uid: number, waiting: T): void {
    const others = this.#waiting.get(uid);
    if (others === undefined) this.#waiting.set(uid, new Set([waiting]));
    else others.add(waiting);
  }

  /** Gives up a place: it may wait long, and must not be kept until then. */
  remove(uid: number, waiting: T): void {
    const own = this.#waiting.get(uid);
    if (own?.delete(waiting) && own.size === 0) this.#waiting.delete(uid);
  }

  next(): T | undefined {
    const uid = this.#waiting.has(0) ? 0 : this.#waiting.keys().next().value;
    if (uid === undefined) return undefined;
    const own = this.#waiting.get(uid) ?? new Set();
    const next = own.values().next().value;
    this.#waiting.delete(uid);
    if (next !== undefined && own.delete(next) && own.size > 0) this.#waiting.set(uid, own);
    return next;
  }
}
