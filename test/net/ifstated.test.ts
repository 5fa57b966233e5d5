/**
 * ifstated with real links, carp interfaces and commands: the examples of OpenBSD's manual and configurations that
 * people have published, written anew, each with the states that it has to go through.
 */

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createNetwork, eventuallyEqual, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";
import type { Spawned } from "../hosts/spawned.ts";

const FILES = join(import.meta.dirname, "ifstated");

/** With the names that OpenBSD's commands have. */
let programs: string;
before(() => {
  programs = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  for (const name of ["ifconfig", "ifstated", "carpctl"]) symlinkSync(CARPCTL, join(programs, name));
});
after(() => rmSync(programs, { recursive: true }));

/** ifstated on a host, and the lines of its log that have been looked at. */
class Followed {
  readonly process: Spawned;
  #from = 0;

  constructor(host: Host, path: string, ...words: readonly string[]) {
    this.process = host.spawn(join(programs, "ifstated"), ["-df", path, ...words], {
      environment: { PATH: `${programs}:${process.env.PATH}` },
    });
  }

  /** Waits for these lines, in any order: output of commands takes another way than the log. */
  async says(...lines: readonly string[]): Promise<void> {
    const { log } = this.process;
    const found = await Promise.all(
      lines.map((line) => log.waitFor(new RegExp(`^${RegExp.escape(line)}$`), { from: this.#from })),
    );
    this.#from = Math.max(...found.map((line) => log.lines.indexOf(line))) + 1;
  }

  async enters(...states: readonly string[]): Promise<void> {
    for (const state of states) await this.says(`changing state to ${state}`);
  }

  async ends(): Promise<void> {
    this.process.kill("SIGTERM");
    assert.deepEqual(await this.process.exited, { code: 0, signal: null });
  }
}

describe("a pair of hosts, their uplinks and a server", () => {
  let lan: Network;
  let uplink: Network;
  let a: Host;
  let b: Host;
  let server: Host;
  const follow = (name: string) => {
    const path = join(a.etcDirectory, name);
    copyFileSync(join(FILES, name), path);
    return new Followed(a, path);
  };

  before(async () => {
    lan = await createNetwork();
    uplink = await createNetwork();
    [a, b, server] = await Promise.all([
      lan.host("a", { addresses: ["10.0.0.2/24"] }),
      lan.host("b", { addresses: ["10.0.0.3/24"] }),
      lan.host("server", { addresses: ["10.0.0.8/24", "10.0.0.9/24"] }),
    ]);
    await uplink.attach(a, { addresses: ["10.1.0.2/24"] });
    await Promise.all([a.startEngine(), b.startEngine()]);
    for (const [host, advskew] of [
      [a, "0"],
      [b, "100"],
    ] as const) {
      await host.command("sysctl", "net.inet.carp.preempt=1");
      const shared = ["10.0.0.1/24", "carpdev", "eth0", "vhid", "1", "pass", "sesame"];
      await host.command("carp0", ...shared, "advbase", "1", "advskew", advskew);
    }
    await a.command("carp0", "group", "fw");
    await a.waitForState("carp0", "MASTER");
  });
  after(() => Promise.all([lan.destroy(), uplink.destroy()]));

  test("configurations of OpenBSD and of others go through the states that they are to", async () => {
    const syslog = follow("syslog-server.conf");
    const manual = follow("manual.conf");
    const pair = follow("two-firewalls.conf");
    const watch = follow("uplink-watch.conf");
    const probe = follow("one-probe.conf");
    const cold = follow("cold-boot.conf");
    const providers = follow("two-providers.conf");
    const route = async () => (await a.run("ip", "route", "show", "198.51.100.0/24")).trim();

    await Promise.all([
      syslog.says("carp0: master", "initial state: usual", "changing state to usual"),
      manual.says("interface modem does not exist: its link is down", "entering usual"),
      pair.enters("look", "active"),
      pair.says("the active firewall is this host"),
      watch.says(
        "(begin) uplink up",
        "changing state to linked",
        "(linked) established",
        "(online) tunnel updated",
      ),
      probe.enters("begin", "first"),
      cold.says("cold start", "changing state to first_start"),
      providers.says("changing state to both", "both of eth0, balanced"),
    ]);
    await eventuallyEqual(route, "198.51.100.0/24 dev eth1 scope link");

    await a.pullCable("eth1");
    await Promise.all([
      syslog.says("the link to the log server is down", "changing state to demoted", "carp0: backup"),
      manual.enters("alone"),
      pair.enters("standby"),
      probe.says("CHANGE: second line"),
    ]);
    await b.waitForState("carp0", "MASTER");
    await eventuallyEqual(route, "198.51.100.0/24 via 10.0.0.3 dev eth0");

    await a.plugCable("eth1");
    await Promise.all([
      syslog.says("the log server is back", "changing state to usual", "carp0: master"),
      manual.says("changing state to usual", "entering usual"),
      pair.enters("active"),
      probe.says("CHANGE: first line"),
    ]);

    await server.namespace.ip(["address del 10.0.0.9/24 dev eth0"]);
    await Promise.all([
      syslog.says("the log server does not answer", "changing state to demoted", "carp0: backup"),
      manual.enters("dialled"),
      pair.enters("standby"),
      watch.says(
        "(online) lost",
        "(begin) uplink up",
        "(linked) nothing answers",
        "(no-link) address fetched",
      ),
      probe.says("CHANGE: second line"),
      cold.says("reserve"),
      providers.says("only two"),
    ]);

    await server.namespace.ip(["address add 10.0.0.9/24 dev eth0"]);
    await Promise.all([
      syslog.says("the log server is back", "carp0: master"),
      manual.enters("usual"),
      pair.enters("active"),
      watch.says("(linked) established", "(online) tunnel updated"),
      probe.says("CHANGE: first line"),
      cold.says("first provider"),
      providers.says("both of eth0, balanced"),
    ]);

    // A device that appears while ifstated runs.
    await a.namespace.ip([
      "link add modem type veth peer name line",
      "link set line up",
      "link set modem up",
    ]);
    await manual.says("interface modem arrived", "changing state to dialled");
    await a.namespace.ip(["link del modem"]);
    await manual.says("interface modem departed", "changing state to usual");

    await Promise.all([syslog, manual, watch, probe, cold, providers].map((each) => each.ends()));

    // An engine that is replaced leaves the state as it is; the states of the next one are followed.
    await a.engine.kill("SIGKILL");
    await pair.says("the engine is gone");
    await a.startEngine();
    await pair.says("the engine is back");
    await a.command("-g", "carp", "carpdemote");
    await pair.says("changing state to standby");
    await a.command("-g", "carp", "-carpdemote");
    await pair.enters("active");
    // One that stops in order takes its interfaces with it.
    await a.engine.stop();
    await pair.says("interface carp0 departed", "changing state to standby");
    await pair.ends();
    const entered = pair.process.log.lines.filter(({ text }) => text.startsWith("changing"));
    assert.deepEqual(
      entered.map(({ text }) => text.split(" ").at(-1)),
      ["look", ..."active standby ".repeat(4).trim().split(" ")],
    );
  });
});

describe("one host", () => {
  let lan: Network;
  let host: Host;
  before(async () => {
    lan = await createNetwork();
    host = await lan.host("a", { addresses: ["172.16.0.1/24"] });
    await host.startEngine();
  });
  after(() => lan.destroy());

  test("OpenBSD's regression test: carp interfaces that go down, up, away and come again, and a reload", async () => {
    const shared = (n: number) => [`carp${n}`, `172.16.0.${n}/24`, "vhid", `${n}`, "carpdev", "eth0"];
    const make = async (n: number) => {
      await host.command(...shared(n), "advbase", "0", "advskew", "20");
      await host.waitForState(`carp${n}`, "MASTER");
    };
    await make(52);
    await make(53);
    const path = join(host.etcDirectory, "ifstated.conf");
    writeFileSync(
      path,
      `
carp = "carp52.link.up"
init-state serving
net = '( "ping -q -c 1 -W 0.3 172.16.0.53 > /dev/null" every 1)'
state serving {
	init {
		run "true"
	}
	if ! $net
		set-state waiting
	if ! $carp
		set-state waiting
}
state waiting {
	init {
		run "true"
	}
	if $net && ( ! carp52.link.down && ! carp52.link.unknown )
		set-state serving
}
`,
    );
    const followed = new Followed(host, path);
    await followed.says("started", "initial state: serving", "changing state to serving");
    await host.command("carp52", "down");
    await followed.enters("waiting");
    await host.command("carp52", "up");
    await followed.enters("serving");
    await host.command("carp52", "destroy");
    await followed.enters("waiting");
    await make(52);
    await followed.enters("serving");
    await host.command("carp53", "destroy");
    await followed.enters("waiting");
    await make(53);
    await followed.enters("serving");
    await host.command("carp52", "down");
    await followed.enters("waiting");
    await host.command("carp53", "destroy");
    await host.command("carp52", "up");
    await host.waitForState("carp52", "MASTER");
    await make(53);
    await followed.enters("serving");
    followed.process.kill("SIGHUP");
    await followed.says("reloading config", "initial state: serving", "changing state to serving");

    writeFileSync(path, "init-state nowhere\nrun\n");
    followed.process.kill("SIGHUP");
    await followed.says(
      "reloading config",
      `${path}:1: init-state nowhere: no such state`,
      `${path}:2: run: expected a command, in quotes`,
      "unable to reload config",
    );
    writeFileSync(path, "state anew {\nif carp52.link.up run 'echo still serving'\n}\n");
    followed.process.kill("SIGHUP");
    await followed.says("reloading config", "initial state: anew", "changing state to anew", "still serving");
    await host.command("carp52", "down");
    await host.command("carp52", "up");
    await followed.says("still serving");
    await followed.ends();
  });

  test("OpenBSD's regression test of states: every form of expression leads from one to the next, over real files", async () => {
    const path = join(host.etcDirectory, "walk.conf");
    const text = readFileSync(join(FILES, "walk.conf"), "utf8");
    writeFileSync(path, text.replaceAll("PLACE", host.etcDirectory));
    const followed = new Followed(host, path);
    await followed.enters("end");
    const entered = followed.process.log.lines.flatMap(
      ({ text }) => /^changing state to (.*)$/.exec(text)?.slice(1) ?? [],
    );
    assert.equal(
      entered.join(" "),
      "first made removed either both mixed inner not-inside not-outside not-of-several " +
        "first again from-init not-not-not end",
    );
    await followed.ends();
  });

  test("no change of a link is lost while a command runs", async () => {
    const path = join(host.etcDirectory, "slow.conf");
    const flag = join(host.etcDirectory, "flag");
    writeFileSync(
      path,
      `
state counting {
	init run "echo waiting; until test -e ${flag}; do sleep 0.05; done; echo waited"
	if carp52.link.up run "echo up"
	if carp52.link.unknown run "echo unknown"
}
`,
    );
    const followed = new Followed(host, path, "-v");
    await followed.says("waiting");
    for (let round = 0; round < 2; round++) {
      await host.command("carp52", "down");
      await host.command("carp52", "up");
      await host.waitForState("carp52", "MASTER");
    }
    writeFileSync(flag, "");
    const told = ["waited", "up", "unknown", "up", "unknown", "up"];
    const lines = () =>
      followed.process.log.lines.map(({ text }) => text).filter((text) => told.includes(text));
    await eventuallyEqual(async () => lines(), told);
    await followed.ends();
  });

  test("a link that changed while notifications were lost, or that another device has the name of, is found", async () => {
    const ends = ["one", "two"].map((name) => `link add ${name} type veth peer name ${name}-peer`);
    const up = ["one", "two"].flatMap((name) => [`link set ${name} up`, `link set ${name}-peer up`]);
    await host.namespace.ip([...ends, ...up]);
    const path = join(host.etcDirectory, "lost.conf");
    writeFileSync(
      path,
      "state a {\nif one.link.down set-state b\n}\nstate b {\nif one.link.up && two.link.down set-state c\n}\nstate c {\n}\n",
    );
    const followed = new Followed(host, path);
    await followed.enters("a");
    followed.process.kill("SIGSTOP");
    const flood = Array.from({ length: 3000 }, (_, n) => `link set two alias ${"x".repeat(200)}${n}`);
    await host.namespace.ip([...flood, "link set one-peer down"]);
    followed.process.kill("SIGCONT");
    await followed.enters("b");
    // The other one, which is up, takes its name.
    await host.namespace.ip([
      "link set one name three",
      "link set two down",
      "link set two name one",
      "link set one up",
    ]);
    await followed.enters("c");
    await followed.ends();
    await host.namespace.ip(["link del three", "link del one"]);
  });

  test("commands and tests that flood, hang or die delay no change of a link; a device without a link is unknown and up", async () => {
    const path = join(host.etcDirectory, "flood.conf");
    writeFileSync(
      path,
      `
state flooded {
	init {
		run "yes flood | head -n 100000"
		run "kill -9 $$"
		run "/nonexistent"
	}
	if "timeout 0.2 yes flood" every 1 || "kill -9 $$" every 1 run "echo never"
	if lo.link.unknown && lo.link.up run "echo unknown and up"
	if lo.link.down set-state hung
}
state hung {
	if "test -e ${path}.none || exec sleep 1.5" every 1 || lo.link.unknown run "echo back"
}
`,
    );
    const followed = new Followed(host, path);
    await followed.says("unknown and up");
    assert.match(`${followed.process.log}`, /"kill -9 \$\$" \[\d+\]: killed by SIGKILL/);
    await host.namespace.ip(["link set lo down"]);
    await followed.enters("hung");
    await host.namespace.ip(["link set lo up"]);
    await followed.says("back");
    assert.doesNotMatch(`${followed.process.log}`, /never/);
    await followed.ends();
  });

  test("a signal ends it while a command runs, and the command goes on", async () => {
    const path = join(host.etcDirectory, "endless.conf");
    const pidFile = join(host.etcDirectory, "pid");
    writeFileSync(path, `run "echo $$ > ${pidFile}; echo begun; exec sleep 1000 >/dev/null 2>&1"\n`);
    const followed = new Followed(host, path);
    await followed.says("begun");
    await followed.ends();
    const pid = Number((await host.run("cat", pidFile)).trim());
    process.kill(pid, "SIGKILL");
  });
});
