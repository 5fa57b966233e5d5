/**
 * The digest of an advertisement: HMAC-SHA1 over the configuration of a virtual host and the counter. It
 * never tells which byte of a digest was wrong.
 */

import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { addressBytes, compareBytes, isLinkLocal, macBytes } from "./address.ts";

const DIGEST_BYTES = 20;

const VERSION = 2;
const ADVERTISEMENT = 1;
/** A 20-byte field that ends in NUL, whatever is written into it. */
const PASS_BYTES = 19;
const COUNTER_BYTES = 8;

export interface AuthenticationOptions {
  readonly pass: string;
  readonly vhid: number;
  /** Addresses of both families, in any order, canonical. */
  readonly addresses: readonly string[];
  /**
   * Only for the first node, and only when set by hand to neither the virtual MAC nor the carpdev's own: the
   * digest covers it then.
   */
  readonly handSetLladdr?: string | undefined;
  /** Absent: the true one. */
  readonly hmac?: Hmac | undefined;
}

/**
 * HMAC-SHA1 with a key: a function from messages to 20 bytes, which the next call may overwrite. Or a quicker function in
 * its place, where hosts are simulated that forge nothing.
 */
export type Hmac = (key: Uint8Array) => (message: Uint8Array) => Uint8Array;

const hmacSha1: Hmac = (key) => {
  const secret = createSecretKey(key);
  return (message) => createHmac("sha1", secret).update(message).digest();
};

/**
 * Whether a digest covers the link-local addresses: OpenBSD leaves them out, FreeBSD and NetBSD cover them.
 * `none`: there are none, and both digests are the same.
 */
export type LinkLocals = "none" | "left-out" | "covered";

/** The form of a digest: the implementations differ in what it covers. */
export interface DigestForm {
  readonly linkLocals: LinkLocals;
}

const NONE: DigestForm = { linkLocals: "none" };
const LEFT_OUT: DigestForm = { linkLocals: "left-out" };
const COVERED: DigestForm = { linkLocals: "covered" };

/** The input of a digest: HMAC-SHA1 over `message`, whose last 8 bytes are the counter. */
export interface SignedForm {
  readonly vhid: number;
  /** 20 bytes. */
  readonly key: Uint8Array;
  readonly message: Uint8Array;
}

/** What a digest is computed over. */
interface Message {
  readonly bytes: Uint8Array;
  /** The addresses in it. */
  readonly covered: Uint8Array;
  readonly counterPlace: DataView;
}

/**
 * Signs and verifies for one virtual host as it is configured. All that does not change between two advertisements
 * is laid out once.
 */
export class Authentication {
  readonly #vhid: number;
  readonly #key: Uint8Array;
  readonly #hmac: ReturnType<Hmac>;
  /** The message with room for the counter at its end. */
  readonly #message: Message;
  /** The message with the link-local addresses, the other form in use; undefined when there are none. */
  readonly #linkLocalMessage: Message | undefined;

  constructor(options: AuthenticationOptions) {
    const { vhid, addresses } = options;
    if (!Number.isInteger(vhid) || vhid < 1 || vhid > 255)
      throw new RangeError(`vhid ${vhid}: must be 1..255`);
    this.#vhid = vhid;
    this.#key = keyOf(options.pass);
    this.#hmac = (options.hmac ?? hmacSha1)(this.#key);
    const global = addresses.filter((address) => !isLinkLocal(address));
    const over = (covered: readonly string[]) =>
      layOut({ vhid, lladdr: options.handSetLladdr, addresses: Buffer.concat(digestOrder(covered)) });
    this.#message = over(global);
    this.#linkLocalMessage = global.length < addresses.length ? over(addresses) : undefined;
  }

  /**
   * @returns the 20 bytes of the digest
   * @throws RangeError when the counter does not fit 64 bits.
   */
  sign(counter: bigint, { linkLocals }: DigestForm = LEFT_OUT): Uint8Array {
    const message = linkLocals === "covered" ? this.#linkLocalMessage : undefined;
    return this.#digest(message ?? this.#message, counter);
  }

