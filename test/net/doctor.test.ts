/** `doctor` on real hosts: no findings on sound hosts, and the finding for each fault. */

import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { Finding } from "../../src/control/messages.ts";
import { nativeBpf } from "../../src/kernel/data-path/native-bpf.ts";
import { attachForeignOn, attachXdpOn } from "../hosts/foreign-program.ts";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";

const LOOPBACK = 1;
const WITHOUT_TCX = typeof nativeBpf.listTcx(LOOPBACK, true) === "number" && "this kernel has no TCX";

const SHARED = "carp0 10.0.0.1/24 vhid 1 carpdev eth0 pass sesame advbase 1".split(" ");

describe("doctor", () => {
  let lan: Network;
  let a: Host;
  let b: Host;

  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24"] }),
      lan.host("b", { addresses: ["10.0.0.3/24"] }),
    ]);
  });
  after(() => lan.destroy());

  const findings = async (host: Host) => {
    const { exitCode, stdout, stderr } = await host.tryCarpctl("doctor", "--json");
    const { ok, findings: found }: { ok: boolean; findings: Finding[] } = JSON.parse(stdout);
    assert.equal(stderr, "");
    assert.equal(exitCode, ok ? 0 : 1);
    for (const { level, kind } of found) assert.equal(typeof kind, level === "ok" ? "object" : "string");
    assert.equal(
      ok,
      found.every(({ level }) => level !== "error"),
    );
    return found;
  };
  /** Findings without the one about the system clock, which depends on the machine. */
  const complaints = async (host: Host) =>
    (await findings(host))
      .filter(({ level, subject }) => level !== "ok" && subject !== "clock")
      .map(({ level, subject, text }) => `${level} ${subject}: ${text}`);

  test("without an engine it examines the kernel itself, and says that no engine runs", async () => {
    const found = await findings(a);
    assert.deepEqual(
      found.filter(({ level }) => level === "error").map(({ subject }) => subject),
      ["engine"],
    );
    for (const subject of ["kernel", "privileges", "eBPF"])
      assert.equal(found.find((each) => each.subject === subject)?.level, "ok", subject);
  });

  test("a run directory that others can write is an error", async () => {
    chmodSync(a.runDirectory, 0o777);
    assert.match(
      (await complaints(a))[0] ?? "",
      /^error run directory: .* can be written by others than root/,
    );
    chmodSync(a.runDirectory, 0o755);
  });

  test("two hosts that share an address have no findings", async () => {
    await Promise.all([a.startEngine(), b.startEngine()]);
    await b.carpctl(...SHARED, "advskew", "100");
    await b.waitForState("carp0", "MASTER");
    await a.carpctl("sysctl", "net.inet.carp.preempt=1");
    await a.carpctl(...SHARED);
    await a.waitForState("carp0", "MASTER");
    await a.waitForAddresses("carp0", ["10.0.0.1/24"]);
    await b.waitForState("carp0", "BACKUP");
    assert.deepEqual(await complaints(a), []);
    assert.deepEqual(await complaints(b), []);
    const { stdout } = await a.carpctl("doctor");
    assert.match(stdout, /^ok {7}engine: runs, version \S+, pid \d+$/m);
    assert.match(
      stdout,
      /^ok {7}privileges: the engine has CAP_NET_ADMIN, CAP_NET_RAW, and can gain no\n +more; seccomp filter: (yes|no)$/m,
    );
    assert.match(stdout, /^ok {7}eth0: ARP settings, multicast and MTU are as required$/m);
    assert.match(stdout, /^ok {7}carp0 vhid 1: MASTER, 10\.0\.0\.3 heard \d+ s ago$/m);
    assert.match(stdout, /^no errors, (no|1) warnings?$/m);
  });

  test("settings that another program changed", async () => {
    const expected = [
      "error eth0: arp_ignore is 0: it answers for shared addresses with its own MAC",
      "error carp0: rp_filter is strict: what arrives for the shared addresses is dropped",
    ];
    // The engine may repair them before doctor reads them.
    await eventually(
      async () => {
        await a.namespace.sysctl({ "ipv4/conf/eth0/arp_ignore": 0, "ipv4/conf/carp0/rp_filter": 1 });
        return complaints(a);
      },
      (found) => isDeepStrictEqual(found, expected),
    );
    await eventually(
      () => complaints(a),
      (found) => found.length === 0,
    );
  });

  test("programs that other owners put before carp's", { skip: WITHOUT_TCX }, async () => {
    const from = a.engine.log.length;
    await attachForeignOn(a, "ingress");
    await a.engine.waitForLog(/eth0: repaired: program \d+ before carp's on ingress/, { from });
    assert.deepEqual(await complaints(a), []);
    const putBefore = /^error eth0: program \d+ before carp's on egress: what it lets through, .* no lease$/;
    // The engine repairs it before doctor looks, until it does so less often.
    await eventually(
      async () => {
        await attachForeignOn(a, "egress");
        return complaints(a);
      },
      (found) => found.some((each) => putBefore.test(each)),
    );
    await eventually(
      () => complaints(a),
      (found) => found.length === 0,
    );
    const takeOff = await attachXdpOn(a);
    const [xdp = "", ...more] = await complaints(a);
    assert.match(
      xdp,
      /^warning eth0: XDP program \d+ runs before carp's: what it answers, redirects or drops/,
    );
    assert.deepEqual(more, []);
    await takeOff();
    assert.deepEqual(await complaints(a), []);
  });

  test("an interface without carrier, and the host being demoted for it", async () => {
    await b.pullCable();
    await b.waitForState("carp0", "INIT");
    assert.deepEqual(await complaints(b), ["error carp0: does not run: carpdev eth0 has no carrier"]);
    const { stdout } = await b.tryCarpctl("doctor");
    assert.match(stdout, /^error {4}carp0: does not run: carpdev eth0 has no carrier \[no-carrier\]$/m);
    assert.match((await b.carpctl("help", "no-carrier")).stdout, /^no-carrier: an error of doctor\n/);
    await b.plugCable();
    await b.waitForState("carp0", "BACKUP");
  });

  test("a host with another pass: its advertisements are discarded, and both are MASTER", async () => {
    const advertised = { vhid: 1, pass: "guessed", addresses: ["10.0.0.1"], counter: 1n };
    await b.inject(
      "eth0",
      forge.ipv4Frame({ source: "10.0.0.66", payload: forge.advertisement(advertised) }),
    );
    await eventually(
      () => complaints(a),
      (found) =>
        found.some((each) =>
          /^error carp0: vhid 1: incorrect hash from 10\.0\.0\.66 on eth0: discarded \d+ s ago/.test(each),
        ),
    );
  });

  test("another master that goes on, though it should give way", async () => {
    const counter = BigInt(Date.now()) * 1000n;
    const goesOn = { vhid: 1, pass: "sesame", addresses: ["10.0.0.1"], counter, advskew: 200 };
    const frame = forge.ipv4Frame({ source: "10.0.0.77", payload: forge.advertisement(goesOn) });
    await eventually(
      async () => {
        await b.inject("eth0", frame);
        return complaints(a);
      },
      (found) => found.includes("error carp0 vhid 1: several masters advertise: this host, 10.0.0.77"),
    );
  });
});
