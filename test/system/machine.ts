/**
 * A machine: Debian with its own systemd, booted by systemd-nspawn in the network namespace of a test host, with a
 * layer of its own over the root file system of its release. Files are written from outside; commands enter by nsenter.
 */

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { execa, execaSync } from "execa";
import { request } from "../hosts/engine.ts";
import { eventually, type Host, type Output } from "../hosts/index.ts";
import { DEFAULT_TIMEOUT_MS, type Log } from "../hosts/log.ts";
import { childrenOf, commandOf } from "../hosts/processes.ts";
import {
  makeCgroup,
  makeDirectory,
  ownDirectory,
  RUN_VARIABLE,
  removeCgroup,
  removeDirectory,
  run as runName,
  uniqueName,
} from "../hosts/resources.ts";
import { type Spawned, spawn } from "../hosts/spawned.ts";
import { type Release, rootOf } from "./debian.ts";

/** What commands find: nothing of the test's own environment. */
const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  SYSTEMD_PAGER: "",
  SYSTEMD_COLORS: "0",
  NO_COLOR: "1",
  DEBIAN_FRONTEND: "noninteractive",
  [RUN_VARIABLE]: runName,
};

/** Puts itself into a cgroup, in every hierarchy that systemd uses, and executes the command behind it. */
const ENTER_CGROUP = `
cgroup=$1
shift
for procs in /sys/fs/cgroup/$cgroup/cgroup.procs /sys/fs/cgroup/*/$cgroup/cgroup.procs; do
  [ ! -e "$procs" ] || echo $$ >"$procs"
done
exec "$@"`;

/** What systemd-nspawn would withhold and a real machine has. */
const SYSTEM_CALLS = "bpf perf_event_open landlock_create_ruleset landlock_add_rule landlock_restrict_self";

/** A machine that has booted gives this word for its state; `degraded`: a unit has failed. */
const UP = /^(running|degraded)\n$/;

export class Machine {
  readonly name: string;
  readonly host: Host;
  /** The machine's file system. */
  readonly root: string;
  readonly #directory: string;
  readonly #cgroup: string;
  #nspawn: Spawned | undefined;
  #leader = 0;
  #marks = 0;
  #journal: Spawned | undefined;