  /**
   * The form in which the digest is right; undefined: in none. Takes the same time for every digest that is
   * not.
   */
  verify(counter: bigint, digest: Uint8Array): DigestForm | undefined {
    if (digest.length !== DIGEST_BYTES) return undefined;
    const hasLinkLocals = this.#linkLocalMessage !== undefined;
    if (timingSafeEqual(digest, this.#digest(this.#message, counter))) return hasLinkLocals ? LEFT_OUT : NONE;
    if (this.#linkLocalMessage === undefined) return undefined;
    return timingSafeEqual(digest, this.#digest(this.#linkLocalMessage, counter)) ? COVERED : undefined;
  }

  /** Every form that it verifies, counters 0, for the native receiver, which checks digests by itself. */
  get forms(): SignedForm[] {
    return this.#messages.map(({ bytes }) => ({
      vhid: this.#vhid,
      key: this.#key,
      message: bytes.slice().fill(0, bytes.length - COUNTER_BYTES),
    }));
  }

  /** The bytes of the addresses that each of the forms covers. */
  get covered(): readonly Uint8Array[] {
    return this.#messages.map(({ covered }) => covered);
  }

  get #messages(): readonly Message[] {
    return this.#linkLocalMessage === undefined ? [this.#message] : [this.#message, this.#linkLocalMessage];
  }

  #digest({ bytes, counterPlace }: Message, counter: bigint): Uint8Array {
    if (counter < 0n || counter > 0xffff_ffff_ffff_ffffn) throw new RangeError("counter: must fit 64 bits");
    counterPlace.setBigUint64(0, counter);
    return this.#hmac(bytes);
  }
}

/**
 * What a digest covers besides the counter, and its key: not necessarily as this host is configured, nor as carp has
 * it, to find out what another host signs.
 */
export interface DigestInput {
  /** Up to 64 bytes are as good as zero-padded. */
  readonly key: Uint8Array;
  readonly vhid: number;
  /** A MAC; undefined: none is covered. */
  readonly lladdr: string | undefined;
  /** The bytes of the addresses in the order of `digestOrder`. */
  readonly addresses: Uint8Array;
}

/** Whether the digest of an advertisement with this counter is that of the input. */
export function isDigestOf(input: DigestInput, counter: bigint, digest: Uint8Array): boolean {
  const { bytes, counterPlace } = layOut(input);
  counterPlace.setBigUint64(0, counter);
  const right = createHmac("sha1", input.key).update(bytes).digest();
  return digest.length === DIGEST_BYTES && timingSafeEqual(digest, right);
}

/** The addresses as bytes, as a digest covers them: each once, IPv4 before IPv6, ascending. */
export function digestOrder(addresses: readonly string[]): Uint8Array[] {
  return [...new Set(addresses)].map(addressBytes).sort(compareBytes);
}

/** The key of a pass, a C string in a fixed field: it ends at the first NUL, and zeros fill the rest. */
export function keyOf(pass: string): Uint8Array {
  const key = new Uint8Array(PASS_BYTES + 1);
  const [untilNul = ""] = pass.split("\0", 1);
  key.set(new TextEncoder().encode(untilNul).subarray(0, PASS_BYTES));
  return key;
}

function layOut({ vhid, lladdr, addresses }: Omit<DigestInput, "key">): Message {
  const start = [VERSION, ADVERTISEMENT, ...(lladdr === undefined ? [] : macBytes(lladdr)), vhid];
  const bytes = new Uint8Array(start.length + addresses.length + COUNTER_BYTES);
  bytes.set(start);
  bytes.set(addresses, start.length);
  const counterAt = bytes.length - COUNTER_BYTES;
  const covered = bytes.subarray(start.length, counterAt);
  return { bytes, covered, counterPlace: new DataView(bytes.buffer, counterAt) };
}
