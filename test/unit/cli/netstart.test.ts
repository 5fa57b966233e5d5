/** netstart as it is typed, on files of all kinds, against an engine that does as the test says. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { readInterfaceFile } from "../../../src/cli/commands/netstart/interface-file.ts";
import { interfaceCommands } from "../../../src/cli/commands/netstart/listing.ts";
import { readForm } from "../../../src/cli/grammar/ifconfig/forms.ts";
import { defaultOptions } from "../../../src/cli/grammar/options.ts";
import { quoted } from "../../../src/config/shell-words.ts";
import { checkParams, ErrorCode } from "../../../src/control/messages.ts";
import { type Result, started } from "./called.ts";
import { type Asked, type ScriptedEngine, scriptedEngine, view } from "./scripted-engine.ts";

type Answer = (asked: Asked) => unknown;

const yes: Answer = ({ method }) => {
  if (method === "interfaces") return { nowUs: 0, interfaces: [] };
  return method === "replace" ? { changed: true } : [];
};

/** An engine that answers as told, and has these interfaces. */
const having =
  (names: readonly string[], answer: Answer): Answer =>
  (asked) =>
    asked.method === "interfaces"
      ? { nowUs: 0, interfaces: names.map((name) => view({ name })) }
      : answer(asked);

class Place {
  readonly etc = mkdtempSync(join(tmpdir(), "carpctl-etc-"));
  engine: ScriptedEngine | undefined;

  write(file: string, text: string | Buffer, mode = 0o640): string {
    const path = join(this.etc, file);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  }

  async netstart(...words: string[]): Promise<Result> {
    const { PATH } = process.env;
    const environment = {
      PATH,
      CARP_ETC_DIR: this.etc,
      ...(this.engine && { CARP_RUN_DIR: this.engine.runDir }),
    };
    const { status, out, err } = await started(["netstart", ...words], environment);
    // Messages name files: without the place they are the same everywhere.
    const plain = (text: string) => text.replaceAll(this.etc, "ETC");
    return { status, out: plain(out), err: plain(err) };
  }

  /** Requests to the engine, in order. */
  get asked(): string[] {
    return (this.engine?.asked ?? [])
      .flatMap(oneByOne)
      .filter(({ method }) => method !== "hello" && method !== "interfaces")
      .map(({ method, params }) => {
        const { name, dryRun } = params as { name?: string; dryRun?: boolean };
        return [method, name, ...(dryRun ? ["dry"] : [])].filter(Boolean).join(" ");
      });
  }

  params(name: string): unknown {
    return this.engine?.asked
      .flatMap(oneByOne)
      .find(({ params }) => (params as { name?: string }).name === name)?.params;
  }
}

/** The replacements of a `replace-each`, each as a request of its own. */
function oneByOne(asked: Asked): Asked[] {
  if (asked.method !== "replace-each") return [asked];
  const { replacements } = asked.params as { replacements: unknown[] };
  return replacements.map((params) => ({ method: "replace", params }));
}

/** What an engine answers to a `replace-each`: its answers to each, where it is one that engines know. */
function toEach(asked: Asked, answer: Answer): unknown {
  return oneByOne(asked).map((each) => {
    const checked = checkParams("replace", each.params);
    if ("refusal" in checked) return { code: ErrorCode.invalid, refusal: checked.refusal };
    const given = answer(each) as { changed: boolean } | { error: { code: number; message: string } };
    if (!("error" in given)) return { ...given, warnings: [] };
    return { code: given.error.code, refusal: given.error.message };
  });
}

async function placeFor(context: TestContext, answer?: Answer): Promise<Place> {
  const place = new Place();
  if (answer !== undefined)
    place.engine = await scriptedEngine((asked) => {
      if (asked.method === "replace-each") return toEach(asked, answer);
      // Most engines here have no interfaces that netstart could name.
      const given = answer(asked);
      return asked.method === "interfaces" && !isInterfaces(given) ? yes(asked) : given;
    });
  context.after(async () => {
    rmSync(place.etc, { recursive: true });
    await place.engine?.close();
  });
  return place;
}

