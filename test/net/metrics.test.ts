/** Metrics of a running engine: printed, served to other hosts, and written to a file; who may read them, and what not. */

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventually, forge, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";
import { promtool } from "../unit/promtool.ts";

const NOBODY = 65_534;
const GET = `
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
answer = opener.open(sys.argv[1], timeout=30)
sys.stdout.write(answer.headers["Content-Type"] + "\\n" + answer.read().decode())`;
/** Connects often, sends a part of a request, and reads nothing, until its input ends. */
const HANG = `
import socket, sys
held = []
for n in range(150):
  s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)
  s.send(b"GET /metrics HTTP/1.1\\r\\n")
  held.append(s)
print("held", flush=True)
sys.stdin.read()`;

describe("metrics", () => {
  let lan: Network;
  let a: Host;
  let other: Host;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] });
    other = await lan.host("x", { addresses: ["10.0.0.66/24", "2001:db8::66/64"] });
    const unix = join(a.runDirectory, "metrics.sock");
    await a.startEngine({
      words: ["10.0.0.1:80", "[2001:db8::2]:9478", `unix:${unix}`].flatMap((each) => ["--metrics", each]),
    });
    const words = ["carpdev", "eth0", "vhid", "7", "advskew", "10", "pass", "sesame"];
    await a.command("carp0", "10.0.0.1/24", ...words, "description", 'the "old" \\ www');
    await a.waitForState("carp0", "MASTER");
  });
  after(() => lan.destroy());

  const scraped = async (from: Host, address: string) => {
    const output = await from.run("python3", "-ISc", GET, `http://${address}/metrics`);
    const [type, ...lines] = output.split("\n");
    assert.equal(type, "text/plain; version=0.0.4; charset=utf-8");
    return lines.join("\n");
  };

  test("every user may read them; Prometheus accepts them, and no pass is among them", async () => {
    const { stdout } = await a.carpctl("metrics");
    const lint = promtool(["check", "metrics"], stdout);
    assert.deepEqual([lint.status, lint.output], [0, ""]);
    for (const line of [
      'carp_virtual_host_state{interface="carp0",vhid="7",state="master"} 1',
      'carp_virtual_host_advertisement_interval_seconds{interface="carp0",vhid="7"} 1.0390625',
      'carp_interface_info{interface="carp0",carpdev="eth0",balancing="none",lladdr="00:00:5e:00:01:07",' +
        'description="the \\"old\\" \\\\ www"} 1',
    ])
      assert.ok(stdout.includes(`\n${line}\n`), `${line}\n${stdout}`);
    assert.match(stdout, /^carp_virtual_host_lease_seconds\{interface="carp0",vhid="7"\} [123]\.\d+$/m);
    assert.ok(!stdout.includes("sesame"));
    const theirs = await a.exec(CARPCTL, ["metrics"], { uid: NOBODY });
    assert.equal(theirs.exitCode, 0, theirs.stderr);
    assert.match(theirs.stdout, /^carp_build_info\{/m);
  });

  test("they are served over both families, also at an address that came later, and to any user of the socket", async () => {
    for (const address of ["10.0.0.1:80", "[2001:db8::2]:9478"])
      assert.match(await scraped(other, address), /^carp_virtual_host_state\{.*state="master"\} 1$/m);
    const { mode } = statSync(join(a.runDirectory, "metrics.sock"));
    assert.equal(mode & 0o777, 0o666);
  });

  test("a packet that is refused is counted by its cause, on its interface", async () => {
    const wrong = forge.advertisement({ vhid: 7, pass: "guessed", addresses: ["10.0.0.1"], counter: 1n });
    await other.inject("eth0", forge.ipv4Frame({ source: "10.0.0.66", payload: wrong }));
    await eventually(
      () => scraped(other, "[2001:db8::2]:9478"),
      (text) =>
        text.includes('\ncarp_advertisements_refused_total{cause="bad_authentication"} 1\n') &&
        text.includes(
          '\ncarp_interface_advertisements_refused_total{interface="carp0",cause="bad_authentication"} 1\n',
        ),
    );
  });

  test("clients that hold connections keep no scraper out, and the host remains MASTER", async () => {
    const begin = a.engine.transitions.length;
    const hostile = other.spawn("python3", ["-ISc", HANG, "2001:db8::2", "9478"]);
    await hostile.log.waitFor(/held/);
    assert.match(await scraped(other, "[2001:db8::2]:9478"), /^carp_build_info\{/m);
    hostile.kill("SIGKILL");
    await hostile.exited;
    assert.deepEqual(a.engine.transitions.slice(begin), []);
  });

  test("a file for node_exporter is replaced as a whole, or left as it was", async () => {
    const directory = join(a.etcDirectory, "textfile");
    mkdirSync(directory);
    const path = join(directory, "carp.prom");
    writeFileSync(path, "old\n", { mode: 0o600 });
    const { stdout } = await a.carpctl("metrics", "--textfile", path);
    assert.equal(stdout, "");
    assert.match(readFileSync(path, "utf8"), /^# HELP carp_build_info .*\n(.*\n)*carp_virtual_host_state/);
    assert.equal(statSync(path).mode & 0o777, 0o644);
    assert.deepEqual(readdirSync(directory), ["carp.prom"]);
    const nowhere = join(directory, "none", "carp.prom");
    const refused = await a.tryCarpctl("metrics", "--textfile", nowhere);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /^carpctl: --textfile \S+: cannot write \S+ \(ENOENT\)\n$/);
    const taken = await a.tryCarpctl("metrics", "--textfile", directory);
    assert.match(taken.stderr, /^carpctl: --textfile \S+: cannot be replaced \(EISDIR\)\n$/);
    assert.deepEqual(readdirSync(a.etcDirectory), ["textfile"]);
  });

  test("an engine that cannot serve them says so and does all else; a word that is no address is refused", async () => {
    const refused = await a.tryCarpctl("engine", "--metrics", "localhost:9478");
    assert.deepEqual(
      [refused.exitCode, refused.stderr.split("\n")[0]],
      [2, "carpctl: --metrics localhost:9478: expected ADDRESS:PORT, [IPV6]:PORT or unix:PATH"],
    );
    const b = await lan.host("b", { addresses: ["10.0.0.3/24"] });
    writeFileSync(join(b.runDirectory, "metrics.sock"), "");
    const path = join(b.runDirectory, "metrics.sock");
    const engine = await b.startEngine({ words: ["--metrics", `unix:${path}`] });
    await engine.waitForLog(/metrics are not served at unix:\S+: it exists and is no socket$/);
    assert.match((await b.carpctl("metrics")).stdout, /^carp_build_info/m);
  });

  test("a new engine serves them after a restart, and one that stops leaves no socket", async () => {
    const path = join(a.runDirectory, "metrics.sock");
    for (const signal of ["SIGKILL", "SIGUSR2"] as const) {
      await a.engine.kill(signal);
      await a.startEngine({ words: ["--metrics", "10.0.0.2:80", "--metrics", `unix:${path}`] });
      await eventually(
        () => scraped(other, "10.0.0.2:80"),
        (text) => /^carp_virtual_host_state\{.*state="master"\} 1$/m.test(text),
      );
    }
    await a.engine.stop();
    assert.equal(statSync(path, { throwIfNoEntry: false }), undefined);
  });
});
