/**
 * The runner's end of its socket, with any bytes as the engine's orders: only trusted scripts of the directories
 * that it was started with are executed, with the variables of the order's change and no other; each order is
 * reported on once; what is no order ends it.
 */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Run, type RunnerMessage } from "../../../src/engine/scripts/runner/messages.ts";
import { takeOrders } from "../../../src/engine/scripts/runner/orders.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import type { Target, Trial } from "../target.ts";
import { until } from "./in-time.ts";
import { withOneChanged } from "./leaves.ts";
import { socketPair } from "./socket-pair.ts";

const FIRST_JOB = 3;
/** Each starts processes. */
const MOST_LINES = 6;
/** Longer than any line may be; lines of that length are runner-messages' to try. */
const MOST_BYTES = 150_000;

interface Reported {
  readonly name: string;
  readonly outcome: string;
}

/** The trusted scripts, and what is reported of everything in the directories. */
const EXPECTED = {
  hooks: {
    run: ["10-hook"],
    reported: ["10-hook passed", "20-others refused", "30-writable refused", "40-link refused"],
  },
  checks: { run: ["database", "web"], reported: ["database passed", "web failed"] },
} as const;

class Place {
  readonly directory = makeDirectory("orders");
  readonly etc = join(this.directory, "etc");
  readonly environment: NodeJS.ProcessEnv;
  /** A file for each execution: the path, and the environment that the kernel gave it. */
  readonly #record = join(this.directory, "record");

  constructor() {
    const hooks = join(this.etc, "carp/hooks.d");
    const checks = join(this.etc, "carp/service_status.d");
    const elsewhere = join(this.directory, "elsewhere");
    for (const each of [hooks, checks, elsewhere, this.#record]) mkdirSync(each, { recursive: true });
    this.#script(join(hooks, "10-hook"));
    chownSync(this.#script(join(hooks, "20-others")), 65534, 65534);
    this.#script(join(hooks, "30-writable"), 0o757);
    chownSync(this.#script(join(elsewhere, "others")), 65534, 65534);
    symlinkSync(join(elsewhere, "others"), join(hooks, "40-link"));
    this.#script(join(hooks, "50-not-executable"), 0o644);
    this.#script(join(hooks, ".60-hidden"));
    this.#script(join(checks, "database"));
    this.#script(join(checks, "web"), 0o755, 1);
    this.environment = {
      CARP_ETC_DIR: this.etc,
      CARP_RUN_DIR: this.directory,
      CARP_SERVICE_STATUS_PATH: `${checks}:/nonexistent`,
      CARP_FIRST_JOB: String(FIRST_JOB),
      SECRET_OF_THE_RUNNER: "1",
    };
  }

  #script(path: string, mode = 0o755, status = 0): string {
    const text = `#!/bin/sh\n{ echo "=$0"; tr '\\0' '\\n' <"/proc/$$/environ"; echo end; } >"${this.#record}/$$"\nexit ${status}\n`;
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  }

  /** The executions since the last call: path, and variables. */
  executions(): { readonly path: string; readonly variables: Map<string, string> | undefined }[] {
    return readdirSync(this.#record).map((pid) => {
      const file = join(this.#record, pid);
      const [path = "", ...lines] = readFileSync(file, "utf8").split("\n");
      rmSync(file);
      const end = lines.indexOf("end");
      // It was killed while it wrote this.
      if (end < 0) return { path: path.slice(1), variables: undefined };
      const variables = lines.slice(0, end).map((line): [string, string] => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)];
      });
      return { path: path.slice(1), variables: new Map(variables) };
    });
  }
}