const isInterfaces = (answer: unknown) =>
  typeof answer === "object" && answer !== null && "interfaces" in answer;

const fine = { status: 0, out: "", err: "" };

describe("the files", () => {
  test("are applied in numeric order, the variables first, and what is no interface's is left alone", async (context) => {
    const place = await placeFor(context, yes);
    for (const name of ["carp10", "carp9", "carp0"]) place.write(`hostname.${name}`, "vhid 1\n");
    for (const name of ["carpX", "carp01", "eth0", "carp0~", "carp0.bak"])
      place.write(`hostname.${name}`, "nonsense\n");
    place.write("carp/sysctl.conf", "net.inet.carp.preempt=1\n");
    assert.deepEqual(await place.netstart(), fine);
    assert.deepEqual(place.asked, ["sysctl-set", "replace carp0", "replace carp9", "replace carp10"]);
  });

  test("of the interfaces that are named are applied alone", async (context) => {
    const place = await placeFor(context, yes);
    for (const name of ["carp0", "carp1", "carp2"]) place.write(`hostname.${name}`, "vhid 1\n");
    place.write("carp/sysctl.conf", "net.inet.carp.preempt=1\n");
    assert.deepEqual(await place.netstart("carp2", "carp0", "carp2"), fine);
    assert.deepEqual(place.asked, ["replace carp0", "replace carp2"]);
  });

  for (const [words, err] of [
    [["carp0", "eth0"], "carpctl: eth0: not a carp interface name (carp0, carp1, ...)\n"],
    [["carp0", "carp7"], "carpctl: carp7: no ETC/hostname.carp7\n"],
  ] as const)
    test(`netstart ${words.join(" ")}: refused, and nothing is done`, async (context) => {
      const place = await placeFor(context, yes);
      place.write("hostname.carp0", "vhid 1\n");
      assert.deepEqual(await place.netstart(...words), { status: 1, out: "", err });
      assert.deepEqual(place.asked, []);
    });

  test("need not be there", async (context) => {
    assert.deepEqual(await (await placeFor(context, yes)).netstart(), fine);
  });

  test("without a directory to be in are an error", async (context) => {
    const place = await placeFor(context, yes);
    const { status, err } = await place.netstart("--etc-dir", "/nonexistent/etc");
    assert.deepEqual([status, err], [1, "carpctl: /nonexistent/etc: cannot be read (ENOENT)\n"]);
  });

  test("that cannot be taken stop no other one", async (context) => {
    const place = await placeFor(context, (asked) =>
      (asked.params as { name?: string }).name === "carp2"
        ? { error: { code: 1, message: "carpdev eth9: no such device" } }
        : yes(asked),
    );
    place.write("hostname.carp0", "vhid 1\n");
    place.write("hostname.carp1", "vhid 1\nvhid 256\n\nfrob\n");
    place.write("hostname.carp2", "vhid 1\ncarpdev eth9\n");
    place.write("hostname.carp3", "vhid 3\n");
    place.write("carp/sysctl.conf", "net.inet.carp.preempt=1\nnet.inet.carp.log\n");
    assert.deepEqual(await place.netstart(), {
      status: 1,
      out: "",
      err: [
        "ETC/carp/sysctl.conf:2: net.inet.carp.log: expected NAME=VALUE\n",
        "ETC/hostname.carp1:2: vhid 256: must be 1..255\n",
        "ETC/hostname.carp1:4: frob: unknown parameter\n",
        "ETC/hostname.carp2:2: carpdev eth9: no such device\n",
      ].join(""),
    });
    assert.deepEqual(new Set(place.asked), new Set(["replace carp0", "replace carp2", "replace carp3"]));
  });

  test("that are refused because of others are tried again after them", async (context) => {
    const done = new Set<string>();
    const place = await placeFor(context, ({ method, params }) => {
      if (method !== "replace") return [];
      const { name } = params as { name: string };
      const before = `carp${Number(name.slice(4)) + 1}`;
      if (name !== "carp3" && !done.has(before))
        return { error: { code: 1, message: `10.0.0.1 is already used by ${before}` } };
      done.add(name);
      return { changed: true };
    });
    for (const n of [0, 1, 2, 3]) place.write(`hostname.carp${n}`, "inet 10.0.0.1/24\n");
    assert.deepEqual(await place.netstart(), fine);
    assert.deepEqual([...done], ["carp3", "carp2", "carp1", "carp0"]);
  });

  test("are reported as JSON", async (context) => {
    const place = await placeFor(context, yes);
    place.write("hostname.carp0", "!echo out\nvhid 1\n");
    place.write("hostname.carp1", "vhid 0\n");
    const { status, out, err } = await place.netstart("--json", "carp0", "carp1");
    assert.equal(status, 1);
    assert.equal(err, "out\nETC/hostname.carp1:1: vhid 0: must be 1..255\n");
    assert.deepEqual(JSON.parse(out).files, [
      { file: "ETC/hostname.carp0", changed: true, errors: [] },
      {
        file: "ETC/hostname.carp1",
        changed: false,
        errors: [{ line: 1, message: "vhid 0: must be 1..255" }],
      },
    ]);
  });
});

