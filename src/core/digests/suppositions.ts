/**
 * Suppositions of what another host signs with where its digest is wrong here: the mistakes that people make, likely
 * ones first. Lazy: no more is laid out than is tried.
 */

import { addressBytes, formatAddress } from "../../protocol/address.ts";
import { type DigestInput, keyOf } from "../../protocol/authentication.ts";
import type { Family } from "../model.ts";
import type { CoveredAddresses } from "./covered-addresses.ts";
import type { DigestQuestion } from "./question.ts";

/** The other host's pass, seen from here. */
export type PassFault =
  | { readonly kind: "same" | "none" | "line-end" | "blank" | "trimmed" | "quoted" | "longer" | "earlier" }
  | { readonly kind: "of"; readonly interface: string };

/** The other host's addresses, seen from here. */
export type AddressFault =
  | { readonly kind: "same" }
  | { readonly kind: "lacks"; readonly addresses: readonly string[] }
  | { readonly kind: "lacks-family"; readonly family: Family }
  | { readonly kind: "has"; readonly addresses: readonly string[]; readonly whose: Whose }
  | { readonly kind: "instead"; readonly here: string; readonly there: string }
  | { readonly kind: "of"; readonly interface: string };

/** Where an address that is too many comes from. */
export type Whose =
  | { readonly kind: "source" | "carpdev" | "automatic" | "unknown" }
  | { readonly kind: "interface"; readonly interface: string };

export interface Fault {
  readonly pass: PassFault;
  readonly addresses: AddressFault;
  /** A MAC that is covered there, or null where the one of this host is not; absent: as here. */
  readonly lladdr?: string | null;
  /** The vhid that is signed; absent: the right one. */
  readonly vhid?: number;
}

export interface Supposition {
  readonly fault: Fault;
  readonly input: DigestInput;
  /** Whether everything likely has been supposed before it. */
  readonly isFarFetched: boolean;
}

interface Pass {
  readonly fault: PassFault;
  readonly key: Uint8Array;
}

interface Change {
  readonly fault: AddressFault;
  readonly addresses: CoveredAddresses;
}

const SAME = { kind: "same" } as const;
/** Changes of the addresses that other passes are tried with. */
const FEW = 16;
/** Addresses of an interface around which others are looked for, and the addresses of one that are tried by themselves. */
const SOME = 64;

export function* suppositions(question: DigestQuestion): Generator<Supposition> {
  if (question.isOfOtherVhid) {
    yield* underOtherVhid(question);
    return;
  }
  const { vhid, lladdr, bases } = question;
  const [own, ...others] = passesOf(question);
  if (own === undefined) return;
  let isFarFetched = false;
  const suppose = (pass: Pass, change: Change, more: Pick<Fault, "lladdr" | "vhid"> = {}): Supposition => ({
    fault: { pass: pass.fault, addresses: change.fault, ...more },
    input: {
      key: pass.key,
      vhid: more.vhid ?? vhid,
      lladdr: more.lladdr === undefined ? lladdr : (more.lladdr ?? undefined),
      addresses: change.addresses.bytes,
    },
    isFarFetched,
  });
  const same = bases.map((addresses): Change => ({ fault: SAME, addresses }));

  for (const pass of others) for (const change of same) yield suppose(pass, change);
  for (const change of changes(question)) yield suppose(own, change);
  const macs = [null, ...question.otherMacs].filter((mac) => mac !== (lladdr ?? null));
  for (const mac of macs) for (const change of same) yield suppose(own, change, { lladdr: mac });
  for (const { name, pass, addresses } of question.siblings) {
    const theirs: Change = { fault: { kind: "of", interface: name }, addresses };
    yield suppose(own, theirs);
    yield suppose({ fault: { kind: "of", interface: name }, key: keyOf(pass) }, theirs);
  }
  const numbers = new Set(question.siblings.flatMap(({ vhids }) => vhids));
  for (const number of numbers)
    if (number !== vhid) for (const change of same) yield suppose(own, change, { vhid: number });
  for (const change of unknown(question)) yield suppose(own, change);
  isFarFetched = true;
  for (const pass of others) for (const change of within(changes(question), FEW)) yield suppose(pass, change);
  for (const change of replaced(question)) yield suppose(own, change);
  for (const change of twoLacking(question)) yield suppose(own, change);
}

/** An interface of this host, as it is. */
function* underOtherVhid({ vhid, siblings }: DigestQuestion): Generator<Supposition> {
  for (const { name, pass, addresses, lladdr } of siblings) {
    const of = { kind: "of", interface: name } as const;
    const input = { key: keyOf(pass), vhid, lladdr, addresses: addresses.bytes };
    yield { fault: { pass: of, addresses: of }, input, isFarFetched: false };
  }
}