function open(): Trial {
  const place = new Place();

  /** @returns the orders among the lines, until the first that is none */
  function ordersIn(lines: readonly string[]): { readonly orders: Run[]; readonly isGarbled: boolean } {
    const orders: Run[] = [];
    for (const line of lines) {
      const order = Run.safeParse(parsed(line));
      if (!order.success) return { orders, isGarbled: true };
      orders.push(order.data);
    }
    return { orders, isGarbled: false };
  }

  async function feed(input: Uint8Array): Promise<void> {
    const lines = Buffer.from(input)
      .subarray(0, MOST_BYTES)
      .toString("latin1")
      .split("\n")
      .slice(0, MOST_LINES + 1);
    // What has no end is no line.
    lines.pop();
    const bytes = lines.map((each) => Buffer.from(`${each}\n`, "latin1"));
    const { orders, isGarbled } = ordersIn(bytes.map((each) => each.toString()));
    const awaited = orders.filter(({ id }) => id >= FIRST_JOB);
    const [engine, runner] = await socketPair(place.directory);
    const reports: RunnerMessage[] = [];
    let ends = 0;
    let text = "";
    engine.setEncoding("utf8").on("data", (chunk: string) => {
      const whole = (text + chunk).split("\n");
      text = whole.pop() ?? "";
      reports.push(...whole.map((line) => JSON.parse(line)));
    });
    const ran = () => reports.flatMap((each) => (each.kind === "ran" ? [each] : []));
    try {
      takeOrders(runner, place.environment, () => ends++);
      engine.write(Buffer.concat(bytes));
      // A process would be gone after the end; here what it killed is still reported.
      await until("reports", () => ran().length >= awaited.length && (ends > 0 || !isGarbled));
      assert.equal(ends, isGarbled ? 1 : 0);
      if (!isGarbled) {
        assert.deepEqual(
          ran()
            .map(({ id }) => id)
            .sort(),
          awaited.map(({ id }) => id).sort(),
        );
        for (const { id, results } of ran()) {
          const kinds = awaited.filter((each) => each.id === id).map((each) => outcomes(reportedFor(each)));
          assert.ok(
            kinds.includes(outcomes(results.map((each: Reported) => `${each.name} ${each.outcome}`))),
          );
        }
        engine.end();
        await until("the end", () => ends === 1);
      }
    } finally {
      for (const each of [engine, runner]) each.destroy();
      await until("closed", () => engine.closed && runner.closed);
    }
    checkExecutions(awaited, isGarbled);
  }

  function checkExecutions(orders: readonly Run[], isGarbled: boolean): void {
    const executions = place.executions();
    const expected = orders.flatMap((order) => {
      const { run } = EXPECTED[order.kind];
      const directory = order.kind === "hooks" ? "hooks.d" : "service_status.d";
      return (picks(order) ? [] : run).map((name) => join(place.etc, "carp", directory, name));
    });
    const found = executions.map(({ path }) => path).sort();
    // A script that was killed at once has noted nothing.
    if (isGarbled) for (const path of found) assert.ok(path === "" || expected.includes(path), path);
    else assert.deepEqual(found, expected.sort());
    for (const { path, variables } of executions) {
      if (variables === undefined) {
        assert.ok(isGarbled);
        continue;
      }
      const { PATH, LANG, CARP_RUN_DIR, CARP_ETC_DIR, ...change } = Object.fromEntries(variables);
      assert.deepEqual(
        [PATH, LANG, CARP_RUN_DIR, CARP_ETC_DIR],
        ["/usr/sbin:/usr/bin:/sbin:/bin", "C", place.directory, place.etc],
      );
      if (path.includes("service_status.d")) assert.deepEqual(change, {});
      else {
        assert.ok(
          orders.some((order) => order.kind === "hooks" && sameChange(order.change, change)),
          path,
        );
        assert.match(change.CARP_INTERFACE ?? "", /^carp[0-9]{1,10}$/);
        assert.match(change.CARP_VHID ?? "", /^[0-9]{1,3}$/);
        assert.match(
          `${change.CARP_STATE} ${change.CARP_PREVIOUS_STATE}`,
          /^(INIT|BACKUP|MASTER) (INIT|BACKUP|MASTER)$/,
        );
        assert.match(change.CARP_ADDRESSES ?? "", /^[0-9a-f.:/% ]*$/);
      }
    }
  }

  return { feed, close: () => removeDirectory(place.directory) };
}

/** Whether it picks among the checks: none of those that are drawn is there. */
function picks(order: Run): boolean {
  return order.kind === "checks" && (order.only !== undefined || order.list !== undefined);
}

function reportedFor(order: Run): readonly string[] {
  if (!picks(order)) return EXPECTED[order.kind].reported;
  return order.kind === "checks" && order.only !== undefined
    ? []
    : EXPECTED.checks.run.map((name) => `${name} listed`);
}

function outcomes(all: readonly string[]): string {
  return [...all].sort().join();
}

function sameChange(a: object, b: object): boolean {
  const text = (change: object) => JSON.stringify(Object.entries(change).sort());
  return text(a) === text(b);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const id = fc.integer({ min: 1, max: 12 });
const state = fc.constantFrom("INIT", "BACKUP", "MASTER");
const change = fc.record({
  CARP_INTERFACE: fc.constantFrom("carp0", "carp1", "carp4294967295"),
  CARP_VHID: fc.constantFrom("1", "255"),
  CARP_STATE: state,
  CARP_PREVIOUS_STATE: state,
  CARP_ADDRESSES: fc.constantFrom(
    "",
    "10.0.0.1/24",
    "10.0.0.1/24 fe80::1/64",
    "2001:db8::1/64 ".repeat(7_000),
  ),
});
const order = fc
  .oneof(
    fc.record({ id, kind: fc.constant("checks") }),
    fc.record({ id, kind: fc.constant("hooks"), change }),
    fc.record({
      id,
      kind: fc.constant("hooks"),
      change,
      directory: fc.constantFrom("/tmp", "../elsewhere"),
    }),
    fc.record({ id, kind: fc.constantFrom("hooks", "checks", "scripts"), path: fc.constant("/bin/true") }),
  )
  .map((each) => Buffer.from(JSON.stringify(each)));
const sound = fc
  .oneof(
    fc.record({ id, kind: fc.constant("checks") }),
    fc.record({ id, kind: fc.constant("hooks"), change }),
    fc.record({
      id,
      kind: fc.constant("checks"),
      only: fc.subarray(["/bin/true", "../elsewhere/others", "web"]),
    }),
    fc.record({ id, kind: fc.constant("checks"), list: fc.constant(true) }),
  )
  .map((each) => Buffer.from(JSON.stringify(each)));

export const runnerOrders: Target = {
  name: "runner-orders",
  sensible: fc
    .array(
      fc.oneof(
        { weight: 6, arbitrary: sound },
        { weight: 1, arbitrary: order },
        { weight: 1, arbitrary: withOneChanged(sound) },
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((all) => Buffer.from(all.map((each) => `${Buffer.from(each)}\n`).join(""))),
  tokens: [
    "\n",
    "\r\n",
    '"kind":"checks"',
    '"kind":"hooks"',
    '"CARP_INTERFACE":"carp0\\nLD_PRELOAD=/tmp/x"',
    '"LD_PRELOAD":"/tmp/x",',
    '"PATH":"/tmp",',
    '"CARP_ETC_DIR":"/tmp",',
    '"__proto__":{"LD_PRELOAD":"/tmp/x"},',
    '"directories":["/tmp"],',
    "\u2028",
    "\0",
  ],
  tries: 40,
  open,
};
