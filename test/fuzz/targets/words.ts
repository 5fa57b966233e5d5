/** Words of command lines and hostname.carpN files, and the form of every refusal. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { everyWord } from "../../../src/cli/grammar/ifconfig/keywords.ts";
import type { Lookups } from "../../../src/cli/grammar/ifconfig/lookups.ts";
import { refuse } from "../../../src/cli/outcome.ts";
import { escapeControls } from "../../../src/control/printable.ts";

/** Addresses that names resolve to: IPv4, IPv6. */
export const LOOKED_UP: readonly [string, string] = ["192.0.2.7", "2001:db8::7"];

/** No name is looked up and no file read: some exist, most do not. */
export const lookups: Lookups = {
  resolve: async (host, family) => (host.length % 2 === 0 ? undefined : LOOKED_UP[family === 4 ? 0 : 1]),
  firstLine: async (path) => (path.length % 2 === 0 ? refuse("no such file") : "mekmitasdigoat"),
};

export const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...everyWord()) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...[
        "0",
        "1",
        "254",
        "255",
        "256",
        "-1",
        "1:0,2:100",
        "1:0,1:0",
        "eth0",
        "eth1",
        "none",
        "ip",
        "master",
      ],
      ...[
        "10.0.0.1",
        "10.0.0.1/24",
        "10.0.0.1/33",
        "2001:db8::1",
        "fe80::1%eth0",
        "255.255.255.0",
        "0xffffff00",
      ],
      ...[
        "02:00:00:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "www",
        "carp1",
        "",
        "--json",
        "--help",
        "--",
        "-g",
        "1500",
      ],
    ),
  },
  { weight: 2, arbitrary: fc.nat(300).map(String) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
);

/** A line that a person can read; only a file is named in full. */
export function assertRefusal(message: string): void {
  assert.ok(message !== "");
  assert.doesNotMatch(escapeControls(message), /\n|undefined|\[object/);
  assert.ok(
    message.length < 2000 || message.startsWith("passfile "),
    `${message.length} characters of refusal`,
  );
}
