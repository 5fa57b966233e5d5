/**
 * carpd(8), hostname.carp(5) and carp-service-status(7) compared with the program: options, signals, the systemd
 * units, the lines of a file, the variables of a hook and the messages about hooks and checks.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { mock, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { readInterfaceFile } from "../../src/cli/commands/netstart/interface-file.ts";
import { optionsOf } from "../../src/cli/grammar/verb-parser.ts";
import { VERBS } from "../../src/cli/grammar/verbs.ts";
import type { Transition } from "../../src/core/effect.ts";
import { Host } from "../../src/core/host.ts";
import { FAMILIES, type Family } from "../../src/engine/metrics/families.ts";
import { Hooks } from "../../src/engine/scripts/hooks.ts";
import type { Job, Ran } from "../../src/engine/scripts/runner/runner.ts";
import { ServiceChecks } from "../../src/engine/scripts/service-checks.ts";
import { journalEntry, MESSAGE_IDS } from "../../src/kernel/process/journal.ts";
import { CARPCTL } from "../hosts/program.ts";
import {
  assertDescribed,
  diagnostics,
  displays,
  heads,
  type Logged,
  readPage,
  section,
  tree,
} from "./mdoc.ts";

const carpd = readPage("carpd.8");
const ifstated = readPage("ifstated.8");
const serviceStatus = readPage("carp-service-status.7");

test("every option of the engine has an entry, with its choices", () => {
  const engine = VERBS.find(({ names }) => names.includes("engine"));
  assert.ok(engine);
  for (const { word, choices } of optionsOf(engine))
    assert.match(
      carpd,
      new RegExp(
        `\n\\.It Fl ${word.slice(1)} ${choices.length > 0 ? `Cm ${choices.join(" \\| ")}\n` : "Ar "}`,
      ),
    );
});

test("every metric has an entry, with its type and its labels", () => {
  const told = heads(carpd, "METRICS").map((head) => /^Li (\S+) Pq (.*)$/.exec(head)?.slice(1) ?? []);
  const families = Object.entries<Family>(FAMILIES);
  assert.deepEqual(
    told,
    families.map(([name, { type, labels }]) => [name, [type, ...labels].join(" , ")]),
  );
  const text = section(carpd, "METRICS").replaceAll("\n", " ");
  for (const [name, { help }] of families) assert.ok(text.includes(help), name);
});

test("every kind of event has its id in the journal listed, and every field", () => {
  const text = section(carpd, "Journal");
  const told = heads(carpd, "Journal").map((head) => head.replace("Li ", ""));
  assert.deepEqual(told, Object.values(MESSAGE_IDS));
  const fields = {
    interface: "carp0",
    vhid: 1,
    state: "MASTER",
    previousState: "BACKUP",
    reason: "x",
  } as const;
  const entry = journalEntry(2, "text", { event: "transition", ...fields });
  for (const [, name = ""] of entry.matchAll(/^(CARP_\w+)=/gm)) assert.ok(text.includes(name), name);
  assert.ok(displays(text, "journalctl")[0]?.includes(MESSAGE_IDS.transition));
});

test("every signal that the engine listens to has an entry, and no other", () => {
  const files = globSync(join(tree, "src/engine/*.ts"));
  const source = files.map((path) => readFileSync(path, "utf8")).join("\n");
  const listened = new Set(source.match(/(?<=")SIG[A-Z0-9]+(?=")/g));
  const told = [...carpd.matchAll(/^\.It Dv (SIG.*)$/gm)].flatMap(([, names = ""]) => names.split(" , "));
  assert.deepEqual(told.sort(), [...listened].sort());
});

test("the systemd units are valid, and those of the package are in the manual", (context) => {
  const directory = mkdtempSync(join(tmpdir(), "carpctl-test-"));
  context.after(() => rmSync(directory, { recursive: true }));
  for (const name of ["carpd", "carpctl", "ifstated"]) symlinkSync(CARPCTL, join(directory, name));
  symlinkSync(join(tree, "src/install/examples/firewall/conntrackd-hook"), join(directory, "conntrackd"));
  const installed = globSync(join(tree, "src/install/systemd/*")).map((path) => {
    const name = basename(path);
    assert.ok(`${carpd}${ifstated}`.includes(name), name);
    return [name, readFileSync(path, "utf8")] as const;
  });
  const names = [...serviceStatus.matchAll(/\/etc\/systemd\/system\/(\S+)/g)].map(([, name = ""]) => name);
  const shown = displays(serviceStatus, "[Unit]");
  assert.equal(names.length, shown.length);
  const units = [...installed, ...names.map((name, at) => [name, shown[at] ?? ""] as const)];
  for (const [name, text] of units)
    writeFileSync(
      join(directory, name),
      text.replaceAll(/\/usr(\/local)?\/sbin|\/etc\/carp\/hooks\.d/g, directory),
    );
  const paths = units.map(([name]) => join(directory, name));
  const { error, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...paths], {
    encoding: "utf8",
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${directory}:` },
  });
  if (error !== undefined) context.skip("systemd-analyze is not installed");
  else assert.equal(`${stdout}${stderr}`, "");
});

test("the lines that hostname.carp(5) lists are accepted, and no others", async () => {
  for (const line of [
    "inet alias 10.0.0.1 255.255.255.0 10.0.0.255 vhid 1",
    "inet 10.0.0.1 255.255.255.0 NONE",
    "inet6 alias 2001:db8::1 64 vhid 1",
    "vhid 1 carpdev eth0",
    "!true $if",
    "dest 10.0.0.2",
    "description 'www and mail' # a note",
    "destroy\ncreate\nvhid 1",
    "vhid 1 \\\ncarpdev eth0",
    "",
  ])
    assert.ok(!("errors" in (await readInterfaceFile(Buffer.from(line), "carp0"))), line);
  for (const line of ["vhid 1\ndestroy", "dhcp", "rtsol"])
    assert.ok("errors" in (await readInterfaceFile(Buffer.from(line), "carp0")), line);
});

/** The jobs that hooks are run as, and the lines that are logged, when two hooks fail and many changes wait. */
async function runHooks(): Promise<{ jobs: readonly Job[]; lines: readonly Logged[] }> {
  const jobs: Job[] = [];
  const lines: Logged[] = [];
  const failing: Ran = {
    results: [
      { name: "mail", path: "/hooks/mail", outcome: "failed", why: "exit status 1", output: "no mail" },
      { name: "dns", path: "/hooks/dns", outcome: "refused", why: "it does not belong to root", output: "" },
    ],
  };
  const hooks = new Hooks({
    exist: () => true,
    run: async (job) => {
      jobs.push(job);
      return failing;
    },
    log: (priority, text) => lines.push({ priority, text }),
  });
  const change: Transition = {
    interface: "carp0",
    vhid: 1,
    from: "BACKUP",
    to: "MASTER",
    reason: { kind: "forced" },
    addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
  };
  for (let count = 0; count < 10; count++) hooks.note(change);
  await hooks.idle();
  return { jobs, lines };
}