describe("the variables", () => {
  test("are set together, and a refusal names its line", async (context) => {
    const message = "net.inet.carp.log=9: must be 0..7";
    const place = await placeFor(context, ({ method }) =>
      method === "sysctl-set" ? { error: { code: 1, message } } : {},
    );
    place.write(
      "carp/sysctl.conf",
      "net.inet.carp.preempt=0\n# more\nnet.inet.carp.log=9\nnet.inet.carp.preempt=1\n",
    );
    assert.deepEqual(await place.netstart(), {
      status: 1,
      out: "",
      err: `ETC/carp/sysctl.conf:3: ${message}\n`,
    });
    const writes = [
      { name: "net.inet.carp.preempt", value: 1 },
      { name: "net.inet.carp.log", value: 9 },
    ];
    const set = place.engine?.asked.find(({ method }) => method === "sysctl-set");
    assert.deepEqual(set?.params, { writes });
  });

  test("may be read by all; one that others can write is refused, and the interfaces are done", async (context) => {
    const place = await placeFor(context, yes);
    const path = place.write("carp/sysctl.conf", "net.inet.carp.preempt=1\n", 0o644);
    place.write("hostname.carp0", "vhid 1\n");
    assert.deepEqual(await place.netstart(), fine);
    assert.deepEqual(place.asked, ["sysctl-set", "replace carp0"]);
    chmodSync(path, 0o666);
    const { status, err } = await place.netstart();
    assert.deepEqual([status, err], [1, "ETC/carp/sysctl.conf: it can be written by others than root\n"]);
    assert.deepEqual(place.asked.slice(2), ["replace carp0"]);
    assert.equal(statSync(path).mode & 0o777, 0o666);
  });
});

