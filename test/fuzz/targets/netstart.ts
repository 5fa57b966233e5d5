/**
 * netstart on directories of any entries, against a real core behind a real control socket. It ends, with a line for
 * each fault; it obeys, reads and runs nothing that a user other than root could have written, and leaves the
 * interface of such a file as it was; it prints no pass and no control character; of the files it changes nothing
 * but a mode that lets others read.
 */

import assert from "node:assert/strict";
import dns from "node:dns/promises";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { resultOf } from "../../../src/cli/command-line.ts";
import { runNetstart } from "../../../src/cli/commands/netstart/netstart.ts";
import { runCommand } from "../../../src/cli/commands/netstart/shell-command.ts";
import type { CommandContext } from "../../../src/cli/context.ts";
import { readHostnameFile } from "../../../src/config/hostname-file.ts";
import { ControlError, connect } from "../../../src/control/client.ts";
import { hasControlCharacter } from "../../../src/control/printable.ts";
import type { Target, Trial } from "../target.ts";
import { ControlledEngine, ROOT } from "./control-engine.ts";
import { EtcTree } from "./etc-tree.ts";
import { inTime } from "./in-time.ts";
import { word } from "./words.ts";

const HOSTNAME = /^hostname\.(carp(?:0|[1-9][0-9]*))$/;
const MOST_BYTES = 1024 * 1024;
/** What stands for a pass in inputs, with a letter behind it. */
const SECRET = /sEcReT-\w/g;

/** How netstart is called: the letters of the first line. */
interface Call {
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly prune: boolean;
  readonly names: readonly string[];
}

function callIn(line: string): Call {
  const names = ["carp0", "carp1"].filter((_, at) => line.includes(String(at)));
  const prune = line.includes("p") && names.length === 0;
  return { dryRun: line.includes("n"), json: line.includes("j"), prune, names };
}

/** Stands in for sh, and notes the command instead of running it. */
class Shell {
  readonly #record: string;
  readonly #path = process.env.PATH;

  constructor(directory: string) {
    const bin = join(directory, "bin");
    this.#record = join(directory, "record");
    mkdirSync(bin);
    const text = `#!/bin/sh\nprintf '%s\\0' "$2" >>'${this.#record}'\ncase $2 in *false*) exit 1 ;; esac\n`;
    writeFileSync(join(bin, "sh"), text, { mode: 0o755 });
    process.env.PATH = `${bin}:${this.#path}`;
  }

