/**
 * Loads the native addon, and holds what several adapters share of it. The addon moves bytes between the kernel and
 * JavaScript and decides nothing; the types of its other functions stand beside their adapters (native-*.ts).
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { isSea } from "node:sea";
import { fileURLToPath } from "node:url";
import { getSystemErrorMap } from "node:util";
import { loadEmbeddedAddon } from "./embedded-addon.ts";

/** A system call, or a socket option, that failed. */
export interface NativeFailure {
  readonly call: string;
  /** errno */
  readonly error: number;
}

/** In the source tree, beside a bundle, and from a bundle in a directory of the source tree's own. */
const places = ["../native/build/Release/carp.node", "carp.node", "../src/native/build/Release/carp.node"];

function find(): string {
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error(`carp.node is not built (looked for ${paths.join(", ")})`);
  return path;
}

/** Every function of the addon; each adapter casts it to the functions it calls. */
export const addon: unknown = isSea() ? loadEmbeddedAddon() : createRequire(import.meta.url)(find());

/** Names of network interfaces. */
export const native = addon as {
  /** The indexes of all devices. */
  interfaceIndexes(): number[];
  interfaceName(index: number): string | undefined;
};

/** `ENOBUFS` for 105: as the kernel's headers call it. */
export function errnoName(error: number): string {
  return getSystemErrorMap().get(-error)?.[0] ?? `errno ${error}`;
}