describe("a file", () => {
  for (const [mode, said, becomes] of [
    [0o600, "", 0o600],
    [0o640, "", 0o640],
    [0o400, "", 0o400],
    [0o644, "mode 0644 lets others read it: set to 0640", 0o640],
    [0o755, "mode 0755 lets others read it: set to 0640", 0o640],
  ] as const)
    test(`of mode 0${mode.toString(8)}: ${said || "nothing is said"}`, async (context) => {
      const place = await placeFor(context, yes);
      const path = place.write("hostname.carp0", "vhid 1\n", mode);
      const err = said === "" ? "" : `ETC/hostname.carp0: warning: ${said}\n`;
      assert.deepEqual(await place.netstart(), { ...fine, err });
      assert.equal(statSync(path).mode & 0o7777, becomes);
      assert.deepEqual(place.asked, ["replace carp0"]);
    });

  for (const mode of [0o660, 0o642, 0o602, 0o777])
    test(`of mode 0${mode.toString(8)} is refused, its commands are not run, and the next one is done`, async (context) => {
      const place = await placeFor(context, yes);
      const path = place.write("hostname.carp0", "vhid 1\n!touch $CARP_ETC_DIR/ran\n", mode);
      place.write("hostname.carp1", "vhid 1\n");
      const { status, err } = await place.netstart();
      assert.deepEqual([status, err], [1, "ETC/hostname.carp0: it can be written by others than root\n"]);
      assert.equal(statSync(path).mode & 0o7777, mode);
      assert.equal(existsSync(join(place.etc, "ran")), false);
      assert.deepEqual(place.asked, ["replace carp1"]);
    });

  test("in a directory that others can write is refused", async (context) => {
    const place = await placeFor(context, yes);
    place.write("hostname.carp0", "vhid 1\n!touch $CARP_ETC_DIR/ran\n");
    chmodSync(place.etc, 0o777);
    const { status, err } = await place.netstart();
    const why = "directory ETC can be written by others than root";
    assert.deepEqual([status, err], [1, `ETC/hostname.carp0: ${why}\n`]);
    assert.equal(existsSync(join(place.etc, "ran")), false);
    assert.deepEqual(place.asked, []);
  });

  test("is refused when others could write its pass file, or when that is no regular file", async (context) => {
    const place = await placeFor(context, yes);
    const pass = join(place.etc, "pass");
    place.write("hostname.carp0", `vhid 1\npassfile ${pass}\n`);
    for (const [make, why] of [
      [() => writeFileSync(pass, "sesame\n", { mode: 0o600 }), ""],
      [() => chmodSync(pass, 0o620), "it can be written by others than root"],
      [() => chmodSync(pass, 0o602), "it can be written by others than root"],
      [() => chownSync(pass, 65534, 65534), "it is not owned by root"],
      [() => spawnSync("mkfifo", [pass]), "not a regular file"],
      [() => symlinkSync("/dev/zero", pass), "not a regular file"],
    ] as const) {
      if (why === "not a regular file") rmSync(pass);
      make();
      const { status, err } = await place.netstart();
      const said = why === "" ? "" : `ETC/hostname.carp0:2: passfile ETC/pass: ${why}\n`;
      assert.deepEqual([status, err], [why === "" ? 0 : 1, said]);
    }
    assert.deepEqual(place.asked, ["replace carp0"]);
  });

  test("is only reported by -n", async (context) => {
    const place = await placeFor(context);
    const path = place.write("hostname.carp0", "vhid 1\n", 0o644);
    const { err } = await place.netstart("-n");
    assert.equal(err, "ETC/hostname.carp0: warning: mode 0644 lets others read it: it should be 0640\n");
    assert.equal(statSync(path).mode & 0o777, 0o644);
  });

  const strange: readonly (readonly [
    what: string,
    make: (path: string, place: Place) => void,
    said: string,
  ])[] = [
    ["a directory", (path) => mkdirSync(path), ": is a directory"],
    ["a FIFO", (path) => spawnSync("mkfifo", [path]), ": not a regular file"],
    ["a device", (path) => symlinkSync("/dev/zero", path), ": not a regular file"],
    ["a link that leads nowhere", (path) => symlinkSync("nowhere", path), ": no such file"],
    [
      "another user's",
      (path) => {
        writeFileSync(path, "vhid 1\n");
        spawnSync("chown", ["65534", path]);
      },
      ": owned by user 65534: root must own it",
    ],
    ["of two megabytes", (path) => writeFileSync(path, "#\n".repeat(2 ** 20)), ": larger than 1048576 bytes"],
    [
      "a binary",
      (path) => writeFileSync(path, Buffer.of(0x7f, 0x45, 0, 10), { mode: 0o640 }),
      ":1: contains a NUL",
    ],
  ];
  for (const [what, make, said] of strange)
    test(`that is ${what} is refused, and the next one is done`, async (context) => {
      const place = await placeFor(context, yes);
      make(join(place.etc, "hostname.carp0"), place);
      place.write("hostname.carp1", "vhid 1\n");
      const { status, err } = await place.netstart();
      assert.equal(err.replace(/^.*warning.*\n/, ""), `ETC/hostname.carp0${said}\n`);
      assert.equal(status, 1);
      assert.deepEqual(place.asked, ["replace carp1"]);
    });

  test("may be a link, and a megabyte of comments", async (context) => {
    const place = await placeFor(context, yes);
    place.write("elsewhere", `${"# comment\n".repeat(100_000)}vhid 7\n`);
    symlinkSync("elsewhere", join(place.etc, "hostname.carp0"));
    assert.deepEqual(await place.netstart(), fine);
    assert.deepEqual(place.params("carp0"), { name: "carp0", change: { vhid: 7 } });
  });

  test("has as many addresses as an interface may have, and is refused with more", async (context) => {
    const place = await placeFor(context, yes);
    const lines = Array.from({ length: 5121 }, (_, n) => `inet alias 10.0.${n >> 7}.${(n & 127) + 1}/24\n`);
    place.write("hostname.carp0", lines.slice(1).join(""));
    assert.deepEqual(await place.netstart(), fine);
    const { change } = place.params("carp0") as { change: { addAddresses: readonly unknown[] } };
    assert.equal(change.addAddresses.length, 5120);
    place.write("hostname.carp0", lines.join(""));
    const err = "ETC/hostname.carp0: at most 5120 addresses in one command\n";
    assert.deepEqual(await place.netstart(), { status: 1, out: "", err });
    assert.deepEqual(place.asked, ["replace carp0", "replace carp0"]);
  });
});

