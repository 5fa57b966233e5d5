/**
 * A conntrackd that is hung, dead, of another version or hears no other host is told of, and never waited for longer than
 * the limit.
 */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createFirewalls, type Firewalls } from "./firewalls.ts";

/** Messages of a protocol that there is not yet: version 2 and the type of a new state, in the header that all have. */
const LATER_PROTOCOL = `
import itertools, socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("172.16.0.3", 3780))
for number in itertools.count():
    s.sendto(struct.pack(">BBHI", 2 << 4, 0, 8, number), ("172.16.0.2", 3780))
    time.sleep(0.1)
`;

describe("a conntrackd that does not work", () => {
  let pair: Firewalls;
  before(async () => {
    pair = await createFirewalls();
  });
  after(() => pair?.destroy());

  const LIMIT = { CONNTRACKD_LIMIT: "2" };
  const failure = async ({ a }: Firewalls, reason: RegExp, environment: Record<string, string> = LIMIT) => {
    const start = a.startHook(environment);
    assert.deepEqual(await start.exited, { code: 1, signal: null });
    assert.match(`${start.log}`, /pfsync bulk start/);
    assert.match(`${start.log}`, reason);
    const { stdout } = await a.host.carpctl("sysctl", "-n", "net.inet.carp.demotion");
    assert.equal(stdout, "0\n");
  };

  test("a host that becomes MASTER while the other is silent waits no longer", async () => {
    const { a, b } = pair;
    b.conntrackd.kill("SIGKILL");
    await b.conntrackd.exited;
    const start = a.startHook();
    await start.log.waitFor(/pfsync bulk start/);
    await a.share("advbase 0 advskew 50");
    assert.deepEqual(await start.exited, { code: 0, signal: null });
    assert.match(`${start.log}`, /pfsync bulk fail: this host is MASTER, and the other host was not heard/);
    for (const { carp } of a.legs) await a.host.carpctl(carp, "destroy");
  });

  test("a host whose peer has another version waits no longer than it takes to see that", async () => {
    const { b } = pair;
    const later = b.host.spawn("/usr/bin/python3", ["-ISc", LATER_PROTOCOL]);
    await failure(
      pair,
      /pfsync bulk fail: the messages of the other host are not understood: its conntrackd may be of another version$/m,
      {},
    );
    const [worst = ""] = await pair.a.doctor();
    assert.match(worst, /^error conntrackd: it does not understand the messages of the other host/);
    later.kill("SIGKILL");
    await later.exited;
  });

  test("a conntrackd that is absent, or whose answers are those of another version, is told of", async () => {
    const directory = join(pair.a.host.etcDirectory, "bin");
    mkdirSync(directory);
    const stub = join(directory, "conntrackd");
    writeFileSync(stub, `#!/bin/sh\necho '{"caches": {"external": 3}}'\n`);
    chmodSync(stub, 0o755);
    await failure(
      pair,
      /pfsync bulk fail: conntrackd, which may be of another version, did not answer in a way that is understood within 2 s/,
      { ...LIMIT, PATH: `${directory}:${process.env.PATH}` },
    );
    // As the shell ends when it finds no such program.
    writeFileSync(stub, "#!/bin/sh\nexit 127\n");
    const environment = { PATH: `${directory}:${process.env.PATH}`, CARP_STATE: "MASTER" };
    const { exitCode, stdout } = await pair.a.host.exec(pair.a.hook, [], { environment });
    assert.deepEqual([exitCode, stdout], [1, "conntrackd is not installed\n"]);
  });

  test("with a demotion factor of 0 the host is not demoted meanwhile", async () => {
    const { a } = pair;
    await a.host.carpctl("sysctl", "net.pfsync.carp_demotion_factor=0");
    const from = a.host.engine.log.length;
    await failure(pair, /the other host was not heard within 2 s/);
    assert.doesNotMatch(
      a.host.engine.log.lines
        .slice(from)
        .map(({ text }) => text)
        .join("\n"),
      /demoted/,
    );
    await a.host.carpctl("sysctl", "net.pfsync.carp_demotion_factor=240");
  });

  test("a host without the other's states is demoted no longer than the limit", async () => {
    const { a } = pair;
    await failure(pair, /pfsync bulk fail: the other host was not heard within 2 s/);
    a.conntrackd.kill("SIGSTOP");
    await failure(pair, /pfsync bulk fail: conntrackd did not answer within 2 s/);
    assert.match((await a.doctor())[0] ?? "", /^error conntrackd: it runs, but does not answer/);
  });

  test("a change of state is told of, with the reason", async () => {
    const { a } = pair;
    await a.share("advbase 0 advskew 50");
    await a.host.engine.log.waitFor(
      /hook conntrackd failed for carp0 vhid 1: INIT -> BACKUP: exit status 1: conntrackd -n: no answer within 2 s/,
    );
    a.conntrackd.kill("SIGKILL");
    await a.conntrackd.exited;
    await a.host.engine.log.waitFor(
      /hook conntrackd failed for carp\d vhid \d: BACKUP -> MASTER: exit status 1: conntrackd -c: .*can't connect/,
    );
    await a.host.run("nft", "flush", "ruleset");
    rmSync(a.hook);
    assert.deepEqual(await a.doctor(), [
      "error conntrackd: it does not run: connections break at a failover",
      "warning conntrackd: no hook has it take over the states of connections",
      "warning nftables: packets are forwarded that belong to no known connection: no chain at the hook forward drops by default",
    ]);
  });
});
