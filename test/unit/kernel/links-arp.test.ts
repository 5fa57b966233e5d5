/** Answers to ARP and neighbour discovery for shared addresses, asked by a second host over a veth. Needs root. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { afterEach, beforeEach, test } from "node:test";
import {
  apply,
  clearNetwork,
  enterPrivateNetwork,
  ip,
  openLinks,
  Peer,
  Recorder,
  temporaryRunDir,
  writeConf,
} from "./private-network.ts";

enterPrivateNetwork(import.meta.url);

const VIRTUAL_MAC = "00:00:5e:00:01:01";
const OWN_MAC = "02:00:00:00:00:02";

let runDir: ReturnType<typeof temporaryRunDir>;
let events: Recorder;
let links: ReturnType<typeof openLinks>;
let peer: Peer;

beforeEach(async () => {
  runDir = temporaryRunDir();
  events = new Recorder();
  links = openLinks(runDir.path, events);
  peer = new Peer();
  ip(`link add eth0 address ${OWN_MAC} type veth peer name far0`);
  await peer.take("far0");
  peer.ip("addr add 10.0.0.9/24 dev far0");
  peer.ip("link set far0 up");
  ip("link set eth0 up");
  ip("addr add 10.0.0.2/24 dev eth0");
  await links.start();
});

afterEach(() => {
  links.close();
  clearNetwork();
  peer.end();
  runDir.remove();
});

async function becomeMaster(): Promise<void> {
  links.prepareCarpdev("eth0");
  await apply(links, "carp0", {
    name: "carp0",
    carpdev: "eth0",
    mac: VIRTUAL_MAC,
    realMac: false,
    mtu: undefined,
    active: true,
    addresses: [
      { family: 4, address: "10.0.0.1", prefixLength: 24 },
      { family: 6, address: "2001:db8::1", prefixLength: 64 },
    ],
  });
}

const answers = (address: string) =>
  / [1-9]\d* received/.test(peer.run("ping", "-c2", "-i0.2", "-W2", address));
const macOf = (address: string) => /lladdr (\S+)/.exec(peer.ip(`neigh show ${address}`))?.[1];

/** Every ARP answer on the wire while the peer asks three times, as `ADDRESS is-at MAC`. */
async function arpAnswers(address: string): Promise<Set<string>> {
  const capture = spawn("tcpdump", ["-l", "-n", "--immediate-mode", "-i", "eth0", "arp and arp[6:2] = 2"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  await new Promise<void>((resolve) => {
    capture.stderr.on("data", (text) => String(text).includes("listening on") && resolve());
  });
  let output = "";
  capture.stdout.on("data", (text) => {
    output += text;
  });
  for (let asked = 0; asked < 3; asked++) {
    peer.ip("neigh flush all");
    assert.ok(answers(address), `${address} does not answer`);
  }
  const ended = new Promise((resolve) => capture.on("close", resolve));
  capture.kill("SIGINT");
  await ended;
  return new Set(
    [...output.matchAll(/Reply (\S+) is-at ([0-9a-f:]+)/g)].map(([, whose, mac]) => `${whose} is-at ${mac}`),
  );
}

test("the carp MAC alone answers for the shared address, the carpdev's own for the host's", async () => {
  await becomeMaster();
  const shared = await arpAnswers("10.0.0.1");
  shared.delete("10.0.0.9 is-at ".concat(/ether (\S+)/.exec(peer.ip("link show far0"))?.[1] ?? ""));
  assert.deepEqual([...shared], [`10.0.0.1 is-at ${VIRTUAL_MAC}`]);
  assert.equal(macOf("10.0.0.1"), VIRTUAL_MAC);
  const own = await arpAnswers("10.0.0.2");
  own.delete("10.0.0.9 is-at ".concat(/ether (\S+)/.exec(peer.ip("link show far0"))?.[1] ?? ""));
  assert.deepEqual([...own], [`10.0.0.2 is-at ${OWN_MAC}`]);
});

test("asking for a client while answering from the shared address poisons no ARP cache", async () => {
  await becomeMaster();
  assert.ok(answers("10.0.0.1"));
  ip("neigh flush all");
  assert.ok(answers("10.0.0.1"));
  assert.equal(macOf("10.0.0.1"), VIRTUAL_MAC);
});

for (const where of ["all", "default", "eth0"] as const) {
  test(`the shared address answers under strict reverse-path filtering of ${where}`, async () => {
    writeConf(where, "rp_filter", 1);
    try {
      await becomeMaster();
      assert.ok(answers("10.0.0.1"));
    } finally {
      writeConf(where, "rp_filter", 0);
    }
  });
}

test("the shared IPv6 address answers with the carp MAC", async () => {
  peer.ip("addr add 2001:db8::9/64 dev far0 nodad");
  await becomeMaster();
  assert.ok(answers("2001:db8::1"));
  assert.equal(macOf("2001:db8::1"), VIRTUAL_MAC);
});

test("a host that is not MASTER answers for no shared address", async () => {
  await becomeMaster();
  assert.ok(answers("10.0.0.1"));
  await apply(links, "carp0", {
    name: "carp0",
    carpdev: "eth0",
    mac: VIRTUAL_MAC,
    realMac: false,
    mtu: undefined,
    active: false,
    addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
  });
  assert.equal(answers("10.0.0.1"), false);
});
