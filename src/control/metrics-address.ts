/** The address that metrics are served at, as it is typed: ADDRESS:PORT, [IPV6]:PORT or unix:PATH. */

import { isAbsolute } from "node:path";
import { parseAddress } from "../protocol/address.ts";
import { printable } from "./printable.ts";
import { type Refusal, refuse } from "./refusal.ts";

export type MetricsAddress = { readonly path: string } | { readonly address: string; readonly port: number };

/** The longest path in a socket's address, without its final NUL. */
const MAX_SOCKET_PATH_BYTES = 107;

export function parseMetricsAddress(text: string): MetricsAddress | Refusal {
  const shown = `--metrics ${printable(text)}`;
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (!isAbsolute(path) || path.endsWith("/") || path.includes("\0"))
      return refuse(`${shown}: expected unix: and an absolute path`);
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
      return refuse(`${shown}: at most ${MAX_SOCKET_PATH_BYTES} bytes of path`);
    return { path };
  }
  const [, ipv6, ipv4, digits = ""] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const parsed = parseAddress(ipv6 ?? ipv4 ?? "");
  if (parsed === undefined || parsed.family !== (ipv6 === undefined ? 4 : 6))
    return refuse(`${shown}: expected ADDRESS:PORT, [IPV6]:PORT or unix:PATH`);
  const port = Number(digits);
  if (port < 1 || port > 65_535) return refuse(`${shown}: port ${digits}: must be 1..65535`);
  return { address: parsed.address, port };
}

/** The address as it is typed. */
export function metricsAddressText(of: MetricsAddress): string {
  if ("path" in of) return `unix:${of.path}`;
  return of.address.includes(":") ? `[${of.address}]:${of.port}` : `${of.address}:${of.port}`;
}
