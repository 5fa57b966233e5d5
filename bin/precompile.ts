/**
 * Compiles the code of a file of src/cli/quick, or of main.ts, in advance: runs it against an engine that it plays
 * itself, and keeps what V8 has compiled by then in one file with the source, so that no half of it is ever another
 * build's. V8 takes no code that was compiled under other flags of its own. bin/bootstrap and bin/package call it with
 * the bundle, the file to write and a word of the command.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Script } from "node:vm";
import { jsonIn, jsonLine, readLines } from "../src/control/framing.ts";

const [bundle = "", output = "", word = ""] = process.argv.slice(2);
const source = readFileSync(bundle, "latin1");
if (Buffer.byteLength(source) !== source.length)
  throw new Error(`${bundle}: not ASCII: the length of its text is not that of its bytes`);

const script = new Script(source, { filename: basename(output) });
const load = () => script.runInThisContext()(createRequire(import.meta.url), { exports: {} });
// main.ts runs when it is loaded.
const quickOutput = basename(output) === "main" ? mainOutput : load().quickOutput;

const directory = mkdtempSync(join(tmpdir(), "carpctl-precompile-"));
const environment = { CARP_RUN_DIR: directory, CARP_ETC_DIR: directory };
const file = "vhid 1 carpdev eth0 pass sesame\ninet 192.0.2.1 255.255.255.0 NONE\ninet6 2001:db8::1 64\n";
writeFileSync(join(directory, "hostname.carp0"), file, { mode: 0o600 });
/** What was asked of the engine, and what is shown of its answers. */
let said = "";
const engine = createServer((client) =>
  readLines(
    client,
    65_536,
    (line) => {
      said += line;
      client.write(answerTo(jsonIn(line) as Asked));
    },
    () => {},
  ),
);
try {
  await new Promise<void>((resolve) => engine.listen(join(directory, "admin.sock"), resolve));
  for (const words of [[word], ["--json", word]]) {
    said = "";
    const shown: string | undefined = await quickOutput(words, environment);
    said += shown;
    if (!said.includes("192.0.2.1")) throw new Error(`carpctl ${words.join(" ")}: ${said}`);
  }
  writeFileSync(
    output,
    Buffer.concat([Buffer.from(`${source.length}\n${source}`), script.createCachedData()]),
  );
} finally {
  engine.close();
  rmSync(directory, { recursive: true });
}
// The connections are left open.
process.exit();

async function mainOutput(words: readonly string[], given: object): Promise<string> {
  Object.assign(process.env, given);
  process.argv.splice(1, process.argv.length, "carpctl", ...words);
  const { write } = process.stdout;
  let shown = "";
  process.stdout.write = (text: string | Uint8Array) => {
    shown += text;
    return true;
  };
  await load().ended;
  process.stdout.write = write;
  return shown;
}

interface Asked {
  readonly id: number;
  readonly method: string;
}

function answerTo({ id, method }: Asked): string {
  const answers: Readonly<Record<string, unknown>> = {
    interfaces: { nowUs: 1, interfaces: [carp0()] },
    "replace-each": [{ changed: true, warnings: [] }],
    demotion: { counter: 0, written: 0, reasons: [], faults: [] },
  };
  const result = answers[method] ?? [];
  return jsonLine({ jsonrpc: "2.0", id, result });
}

function carp0() {
  const node = {
    vhid: 1,
    advskew: 0,
    effectiveAdvskew: 0,
    demote: 0,
    state: "MASTER",
    sinceUs: 1,
    transitions: 2,
  };
  return {
    index: 3,
    repairs: 0,
    discarded: [],
    name: "carp0",
    up: true,
    running: true,
    mtu: 1500,
    lladdr: "00:00:5e:00:01:01",
    carpdev: "eth0",
    advbase: 1,
    balancing: "none",
    nodes: [{ ...node, peers: [] }],
    groups: ["carp"],
    addresses: [
      { family: 4, address: "192.0.2.1", prefixLength: 24 },
      { family: 6, address: "2001:db8::1", prefixLength: 64 },
    ],
    status: "master",
    problems: [],
  };
}
