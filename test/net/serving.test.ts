/**
 * A host that cannot answer for a shared address is not MASTER beside one that can, and says why: in the command that
 * configures it, in every output, and in the log. It goes on by itself.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, type Host, type Network } from "../hosts/index.ts";

let lan: Network;
let a: Host;
let b: Host;
let client: Host;

before(async () => {
  lan = await createNetwork();
  [a, b, client] = await Promise.all([
    lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] }),
    lan.host("b", { addresses: ["10.0.0.3/24", "2001:db8::3/64"] }),
    lan.host("c", { addresses: ["10.0.0.9/24"] }),
  ]);
  await Promise.all([a.startEngine(), b.startEngine()]);
});

after(() => lan.destroy());

async function assertReaches(): Promise<void> {
  const { received } = await client.ping("10.0.0.1");
  assert.ok(received > 0, "10.0.0.1 does not answer");
}

const NOT_OURS = "a device of this name exists that is not ours: it is left alone";
const status = async (host: Host, name = "carp0") =>
  JSON.parse((await host.carpctl("status", "--json")).stdout).interfaces.find(
    (each: { name: string }) => each.name === name,
  );
const errors = async (host: Host) => {
  const { stdout } = await host.tryCarpctl("doctor", "--json");
  return JSON.parse(stdout).findings.filter(({ level }: { level: string }) => level === "error");
};

describe("a device of the interface's name that is not ours", () => {
  test("keeps a preferred host from taking the address, and the command says so at once", async () => {
    await b.carpctl(
      "carp0",
      "10.0.0.1/24",
      "carpdev",
      "eth0",
      "vhid",
      "1",
      "advskew",
      "100",
      "state",
      "master",
    );
    await b.waitForState("carp0", "MASTER");
    await a.namespace.ip(["link add carp0 type veth peer name other"]);
    await a.carpctl("sysctl", "net.inet.carp.preempt=1");
    const { stderr, exitCode } = await a.tryCarpctl("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1");
    assert.deepEqual([exitCode, stderr], [0, `carpctl: warning: carp0: does not run: ${NOT_OURS}\n`]);
    const shown = await status(a);
    assert.deepEqual([shown.status, shown.notRunning, shown.problems], ["invalid", NOT_OURS, [NOT_OURS]]);
    assert.match(
      (await a.carpctl("carp0")).stdout,
      new RegExp(`\\tstatus: invalid\\n\\tproblem: ${NOT_OURS} \\[device-incomplete\\]\\n`),
    );
    assert.match(
      (await a.carpctl("status")).stdout,
      new RegExp(`^carp0: ${NOT_OURS}\\s\\[device-incomplete\\]$`, "m"),
    );
    assert.match((await errors(a))[0].text, /does not run: a device of this name/);
    assert.equal((await a.carpctl("sysctl", "-n", "net.inet.carp.demotion")).stdout, "240\n");
    assert.equal((await a.carpctl("-g", "carp")).stdout, "carp: carp demote count 1\n");
    assert.equal((await status(b)).status, "master");
    await assertReaches();
  });

  test("goes, and the host takes over by itself", async () => {
    await a.namespace.ip(["link delete carp0"]);
    await a.waitForState("carp0", "MASTER");
    await assertReaches();
    assert.deepEqual((await status(a)).problems, []);
    assert.equal((await a.carpctl("sysctl", "-n", "net.inet.carp.demotion")).stdout, "0\n");
  });

  test("taken from a MASTER, the other host serves, without a wait for silence", async () => {
    process.kill(a.engine.pid, "SIGSTOP");
    await a.namespace.ip(["link delete carp0", "link add carp0 type veth peer name other"]);
    process.kill(a.engine.pid, "SIGCONT");
    await a.engine.waitForLog(/carp0: state transition: MASTER -> INIT/);
    await b.waitForState("carp0", "MASTER");
    const last = b.engine.transitions.at(-1);
    assert.equal(last?.to, "MASTER");
    await assertReaches();
    await a.namespace.ip(["link delete carp0"]);
    await a.waitForState("carp0", "MASTER");
  });
});

test("a carpdev that is a bridge's port cannot serve; taken out it does", async () => {
  await a.namespace.ip([
    "link add port0 type veth peer name port1",
    "link set port0 up",
    "link set port1 up",
    "link add br0 type bridge",
    "link set port0 master br0",
  ]);
  const { stderr } = await a.tryCarpctl("carp5", "10.5.0.1/24", "carpdev", "port0", "vhid", "5");
  assert.match(stderr, /^carpctl: warning: carp5: does not run: no device can be made on port0 \(EBUSY/);
  assert.equal((await status(a, "carp5")).status, "invalid");
  await a.namespace.ip(["link set port0 nomaster"]);
  await a.waitForState("carp5", "MASTER");
  await a.carpctl("carp5", "destroy");
});

test("a MASTER whose MAC another device has gives way once, and not again and again", async () => {
  const { length } = a.engine.transitions;
  a.engine.signal("SIGSTOP");
  await a.namespace.ip([
    "link delete carp0",
    "link add vrrp0 link eth0 address 00:00:5e:00:01:01 type macvlan mode bridge",
    "link set vrrp0 addrgenmode none up",
  ]);
  a.engine.signal("SIGCONT");
  await a.engine.waitForLog(/carp0: the device cannot be set up \(EADDRINUSE/);
  await b.waitForState("carp0", "MASTER");
  const heard = await client.capture("eth0", "ip proto 112");
  await heard.waitFor(() => heard.frames.length >= 3);
  await heard.stop();
  await assertReaches();
  const entered = a.engine.transitions.slice(length).map(({ to }) => to);
  assert.deepEqual(
    entered.filter((state) => state === "MASTER"),
    [],
  );
  await a.namespace.ip(["link delete vrrp0"]);
  // Without a wait for the time in which it is not trusted.
  await a.carpctl("carp0", "destroy");
  await a.carpctl("carp0", "10.0.0.1/24", "carpdev", "eth0", "vhid", "1");
  await a.waitForState("carp0", "MASTER");
});

test("a host that cannot listen is not MASTER, however long it hears nothing", async () => {
  const bringBack = await a.moveAway();
  await a.engine.waitForLog(/carp0: state transition: .* -> INIT/);
  await b.waitForState("carp0", "MASTER");
  await a.run("prlimit", "--pid", String(a.engine.pid), "--nofile=3:");
  const { length } = a.engine.transitions;
  await bringBack();
  await a.engine.waitForLog(/eth0: cannot listen: .*EMFILE/);
  // Longer than a master-down time.
  const heard = await client.capture("eth0", "ip proto 112");
  await heard.waitFor(() => heard.frames.length >= 5);
  await heard.stop();
  assert.deepEqual(
    a.engine.transitions.slice(length).filter(({ to }) => to === "MASTER"),
    [],
  );
  await a.run("prlimit", "--pid", String(a.engine.pid), "--nofile=1024:");
  await a.waitForState("carp0", "MASTER");
});

test("a file may name a carpdev that comes late: it is waited for", async () => {
  writeFileSync(join(a.etcDirectory, "hostname.carp7"), "10.7.0.1/24 vhid 7 carpdev wan0\n", { mode: 0o640 });
  const { stderr, exitCode } = await a.tryCarpctl("netstart", "carp7");
  assert.equal(exitCode, 0);
  assert.match(stderr, /hostname\.carp7: warning: carp7: does not run: carpdev wan0 is missing\n$/);
  await a.namespace.ip(["link add wan0 type veth peer name wan1", "link set wan0 up", "link set wan1 up"]);
  await a.waitForState("carp7", "MASTER");
  await a.carpctl("carp7", "destroy");
});

test("a carpdev that gets the shared address itself is told of", async () => {
  await a.carpctl("carp8", "10.0.0.8/24", "vhid", "8", "carpdev", "eth0");
  await a.namespace.ip(["address add 10.0.0.8/24 dev eth0"]);
  const text = "10.0.0.8 is eth0's own address as well: remove it there";
  await a.engine.waitForLog(new RegExp(`carp8: ${text}`));
  assert.deepEqual((await status(a, "carp8")).problems, [text]);
  const restarted = await a.tryCarpctl("carp8", "description", "x");
  assert.deepEqual([restarted.exitCode, restarted.stderr], [0, `carpctl: warning: carp8: ${text}\n`]);
  await a.carpctl("carp8", "destroy");
});

test("what is done and cannot be saved is said so, in the command and by doctor", async () => {
  const directory = a.runDirectory;
  await a.run("mount", "--bind", directory, directory);
  try {
    await a.run("mount", "-o", "remount,bind,ro", directory);
    const { stderr, exitCode } = await a.tryCarpctl("carp0", "pass", "other");
    assert.equal(exitCode, 0);
    assert.match(stderr, /^carpctl: warning: done, but not saved: EROFS.*\n$/);
    assert.match(
      (await errors(a)).map(({ text }: { text: string }) => text).join(),
      /is not saved, and lost/,
    );
  } finally {
    await a.run("umount", directory);
  }
  await eventually(
    () => errors(a),
    (found) => found.length === 0,
  );
});