/** The lines that are logged when one check is slow and fails, passes again, and is not understood. */
async function runChecks(): Promise<readonly Logged[]> {
  const lines: Logged[] = [];
  let nowMs = 0;
  let stamp = 0;
  const checks = new ServiceChecks({
    exist: () => true,
    stamp: () => String(stamp++),
    run: async (job) => {
      nowMs += 2000;
      const outcome = job.kind === "checks" && job.list ? "listed" : outcomes.shift();
      const why = outcome === "passed" ? {} : { why: "exit status 1" };
      if (outcome === undefined) return new Promise(() => {});
      const settings = { every: 1 };
      return {
        results: [{ name: "web", path: "/web", file: "/web", outcome, ...why, output: "", settings }],
      };
    },
    log: (priority, text) => lines.push({ priority, text }),
    failed: () => [],
    judge: async () => ({ demoted: false }),
  });
  const outcomes: ("failed" | "passed" | "refused")[] = ["failed", "passed", "refused"];
  const clock = mock.method(performance, "now", () => nowMs);
  checks.look();
  while (outcomes.length > 0) await pause(1);
  await pause(1);
  clock.mock.restore();
  checks.stop();
  return lines;
}

test("every variable of a hook has an entry", async () => {
  const entries = [...serviceStatus.matchAll(/^\.It Ev (CARP_\w+)$/gm)].map(([, name = ""]) => name);
  const [job] = (await runHooks()).jobs;
  assert.ok(job?.kind === "hooks");
  assert.deepEqual(entries, [...Object.keys(job.change), "CARP_SERVICE_STATUS_PATH"]);
});

test("every message about service checks and hooks has an entry", async () => {
  const host = new Host({ balancing: true });
  const now = { us: 1, epochUs: 1 };
  host.command({ kind: "set-sysctl", writes: [{ name: "net.inet.carp.log", value: 7 }] }, now);
  const lines = [...(await runHooks()).lines, ...(await runChecks())];
  for (const names of [["a", "b"], []]) {
    const failed = names.flatMap((name) => [
      { name, file: name, by: 2 ** 20 },
      { name, file: `of ${name}`, by: 5, group: "www" },
    ]);
    const outcome = host.command({ kind: "services", failed }, now);
    assert.ok(!("error" in outcome));
    for (const effect of outcome.effects)
      if (effect.kind === "log") lines.push({ priority: effect.priority, text: effect.text });
  }
  assertDescribed(lines, diagnostics(serviceStatus));
});
