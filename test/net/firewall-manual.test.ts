/**
 * carp-firewall(7): its files are those of the package, and two firewalls on which all its commands were typed keep a
 * connection at a failover.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readPage } from "../unit/mdoc.ts";
import { createHosts, EXAMPLES, type Firewall, type Firewalls, SERVER } from "./firewalls.ts";
import { serve, Transfer } from "./transfers.ts";
import { type as typeOn } from "./typed.ts";

interface Line {
  /** Empty: both. */
  readonly host: string;
  readonly command: string;
  readonly shown: string;
}

const [, fromThere = ""] = readPage("carp-firewall.7").split(/^\.Sh THE PAIR IN TEN MINUTES\n/m);
const [pairSection = ""] = fromThere.split(/^\.Sh /m);
const lines = [...pairSection.matchAll(/^\.Bd -literal[^\n]*\n(.*?)^\.Ed$/gms)].flatMap(([, block = ""]) =>
  block
    .replaceAll("\\e", "\\")
    .split(/^(?=[ab]?# )/m)
    .map((piece): Line => {
      const [, host = "", command = "", shown = ""] =
        /^([ab]?)# ((?:[^\n]*\\\n)*[^\n]*)\n(.*)$/s.exec(piece) ?? [];
      return { host, command, shown };
    }),
);

const INSTEAD: Readonly<Record<string, (firewall: Firewall) => Promise<unknown>>> = {
  "apt install carpctl conntrackd conntrack nftables": async () => {},
  "systemctl enable nftables": async () => {},
  "systemctl restart nftables": ({ host }) => host.run("nft", "-f", join(host.etcDirectory, "nftables.conf")),
  "systemctl daemon-reload": async () => {},
  "systemctl enable conntrackd": async () => {},
  "systemctl restart conntrackd": (firewall) => {
    firewall.adapt();
    return firewall.startConntrackd();
  },
  "systemctl start carp-netstart": ({ host }) => host.carpctl("netstart"),
};

test("the files are those of the package", () => {
  for (const [path, example] of [
    ["/etc/nftables.conf", "nftables.conf"],
    ["/etc/conntrackd/conntrackd.conf", "conntrackd.conf"],
    ["/etc/systemd/system/conntrackd.service.d/override.conf", "conntrackd-override.conf"],
  ] as const) {
    const file = readFileSync(join(EXAMPLES, example), "utf8");
    const shown = lines.find(({ command }) => command === `cat ${path}`)?.shown;
    assert.equal(shown, file.replace(/^# .*\n/gm, "").trimStart(), path);
  }
});

describe("two hosts on which the commands of the page were typed", () => {
  let pair: Firewalls;
  before(async () => {
    assert.ok(lines.length > 20, `only ${lines.length} commands`);
    pair = await createHosts();
    for (const { host, command, shown } of lines)
      for (const firewall of host === "" ? [pair.a, pair.b] : [host === "a" ? pair.a : pair.b]) {
        const instead = INSTEAD[command];
        const here = command.replace("/usr/share/doc/carpctl/examples/firewall", EXAMPLES);
        if (instead) await instead(firewall);
        else await typeOn({ host, command: here, shown }, firewall.host);
      }
  });
  after(() => pair?.destroy());

  test("a connection of each family outlasts the loss of a cable", async (context) => {
    const { a, b, client, server } = pair;
    await serve(server);
    const transfers = [
      await Transfer.start(client, { target: SERVER[4] }),
      await Transfer.start(client, { target: SERVER[6] }),
    ];
    await a.host.pullCable("eth1");
    await b.waitForState("MASTER");
    for (const each of transfers) {
      const { stallMs } = await each.goesOn();
      context.diagnostic(`stalled for ${stallMs} ms`);
      assert.equal((await each.stop()).error, null);
    }
  });
});
