/**
 * Turns: the order in which clients are served. Users take turns, however many connections each has; root goes
 * before all others.
 */

export class Turns<T> {
  /** By uid, in the order of their next turns. */
  readonly #waiting = new Map<number, T[]>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  push(uid: number, waiting: T): void {
    const others = this.#waiting.get(uid);
    if (others === undefined) this.#waiting.set(uid, [waiting]);
    else others.push(waiting);
  }

  next(): T | undefined {
    const uid = this.#waiting.has(0) ? 0 : this.#waiting.keys().next().value;
    if (uid === undefined) return undefined;
    const own = this.#waiting.get(uid) ?? [];
    const next = own.shift();
    this.#waiting.delete(uid);
    if (own.length > 0) this.#waiting.set(uid, own);
    return next;
  }
}
