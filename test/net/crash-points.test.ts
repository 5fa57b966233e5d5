/**
 * An engine that is killed before any of its steps on the kernel or on its files: the next engine goes on.
 * Acknowledged commands are applied, the one under way is done or undone, and in the end the kernel is as
 * without a kill. Some of the points in an ordinary run, all of them with CARPCTL_CRASH_POINTS=all (`npm run
 * crash-points`).
 */

import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { InterfaceChange } from "../../src/control/messages.ts";
import { eventually } from "../hosts/eventually.ts";
import { createNetwork, type Engine, type Host, traces } from "../hosts/index.ts";
import { runFiles } from "../hosts/run-directory.ts";

/** An ordinary run tries one point in so many, so that all kinds of steps are among them. */
const STRIDE = process.env.CARPCTL_CRASH_POINTS === "all" ? 1 : 13;
const HOSTS = 3;
/** A round may have this many fewer steps than another: timers fall between the commands or not. */
const UNCERTAIN_STEPS = 8;
/** An engine that counts its steps. */
const COUNTED = {
  through: [process.execPath, "--import", join(import.meta.dirname, "../hosts/crash-point.ts")],
  program: join(import.meta.dirname, "../../dist/main.js"),
};

const ipv4 = { family: 4, address: "10.0.0.1", prefixLength: 24, alias: true } as const;
const ipv6 = { family: 6, address: "2001:db8::1", prefixLength: 64, alias: true } as const;

interface Command {
  readonly name: string;
  readonly change: InterfaceChange | "destroy";
}

/** Commands that may be repeated when they are done already. */
const COMMANDS: readonly Command[] = [
  {
    name: "carp0",
    change: { carpdev: "eth0", vhid: 1, pass: "sesame", addAddresses: [ipv4], state: "master" },
  },
  { name: "carp0", change: { vhid: 2, addAddresses: [ipv6], state: "master" } },
  {
    name: "carp1",
    change: { carpdev: "eth0", vhid: 9, advbase: 60, addAddresses: [{ ...ipv4, address: "10.0.0.9" }] },
  },
  {
    name: "carp0",
    change: {
      carpnodes: [
        { vhid: 2, advskew: 0 },
        { vhid: 3, advskew: 100 },
      ],
      balancing: "ip",
      state: "master",
    },
  },
  { name: "carp1", change: "destroy" },
  { name: "carp0", change: { balancing: "ip-stealth", removeAddresses: ["10.0.0.1"], state: "master" } },
];

test("after a kill before any step the next engine goes on", async (t) => {
  const networks = await Promise.all(Array.from({ length: HOSTS }, () => createNetwork()));
  try {
    const hosts = await Promise.all(
      networks.map((network) => network.host("a", { addresses: ["10.0.0.2/24", "2001:db8::2/64"] })),
    );
    const plans = await Promise.all(hosts.map(undisturbed));
    const steps = plans[0]?.steps ?? [];
    const points = steps.map((_, n) => n + 1).filter((point) => point % STRIDE === 1 % STRIDE);
    t.diagnostic(`${points.length} of ${steps.length} crash points`);
    const untried = points.values();
    await Promise.all(
      hosts.map(async (host, n) => {
        for (const point of untried)
          await t.test(`${point}: before ${steps[point - 1]}`, () => tried(host, point, plans[n] as Plan));
      }),
    );
  } finally {
    for (const network of networks) network.destroy();
  }
});

interface Plan {
  /** The names of the steps, in order. */
  readonly steps: readonly string[];
  /** The host without carp, and with all commands done. */
  readonly untouched: string;
  readonly finished: string;
  /** The configuration after none, one, two, ... of the commands. */
  readonly configured: readonly string[];
}

async function undisturbed(host: Host): Promise<Plan> {
  const list = join(host.etcDirectory, "steps");
  const untouched = await everything(host);
  const engine = await host.startEngine({
    logLevel: null,
    ...COUNTED,
    environment: { CRASH_LIST: list },
  });
  const configured = [await configuration(engine)];
  for (const command of COMMANDS) {
    await carryOut(engine, command);
    configured.push(await configuration(engine));
  }
  await settled(host, engine);
  const finished = await everything(host);
  assert.deepEqual(await engine.stop(), { code: 0, signal: null });
  const steps = readFileSync(list, "utf8").trimEnd().split("\n");
  rmSync(list);
  assertSame(await everything(host), untouched);
  return { steps, untouched, finished, configured };
}

