/**
 * The engine as a program: its run directory, its socket, its saved state, its signals, and many commands at
 * the same time.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Engine } from "../hosts/engine.ts";
import { createNetwork, eventually, type Host, type Network, wholeState } from "../hosts/index.ts";
import { CARPCTL } from "../hosts/program.ts";

const split = (words: string) => words.split(" ").filter(Boolean);

describe("the engine", () => {
  let lan: Network;
  let a: Host;
  let state: string;

  before(async () => {
    lan = await createNetwork();
    a = await lan.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] });
    state = join(a.runDirectory, "state.json");
    await a.startEngine();
  });
  after(() => lan.destroy());

  const devices = async () =>
    (JSON.parse(await a.run("ip", "-json", "link", "show")) as { ifname: string }[]).map(
      ({ ifname }) => ifname,
    );
  const view = async () => (await a.engine.request("interfaces", {})).interfaces;
  /** Starts an engine that is to refuse to run; one that runs is ended after a minute. */
  const engineWith = (words: string) =>
    a.exec("timeout", ["60", CARPCTL, ...split(words), "engine", "--log", "stderr"]);

  test("of commands that create an interface at the same time one does, and the others change nothing", async () => {
    const numbers = [1, 2, 3, 4, 5, 6];
    // In this process each has sent its first request before one is answered.
    const done = await Promise.all(
      numbers.map((n) => a.tryCommand(...split(`carp9 create description by-${n} vhid ${n}`))),
    );
    const winners = numbers.filter((_, at) => done[at]?.exitCode === 0);
    assert.equal(winners.length, 1);
    for (const { exitCode, stderr } of done)
      if (exitCode !== 0) assert.equal(stderr, "carpctl: carp9: already exists\n");
    const [created] = (await view()).filter(({ name }) => name === "carp9");
    assert.equal(created?.description, `by-${winners[0]}`);
    await a.carpctl("carp9", "destroy");
  });

  test("a second engine in the same run directory says so and exits 1", async () => {
    await a.command(...split("carp0 10.0.0.1/24 vhid 1 advbase 60 pass sesame"));
    const untouched = await wholeState(a);
    assert.deepEqual(await engineWith(""), {
      stdout: "",
      stderr: `carpctl: an engine is running already (${a.runDirectory}/engine.sock)\n`,
      exitCode: 1,
    });
    assert.deepEqual(await wholeState(a), untouched);
  });

  test("SIGHUP does not end it", async () => {
    const untouched = await wholeState(a);
    a.engine.signal("SIGHUP");
    assert.deepEqual(await wholeState(a), untouched);
    assert.equal((await a.carpctl("-g", "carp")).exitCode, 0);
  });

  test("killed and started again, it has the same configuration and replaces the stale socket", async () => {
    const words =
      "carp0 10.0.0.1/24 alias 10.0.0.11/32 inet6 2001:db8::1/64 vhid 7 advskew 9 carppeer6 2001:db8::3 group web description www mtu 1400";
    await a.command(...split(words));
    await a.command(...split("carp3 vhid 3 lladdr 02:00:00:00:00:03 balancing ip-stealth"));
    await a.command(
      ...split("sysctl net.inet.carp.preempt=1 net.inet.carp.dscp=46 net.inet.carp.demotion=5"),
    );
    await a.command(...split("-g web carpdemote 3"));
    const read = async () =>
      (await Promise.all(["", "-g web", "sysctl -a"].map((each) => a.carpctl(...split(each))))).map(
        ({ stdout }) => stdout,
      );
    const before = await read();
    const { interfaces } = JSON.parse(readFileSync(state, "utf8"));

    await a.engine.kill("SIGKILL");
    assert.ok(existsSync(join(a.runDirectory, "engine.sock")));
    const { stderr } = await a.tryCarpctl("carp0");
    assert.match(stderr, /^carpctl: the engine is not running \(no .*engine\.sock\)/);

    await a.startEngine();
    await a.waitForState("carp0", "BACKUP");
    assert.deepEqual(await read(), before);
    await a.command("carp0", "up");
    assert.deepEqual(JSON.parse(readFileSync(state, "utf8")).interfaces, interfaces);
    assert.equal(interfaces[0].pass, "sesame");
    await a.command(...split("sysctl -q net.inet.carp.demotion=-5"));
    await a.command("carp3", "destroy");
  });

  for (const [what, spoil, reason] of [
    ["garbled", () => writeFileSync(state, "{ not json"), "garbled"],
    ["cut short", () => writeFileSync(state, readFileSync(state).subarray(0, 100)), "garbled"],
    ["empty", () => writeFileSync(state, ""), "garbled"],
    [
      "a newer version's",
      () => writeFileSync(state, '{"format":2}'),
      "format 2 is a newer version's, this one knows 1",
    ],
    ["an older version's", () => writeFileSync(state, '{"format":0}'), ".+"],
    ["readable to others", () => chmodSync(state, 0o644), "others may have written it"],
    ["writable to others", () => chmodSync(state, 0o602), "others may have written it"],
    ["another user's", () => chownSync(state, 65534, 65534), "others may have written it"],
    [
      "a link",
      () => {
        renameSync(state, `${state}.other`);
        symlinkSync(`${state}.other`, state);
      },
      "ELOOP",
    ],
  ] as const)
    test(`saved state that is ${what} is reported and not used, and its interfaces are gone`, async () => {
      await a.command(...split("carp0 10.0.0.1/24 vhid 1 carpdev eth0 advbase 60"));
      await a.command("carp0", "state", "master");
      assert.ok((await devices()).includes("carp0"));
      await a.engine.kill("SIGKILL");
      spoil();
      const engine = await a.startEngine();
      const line = `saved state not used, starting without interfaces: ${state}: ${reason}`;
      await engine.waitForLog(new RegExp(`^<3>${line}$`));
      assert.ok(existsSync(`${state}.unusable`), "kept for a person to look at");
      assert.deepEqual(await view(), []);
      assert.ok(!(await devices()).includes("carp0"));
      assert.deepEqual((await a.carpctl("create")).stdout, "carp0\n");
      assert.equal((statSync(state).mode & 0o777).toString(8), "600");
      for (const kept of ["other", "unusable"]) rmSync(`${state}.${kept}`, { force: true });
    });

  test("SIGTERM and SIGINT: nothing is left, exit 0", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      await a.command(...split("carp0 10.0.0.1/24 vhid 1 carpdev eth0"));
      await a.command("carp0", "state", "master");
      assert.deepEqual(await a.engine.kill(signal), { code: 0, signal: null });
      assert.deepEqual(await devices(), ["lo", "eth0"]);
      assert.ok(!existsSync(join(a.runDirectory, "engine.sock")) && !existsSync(state));
      await a.startEngine();
      assert.deepEqual(await view(), []);
    }
  });

  test("SIGUSR2: everything is left as it is for the next engine, exit 0", async () => {
    await a.command(...split("carp0 10.0.0.1/24 vhid 1 carpdev eth0 advbase 60"));
    await a.command("carp0", "state", "master");
    assert.deepEqual(await a.engine.kill("SIGUSR2"), { code: 0, signal: null });
    await a.waitForAddresses("carp0", ["10.0.0.1/24"]);
    await a.startEngine();
    assert.equal((await view())[0]?.nodes[0]?.vhid, 1);
  });

  test("engines started at the same moment: one runs, the others say so and exit 1 before they load anything", async () => {
    await a.command(...split("carp0 10.0.0.1/24 vhid 1 carpdev eth0 advbase 1"));
    await a.engine.kill("SIGKILL");
    const engines = [1, 2, 3].map(() => a.spawn(CARPCTL, ["engine", "--log", "stderr"]));
    const ended = new Set<(typeof engines)[number]>();
    while (ended.size < engines.length - 1) {
      const running = engines.filter((each) => !ended.has(each));
      const next = await Promise.race(running.map(async (each) => ({ each, exit: await each.exited })));
      assert.deepEqual(next.exit, { code: 1, signal: null });
      ended.add(next.each);
    }
    const refusal = `carpctl: an engine is running already (${a.runDirectory}/engine.sock)`;
    for (const { log } of ended)
      assert.deepEqual(
        log.lines.map(({ text }) => text),
        [refusal],
      );
    const other = engines.find((each) => !ended.has(each));
    assert.ok(other);
    const engine = await Engine.attach(other, a.runDirectory, a.name);
    await engine.waitForState("carp0", "MASTER");
    await a.waitForAddresses("carp0", ["10.0.0.1/24"]);
    await engine.stop();
    await a.startEngine();
  });

  test("an engine that still reads what was saved is found by one that starts meanwhile", async () => {
    await a.command(...split("carp0 10.0.0.1/24 vhid 1 carpdev eth0 advbase 1"));
    await a.engine.kill("SIGKILL");
    const saved = readFileSync(state);
    rmSync(state);
    await a.run("mkfifo", "-m", "600", state);
    const first = a.spawn(CARPCTL, ["engine", "--log", "stderr"]);
    // Succeeds when the engine waits at the other end.
    const writer = await eventually(
      async () => {
        try {
          return openSync(state, constants.O_WRONLY | constants.O_NONBLOCK);
        } catch {
          return -1;
        }
      },
      (fd) => fd >= 0,
    );
    const refusal = `carpctl: an engine is running already (${a.runDirectory}/engine.sock)\n`;
    assert.deepEqual(await engineWith(""), { stdout: "", stderr: refusal, exitCode: 1 });
    writeSync(writer, saved);
    closeSync(writer);
    const engine = await Engine.attach(first, a.runDirectory, a.name);
    await engine.waitForState("carp0", "MASTER");
    await engine.stop();
    await a.startEngine();
  });

  test("no second engine starts in a run directory that was replaced, or lost its files, while one runs", async () => {
    const refusal = `carpctl: an engine is running already (${a.runDirectory}/engine.sock)\n`;
    const elsewhere = join(a.etcDirectory, "former");
    renameSync(a.runDirectory, elsewhere);
    mkdirSync(a.runDirectory, { mode: 0o755 });
    assert.deepEqual(await engineWith(""), { stdout: "", stderr: refusal, exitCode: 1 });
    rmSync(a.runDirectory, { recursive: true });
    renameSync(elsewhere, a.runDirectory);
    for (const name of ["engine.sock", "engine.lock"]) rmSync(join(a.runDirectory, name), { force: true });
    assert.deepEqual(await engineWith(""), { stdout: "", stderr: refusal, exitCode: 1 });
    await eventually(
      async () => ["engine.sock", "engine.lock"].every((name) => existsSync(join(a.runDirectory, name))),
      (isThere) => isThere,
    );
  });

  test("a user that took the name by which engines find each other prevents no engine", async () => {
    await a.engine.stop();
    const identity = createHash("sha256").update(a.runDirectory).digest("hex");
    const script = [
      "import os, socket, sys, time",
      "os.setuid(65534)",
      "s = socket.socket(socket.AF_UNIX)",
      "s.bind(chr(0) + sys.argv[1])",
      "s.listen(0)",
      "print('bound', flush=True)",
      "time.sleep(3600)",
    ].join("\n");
    const squatter = a.spawn("/usr/bin/python3", ["-ISc", script, `carpctl ${identity}`]);
    await squatter.log.waitFor(/^bound$/);
    await a.startEngine();
    squatter.kill("SIGKILL");
    assert.equal((await engineWith("")).exitCode, 1);
  });

  test("--run-dir overrides CARP_RUN_DIR; the directory is made, readable for all", async () => {
    const directory = join(a.etcDirectory, "elsewhere");
    const words = ["-c", 'umask 077; exec "$@"', "sh", CARPCTL, "--run-dir", directory, "engine"];
    const process = a.spawn("sh", words);
    const engine = await Engine.attach(process, directory, a.name);
    assert.equal((statSync(directory).mode & 0o777).toString(8), "755");
    assert.equal((statSync(join(directory, "engine.sock")).mode & 0o777).toString(8), "666");
    await a.carpctl("--run-dir", directory, "carp5", "create");
    assert.match((await a.carpctl("--run-dir", directory)).stdout, /^carp5: /);
    const environment = { CARP_RUN_DIR: directory };
    assert.match((await a.exec(CARPCTL, [], { environment })).stdout, /^carp5: /);
    assert.equal((await a.tryCarpctl("carp5")).exitCode, 1);
    await engine.stop();
  });

  test("a run directory that cannot be used: one line that names it, exit 1", async () => {
    const file = join(a.etcDirectory, "file");
    writeFileSync(file, "");
    for (const [directory, why] of [
      [file, "not a directory"],
      [join(file, "below"), "not a directory"],
      ["/nonexistent/run", "no such directory: /nonexistent"],
      ["/proc/nope", "cannot be made (ENOENT)"],
      [join(a.etcDirectory, "x".repeat(100)), "its name is too long for a socket"],
    ])
      assert.deepEqual(await engineWith(`--run-dir ${directory}`), {
        stdout: "",
        stderr: `carpctl: run directory ${directory}: ${why}\n`,
        exitCode: 1,
      });
    // Of a directory that is not root's alone, nothing is read and nothing is written there.
    const theirs = join(a.etcDirectory, "theirs");
    mkdirSync(theirs);
    const above = join(a.etcDirectory, "above");
    mkdirSync(join(above, "run"), { recursive: true });
    const to = join(a.etcDirectory, "to");
    symlinkSync(theirs, to);
    chownSync(theirs, 65534, 65534);
    chmodSync(above, 0o777);
    for (const [directory, why] of [
      [theirs, `directory ${theirs} is not owned by root`],
      [to, `directory ${theirs} is not owned by root`],
      [join(theirs, "new"), `directory ${theirs} is not owned by root`],
      [join(above, "run"), `directory ${above} can be written by others than root`],
      [join(above, "new"), `directory ${above} can be written by others than root`],
    ] as const) {
      const stderr = `carpctl: run directory ${directory}: ${why}\n`;
      assert.deepEqual(await engineWith(`--run-dir ${directory}`), { stdout: "", stderr, exitCode: 1 });
    }
    assert.deepEqual([readdirSync(theirs), readdirSync(above)], [[], ["run"]]);
    chownSync(theirs, 0, 0);
    chmodSync(theirs, 0o1777);
    assert.match(
      (await engineWith(`--run-dir ${theirs}`)).stderr,
      /theirs can be written by others than root/,
    );
    mkdirSync(join(a.etcDirectory, "socket/engine.sock"), { recursive: true });
    const { exitCode, stderr } = await engineWith(`--run-dir ${join(a.etcDirectory, "socket")}`);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^carpctl: .*engine\.sock.*\n$/);
  });

  test("of twenty commands at once each is done once and completely", async () => {
    await a.command(...split("carp0 10.0.0.1/24 vhid 1 carpdev eth0 advbase 60"));
    const { interfaces: before } = await a.engine.request("interfaces", {});
    const aliases = Array.from({ length: 8 }, (_, n) => `10.0.0.${101 + n}`);
    const commands = [
      ...aliases.map((address) => `carp0 alias ${address}/32`),
      ...Array<string>(6).fill("create"),
      ...Array<string>(6).fill("sysctl -q net.inet.carp.demotion=1"),
    ];
    const outputs = await Promise.all(commands.map((words) => a.carpctl(...split(words))));
    const names = outputs.map(({ stdout }) => stdout.trim()).filter(Boolean);
    assert.equal(new Set(names).size, 6);
    const interfaces = await view();
    assert.deepEqual(
      interfaces.map(({ name }) => name).sort(),
      [...before.map(({ name }) => name), ...names].sort(),
    );
    assert.deepEqual(
      interfaces[0]?.addresses.map(({ address }) => address).sort(),
      ["10.0.0.1", ...aliases].sort(),
    );
    const sysctl = await a.carpctl("sysctl", "-n", "net.inet.carp.demotion");
    assert.equal(sysctl.stdout, "6\n");
    const saved = JSON.parse(readFileSync(state, "utf8"));
    assert.equal(saved.interfaces.length, interfaces.length);
    await a.command(...split("sysctl -q net.inet.carp.demotion=-6"));
  });

  test("a reader never sees half of another client's change", async () => {
    const change = (n: number) => ({ advbase: 60 + n, advskew: n, description: String(n) });
    for (let n = 0; n < 30; n++) {
      const changed = a.engine.request("change", { name: "carp0", change: change(n) });
      const [carp0] = await view();
      assert.ok(carp0);
      const seen = Number(carp0.description ?? -1);
      if (seen >= 0) assert.deepEqual([carp0.advbase, carp0.nodes[0]?.advskew], [60 + seen, seen]);
      await changed;
    }
  });

  test("an interrupted command is done completely or not at all", async () => {
    const listening = async () =>
      (await a.run("cat", "/proc/net/unix")).split("\n").filter((line) => line.includes(a.runDirectory))
        .length;
    const before = (await view())[0];
    const idle = await eventually(listening, (count) => count === 2);
    a.engine.signal("SIGSTOP");
    const client = a.spawn(CARPCTL, split("carp0 advbase 99 advskew 99 description interrupted"));
    await eventually(listening, (count) => count > idle);
    client.kill("SIGINT");
    await client.exited;
    a.engine.signal("SIGCONT");
    const after = (await view())[0];
    const parts = (of: typeof after) => [of?.advbase, of?.nodes[0]?.advskew, of?.description];
    assert.ok(
      [parts(before), [99, 99, "interrupted"]].some((each) => String(each) === String(parts(after))),
      String(parts(after)),
    );
    await a.command("carp0", "description", "next");
  });
});

test("a carpdev and its address are known to the command that follows them", async () => {
  const lan = await createNetwork();
  try {
    const a = await lan.host("a");
    await a.startEngine();
    for (let n = 1; n <= 20; n++) {
      // The engine reads the kernel's notifications and the command in one turn.
      a.engine.signal("SIGSTOP");
      await a.namespace.ip([
        "link add late type veth peer name later",
        "link set late up",
        "link set later up",
        "address add 10.7.0.2/24 dev late",
      ]);
      const added = { family: 4, address: "10.7.0.1", prefixLength: 24, alias: true } as const;
      const made = a.engine.request("change", { name: "carp7", change: { vhid: 7, addAddresses: [added] } });
      a.engine.signal("SIGCONT");
      await made;
      const { interfaces } = await a.engine.request("interfaces", {});
      const [known] = interfaces.filter(({ name }) => name === "carp7");
      assert.equal(known?.carpdev, "late", `the ${n}th time`);
      await a.engine.request("destroy", { name: "carp7" });
      await a.namespace.ip(["link delete late"]);
    }
  } finally {
    lan.destroy();
  }
});
