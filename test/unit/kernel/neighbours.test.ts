/** The MACs of neighbours, asked of a real kernel in each state of an entry. Needs root. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Neighbours } from "../../../src/kernel/sockets/neighbours.ts";
import {
  addCarpdev,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  openLinks,
  Recorder,
  temporaryRunDir,
} from "./private-network.ts";

enterPrivateNetwork(import.meta.url);

const MAC = "02:00:00:00:00:99";

let runDir: ReturnType<typeof temporaryRunDir>;
let links: ReturnType<typeof openLinks>;
let index: number;

beforeEach(async () => {
  runDir = temporaryRunDir();
  links = openLinks(runDir.path, new Recorder());
  addCarpdev();
  ip("address add 10.0.0.2/24 dev eth0");
  ip("address add fd00::2/64 dev eth0 nodad");
  [{ ifindex: index }] = JSON.parse(ip("-j link show dev eth0"));
  await links.start();
});

afterEach(() => {
  links.close();
  clearNetwork();
  runDir.remove();
});

/** The MACs of these addresses, as the kernel has them. */
function resolve(addresses: readonly string[], isInUse: boolean): Promise<(string | undefined)[]> {
  const macs: (string | undefined)[] = [];
  return new Promise((done) =>
    links.resolve(
      addresses.map((address) => ({ index, address, isInUse })),
      (neighbour, mac) => {
        macs[addresses.indexOf(neighbour.address)] =
          mac &&
          Buffer.from(mac)
            .toString("hex")
            .replace(/..(?=.)/g, "$&:");
        if (neighbour.address === addresses.at(-1)) done(macs);
      },
    ),
  );
}

const stateOf = (address: string): string[] =>
  JSON.parse(ip(`-j neighbour show ${address} dev eth0`))[0]?.state;

for (const [family, host] of [
  [4, "10.0.0."],
  [6, "fd00::"],
] as const)
  test(`the MAC of an IPv${family} neighbour is known where the kernel would send to it`, async () => {
    for (const [n, state] of ["permanent", "reachable", "stale", "delay", "probe"].entries())
      ip(`neighbour add ${host}1${n} lladdr ${MAC} dev eth0 nud ${state}`);
    const resolved = [0, 1, 2, 3, 4].map((n) => `${host}1${n}`);
    assert.deepEqual(await resolve(resolved, false), Array(5).fill(MAC));

    ip(`neighbour add ${host}20 lladdr ${MAC} dev eth0 nud failed`);
    ip(`neighbour add ${host}21 lladdr ${MAC} dev eth0 nud noarp`);
    ip(`neighbour add ${host}22 lladdr 01:00:5e:00:00:12 dev eth0 nud permanent`);
    ip(`neighbour add ${host}23 lladdr 00:00:00:00:00:00 dev eth0 nud permanent`);
    const unresolved = [20, 21, 22, 23, 24].map((n) => `${host}${n}`);
    assert.deepEqual(await resolve(unresolved, true), Array(5).fill(undefined));
  });

test("a stale MAC is confirmed while it is in use, and only then", async () => {
  for (const address of ["10.0.0.12", "fd00::12"]) {
    ip(`neighbour add ${address} lladdr ${MAC} dev eth0 nud stale`);
    assert.deepEqual(await resolve([address], false), [MAC]);
    assert.deepEqual(stateOf(address), ["STALE"]);
    assert.deepEqual(await resolve([address], true), [MAC]);
    assert.match(stateOf(address)[0] ?? "", /DELAY|PROBE/);
  }
});

test("a neighbour on a device that is gone is unknown, and so is every one when the links are closed", async () => {
  ip(`neighbour add 10.0.0.12 lladdr ${MAC} dev eth0 nud permanent`);
  ip("link delete eth0");
  assert.deepEqual(await resolve(["10.0.0.12"], true), [undefined]);
  links.close();
  assert.deepEqual(await resolve(["10.0.0.12"], true), [undefined]);
});

test("a MAC is used as it was last told, and an address that nothing is sent to is forgotten", () => {
  let added = 0;
  const neighbours = new Neighbours(() => {
    added += 1;
  });
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const here = { index: 2, address: "10.0.0.9" };
  neighbours.learn(here, mac);
  assert.deepEqual(neighbours.look(), [], "nothing was sent there");
  assert.equal(neighbours.macOf(2, "10.0.0.9"), undefined);
  assert.equal(added, 1);
  assert.deepEqual(neighbours.look(), [{ ...here, isInUse: true }]);
  neighbours.learn(here, mac);
  assert.deepEqual(neighbours.look(), [{ ...here, isInUse: false }]);
  assert.equal(neighbours.macOf(2, "10.0.0.9"), mac);
  assert.equal(added, 1);
  assert.equal(neighbours.macOf(3, "10.0.0.9"), undefined, "another device");
  neighbours.learn(here, undefined);
  assert.equal(neighbours.macOf(2, "10.0.0.9"), undefined);
  neighbours.forget(3);
  assert.deepEqual(neighbours.look(), [{ ...here, isInUse: true }]);
  for (let looks = 0; looks < 1000; looks += 1) neighbours.look();
  assert.deepEqual(neighbours.look(), []);
});
