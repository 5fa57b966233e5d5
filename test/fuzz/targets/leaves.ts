/** JSON of which one value, or what holds several, is another one: where noise would only make it no JSON at all. */

import fc from "fast-check";

const other = fc.oneof(
  fc.constantFrom(
    ...[-1, 0, 1, 32, 33, 63, 64, 128, 129, 254, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 53],
    ...[0.5, "", "0", "x", "carp0", "eth0", "10.0.0.1", "::", null, true, false],
  ),
  fc.constant([]),
  fc.constant({}),
);

export function withOneChanged(json: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.tuple(json, fc.nat(0xffff), other).map(([bytes, at, value]) => {
    const all: unknown = JSON.parse(Buffer.from(bytes).toString());
    const places = placesIn(all);
    const place = places[at % (places.length || 1)];
    if (place !== undefined) Reflect.set(place.in, place.key, value);
    return Buffer.from(JSON.stringify(all));
  });
}

interface Place {
  readonly in: object;
  readonly key: string;
}

function placesIn(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => [{ in: value, key }, ...placesIn(each)]);
}
