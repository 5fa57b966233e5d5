/**
 * What members of group `carp` can do to a host: not take an address from its pass, nothing without a line in the log,
 * and not make another interface's advertisements late. Group `carp` exists only in the engine's own mount namespace.
 */

import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Engine } from "../hosts/engine.ts";
import { createNetwork, type Host, type Network, type Output } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

const MEMBER = 65_534;
const CARP_GROUP = 54_321;

describe("members of group carp", () => {
  let lan: Network;
  let a: Host;
  let b: Host;
  let engine: Engine;

  /** Runs a command as a member, who may read the tree. */
  const asMember = (command: string, ...words: string[]): Promise<Output> => {
    const user = [`--reuid=${MEMBER}`, `--regid=${MEMBER}`, `--groups=${CARP_GROUP}`];
    const capability = "-all,+dac_read_search";
    const read = [`--inh-caps=${capability}`, `--ambient-caps=${capability}`];
    return a.exec("setpriv", [...user, ...read, "--", command, ...words]);
  };
  const member = (words: string) => asMember(CARPCTL, ...words.split(" "));

  before(async () => {
    lan = await createNetwork();
    [a, b] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24"] }),
      lan.host("b", { addresses: ["10.0.0.3/24"] }),
    ]);
    const groups = join(a.etcDirectory, "group");
    writeFileSync(groups, `${readFileSync("/etc/group", "utf8")}carp:x:${CARP_GROUP}:\n`);
    const script = 'mount --bind "$0" /etc/group && exec "$@"';
    const words = ["sh", "-ec", script, groups, CARPCTL, "engine", "--log", "stderr"];
    const process = a.spawn("unshare", ["--mount", "--propagation", "private", ...words]);
    engine = await Engine.attach(process, a.runDirectory, a.name);
    await a.carpctl("carp0", "10.0.0.1/24", "vhid", "1", "carpdev", "eth0", "pass", "sesame");
    await engine.waitForState("carp0", "MASTER");
  });
  after(() => lan.destroy());

  test("admin.sock is theirs and root's", () => {
    const { mode, uid, gid } = statSync(join(a.runDirectory, "admin.sock"));
    assert.deepEqual([(mode & 0o777).toString(8), uid, gid], ["660", 0, CARP_GROUP]);
  });

  test("they cannot take an address from an interface with a pass", async () => {
    await a.carpctl("carp0", "10.0.0.8/24", "alias");
    for (const [words, what] of [
      ["carp0 destroy", "destroying carp0"],
      ["destroy carp0", "destroying carp0"],
      ["carp0 -alias 10.0.0.1", "removing an address of carp0"],
      ["carp0 -inet", "removing an address of carp0"],
      ["carp0 10.0.0.99/24", "removing an address of carp0"],
      ["carp0 vhid 9", "changing the vhid of carp0"],
      ["carp0 carpnodes 9:0,10:100", "changing the vhid of carp0"],
    ] as const) {
      const stderr = `carpctl: permission denied: ${what}, which has a pass, needs root\n`;
      assert.deepEqual(await member(words), { stdout: "", stderr, exitCode: 1 }, words);
    }
    for (const words of ["carp5 vhid 1 carpdev eth0", "carp5 10.0.0.1/24 vhid 5 carpdev eth0"])
      assert.match((await member(words)).stderr, / is already used by carp0/);
    const { interfaces } = await engine.request("configuration", {});
    const [carp0, ...others] = interfaces;
    assert.deepEqual(
      [carp0?.name, carp0?.pass, carp0?.addresses.map(({ address }) => address)],
      ["carp0", "sesame", ["10.0.0.1", "10.0.0.8"]],
    );
    assert.ok(others.every(({ addresses }) => addresses.length === 0));
  });

  test("what they change is logged with their name, and root's changes too, whatever net.inet.carp.log is", async () => {
    await a.carpctl("sysctl", "net.inet.carp.log=0");
    const begin = engine.log.length;
    assert.equal((await member("carp0 advskew 9 description mine")).exitCode, 0);
    await engine.waitForLog(/^<5>carp0: changed by nobody \(uid 65534\): advskew 9, description mine$/, {
      from: begin,
    });
    await a.carpctl("carp0", "pass", "another");
    const { text } = await engine.waitForLog(/^<5>carp0: changed by root: /, { from: begin });
    assert.equal(text, "<5>carp0: changed by root: pass");
    // As fast as they can: a burst, then a line a second.
    const script = [
      "import socket, sys",
      "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile()",
      `line = b'{"jsonrpc":"2.0","id":1,"method":"change","params":{"name":"carp0","change":{"description":"%d"}}}\\n'`,
      "for n in range(300): s.sendall(line % n); assert 'result' in f.readline()",
    ].join("\n");
    const startMs = performance.now();
    const flood = await asMember("/usr/bin/python3", "-ISc", script, join(a.runDirectory, "admin.sock"));
    assert.deepEqual([flood.exitCode, flood.stderr], [0, ""]);
    await engine.waitForLog(/\d+ more lines like these were left out, the last: carp0: changed by nobody/, {
      from: begin,
    });
    const seconds = (performance.now() - startMs) / 1000;
    const lines = engine.log.lines.slice(begin).filter(({ text }) => /changed by nobody/.test(text));
    assert.ok(lines.length <= 22 + seconds, `${lines.length} lines in ${seconds} s`);
    await a.carpctl("sysctl", "net.inet.carp.log=7");
  });

  test("5120 addresses on an interface of theirs do not make another interface's advertisements late", async () => {
    const advertised = await b.capture("eth0", "ip proto 112 and ether src 00:00:5e:00:01:01");
    await advertised.waitFor(() => advertised.frames.length >= 2);
    const transitions = engine.transitions.filter(({ interface: name }) => name === "carp0").length;
    const script = [
      "import json, socket, sys",
      "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile()",
      "def change(**what):",
      `  s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "change", "params": {"name": "carp6", "change": what}}).encode() + b"\\n")`,
      "  answer = f.readline()",
      "  assert 'result' in answer, answer",
      `address = lambda k, i: {"family": 4, "address": "10.%d.%d.%d" % (k + 1, i >> 4, (i & 15) + 1), "prefixLength": 32, "alias": True}`,
      `change(carpdev="eth0", vhid=6)`,
      "for k in range(20): change(addAddresses=[address(k, i) for i in range(256)])",
      `change(state="master")`,
      `change(state="backup")`,
    ].join("\n");
    const words = ["-ISc", script, join(a.runDirectory, "admin.sock")];
    const many = await asMember("/usr/bin/python3", ...words);
    assert.deepEqual([many.exitCode, many.stderr], [0, ""]);
    assert.equal((await member("carp6 destroy")).exitCode, 0);
    const so = advertised.frames.length;
    await advertised.waitFor(() => advertised.frames.length >= so + 2);
    const at = advertised.frames.map(({ timeUs }) => timeUs / 1e6);
    const gaps = at.slice(1).map((second, n) => second - (at[n] ?? 0));
    assert.ok(Math.max(...gaps) < 1.5, gaps.map((gap) => gap.toFixed(3)).join(" "));
    assert.equal(engine.transitions.filter(({ interface: name }) => name === "carp0").length, transitions);
  });
});