/** Passes that differ as keys; the right one first. */
function passesOf({ pass, earlierPasses, siblings }: DigestQuestion): Pass[] {
  const bytes = new TextEncoder().encode(pass);
  const passes = (kind: Exclude<PassFault["kind"], "of">, ...texts: string[]): Pass[] =>
    texts.map((text) => ({ fault: { kind }, key: keyOf(text) }));
  const all: Pass[] = [
    ...passes("same", pass),
    ...passes("none", ""),
    ...passes("line-end", `${pass}\n`, `${pass}\r\n`, `${pass}\r`),
    ...passes("blank", `${pass} `, `${pass}\t`, ` ${pass}`),
    ...passes("trimmed", pass.trim()),
    ...passes("quoted", `"${pass}"`, `'${pass}'`),
    { fault: { kind: "longer" }, key: bytes.subarray(0, 20) },
    { fault: { kind: "longer" }, key: bytes },
    ...passes("earlier", ...earlierPasses),
    ...siblings.map((each): Pass => ({ fault: { kind: "of", interface: each.name }, key: keyOf(each.pass) })),
  ];
  const known = new Set<string>();
  return all.filter(({ key }) => {
    const padded = Buffer.from(key).toString("latin1").replace(/\0+$/, "");
    const isNew = !known.has(padded);
    known.add(padded);
    return isNew;
  });
}

/** Single changes that make other addresses of these. */
function* changes(question: DigestQuestion): Generator<Change> {
  const { bases, siblings, carpdevAddresses } = question;
  for (const base of bases)
    for (let index = 0; index < base.count; index++)
      yield {
        fault: { kind: "lacks", addresses: [formatAddress(base.at(index))] },
        addresses: base.without(index),
      };
  for (const base of bases)
    for (const family of [4, 6] as const)
      if (base.countOf(family) > 1)
        yield { fault: { kind: "lacks-family", family }, addresses: base.withoutFamily(family) };
  for (const base of bases)
    for (const { address, whose } of known(question)) yield* having(base, [address], whose);
  for (const base of bases)
    for (const { name, addresses } of siblings)
      yield* having(base, within(addresses, SOME), { kind: "interface", interface: name });
  for (const base of bases) yield* having(base, carpdevAddresses.map(addressBytes), { kind: "carpdev" });
}

/** Addresses that another host may have as well: its own, this host's, and those of other interfaces. */
function* known(
  question: DigestQuestion,
): Generator<{ readonly address: Uint8Array; readonly whose: Whose }> {
  const { vhid, source, carpdevAddresses, siblings } = question;
  yield { address: addressBytes(source), whose: { kind: "source" } };
  for (const address of carpdevAddresses)
    yield { address: addressBytes(address), whose: { kind: "carpdev" } };
  yield { address: automaticLinkLocal(vhid), whose: { kind: "automatic" } };
  for (const { name, addresses } of siblings)
    for (const address of within(addresses, SOME))
      yield { address, whose: { kind: "interface", interface: name } };
}

/** The link-local address that a BSD's carp interface makes of its MAC. */
function automaticLinkLocal(vhid: number): Uint8Array {
  return Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x00, 0x01, vhid]);
}

function* having(base: CoveredAddresses, others: Iterable<Uint8Array>, whose: Whose): Generator<Change> {
  const more = [...others].filter((address) => !base.has(address));
  if (more.length === 0) return;
  const addresses = more.reduce((all, address) => all.with(address), base);
  yield { fault: { kind: "has", addresses: more.map(formatAddress), whose }, addresses };
}

/** One address more that this host does not know: any that differs from one here in the last byte. */
function* unknown(question: DigestQuestion): Generator<Change> {
  for (const near of neighbourhoods(question))
    for (const base of question.bases)
      for (const address of near) yield* having(base, [address], { kind: "unknown" });
}

/** Another address in the place of one here: one that is known, or one that differs in the last byte. */
function* replaced(question: DigestQuestion): Generator<Change> {
  const others = [...within(known(question), FEW)].map(({ address }) => address);
  for (const near of [others, ...neighbourhoods(question)])
    for (const base of question.bases) {
      const theres = near.filter((address) => !base.has(address));
      for (let index = 0; index < base.count; index++) {
        const here = base.at(index);
        const left = base.without(index);
        for (const there of theres)
          if (there.length === here.length)
            yield {
              fault: { kind: "instead", here: formatAddress(here), there: formatAddress(there) },
              addresses: left.with(there),
            };
      }
    }
}

function* twoLacking({ bases }: DigestQuestion): Generator<Change> {
  for (const base of bases)
    for (let one = 0; one < base.count; one++) {
      const left = base.without(one);
      for (let two = one; two < left.count; two++)
        yield {
          fault: { kind: "lacks", addresses: [base.at(one), left.at(two)].map(formatAddress) },
          addresses: left.without(two),
        };
    }
}

/**
 * For each place where addresses of the interface or of its carpdev are, the 256 that differ in the last byte, nearest
 * first.
 */
function* neighbourhoods({ bases, carpdevAddresses }: DigestQuestion): Generator<readonly Uint8Array[]> {
  const seen = new Set<string>();
  for (const address of [...within(bases.at(-1) ?? [], SOME), ...carpdevAddresses.map(addressBytes)]) {
    const place = address.subarray(0, -1);
    if (seen.has(place.join())) continue;
    seen.add(place.join());
    const last = address.at(-1) ?? 0;
    const ends = Array.from({ length: 256 }, (_, end) => end);
    ends.sort((a, b) => Math.abs(a - last) - Math.abs(b - last));
    yield ends.map((end) => Uint8Array.from([...place, end]));
  }
}

function* within<T>(all: Iterable<T>, most: number): Generator<T> {
  let taken = 0;
  for (const each of all) {
    if (taken++ >= most) return;
    yield each;
  }
}