describe("commands in a file", () => {
  test("run in their place, by a shell that knows the interface and the engine", async (context) => {
    const place = await placeFor(context, yes);
    const log = join(place.etc, "log");
    const text = [
      "vhid 1",
      `!echo "\\$if $CARP_RUN_DIR"; exec >"${log}"; id -u`,
      "inet 10.0.0.1/24",
      "!false",
      "!kill -TERM $$",
      "advskew 5",
      "!cat; echo done",
    ];
    place.write("hostname.carp0", text.join("\n"));
    const { status, out, err } = await place.netstart();
    assert.equal(out, `carp0 ${place.engine?.runDir}\ndone\n`);
    assert.deepEqual(
      [status, err],
      [
        1,
        "ETC/hostname.carp0:4: the command exited with 1\nETC/hostname.carp0:5: the command was ended by SIGTERM\n",
      ],
    );
    assert.deepEqual(place.asked, ["replace carp0 dry", "change carp0", "change carp0", "replace carp0"]);
    const [, first, , last] = (place.engine?.asked ?? []).filter(
      ({ params }) => "name" in (params as object),
    );
    assert.deepEqual(first?.params, { name: "carp0", change: { vhid: 1 }, isFromFile: true });
    const addAddresses = [{ family: 4, address: "10.0.0.1", prefixLength: 24, alias: false }];
    assert.deepEqual(last?.params, { name: "carp0", change: { vhid: 1, addAddresses, advskew: 5 } });
  });

  test("know the interface by all of its names, and go on where a line is continued", async (context) => {
    const place = await placeFor(context, yes);
    const braced = (text: string) => `$\{${text}}`;
    const text = `!echo $if "$if" ${braced("if")} \\$if '$if' \\\n  ${braced("if#carp")} \\\n  end\n`;
    place.write("hostname.carp0", text);
    assert.equal((await place.netstart()).out, "carp0 carp0 carp0 carp0 $if 0 end\n");
    const { out } = await place.netstart("-n");
    const command = `if=carp0; echo carp0 "carp0" carp0 carp0 '$if'   ${braced("if#carp")}   end\n`;
    assert.equal(out, `carpctl carp0 create\n${command}`);
    assert.equal(
      spawnSync("sh", ["-c", out.replace(/.*\n/, "")]).stdout.toString(),
      "carp0 carp0 carp0 carp0 $if 0 end\n",
    );
  });

  test("may be many: nothing is left behind that Node warns of", async (context) => {
    const place = await placeFor(context, yes);
    place.write("hostname.carp0", "!true\nup\n".repeat(30));
    assert.deepEqual(await place.netstart(), fine);
  });

  test("run alone where the interface is as the file says", async (context) => {
    const place = await placeFor(context, ({ method }) => (method === "replace" ? { changed: false } : {}));
    place.write("hostname.carp0", "up\n!echo one\n");
    assert.deepEqual(await place.netstart(), { ...fine, out: "one\n" });
    assert.deepEqual(place.asked, ["replace carp0 dry"]);
  });

  test("may destroy the interface: the lines behind them make it again", async (context) => {
    const place = await placeFor(context, ({ method }) => (method === "replace" ? { changed: false } : {}));
    place.write("hostname.carp0", "down\n!echo destroy\nup\n!echo two\n");
    assert.deepEqual(await place.netstart(), { ...fine, out: "destroy\ntwo\n" });
    assert.deepEqual(place.asked, ["replace carp0 dry", "replace carp0"]);
  });

  test("find the interface there, also in front of all lines", async (context) => {
    const place = await placeFor(context, yes);
    place.write("hostname.carp0", "!echo one\n");
    assert.deepEqual(await place.netstart(), { ...fine, out: "one\n" });
    assert.deepEqual(place.asked, ["replace carp0 dry", "replace carp0"]);
  });

  test("do not run behind a line that is refused", async (context) => {
    const place = await placeFor(context, ({ method }) =>
      method === "change"
        ? { error: { code: 1, message: "advskew 5: carp0 has no vhid yet" } }
        : { changed: true },
    );
    place.write("hostname.carp0", "advskew 5\n!echo one\nvhid 1\n");
    const err = "ETC/hostname.carp0:1: advskew 5: carp0 has no vhid yet\n";
    assert.deepEqual(await place.netstart(), { status: 1, out: "", err });
  });

  test("do not run when a line anywhere cannot be read", async (context) => {
    const place = await placeFor(context, yes);
    place.write("hostname.carp0", "up\n!echo one\nvhid 0\n");
    assert.equal((await place.netstart()).out, "");
    assert.deepEqual(place.asked, []);
  });
});

