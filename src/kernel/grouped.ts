/**
 * Grouped: values by a key that several of them share, so that those of one key are found without a walk over all.
 */

const NONE: ReadonlySet<never> = new Set();

export class Grouped<K, V> {
  readonly #groups = new Map<K, Set<V>>();

  /** The values of this key, in the order they were added. */
  get(key: K): ReadonlySet<V> {
    return this.#groups.get(key) ?? NONE;
  }

  has(key: K): boolean {
    return this.#groups.has(key);
  }

  /** @returns whether the key had no value before */
  add(key: K, value: V): boolean {
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, new Set([value]));
    else group.add(value);
    return group === undefined;
  }

  /** @returns whether this was the key's last value */
  delete(key: K, value: V): boolean {
    const group = this.#groups.get(key);
    group?.delete(value);
    return group?.size === 0 && this.#groups.delete(key);
  }

  clear(): void {
    this.#groups.clear();
  }
}