  commands(): string[] {
    if (!existsSync(this.#record)) return [];
    const text = readFileSync(this.#record, "utf8");
    rmSync(this.#record);
    return text.split("\0").slice(0, -1);
  }

  close(): void {
    process.env.PATH = this.#path;
  }
}

/** Stands in for the resolver: some names exist, and nothing is sent. */
class Resolver {
  readonly #lookup = dns.lookup;

  constructor() {
    const lookup = async (host: string, { family }: { family: number }) => {
      if (host.length % 2 === 0) throw new Error("no such host");
      return { address: family === 4 ? "192.0.2.7" : "2001:db8::7", family };
    };
    dns.lookup = lookup as typeof dns.lookup;
    syncBuiltinESMExports();
  }

  close(): void {
    dns.lookup = this.#lookup;
    syncBuiltinESMExports();
  }
}

async function open(): Promise<Trial> {
  const engine = new ControlledEngine(() => ROOT);
  const tree = new EtcTree();
  const shell = new Shell(tree.base);
  const resolver = new Resolver();
  const { etc } = tree;
  const global = { runDir: engine.runDir, etcDir: etc, json: false, help: false, version: false };

  // Inputs hold commands of any kind: none may ever run.
  assert.equal(await runCommand("echo canary", "carp0", global), undefined);
  assert.deepEqual(shell.commands(), ["echo canary"]);

  const interfaces = () =>
    new Map(engine.station.host.configuration.interfaces.map((each) => [each.name, each]));
  const variables = () => engine.station.host.configuration.sysctl;

  async function netstart({ dryRun, json, prune, names }: Call) {
    const said: string[] = [];
    const context: CommandContext = {
      options: { ...global, json },
      colour: false,
      isUtf8: true,
      columns: 80,
      connect: (how) => connect(engine.runDir, how),
      complain: (line) => said.push(line),
      runLong: () => assert.fail("netstart ends by itself"),
    };
    const outcome = await inTime(
      runNetstart(names, { dryRun, prune, wait: false }, context).catch((error: unknown) => {
        if (!(error instanceof ControlError)) throw error;
        return { kind: "refused", message: error.message } as const;
      }),
    );
    return { ...resultOf(outcome, "carpctl"), said };
  }

  async function feed(input: Uint8Array): Promise<void> {
    const bytes = Buffer.from(input);
    const [first = ""] = bytes.toString("latin1").split("\n", 1);
    const call = callIn(first.startsWith("=") ? "" : first);
    tree.make(bytes);
    shell.commands();
    const filesBefore = tree.snapshot();
    const before = { all: engine.everything(), interfaces: interfaces(), variables: inspect(variables()) };
    const { said, stdout, stderr, status } = await netstart(call);
    const files = [...filesBefore.keys()].flatMap((path) => {
      const [, name] = HOSTNAME.exec(path.slice(etc.length + 1)) ?? [];
      return name === undefined ? [] : [{ name, path, trusted: tree.trusted(path) }];
    });
    const asked = files.filter(({ name }) => call.names.length === 0 || call.names.includes(name));
    const isRefused = stderr !== "";
    const sysctl = tree.trusted(join(etc, "carp/sysctl.conf"));

    // What is said.
    assert.ok(status === 0 || status === 1, `exit ${status}`);
    const errors = said.filter((line) => !line.includes(": warning: "));
    assert.equal(status === 1, errors.length > 0 || isRefused, said.join("\n"));
    for (const line of said)
      assert.match(line, /^\/\S+\/etc(\/(hostname\.carp\d+|carp\/sysctl\.conf)(:\d+)?)?: ./s);
    for (const line of [...said, ...stdout.split("\n"), ...stderr.split("\n")])
      assert.ok(
        !hasControlCharacter(line.replaceAll("\t", " ")),
        `a control character: ${JSON.stringify(line)}`,
      );
    if (!isRefused)
      for (const { path, trusted } of asked)
        if (trusted === undefined)
          assert.ok(
            errors.some((line) => line.startsWith(`${path}: `)),
            `nothing is said of ${path}`,
          );
    if (call.json && !isRefused)
      assert.equal(Object.keys(JSON.parse(stdout)).join(), call.dryRun ? "commands" : "files,withoutFile");

    // What is run and obeyed.
    const sources = asked.flatMap(({ name, trusted }) =>
      trusted === undefined ? [] : [{ name, ...trusted }],
    );
    const commands = new Set(isRefused || call.dryRun ? [] : sources.flatMap(commandsIn));
    for (const command of shell.commands()) assert.ok(commands.has(command), `ran ${command}`);
    const after = interfaces();
    const mayChange = new Set(isRefused || call.dryRun ? [] : sources.map(({ name }) => name));
    const directory = filesBefore.get(etc);
    const isTrusted = directory?.others.startsWith("0,") && (directory.mode & 0o022) === 0;
    if (call.prune && !call.dryRun && !isRefused && isTrusted)
      for (const name of before.interfaces.keys())
        if (!files.some((each) => each.name === name)) {
          assert.ok(!after.has(name), `${name} is left`);
          mayChange.add(name);
        }
    for (const name of new Set([...before.interfaces.keys(), ...after.keys()]))
      if (!mayChange.has(name)) assert.deepEqual(after.get(name), before.interfaces.get(name), name);
    const maySet = !isRefused && !call.dryRun && call.names.length === 0 && sysctl !== undefined;
    if (!maySet) assert.equal(inspect(variables()), before.variables);
    const trustedText = [...filesBefore.keys()]
      .map((path) => tree.trusted(path)?.contents.toString() ?? "")
      .join("\n");
    const passes = new Set([...after.values()].map(({ pass }) => pass));
    for (const contents of tree.untrusted()) {
      const [line = ""] = contents.toString().split("\n");
      if (line !== "" && !trustedText.includes(line))
        assert.ok(!passes.has(line), "a pass that another user wrote");
    }

    // What is told, and changed.
    for (const secret of secretsIn(filesBefore.keys(), tree))
      for (const text of [...said, stderr, call.dryRun ? "" : stdout])
        assert.ok(!text.includes(secret), text);
    const filesAfter = tree.snapshot();
    assert.deepEqual([...filesAfter.keys()], [...filesBefore.keys()]);
    for (const [path, { mode, others }] of filesBefore) {
      const now = filesAfter.get(path);
      assert.equal(now?.others, others, path);
      const isConfigured = mayChange.size > 0 && sources.some(({ real }) => real === path);
      const isReadable = isConfigured && (mode & 0o004) !== 0 && readFileSync(path).length <= MOST_BYTES;
      assert.equal(now?.mode, isReadable ? mode & ~0o7137 : mode, path);
    }

    engine.assertQuiet();
    if (engine.everything() !== before.all) await engine.survivesAndBeginsAnew();
  }

  return {
    feed,
    async close() {
      resolver.close();
      shell.close();
      tree.close();
      engine.close();
    },
  };
}

/** What the `!` lines of a file stand for. */
function commandsIn({ name, contents }: { readonly name: string; readonly contents: Buffer }): string[] {
  return readHostnameFile(contents, name).steps.flatMap((step) =>
    step.kind === "command" ? [step.command] : [],
  );
}

/** The secrets that stand in files only as a pass: an unknown word is repeated in a message. */
function secretsIn(paths: Iterable<string>, tree: EtcTree): Set<string> {
  const texts = [...paths].flatMap((path) => {
    const contents = tree.trusted(path)?.contents.toString();
    return contents === undefined ? [] : [{ path, contents }];
  });
  const files = texts.filter(({ path }) => path.includes("hostname.") || path.includes("sysctl.conf"));
  const asPass = /^(vhid \d+ )?pass sEcReT-\w$/gm;
  const elsewhere = files.flatMap(({ path, contents }) =>
    [...(path.includes("sysctl") ? contents : contents.replace(asPass, "")).matchAll(SECRET)].map(
      ([each]) => each,
    ),
  );
  const all = [...texts.map(({ contents }) => contents), ...tree.untrusted().map(String)];
  const found = new Set(all.flatMap((text) => [...text.matchAll(SECRET)].map(([secret]) => secret)));
  return found.difference(new Set(elsewhere));
}

const name = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom("hostname.carp0", "hostname.carp1", "hostname.carp2", "hostname.carp10"),
  },
  { weight: 3, arbitrary: fc.constantFrom("pass", "pass2", "d/pass", "d/hostname.carp0", "d") },
  { weight: 2, arbitrary: fc.constantFrom("carp/sysctl.conf", "carp", ".") },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "hostname.carp0~",
      "hostname.carp01",
      "hostname.eth0",
      "hostname.carp0.bak",
      "hostname.",
    ),
  },
);
const kind = fc.oneof(
  { weight: 10, arbitrary: fc.constant("f") },
  { weight: 4, arbitrary: fc.constant("l") },
  { weight: 2, arbitrary: fc.constant("d") },
  { weight: 2, arbitrary: fc.constantFrom("socket", ...["fifo", "null", "zero", "tty", "block"]) },
);
const mode = fc.constantFrom(
  ...[
    "640",
    "640",
    "600",
    "644",
    "644",
    "755",
    "755",
    "666",
    "664",
    "642",
    "777",
    "1777",
    "4755",
    "0",
    "606",
  ],
);
const owner = fc.constantFrom("0", "0", "0", "0", "0", "0", "1", "2");
const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "vhid 1 pass sEcReT-a",
      "vhid 1 pass sEcReT-b",
      "vhid 7",
      "carpdev eth0",
      "inet 10.0.0.7 255.255.255.0 NONE",
      "inet6 alias 2001:db8::7 64",
      "10.0.0.8/24",
      "passfile @ETC@/pass",
      "passfile @ETC@/pass",
      "passfile @ETC@/pass2",
      "passfile @ETC@/d/pass",
      "passfile @ETC@/hostname.carp1",
      "passfile @ETC@",
      "!echo \\$if",
      "!echo one",
      "!false",
      "!echo \x1b[31m\\$if",
      "description \x1b]0;x\x07",
      "inet www.example alias",
      "dest 10.0.0.1",
      "net.inet.carp.preempt=1",
      "net.inet.carp.log=9",
    ),
  },
  { weight: 2, arbitrary: fc.array(word, { maxLength: 4 }).map((words) => words.join(" ")) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("sEcReT-c", "sEcReT-d", "@HUGE@", "\0\xff", "\xff\xfe", "\xc2\x9b31m"),
  },
);
const entry = fc
  .record({ name, kind, mode, owner, lines: fc.array(line, { maxLength: 4 }), to: name })
  .map((each) => {
    const contents = each.kind === "l" ? [each.to] : each.lines;
    return [`=${each.name} ${each.kind} ${each.mode} ${each.owner}`, ...contents].join("\n");
  });

export const netstartDirectories: Target = {
  name: "netstart",
  sensible: fc
    .record({
      call: fc.constantFrom("", "", "", "n", "j", "nj", "0", "1", "0j", "p", "pj", "np"),
      entries: fc.array(entry, { minLength: 1, maxLength: 7 }),
    })
    .map(({ call, entries }) => Buffer.from([call, ...entries].join("\n"), "latin1")),
  tokens: [
    "\n=hostname.carp0 f 640 0\n",
    "\n=hostname.carp1 l 777 0\n",
    "\n=pass f 600 1\nsEcReT-e\n",
    "\n=. d 777 0\n",
    "\n=. d 755 1\n",
    "\n!echo ran\n",
    " f 666 0",
    "\npassfile @ETC@/pass\n",
    "\x1b",
    "\xc2\x85",
    "\xe2\x80\xae",
    "\0",
  ],
  tries: 120,
  open,
};
