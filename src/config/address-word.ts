/** Telling an address from a keyword by its looks. Whether it is an address is decided where it is parsed. */

/** IPv4 or IPv6 by its looks, with or without /LEN, right or wrong. */
export function looksLikeAddress(word: string): boolean {
  return word.includes(":") || /^[0-9][0-9.]*([/%].*)?$/.test(word);
}
