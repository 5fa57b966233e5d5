/**
 * Reads the value behind an ifconfig keyword: strict where C's strtol is lenient, and refused in the same
 * words as in control messages. Knows no keyword and changes nothing.
 */

import { type CarpNodes, LIMITS, Lladdr, MAX_NODES, MAX_PEERS } from "../../../control/messages.ts";
import { escapeControls, printable } from "../../../control/printable.ts";
import { isUnicast } from "../../../control/unicast.ts";
import { parseAddress, parseMac } from "../../../protocol/address.ts";
import { isRefusal, type Refusal, refuse } from "../../outcome.ts";
import type { Family } from "./change-draft.ts";
import type { Lookups } from "./lookups.ts";

type Limited = keyof typeof LIMITS;

/** Decimal digits only; leading zeros do not make it octal. */
export function limitedNumber(name: Limited, text: string): number | Refusal {
  const [min, max] = LIMITS[name];
  const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : refuse(`${name} ${printable(text)}: must be ${min}..${max}`);
}

/** The text as a schema takes it, or the schema's own words. */
export function fitting<T>(schema: Schema<T>, text: string): T | Refusal {
  const result = schema.safeParse(text);
  return result.success
    ? result.data
    : refuse(result.error.issues[0]?.message ?? `${printable(text)}: not accepted`);
}

interface Schema<T> {
  safeParse(input: unknown):
    | { readonly success: true; readonly data: T }
    | {
        readonly success: false;
        readonly error: { readonly issues: readonly { readonly message: string }[] };
      };
}

export function macAddress(text: string): string | Refusal {
  return fitting(Lladdr, parseMac(text) ?? text);
}

type Nodes = ReturnType<typeof CarpNodes.parse>;

/** `1:0,2:100`, ascending by vhid. */
export function carpNodes(text: string): Nodes | Refusal {
  const nodes = new Map<number, number>();
  for (const entry of text.split(",")) {
    const node = carpNode(entry, text);
    if (isRefusal(node)) return node;
    if (nodes.has(node.vhid)) return refuse(`carpnodes ${printable(text)}: duplicate vhid ${node.vhid}`);
    nodes.set(node.vhid, node.advskew);
  }
  if (nodes.size > MAX_NODES) return refuse(`carpnodes: at most ${MAX_NODES}`);
  return Array.from(nodes, ([vhid, advskew]) => ({ vhid, advskew })).sort((a, b) => a.vhid - b.vhid);
}

function carpNode(entry: string, whole: string): Nodes[number] | Refusal {
  const match = /^([0-9]+):([0-9]+)$/.exec(entry);
  if (match === null) return refuse(`carpnodes ${printable(entry || whole)}: expected vhid:advskew`);
  const vhid = limitedNumber("vhid", match[1] ?? "");
  if (isRefusal(vhid)) return vhid;
  const advskew = limitedNumber("advskew", match[2] ?? "");
  return isRefusal(advskew) ? advskew : { vhid, advskew };
}

/** Text that the C library reads as an IPv4 address in some base: not a host name. */
const NUMERIC_HOST = /^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?$/i;

/** The addresses of the peers, looked up where names were given; the first wrong one is told. */
export async function peerAddresses(
  keyword: "carppeer" | "carppeer6",
  hosts: string,
  lookups: Lookups,
): Promise<string[] | Refusal> {
  const given = hosts.split(",");
  if (given.length > MAX_PEERS) return refuse(`${keyword}: at most ${MAX_PEERS}`);
  if (given.length > 1 && given.includes(""))
    return refuse(`${keyword} ${printable(hosts)}: expected HOST[,HOST...]`);
  const found = await Promise.all(given.map((host) => peerAddress(keyword, host, lookups)));
  const addresses: string[] = [];
  for (const address of found) {
    if (isRefusal(address)) return address;
    if (addresses.includes(address)) return refuse(`${keyword} ${printable(hosts)}: duplicate ${address}`);
    addresses.push(address);
  }
  return addresses;
}

async function peerAddress(
  keyword: "carppeer" | "carppeer6",
  host: string,
  lookups: Lookups,
): Promise<string | Refusal> {
  const family: Family = keyword === "carppeer" ? 4 : 6;
  const what = `${keyword} ${printable(host)}`;
  const parsed = parseAddress(host);
  if (parsed === undefined && (host.includes(":") || NUMERIC_HOST.test(host)))
    return refuse(`${what}: not an address`);
  if (parsed !== undefined && parsed.family !== family) {
    const other = family === 4 ? "carppeer6" : "carppeer";
    return refuse(`${what}: not an IPv${family} address (${other} takes it)`);
  }
  const address = parsed?.address ?? parseAddress((await lookups.resolve(host, family)) ?? "")?.address;
  if (address === undefined) return refuse(`${what}: cannot resolve`);
  return isUnicast(address) ? address : refuse(`${what}: not a unicast address`);
}

/** The first line of the file. An empty one is refused: it is a mistake, not a secret. */
export async function passFromFile(path: string, lookups: Lookups): Promise<string | Refusal> {
  const line = await lookups.firstLine(path);
  if (isRefusal(line)) return refuse(`passfile ${escapeControls(path) || "''"}: ${line.refusal}`);
  return line === "" ? refuse(`passfile ${escapeControls(path) || "''"}: its first line is empty`) : line;
}
