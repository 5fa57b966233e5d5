/** Suggests the known word nearest to a mistyped one. */

/** ` (did you mean WORD?)`, or nothing when no known word is near. */
export function suggestion(word: string, known: readonly string[]): string {
  const nearest = nearestWord(word, known);
  return nearest === undefined ? "" : ` (did you mean ${nearest}?)`;
}

/** At most one edit for every three letters, and never every letter. */
function nearestWord(word: string, known: readonly string[]): string | undefined {
  const most = Math.max(1, Math.floor(word.length / 3));
  const candidates = known
    .filter((each) => Math.abs(each.length - word.length) <= most && each.length > most)
    .map((each) => ({ each, edits: edits(word, each) }))
    .filter((candidate) => candidate.edits <= most && candidate.edits < word.length)
    .sort((a, b) => a.edits - b.edits);
  return candidates[0]?.each;
}

/** Letters to insert, remove, replace or swap with their neighbour to get from one word to the other. */
function edits(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      const swapped =
        from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1] ? (beforeLast[j - 2] ?? i) + 1 : i + j;
      row.push(Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same, swapped));
    }
    beforeLast = last;
    last = row;
  }
  return last[to.length] ?? 0;
}
