/**
 * Pairs things of one host with things of others by what they have in common: each with one at most, the pairs that
 * have most in common first.
 */

/** What a thing is recognised by, and how much each of it counts. */
export type Marks = ReadonlyMap<string, number>;

/** A mark that more things have says nothing about one of them. */
const MOST_ALIKE = 64;

/**
 * @param newcomers things of one host
 * @param known those to pair them with
 * @returns the newcomers that have a partner, by it
 */
export function pairUp<New, Known>(
  newcomers: readonly New[],
  known: readonly Known[],
  marksOf: (each: New) => Marks,
  marksOfKnown: (each: Known) => Marks,
): Map<New, Known> {
  const byMark = new Map<string, Known[]>();
  for (const each of known)
    for (const mark of marksOfKnown(each).keys()) {
      const others = byMark.get(mark);
      if (others === undefined) byMark.set(mark, [each]);
      else others.push(each);
    }
  const pairs: { newcomer: New; partner: Known; common: number }[] = [];
  for (const newcomer of newcomers) {
    const common = new Map<Known, number>();
    for (const [mark, weight] of marksOf(newcomer)) {
      const partners = byMark.get(mark) ?? [];
      if (partners.length > MOST_ALIKE) continue;
      for (const partner of partners) common.set(partner, (common.get(partner) ?? 0) + weight);
    }
    for (const [partner, weight] of common) pairs.push({ newcomer, partner, common: weight });
  }
  pairs.sort((a, b) => b.common - a.common);
  const taken = new Set<Known>();
  const paired = new Map<New, Known>();
  for (const { newcomer, partner } of pairs) {
    if (paired.has(newcomer) || taken.has(partner)) continue;
    paired.set(newcomer, partner);
    taken.add(partner);
  }
  return paired;
}