describe("an interface without a file", () => {
  const warning = (name: string) =>
    `ETC/hostname.${name}: warning: ${name} has no file, and is left as it is: 'carpctl netstart --prune' destroys it\n`;
  const answer: Answer = ({ method }) => (method === "replace" ? { changed: true } : {});
  const engine = having(["carp0", "carp1", "carp2", "carp9"], answer);

  test("is named, and left as it is", async (context) => {
    const place = await placeFor(context, engine);
    for (const file of ["hostname.carp0", "hostname.carp2", "hostname.carp1.bak"])
      place.write(file, "vhid 1\n");
    assert.deepEqual(await place.netstart(), { ...fine, err: warning("carp1") + warning("carp9") });
    assert.deepEqual(place.asked, ["replace carp0", "replace carp2"]);
    const { out } = await place.netstart("--json");
    const withoutFile = ["carp1", "carp9"].map((name) => ({ name, destroyed: false }));
    assert.deepEqual(JSON.parse(out).withoutFile, withoutFile);
    assert.deepEqual(await place.netstart("carp0"), fine);
    assert.equal((await place.netstart("-n")).err, "");
  });

  test("is destroyed by --prune before the files are applied, one whose file is wrong in any way is not", async (context) => {
    const place = await placeFor(context, engine);
    place.write("hostname.carp0", "vhid 0\n");
    place.write("hostname.carp1", "vhid 1\n", 0o666);
    symlinkSync("nowhere", join(place.etc, "hostname.carp9"));
    place.write("hostname.carp10", "vhid 1\n");
    const { status, err } = await place.netstart("--prune");
    assert.equal(status, 1);
    assert.deepEqual(err.split("\n").length, 4, err);
    assert.deepEqual(place.asked, ["destroy carp2", "replace carp10"]);
    const { out } = await place.netstart("--prune", "--json");
    assert.deepEqual(JSON.parse(out).withoutFile, [{ name: "carp2", destroyed: true }]);
  });

  test("is destroyed in the list of -n --prune", async (context) => {
    const place = await placeFor(context, engine);
    for (const name of ["carp0", "carp2", "carp9"]) place.write(`hostname.${name}`, "vhid 1\n");
    assert.equal(
      (await place.netstart("-n", "--prune")).out,
      "carpctl carp1 destroy\ncarpctl carp0 vhid 1\ncarpctl carp2 vhid 1\ncarpctl carp9 vhid 1\n",
    );
    assert.deepEqual(place.asked, []);
  });

  test("is not destroyed where others could have removed its file, nor by one that names interfaces", async (context) => {
    const place = await placeFor(context, engine);
    place.write("hostname.carp0", "vhid 1\n");
    const named = await place.netstart("--prune", "carp0");
    assert.deepEqual([named.status, named.err.split("\n")[0]], [2, "carpctl: --prune: takes no interfaces"]);
    chmodSync(place.etc, 0o777);
    const { status, err } = await place.netstart("--prune");
    const why = "directory ETC can be written by others than root";
    assert.deepEqual([status, err], [1, `ETC: nothing is destroyed: ${why}\nETC/hostname.carp0: ${why}\n`]);
    assert.deepEqual(place.asked, []);
  });

  test("that may not be destroyed is reported, and the files are applied", async (context) => {
    const message = "permission denied: changing carp1 needs root";
    const refusing: Answer = (asked) =>
      asked.method === "destroy" ? { error: { code: 2, message } } : answer(asked);
    const place = await placeFor(context, having(["carp1"], refusing));
    place.write("hostname.carp0", "vhid 1\n");
    assert.deepEqual(await place.netstart("--prune"), {
      status: 1,
      out: "",
      err: `ETC/hostname.carp1: ${message}\n`,
    });
    assert.deepEqual(place.asked, ["destroy carp1", "replace carp0"]);
  });

  test("needs an engine to be found: -n --prune says so", async (context) => {
    const place = await placeFor(context);
    assert.match((await place.netstart("-n", "--prune")).err, /^carpctl: the engine is not running/);
  });
});

