/**
 * Rare: maps and sets that are empty for most of their owners. V8 gives every Map and Set a table of 150 to 200 bytes, also
 * an empty one, and a carp interface would have two dozen of these.
 */

/** What a Map and a RareMap have in common for readers. */
export interface Lookup<K, V> extends Iterable<[K, V]> {
  readonly size: number;
  get(key: K): V | undefined;
  has(key: K): boolean;
}

const NOTHING: readonly never[] = [];

export class RareMap<K, V> implements Lookup<K, V> {
  #entries: Map<K, V> | undefined;

  get size(): number {
    return this.#entries?.size ?? 0;
  }

  get(key: K): V | undefined {
    return this.#entries?.get(key);
  }

  has(key: K): boolean {
    return this.#entries?.has(key) ?? false;
  }

  set(key: K, value: V): void {
    this.#entries ??= new Map();
    this.#entries.set(key, value);
  }

  delete(key: K): boolean {
    const wasThere = this.#entries?.delete(key) ?? false;
    if (this.#entries?.size === 0) this.#entries = undefined;
    return wasThere;
  }

  clear(): void {
    this.#entries?.clear();
    this.#entries = undefined;
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return this.#entries?.entries() ?? NOTHING.values();
  }

  values(): Iterable<V> {
    return this.#entries?.values() ?? NOTHING;
  }
}

export class RareSet<T> implements Iterable<T> {
  #values: Set<T> | undefined;

  get size(): number {
    return this.#values?.size ?? 0;
  }

  has(value: T): boolean {
    return this.#values?.has(value) ?? false;
  }

  add(value: T): void {
    this.#values ??= new Set();
    this.#values.add(value);
  }

  delete(value: T): boolean {
    const wasThere = this.#values?.delete(value) ?? false;
    if (this.#values?.size === 0) this.#values = undefined;
    return wasThere;
  }

  clear(): void {
    this.#values?.clear();
    this.#values = undefined;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#values?.values() ?? NOTHING.values();
  }
}
