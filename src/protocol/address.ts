/**
 * IP and MAC addresses as canonical text and as bytes. Strict in what it reads: one address, one text. It must never
 * look a name up, nor know which addresses this machine has. Prefixes and subnets are in subnet.ts.
 */

import ipaddr from "ipaddr.js";

export type Family = 4 | 6;

export interface ParsedAddress {
  readonly family: Family;
  /** Canonical: dotted decimal, or RFC 5952. */
  readonly address: string;
  readonly bytes: Uint8Array;
}

const octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const dottedQuad = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}$`);
/** No zone id. */
const ipv6Characters = /^[0-9a-f:]*:(?:[0-9a-f]{0,4}|[0-9.]+)$/i;
const longestIpv6Text = 45;

/**
 * Reads one IPv4 or IPv6 address. Refused: `10.1`, `010.0.0.1`, zone ids (a carp address belongs to its interface
 * already) and IPv4-mapped IPv6, which no host may use on the wire.
 */
export function parseAddress(text: string): ParsedAddress | undefined {
  const bytes = parseIpv4(text) ?? parseIpv6(text);
  if (bytes === undefined || isIpv4Mapped(bytes)) return undefined;
  return { family: bytes.length === 4 ? 4 : 6, address: formatAddress(bytes), bytes };
}

function parseIpv4(text: string): Uint8Array | undefined {
  const match = dottedQuad.exec(text);
  if (match === null) return undefined;
  const [, a, b, c, d] = match;
  return Uint8Array.of(Number(a), Number(b), Number(c), Number(d));
}

function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length > longestIpv6Text || !ipv6Characters.test(text)) return undefined;
  const words = embeddedIpv4AsWords(text);
  if (words === undefined || !ipaddr.IPv6.isValid(words)) return undefined;
  return Uint8Array.from(ipaddr.IPv6.parse(words).toByteArray());
}

/**
 * ipaddr.js reads octal in a dotted quad, and `::10.0.0.1` as if it were IPv4-mapped: it gets to see none.
 */
function embeddedIpv4AsWords(text: string): string | undefined {
  const start = text.lastIndexOf(":") + 1;
  if (!text.includes(".", start)) return text;
  const bytes = parseIpv4(text.slice(start));
  if (bytes === undefined) return undefined;
  const digits = Array.from(bytes, hexByte).join("");
  return `${text.slice(0, start)}${digits.slice(0, 4)}:${digits.slice(4)}`;
}

function isIpv4Mapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16) return false;
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

/** @throws TypeError when the text is not an address as `formatAddress` writes it. */
export function addressBytes(address: string): Uint8Array {
  const known = bytesOfTexts.get(address);
  if (known !== undefined) return known.slice();
  const bytes = parseIpv4(address) ?? parseIpv6(address);
  if (bytes === undefined || (bytes.length === 16 && formatAddress(bytes) !== address)) {
    throw new TypeError(`${address}: not a canonical address`);
  }
  if (bytesOfTexts.size >= MOST_TEXTS) bytesOfTexts.clear();
  bytesOfTexts.set(address, bytes.slice());
  return bytes;
}

/** The bytes of addresses read before: a host's own are read again with every change, and IPv6's take microseconds. */
const bytesOfTexts = new Map<string, Uint8Array>();

/** @throws TypeError unless there are 4 or 16 bytes. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length !== 4 && bytes.length !== 16) throw new TypeError(`${bytes.length} bytes are no address`);
  let key = 0;
  for (let at = bytes.length - 4; at < bytes.length; at++) key = (key << 8) | (bytes[at] as number);
  const known = texts.get(key);
  if (known !== undefined && areSame(known.bytes, bytes)) return known.text;
  const text = bytes.length === 4 ? bytes.join(".") : new ipaddr.IPv6([...bytes]).toRFC5952String();
  if (texts.size >= MOST_TEXTS) texts.clear();
  texts.set(key, { bytes: Uint8Array.from(bytes), text });
  return text;
}

/**
 * The texts of addresses formatted before, by their last four bytes: the packets that arrive are from a few. A text that is
 * made anew would be hashed anew, too, by every map that it is looked up in.
 */
const texts = new Map<number, { readonly bytes: Uint8Array; readonly text: string }>();
const MOST_TEXTS = 256;

function areSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Splits `fe80::1%carp1` into the address and its scope, which follows the first `%`. */
export function splitScope(text: string): { readonly address: string; readonly scope: string | undefined } {
  const at = text.indexOf("%");
  return at < 0
    ? { address: text, scope: undefined }
    : { address: text.slice(0, at), scope: text.slice(at + 1) };
}

/** fe80::/10. */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}

/**
 * Compares the source addresses of two equal masters: negative when `a` has precedence. The lower one has, compared
 * from the last byte to the first: ucarp does so (on little-endian machines), and with any other order both would stay
 * MASTER, or neither.
 */
export function comparePrecedence(a: string, b: string): number {
  return compareBytes(addressBytes(a).toReversed(), addressBytes(b).toReversed());
}

/** Shorter first, which puts IPv4 before IPv6. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return a.length - b.length || Buffer.compare(a, b);
}

/** Any case, one or two digits an octet, as ifconfig takes it. The result is canonical: `02:00:5e:0a:00:01`. */
export function parseMac(text: string): string | undefined {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return undefined;
  return text
    .toLowerCase()
    .split(":")
    .map((digits) => digits.padStart(2, "0"))
    .join(":");
}

/** @throws TypeError when the text is not canonical. */
export function macBytes(mac: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) throw new TypeError(`${mac}: not a canonical MAC address`);
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(mac.slice(3 * i, 3 * i + 2), 16);
  return bytes;
}

/** @throws TypeError unless there are 6 bytes. */
export function formatMac(bytes: Uint8Array): string {
  if (bytes.length !== 6) throw new TypeError(`${bytes.length} bytes are no MAC address`);
  return Array.from(bytes, hexByte).join(":");
}

/** The MAC of a virtual host, which RFC 5798 gives to VRRP as well: 00:00:5e:00:01:VHID. */
export function virtualMac(vhid: number): string {
  return `00:00:5e:00:01:${hexVhid(vhid)}`;
}

/** The MAC of mode `ip`, so that every host of the cluster gets every frame: 01:00:5e:00:01:VHID. */
export function multicastMac(vhid: number): string {
  return `01:00:5e:00:01:${hexVhid(vhid)}`;
}

function hexVhid(vhid: number): string {
  if (!Number.isInteger(vhid) || vhid < 1 || vhid > 255) throw new RangeError(`vhid ${vhid}: must be 1..255`);
  return hexByte(vhid);
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