describe("netstart -n", () => {
  test("prints commands to be typed, needs no engine and runs nothing", async (context) => {
    const place = await placeFor(context);
    place.write("carp/sysctl.conf", "net.inet.carp.preempt=1\nnet.inet.carp.log=3\n");
    const text =
      "inet 10.0.0.1 255.255.255.0 NONE\nvhid 1 pass 'it'\\''s $5'\n!echo \\$if >&2\n10.0.0.5/24\n";
    place.write("hostname.carp0", text);
    place.write("hostname.carp1", "# nothing yet\n");
    assert.deepEqual(await place.netstart("-n"), {
      status: 0,
      out: [
        "carpctl sysctl -q net.inet.carp.preempt=1 net.inet.carp.log=3\n",
        "carpctl carp0 inet 10.0.0.1 netmask 255.255.255.0 vhid 1 pass 'it'\\''s $5'\n",
        "echo carp0 >&2\n",
        "carpctl carp0 inet 10.0.0.5/24\n",
        "carpctl carp1 create\n",
      ].join(""),
      err: "",
    });
    const { commands } = JSON.parse((await place.netstart("-n", "--json", "carp1")).out);
    assert.deepEqual(commands, ["carpctl carp1 create"]);
  });

  test("prints values as they are, also those that read like parameters", async (context) => {
    const place = await placeFor(context);
    const values = ["create", "destroy", "pass", "--json", "-n", "a  b", "it's", '"', "", "#", "$if", "\\"];
    for (const [n, value] of values.entries())
      place.write(
        `hostname.carp${n}`,
        `destroy\ncreate\ndescription ${quoted(value)} vhid 1\npass create group destroy\n`,
      );
    const { out } = await place.netstart("-n");
    const lines = out.trimEnd().split("\n");
    assert.equal(lines.length, values.length);
    for (const [n, value] of values.entries()) {
      const words = [
        "carpctl",
        `carp${n}`,
        "description",
        value,
        "vhid",
        "1",
        "pass",
        "create",
        "group",
        "destroy",
      ];
      const { stdout } = spawnSync("sh", ["-c", `printf '%s\\0' ${lines[n]}`]);
      assert.deepEqual(stdout.toString().split("\0").slice(0, -1), words);
      const typed = await readForm(words.slice(1), defaultOptions({}));
      assert.ok("form" in typed && typed.form.kind === "change");
      assert.deepEqual(typed.form.change, {
        description: value,
        vhid: 1,
        pass: "create",
        joinGroups: ["destroy"],
      });
    }
  });

  test("leaves the pass out for all but root", async () => {
    const text = "vhid 1 pass secret\n!true\npass secret\ndescription pass carpdev eth0\n";
    const file = await readInterfaceFile(Buffer.from(text), "carp0");
    assert.ok("steps" in file);
    assert.deepEqual(interfaceCommands({ name: "carp0", file }, false), [
      "carpctl carp0 vhid 1",
      "true",
      "carpctl carp0 description pass carpdev eth0",
      "# carp0: pass omitted: only root may see it",
    ]);
  });

  test("shows the control characters of a command as escapes, tabs apart", async (context) => {
    const place = await placeFor(context);
    place.write("hostname.carp0", "!echo\tone \x1b[31m \x9b31m \u202e\n");
    const command = "echo\tone \\x1b[31m \\x9b31m \\u202e\n";
    assert.equal((await place.netstart("-n")).out.split("\n").slice(1).join("\n"), command);
    const { out } = await place.netstart("-n", "--json");
    for (const character of "\x1b\x9b\u202e") assert.ok(!out.includes(character));
    assert.equal(JSON.parse(out).commands[1], "echo\tone \x1b[31m \x9b31m \u202e");
  });

  test("says what is wrong as well", async (context) => {
    const place = await placeFor(context);
    place.write("hostname.carp0", "vhid 0\n");
    assert.deepEqual(await place.netstart("-n"), {
      status: 1,
      out: "",
      err: "ETC/hostname.carp0:1: vhid 0: must be 1..255\n",
    });
  });
});

describe("the engine", () => {
  test("has to run: nothing is tried, and no command is run, without it", async (context) => {
    const place = await placeFor(context);
    place.write("hostname.carp0", "!echo one\nvhid 1\n");
    const { status, out, err } = await place.netstart();
    assert.deepEqual([status, out], [1, ""]);
    assert.match(
      err,
      /^carpctl: the engine is not running \(no \/nonexistent\/run\/engine\.sock\): start it/,
    );
  });

  test("says who may: its denial is repeated for each file", async (context) => {
    const message = "permission denied: replacing carp0 and its pass needs root";
    const place = await placeFor(context, ({ method }) =>
      method === "replace" ? { error: { code: 2, message } } : {},
    );
    place.write("hostname.carp0", "vhid 1\n");
    const err = `ETC/hostname.carp0: ${message}\n`;
    assert.deepEqual(await place.netstart(), { status: 1, out: "", err });
  });
});
