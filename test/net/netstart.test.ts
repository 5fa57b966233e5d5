/**
 * Hosts that are configured by their files alone: they fail over, netstart leaves an interface alone that is
 * as its file says, and the output of dump makes the same configuration again.
 */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import fc from "fast-check";
import { checkParams } from "../../src/control/messages.ts";
import { createNetwork, eventually, eventuallyEqual, type Host, type Network } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";
import { configurationChange } from "../unit/cli/arbitraries.ts";
import { assertHolder, assertNothingLost, Client, onCarpHosts, statesOf } from "./carp-hosts.ts";

function write(host: Host, file: string, ...lines: string[]): void {
  const path = join(host.etcDirectory, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  chmodSync(path, 0o640);
}

const quiet = { stdout: "", stderr: "", exitCode: 0 };

async function configuration(host: Host) {
  return (await host.engine.request("configuration", {})).interfaces;
}

async function transitions(host: Host): Promise<number | undefined> {
  const { interfaces } = await host.engine.request("interfaces", {});
  return interfaces[0]?.nodes[0]?.transitions;
}

/** Runs a script as another user. The capability is for a tree in a directory that only root can read. */
async function script(host: Host, text: string): Promise<string> {
  const capability = "-all,+dac_read_search";
  const user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const options = [...user, `--inh-caps=${capability}`, `--ambient-caps=${capability}`];
  const words = [...options, "--", "sh", "-euc", text];
  const output = await host.exec("setpriv", words, { environment: { CARPCTL } });
  assert.deepEqual([output.exitCode, output.stderr], [0, ""]);
  return output.stdout;
}

describe("two hosts that are configured by files", () => {
  const carp0 = (advskew: number, ...more: string[]) => [
    `advskew ${advskew}`,
    "inet 10.0.0.1 255.255.255.0 NONE description 'what clients ask for'",
    "inet6 alias 2001:db8::1 64",
    'carpdev eth0 vhid 1 pass "open sesame"',
    "!ip link show dev \\$if >/dev/null",
    ...more,
  ];

  test("share an address, keep it while the files are applied again, and hand it over", async () => {
    await onCarpHosts({ count: 2 }, async ({ hosts: [a, b], client }) => {
      assert.ok(a && b);
      for (const host of [a, b]) write(host, "carp/sysctl.conf", "net.inet.carp.preempt=1");
      write(a, "hostname.carp0", ...carp0(0));
      write(b, "hostname.carp0", ...carp0(100));
      for (const host of [a, b]) assert.deepEqual(await host.carpctl("netstart"), quiet);
      await a.engine.waitForState("carp0", "MASTER");
      await b.engine.waitForState("carp0", "BACKUP");

      const asks = await Client.start(client);
      const before = await Promise.all([a, b].map(transitions));
      await Promise.all([a, a, b].map((host) => host.carpctl("netstart")));
      write(a, "hostname.carp0", ...carp0(5, "group www", "description other"));
      assert.deepEqual(await a.carpctl("netstart", "carp0"), quiet);
      assert.deepEqual((await configuration(a))[0]?.nodes, [{ vhid: 1, advskew: 5 }]);
      await asks.isServed();
      assert.deepEqual(await Promise.all([a, b].map(transitions)), before);
      await eventuallyEqual(() => statesOf([a, b]), ["MASTER", "BACKUP"]);

      const [polled] = await Promise.all([
        script(b, `until "$CARPCTL" carp0 | grep -q 'status: master'; do sleep 0.1; done; echo taken over`),
        a.engine.stop(),
      ]);
      assert.equal(polled, "taken over\n");
      const read = `"$CARPCTL" status --json | jq -r '.interfaces[] | "\\(.name) \\(.status) \\(.nodes[0].state)"'`;
      assert.equal(await script(b, read), "carp0 master MASTER\n");
      await assertHolder(b, []);
      // The files are applied when the engine runs, as at boot.
      const started = a.carpctl("netstart", "--wait");
      await a.startEngine();
      assert.deepEqual(await started, quiet);
      await a.engine.waitForState("carp0", "MASTER");
      await b.engine.waitForState("carp0", "BACKUP");
      await asks.isServed();
      assertNothingLost(await asks.stop());
    });
  });
});

describe("one host", () => {
  let lan: Network;
  let a: Host;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] });
    await lan.attach(a);
    await a.startEngine();
  });
  after(() => lan.destroy());
  afterEach(clean);

  async function clean(): Promise<void> {
    for (const { name } of await configuration(a)) {
      await a.engine.request("destroy", { name });
      rmSync(join(a.etcDirectory, `hostname.${name}`), { force: true });
    }
  }

  test("has the same configuration again after its dump is applied", async () => {
    const drawn = fc.sample(configurationChange, 40);
    for (const [n, change] of drawn.entries()) {
      const checked = checkParams("replace", { name: `carp${n}`, change });
      // Without parameters that exclude others.
      if ("params" in checked) await a.engine.request("replace", checked.params).catch(() => {});
    }
    const before = await configuration(a);
    assert.ok(before.length > 15, `only ${before.length} could be configured`);
    const { stdout } = await a.carpctl("dump");
    await clean();
    for (const file of stdout.split(/^# (?=hostname\.carp)/m).slice(1)) {
      const [name = "", ...lines] = file.trimEnd().split("\n");
      write(a, name, ...lines);
    }
    const { stderr, exitCode } = await a.tryCarpctl("netstart");
    assert.equal(stderr.replace(/^.*: warning: .*\n/gm, ""), "", stdout);
    assert.equal(exitCode, 0);
    assert.deepEqual(await configuration(a), before, stdout);
    assert.equal((await a.carpctl("dump")).stdout, stdout);
    const again = JSON.parse((await a.carpctl("netstart", "--json")).stdout);
    assert.ok(again.files.every(({ changed }: { changed: boolean }) => !changed));
  });

  test("an interface with hundreds of addresses and groups has the same ones after its dump is applied", async () => {
    const lines = [
      "carpdev eth0 vhid 1 mtu 1400",
      ...Array.from(
        { length: 70 },
        (_, n) => `group ${"g".repeat((n % 14) + 1)}${"abcde"[Math.floor(n / 14)]}`,
      ),
      ...Array.from({ length: 600 }, (_, n) => `inet alias 10.1.${n >> 8}.${n & 255}/32`),
      ...Array.from({ length: 100 }, (_, n) => `inet6 2001:db8::1:${n} 64`),
    ];
    write(a, "hostname.carp0", ...lines);
    assert.deepEqual(await a.tryCarpctl("netstart"), quiet);
    const before = await configuration(a);
    assert.equal(before[0]?.addresses.length, 700);
    const { stdout } = await a.carpctl("dump", "carp0");
    await a.carpctl("carp0", "destroy");
    write(a, "hostname.carp0", stdout);
    assert.deepEqual(await a.tryCarpctl("netstart"), quiet);
    assert.deepEqual(await configuration(a), before);
    assert.equal((await a.carpctl("dump", "carp0")).stdout, stdout);
    // The words of one command, too.
    const half = Array.from({ length: 300 }, (_, n) => [
      "inet",
      "-alias",
      `10.1.${n >> 8}.${n & 255}`,
    ]).flat();
    await a.carpctl("carp0", ...half);
    assert.equal((await configuration(a))[0]?.addresses.length, 400);
  });

  test("an interface changes to what its file says, and one without a file is left alone", async () => {
    write(a, "hostname.carp0", "inet 10.0.0.1/24 vhid 1 advskew 5 pass secret carppeer 10.0.0.3 mtu 1400");
    await a.carpctl("carp1", "10.0.0.9/24", "vhid", "9");
    await a.carpctl("netstart");
    const [, untouched] = await configuration(a);
    write(a, "hostname.carp0", "inet 10.0.0.1/24 vhid 2");
    await a.carpctl("netstart");
    const { stdout } = await a.carpctl("dump", "carp0");
    assert.equal(stdout, "carpdev eth0 vhid 2\ninet 10.0.0.1 255.255.255.0\n");
    assert.deepEqual((await configuration(a))[1], untouched);
  });

  test("an address moves from one file to another", async () => {
    write(a, "hostname.carp0", "inet 10.0.0.1/24 vhid 1");
    write(a, "hostname.carp1", "inet 10.0.0.5/24 vhid 5", "inet alias 10.0.0.6/24");
    await a.carpctl("netstart");
    write(a, "hostname.carp0", "inet 10.0.0.1/24 vhid 1", "inet alias 10.0.0.6/24");
    write(a, "hostname.carp1", "inet 10.0.0.5/24 vhid 5");
    assert.deepEqual(await a.tryCarpctl("netstart"), quiet);
    const addresses = (await configuration(a)).map((each) => each.addresses.map(({ address }) => address));
    assert.deepEqual(addresses, [["10.0.0.1", "10.0.0.6"], ["10.0.0.5"]]);
  });

  for (const [what, ...files] of [
    ["their vhids", [1, 2], [2, 1]],
    ["their addresses", [1, 2], [1, 2]],
    ["their vhids in a circle of three, one of them with a command", [1, 2, 3], [2, 3, 1]],
  ] as const)
    test(`files exchange ${what}`, async () => {
      const [before, after] = files;
      const moved = before.join() === after.join() ? 1 : 0;
      const count = before.length;
      const command = count === 3 ? ["!echo $if"] : [];
      const lines = (vhids: readonly number[], step: number, n: number) => [
        `carpdev eth0 vhid ${vhids[n]} advbase 0 advskew 20`,
        `inet 10.0.0.${50 + ((n + step) % count)}/24`,
      ];
      const names = before.map((_, n) => `carp${n}`);
      for (const [n, name] of names.entries()) write(a, `hostname.${name}`, ...lines(before, 0, n));
      await a.carpctl("netstart");
      for (const name of names) await a.waitForState(name, "MASTER");
      const from = a.engine.log.length;
      for (const [n, name] of names.entries())
        write(a, `hostname.${name}`, ...lines(after, moved, n), ...(n === 1 ? command : []));
      const stdout = count === 3 ? "carp1\n" : "";
      assert.deepEqual(await a.tryCarpctl("netstart"), { ...quiet, stdout });
      const found = (await configuration(a)).map(({ nodes, addresses }) => [
        nodes[0]?.vhid,
        addresses[0]?.address,
      ]);
      assert.deepEqual(
        found,
        after.map((vhid, n) => [vhid, `10.0.0.${50 + ((n + moved) % count)}`]),
      );
      for (const [n, name] of names.entries()) {
        await a.waitForState(name, "MASTER");
        await a.waitForAddresses(name, [`10.0.0.${50 + ((n + moved) % count)}/24`]);
        const link = await a.run("ip", "link", "show", "dev", name);
        assert.match(link, new RegExp(`00:00:5e:00:01:0${after[n]}`));
      }
      const logged = a.engine.log.lines.slice(from).map(({ text }) => text);
      assert.deepEqual(
        logged.filter((text) => /cannot|repaired/.test(text)),
        [],
      );
      const again = JSON.parse((await a.carpctl("netstart", "--json")).stdout);
      assert.ok(again.files.every(({ changed }: { changed: boolean }) => !changed));
    });

  test("an interface whose file was removed is named, and its vhid is free after --prune", async () => {
    write(a, "hostname.carp0", "inet 10.0.0.1/24 vhid 1");
    write(a, "hostname.carp1", "inet 10.0.0.5/24 vhid 5");
    await a.carpctl("netstart");
    write(a, "hostname.carp0", "inet 10.0.0.5/24 vhid 5");
    const path = (name: string) => join(a.etcDirectory, `hostname.${name}`);
    rmSync(path("carp1"));
    assert.deepEqual(await a.tryCarpctl("netstart"), {
      stdout: "",
      stderr:
        `${path("carp1")}: warning: carp1 has no file, and is left as it is: 'carpctl netstart --prune' destroys it\n` +
        `${path("carp0")}:1: vhid 5 is already used by carp1 on eth0\n`,
      exitCode: 1,
    });
    const listed = await a.tryCarpctl("netstart", "-n", "--prune");
    assert.equal(listed.stdout, "carpctl carp1 destroy\ncarpctl carp0 inet 10.0.0.5/24 vhid 5\n");
    assert.equal((await configuration(a)).length, 2);
    assert.deepEqual(await a.tryCarpctl("netstart", "--prune"), quiet);
    const found = (await configuration(a)).map(({ name, nodes }) => [name, nodes[0]?.vhid]);
    assert.deepEqual(found, [["carp0", 5]]);
  });

  test("a file that is refused leaves its interface as it was", async () => {
    write(a, "hostname.carp0", "inet 10.0.0.1/24 vhid 1");
    write(a, "hostname.carp1", "inet 10.0.0.5/24 vhid 5");
    await a.carpctl("netstart");
    const before = await configuration(a);
    write(a, "hostname.carp0", "inet 10.0.0.1/24 vhid 1", "description new", "carpdev eth9");
    write(a, "hostname.carp1", "inet 10.0.0.5/24 vhid 1", "carpdev eth0");
    write(a, "hostname.carp2", "inet 10.0.0.7/24 vhid 7");
    const path = (name: string) => join(a.etcDirectory, `hostname.${name}`);
    assert.deepEqual(await a.tryCarpctl("netstart"), {
      stdout: "",
      stderr:
        `${path("carp0")}:3: carpdev eth9: no such device\n` +
        `${path("carp1")}:1: vhid 1 is already used by carp0 on eth0\n`,
      exitCode: 1,
    });
    const [carp0, carp1, carp2] = await configuration(a);
    assert.deepEqual([carp0, carp1, carp2?.name], [...before, "carp2"]);
  });

  test("hundreds of files are applied, whatever one of them says; again, they change nothing and write nothing", async () => {
    const names = Array.from({ length: 300 }, (_, n) => `carp${n}`);
    for (const [n, name] of names.entries())
      write(a, `hostname.${name}`, n === 7 ? "vhid 256" : `vhid ${(n % 255) + 1} description ${n}`);
    const refused = {
      stdout: "",
      stderr: `${join(a.etcDirectory, "hostname.carp7")}:1: vhid 256: must be 1..255\n`,
      exitCode: 1,
    };
    assert.deepEqual(await a.tryCarpctl("netstart"), refused);
    const found = (await configuration(a)).map(({ name, description }) => `${name} ${description}`);
    const wanted = names.flatMap((name, n) => (n === 7 ? [] : [`${name} ${n}`]));
    assert.deepEqual(found, wanted);
    const saved = () => statSync(join(a.runDirectory, "state.json"), { bigint: true }).ino;
    const before = saved();
    assert.deepEqual(await a.tryCarpctl("netstart"), refused);
    assert.equal(saved(), before);
    rmSync(join(a.etcDirectory, "hostname.carp7"));
  });

  test("the next netstart finishes what an interrupted one began", async () => {
    write(a, "hostname.carp0", "vhid 1", "!echo it is $$; exec sleep 60", "inet 10.0.0.1/24");
    const interrupted = a.spawn(CARPCTL, ["netstart"]);
    const { text } = await interrupted.log.waitFor(/it is \d+/);
    interrupted.kill("SIGTERM");
    await interrupted.exited;
    const [pid = ""] = /\d+/.exec(text) ?? [];
    const commandLine = () => a.exec("cat", [`/proc/${pid}/cmdline`]);
    await eventually(commandLine, ({ stdout }) => !stdout.includes("sleep"));
    const { stdout } = await a.carpctl("dump", "carp0");
    assert.equal(stdout, "vhid 1\ndown\n");
    write(a, "hostname.carp0", "vhid 1", "!true", "inet 10.0.0.1/24");
    assert.deepEqual(await a.tryCarpctl("netstart"), quiet);
    assert.equal((await configuration(a))[0]?.up, true);
  });

  test("dump --sysctl has the variables that differ from their defaults", async () => {
    await a.carpctl(
      "sysctl",
      "-q",
      "net.inet.carp.preempt=1",
      "net.inet.carp.log=2",
      "net.inet.carp.demotion=7",
    );
    assert.equal((await a.carpctl("dump", "--sysctl")).stdout, "net.inet.carp.preempt=1\n");
    await a.carpctl("sysctl", "-q", "net.inet.carp.preempt=0", "net.inet.carp.demotion=-7");
    assert.equal((await a.carpctl("dump", "--sysctl")).stdout, "");
  });

  test("SIGHUP applies the file of variables again, and its errors are logged", async () => {
    const preempt = async () =>
      (await a.engine.request("sysctl-get", { names: ["net.inet.carp.preempt"] }))[0]?.value;
    write(a, "carp/sysctl.conf", "net.inet.carp.preempt=1", "net.inet.carp.dscp=4");
    a.engine.signal("SIGHUP");
    await eventually(preempt, (value) => value === 1);
    write(a, "carp/sysctl.conf", "net.inet.carp.preempt=0", "net.inet.carp.dscp=64");
    a.engine.signal("SIGHUP");
    await a.engine.waitForLog(/sysctl\.conf:2: net\.inet\.carp\.dscp=64: must be 0\.\.63$/);
    write(a, "carp/sysctl.conf", "net.inet.carp.preempt=0", "frob");
    a.engine.signal("SIGHUP");
    await a.engine.waitForLog(/sysctl\.conf:2: frob: expected NAME=VALUE$/);
    assert.equal(await preempt(), 1);
    await a.carpctl("sysctl", "-q", "net.inet.carp.preempt=0");
    rmSync(join(a.etcDirectory, "carp/sysctl.conf"));
  });

  test("dump refuses what does not exist", async () => {
    const stderr = "carpctl: carp7: no such interface\n";
    assert.deepEqual(await a.tryCarpctl("dump", "carp7"), { stdout: "", stderr, exitCode: 1 });
    assert.equal((await a.tryCarpctl("dump", "carp7", "--sysctl")).exitCode, 2);
    assert.deepEqual(await a.tryCarpctl("dump"), quiet);
  });
});