/** Cleans up, so that a point that fails does not fail the next. */
async function tried(host: Host, point: number, plan: Plan): Promise<void> {
  try {
    await killed(host, point, plan);
  } catch (error) {
    await host.engine.kill("SIGKILL");
    await (await host.startEngine({ logLevel: null })).stop();
    throw error;
  }
}

async function killed(host: Host, point: number, plan: Plan): Promise<void> {
  const environment = { CRASH_BEFORE: String(point) };
  let acknowledged = 0;
  let stopping = false;
  let doomed: Engine | undefined;
  try {
    doomed = await host.startEngine({ ...COUNTED, logLevel: null, environment });
    for (const command of COMMANDS) {
      await carryOut(doomed, command);
      acknowledged += 1;
    }
    await settled(host, doomed);
    stopping = true;
    const { signal } = await doomed.stop();
    // Rounds differ by a few steps.
    if (signal !== "SIGKILL") assert.ok(point > plan.steps.length - UNCERTAIN_STEPS, "it was to be killed");
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    // The connection failed because the engine was killed, as intended.
  }
  await doomed?.exited;
  const engine = await host.startEngine({ logLevel: null });
  // The configuration is either still there, or removed with everything else.
  const possible = plan.configured.slice(acknowledged, acknowledged + 2);
  if (stopping) possible.push(plan.configured[0] ?? "");
  assert.ok(possible.includes(await configuration(engine)), `${await configuration(engine)}\n${engine.log}`);
  for (const command of COMMANDS) await carryOut(engine, command);
  await settled(host, engine);
  assertSame(await everything(host), plan.finished);
  assert.deepEqual(await engine.stop(), { code: 0, signal: null });
  assertSame(await everything(host), plan.untouched);
}

async function carryOut(engine: Engine, { name, change }: Command): Promise<void> {
  if (change === "destroy") await engine.request("destroy", { name });
  else await engine.request("change", { name, change });
}

async function configuration(engine: Engine): Promise<string> {
  const { interfaces } = await engine.request("interfaces", {});
  const configured = interfaces.map(({ name, advbase, balancing, nodes, addresses }) => ({
    name,
    advbase,
    balancing,
    nodes: nodes.map(({ vhid, advskew }) => [vhid, advskew]),
    addresses: addresses.map(({ address }) => address),
  }));
  return JSON.stringify(configured);
}

/** Resolves when the host is MASTER of every node, in the engine and in the kernel. */
async function settled(host: Host, engine: Engine): Promise<void> {
  await engine.waitForState("carp0", "MASTER", 2);
  await engine.waitForState("carp0", "MASTER", 3);
  await host.waitForAddresses("carp0", ["2001:db8::1/64"]);
  // The kernel's view of a link that was set up or got a carrier follows a moment later.
  await eventually(
    () => host.run("ip", "-brief", "link", "show", "carp0"),
    (link) => / UP /.test(link),
  );
}

/** The number of filters on eth0, ingress and egress. */
const PROGRAMS_BY_TCX = `
  import { native } from ${JSON.stringify(join(import.meta.dirname, "../../src/kernel/native.ts"))};
  import { nativeBpf } from ${JSON.stringify(join(import.meta.dirname, "../../src/kernel/data-path/native-bpf.ts"))};
  const index = native.interfaceIndexes().find((each) => native.interfaceName(each) === "eth0");
  for (const ingress of [true, false]) {
    const ids = nativeBpf.listTcx(index, ingress);
    console.log("by TCX:", typeof ids === "number" ? 0 : ids.length);
  }
`;

/** The kernel and the run directory, without numbers that are never used twice. */
async function everything(host: Host): Promise<string> {
  const filters = await host.run(
    "sh",
    "-c",
    "for way in ingress egress; do tc filter show dev eth0 $way; done",
  );
  const programs = await host.run(process.execPath, "--input-type=module", "--eval", PROGRAMS_BY_TCX);
  const text = `${await traces(host)}\n${filters}\n${programs}\n${runFiles(host).join(" ")}`;
  return text.replace(/^\d+(:\s+carp\d+)/gm, "N$1").replace(/:\[\d+\]|\bid \d+/g, "");
}

/** Compares line by line: the whole texts are too long to read. */
function assertSame(actual: string, expected: string): void {
  const lines = (of: string, without: string) => {
    const others = new Set(without.split("\n"));
    return of.split("\n").filter((line) => !others.has(line));
  };
  assert.deepEqual(lines(actual, expected), lines(expected, actual));
}
