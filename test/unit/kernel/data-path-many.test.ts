/** As many interfaces as there can be, each with its lease and its counts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_ADDRESSES_OF_HOST, MAX_INTERFACES } from "../../../src/core/interface/configuration.ts";
import type { DataPathInterface } from "../../../src/kernel/kernel.ts";
import { Carpdev, soonUs } from "./carpdev.ts";
import { enterNamespace } from "./namespace.ts";
import * as packet from "./packets.ts";
import { DROP, PASS, Programs } from "./programs.ts";

enterNamespace(import.meta.url);

const MAX_NODES = 32;
/** Of one interface. */
const ADDRESSES = 4096;

const carpdev = new Carpdev();

const macOf = (n: number) =>
  `02:5e:00:00:${[n >> 8, n & 0xff].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
const addressOf = (n: number) => `10.1.${n >> 8}.${n & 0xff}`;
const nth = (n: number, change: Partial<DataPathInterface> = {}) =>
  carpdev.plain({
    name: `carp${n}`,
    mac: macOf(n),
    vhids: [1],
    addresses: [{ family: 4, address: addressOf(n), prefixLength: 16, broadcast: "10.1.255.255" }],
    ...change,
  });

function verdicts(of: readonly number[]): number[] {
  const programs = new Programs(carpdev.runDir);
  const all = of.map((n) => {
    const payload = packet.ipv4("10.1.255.254", addressOf(n), 17, packet.udp());
    return programs.ingress(
      packet.ethernet(macOf(n), "02:00:00:00:00:09", packet.IPV4, payload),
      carpdev.index,
    ).verdict;
  });
  programs.close();
  return all;
}

test("each of as many interfaces as there can be is judged by its own lease, in this engine and the next", () => {
  const first = carpdev.start();
  for (let n = 0; n < MAX_INTERFACES; n++) assert.equal(first.configure(nth(n)), undefined);
  const some = [0, 255, 256, 257, 2048, MAX_INTERFACES - 1];
  assert.deepEqual(
    verdicts(some),
    some.map(() => DROP),
  );
  const untilUs = soonUs();
  for (const n of some.slice(3)) first.lease(`carp${n}`, 1, untilUs);
  const expected = some.map((_, at) => (at < 3 ? DROP : PASS));
  assert.deepEqual(verdicts(some), expected);
  assert.deepEqual(
    some.map((n) => first.counts(`carp${n}`)?.nodes[0]?.accepted),
    [0, 0, 0, 1, 1, 1],
  );
  carpdev.die(first);

  const second = carpdev.start();
  assert.deepEqual(verdicts(some), expected);
  assert.equal(second.leaseUntilUs(`carp${MAX_INTERFACES - 1}`, 1), untilUs);
  second.configure(nth(257));
  // An interface can change its nodes also when there is no room for another one.
  const last = MAX_INTERFACES - 1;
  assert.equal(second.configure(nth(last, { vhids: [1, 2], balancing: "ip-unicast" })), undefined);
  assert.deepEqual(verdicts([257, last]), [PASS, DROP]);
  second.removeLeftovers();
  assert.deepEqual(verdicts([2048]), [PASS]);
  assert.equal(second.counts("carp2048"), undefined);
});

test("nodes are counted, however many there are before them", () => {
  const dataPath = carpdev.start();
  const vhids = Array.from({ length: MAX_NODES }, (_, node) => node + 1);
  const interfaces = MAX_INTERFACES / MAX_NODES + 2;
  for (let n = 0; n < interfaces; n++)
    assert.equal(dataPath.configure(nth(n, { vhids, balancing: "ip-unicast" })), undefined);
  const last = interfaces - 1;
  for (const vhid of vhids) dataPath.lease(`carp${last}`, vhid, soonUs());
  assert.deepEqual(verdicts([last, last]), [PASS, PASS]);
  const accepted = () => dataPath.counts(`carp${last}`)?.nodes.reduce((sum, node) => sum + node.accepted, 0);
  assert.equal(accepted(), 2);
  // Counts begin anew with the nodes.
  dataPath.configure(nth(last, { vhids: vhids.slice(1), balancing: "ip-unicast" }));
  assert.equal(accepted(), 0);
});

test("as many addresses as there can be have room, each with its broadcast address, and can be exchanged", () => {
  const dataPath = carpdev.start();
  const of = (n: number, at: number) => {
    const network = `10.${16 * n + (at >> 8)}.${at & 0xff}`;
    return { family: 4, address: `${network}.1`, prefixLength: 24, broadcast: `${network}.255` } as const;
  };
  const addresses = (n: number) => Array.from({ length: ADDRESSES }, (_, at) => of(n, at));
  const interfaces = MAX_ADDRESSES_OF_HOST / ADDRESSES;
  for (let n = 0; n < interfaces; n++)
    assert.equal(dataPath.configure(nth(n, { addresses: addresses(n) })), undefined);
  const other = { family: 4, address: "192.0.2.1", prefixLength: 24, broadcast: "192.0.2.255" } as const;
  const exchanged = [other, ...addresses(0).slice(1)];
  assert.equal(dataPath.configure(nth(0, { addresses: exchanged })), undefined);
  assert.match(
    dataPath.configure(nth(interfaces)) ?? "",
    /^the data path holds no more addresses \(E2BIG\)$/,
  );
});