  private constructor(host: Host, base: string) {
    this.name = uniqueName(host.name);
    this.host = host;
    this.#directory = makeDirectory(`${host.name}-machine`);
    const [upper, work, root] = ["upper", "work", "root"].map((each) => join(this.#directory, each)) as [
      string,
      string,
      string,
    ];
    for (const directory of [upper, work, root]) mkdirSync(directory, { mode: 0o755 });
    execaSync("mount", [
      ...["-t", "overlay", "-o", `lowerdir=${base},upperdir=${upper},workdir=${work}`],
      ...["overlay", root],
    ]);
    this.root = root;
    this.#cgroup = this.name;
    makeCgroup(this.name);
    // systemd-nspawn removes it unless it is killed.
    ownDirectory(join("/run/systemd/nspawn/propagate", this.name));
    this.write("/etc/hostname", `${host.name}\n`);
  }

  /** Boots a release on a host of a network. Resolves when systemd has started everything. */
  static async boot(host: Host, release: Release): Promise<Machine> {
    const machine = new Machine(host, await rootOf(release));
    try {
      await machine.powerOn();
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
    return machine;
  }

  /** Runs a command. @returns its output. Rejects when it fails. */
  async run(command: string, ...words: string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.exec(command, ...words);
    if (exitCode === 0) return stdout;
    throw new Error(
      `${this.host.name}# ${command} ${words.join(" ")}: exit ${exitCode}\n${stdout}${stderr}\n${this.#journal?.log ?? ""}`,
    );
  }

  /** Runs a command to its end; rejects only when it hangs. */
  async exec(command: string, ...words: string[]): Promise<Output> {
    const { stdout, stderr, exitCode, timedOut } = await execa("nsenter", this.#enter(command, words), {
      env: ENVIRONMENT,
      extendEnv: false,
      reject: false,
      stdin: "ignore",
      stripFinalNewline: false,
      timeout: DEFAULT_TIMEOUT_MS,
    });
    if (timedOut)
      throw new Error(`${this.host.name}# ${command} ${words.join(" ")}: hangs\n${stdout}${stderr}`);
    return { stdout, stderr, exitCode: exitCode ?? -1 };
  }

  /** Writes a file of the machine, and the directories above it. */
  write(path: string, text: string, { mode = 0o644 }: { mode?: number } = {}): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode });
  }

  /** The path, from outside, of a file that the machine has while it runs: also of one in /run. */
  inside(path: string): string {
    return `/proc/${this.#leader}/root${path}`;
  }

  /** Installs a package from a file by dpkg, as it is without a network. @returns what dpkg printed */
  async install(deb: string): Promise<string> {
    const file = basename(deb);
    copyFileSync(deb, join(this.root, "root", file));
    return this.run("dpkg", "--install", `/root/${file}`);
  }

  /** The journal of the boot, from its begin, as lines `UNIT: MESSAGE`. */
  get journal(): Log {
    assert.ok(this.#journal);
    return this.#journal.log;
  }

  /** Number of the line of the journal behind everything that was logged before now. */
  async mark(): Promise<number> {
    this.#marks += 1;
    const mark = `mark-${this.#marks}`;
    await this.run("systemd-cat", "--identifier=test", "echo", mark);
    const { text } = await this.journal.waitFor(new RegExp(`test\\[\\d+\\]: ${mark}$`));
    return this.journal.lines.findIndex((line) => line.text === text) + 1;
  }

  /** The states that carp interfaces have entered since the mark, as `carp0 MASTER`. */
  async transitions(since: number): Promise<string[]> {
    const end = await this.mark();
    const lines = this.journal.lines.slice(since, end);
    return lines.flatMap(({ text }) => {
      const [, name, state] = /\b(carp\d+): state transition.*: \w+ -> (\w+)/.exec(text) ?? [];
      return name === undefined ? [] : [`${name} ${state}`];
    });
  }

  /** The state of a carp interface; undefined when there is none, or no engine answers. */
  async state(name: string): Promise<string | undefined> {
    try {
      const { interfaces } = await request(this.inside("/run/carp/engine.sock"), "interfaces", {});
      return interfaces.find((view) => view.name === name)?.nodes[0]?.state;
    } catch {
      return undefined;
    }
  }

  /** Resolves when the interface is in that state. */
  async waitForState(name: string, state: string): Promise<void> {
    const isSo = (now: string | undefined) => now === state;
    await eventually(() => this.state(name), isSo).catch((error: Error) => {
      throw new Error(`${name} on ${this.host.name} is not ${state}: ${error.message}\n${this.journal}`);
    });
  }

  /** A property of a unit, as `systemctl show` prints it. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.run("systemctl", "show", "--value", "--property", name, unit)).trimEnd();
  }

  /** The engine's process, as the machine numbers it; 0: none runs. */
  async enginePid(): Promise<number> {
    return Number(await this.property("carpd.service", "MainPID"));
  }

  /** Resolves when the engine is another process than that, and ready. @returns its number */
  async waitForEngineAfter(pid: number): Promise<number> {
    await eventually(
      async () => `${await this.property("carpd.service", "ActiveState")} ${await this.enginePid()}`,
      (now) => now.startsWith("active ") && now !== `active ${pid}`,
    );
    return this.enginePid();
  }

  /** Boots. Resolves when systemd has started everything; the journal is that of this boot. */
  async powerOn(): Promise<void> {
    const nspawn = this.#spawn();
    this.#nspawn = nspawn;
    const ended = nspawn.exited.then(() => {
      throw new Error(`${this.host.name} does not boot\n${nspawn.log}`);
    });
    const up = eventually(
      () => this.#startedState(),
      (state) => UP.test(state),
    );
    up.catch(() => {});
    await Promise.race([up, ended]);
    ended.catch(() => {});
    const words = ["--boot", "--follow", "--lines=all", "--output=with-unit"];
    this.#journal = spawn("nsenter", this.#enter("journalctl", words), {
      name: `journal of ${this.host.name}`,
      environment: ENVIRONMENT,
    });
    await this.journal.waitFor(/Startup finished/);
  }

  /** Shuts down in order: systemd stops every unit. */
  async powerOff(): Promise<void> {
    // At its end, systemd stops all processes before it kills them, and nsenter then stops as well and waits for nobody.
    this.#journal?.kill("SIGKILL");
    this.#nspawn?.kill("SIGTERM");
    await this.#nspawn?.exited;
  }

  /** Ends at once, as in a power failure. Its network keeps what the kernel had in it. */
  async cutPower(): Promise<void> {
    const leader = this.#leaderNow();
    if (leader === undefined) this.#nspawn?.kill("SIGTERM");
    else process.kill(leader, "SIGKILL");
    await this.#nspawn?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutPower();
    removeCgroup(this.#cgroup);
    removeDirectory(this.#directory);
  }

  #spawn(): Spawned {
    const words = [
      ...["--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no", "--suppress-sync=yes"],
      ...[`--directory=${this.root}`, `--machine=${this.name}`, `--hostname=${this.host.name}`],
      `--network-namespace-path=/run/netns/${this.host.namespace.name}`,
      ...["--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON", `--system-call-filter=${SYSTEM_CALLS}`],
      "--console=pipe",
    ];
    return spawn("sh", ["-c", ENTER_CGROUP, "sh", this.#cgroup, "systemd-nspawn", ...words], {
      name: `systemd-nspawn of ${this.host.name}`,
      environment: { SYSTEMD_NSPAWN_API_VFS_WRITABLE: "network" },
    });
  }

  /** systemd's own word for its state, when it has started everything; empty before it can be asked. */
  async #startedState(): Promise<string> {
    const leader = this.#leaderNow();
    if (leader === undefined) return "";
    this.#leader = leader;
    return (await this.exec("systemctl", "is-system-running", "--wait")).stdout;
  }

  /** The machine's first process; undefined: none yet, or none any more. */
  #leaderNow(): number | undefined {
    const children = this.#nspawn === undefined ? [] : childrenOf(this.#nspawn.pid);
    return children.find((pid) => /\/systemd$/.test(commandOf(pid).split(" ")[0] ?? ""));
  }

  /** All namespaces of the machine's first process, but not its cgroup: systemd counts these processes nowhere. */
  #enter(command: string, words: readonly string[]): string[] {
    return [`--target=${this.#leader}`, "--all", "--", command, ...words];
  }
}
