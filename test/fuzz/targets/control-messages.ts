/**
 * Lines on the control socket, from root, a member of the group and another user: each is answered by a line
 * of JSON; a refused line changes nothing, another user changes nothing, and only root reads or sets a pass;
 * an accepted configuration is within bounds, and can be saved and loaded.
 */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { ErrorCode, LIMITS, MAX_REQUEST_BYTES, methods } from "../../../src/control/messages.ts";
import { SYSCTL_VARIABLES } from "../../../src/core/sysctl.ts";
import type { Peer } from "../../../src/engine/control/authorisation.ts";
import { ControlSockets } from "../../../src/engine/control/control-sockets.ts";
import { Feed } from "../../../src/engine/control/feed.ts";
import { createMethods } from "../../../src/engine/control/methods.ts";
import { ControlServer } from "../../../src/engine/control/server.ts";
import { StateFile } from "../../../src/engine/state/saved-state.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { change } from "../../unit/core/arbitraries.ts";
import { ipv4, ipv6, link, PLAIN, SECOND, Station, World } from "../../unit/core/driver.ts";
import type { Target, Trial } from "../target.ts";
import { assertWithinBounds } from "./bounds.ts";
import { withOneChanged } from "./leaves.ts";

const ROOT: Peer = { uid: 0, gid: 0, groups: [] };
const GROUP = 999;
const MEMBER: Peer = { uid: 1000, gid: 1000, groups: [GROUP] };
const OTHER: Peer = { uid: 65534, gid: 65534, groups: [] };

const ROOT_VARIABLES = [
  "net.inet.carp.allow",
  "net.inet.carp.log",
  "net.inet.carp.strict_replay",
  "net.inet.carp.signed_header",
] as const;

/** In no message and in no corpus: a reply that holds it has it from the engine. */
const PASS = "only root's to know";

/** The errors with which json-rpc-2.0 refuses what is no request; not its errors for what an answer threw. */
const REFUSALS: readonly unknown[] = [...Object.values(ErrorCode), -32700, -32600, -32601];

const WHOLE = { depth: Number.POSITIVE_INFINITY, maxArrayLength: null, maxStringLength: null } as const;

const LAST = '{"jsonrpc":"2.0","id":"last","method":"hello"}';

interface Reply {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: unknown };
}

function station(): Station {
  const made = new Station(new World(), { links: [link("eth0"), link("eth1")] });
  made.set("carp0", { ...PLAIN, pass: PASS });
  return made;
}

async function open(): Promise<Trial> {
  const directory = makeDirectory("control");
  const path = join(directory, "engine.sock");
  let peer = ROOT;
  let host = station();
  const complaints: string[] = [];
  const rpc = createMethods(
    {
      version: "0",
      get host() {
        return host.host;
      },
      ready: Promise.resolve(),
      now: () => host.now,
      command: async (command) => host.command(command),
      packets: () => [],
      feed: new Feed(() => 0),
      dataPathObstacle: undefined,
      scriptsDoNotRun: false,
      runDir: directory,
      maintenance: async () => ({ effects: [] }),
      serviceStatus: async () => ({ error: "no checks here" }),
      log: (priority, text) => {
        assert.ok(!text.includes(PASS), "a secret is logged");
        if (priority !== 5) complaints.push(text);
      },
    },
    () => GROUP,
  );
  const server = new ControlServer(new ControlSockets({ runDir: directory }), {
    rpc,
    identify: () => peer,
    carpGroup: () => GROUP,
    othersShare: 1,
    report: (error) => complaints.push(String(error)),
  });

  /** @returns what came back before the connection was closed or the last question answered. */
  async function ask(bytes: Uint8Array): Promise<Reply[]> {
    const socket = connect(path);
    socket.on("error", () => {});
    socket.write(bytes);
    socket.write(`\n${LAST}\n`);
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      if (text.includes('"id":"last"') && text.endsWith("\n")) socket.destroy();
    });
    await new Promise((resolve) => socket.once("close", resolve));
    const lines = text.split("\n").filter((line) => line !== "");
    const replies = lines.map((line): Reply => JSON.parse(line));
    const longest = Buffer.from(bytes)
      .toString("latin1")
      .split("\n")
      .reduce((most, line) => Math.max(most, line.length), 0);
    assert.ok(replies.at(-1)?.id === "last" || longest >= MAX_REQUEST_BYTES, "hung up");
    return replies;
  }

  /** The addresses of interfaces with a pass. */
  const protectedAddresses = () =>
    new Set(
      host.host.configuration.interfaces
        .filter(({ pass }) => pass !== "")
        .flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    );

  /** All that a command can change. */
  const all = () => inspect([host.host.configuration, host.host.interfaces(), host.host.demotion], WHOLE);

  async function feedAs(who: Peer, input: Uint8Array): Promise<void> {
    peer = who;
    const before = all();
    const protectedBefore = protectedAddresses();
    const variables = new Map(ROOT_VARIABLES.map((name) => [name, host.host.sysctl(name)]));
    const replies = await ask(input);
    if (who !== ROOT) {
      const exposed = protectedBefore.difference(protectedAddresses());
      assert.deepEqual([...exposed], [], "an address is no longer protected by a pass");
      for (const name of ROOT_VARIABLES)
        assert.deepEqual(host.host.sysctl(name), variables.get(name), `${name} was changed`);
      assert.ok(!JSON.stringify(replies).includes(PASS), "a secret is told");
      const passes = host.host.configuration.interfaces.map(({ pass }) => pass);
      assert.ok(
        passes.every((pass) => pass === PASS || pass === ""),
        "the pass was changed",
      );
    }
    assertAnswersTo(input, replies);
    assert.deepEqual(complaints.splice(0), []);
    for (const { jsonrpc, error } of replies) {
      assert.equal(jsonrpc, "2.0");
      if (error === undefined) continue;
      assert.ok(REFUSALS.includes(error.code), `error ${error.code}`);
      assert.ok(typeof error.message === "string" && error.message !== "");
    }
    const after = all();
    const isRefused = !input.includes(0x0a) && replies[0]?.error !== undefined;
    if (isRefused || who === OTHER) assert.equal(after, before);
    if (after === before) return;
    assertWithinBounds(host.host.configuration);
    host.world.run(5 * SECOND);
    await survives();
    host = station();
  }

  /** Another engine begins with the same configuration. */
  async function survives(): Promise<void> {
    const { configuration } = host.host;
    const file = new StateFile(directory);
    await file.save({ configuration, counters: { upTo: host.host.counterFloor, atUs: host.now.us } });
    const loaded = await file.load();
    assert.ok(loaded !== undefined && "configuration" in loaded, inspect(loaded));
    const next = new Station(new World(), { links: [link("eth0"), link("eth1")] });
    next.host.restore(loaded.configuration, () => 0, next.now);
    assert.deepEqual(next.host.configuration, configuration);
  }

  return {
    async feed(input) {
      await feedAs(OTHER, input);
      await feedAs(MEMBER, input);
      await feedAs(ROOT, input);
    },
    async close() {
      server.close();
      removeDirectory(directory);
    },
  };
}

/** One request is answered once, under its own id. */
function assertAnswersTo(input: Uint8Array, replies: readonly Reply[]): void {
  if (input.includes(0x0a)) return;
  const asked = parsed(Buffer.from(input).toString());
  const [first, ...others] = replies.filter(({ id }) => id !== "last");
  if (others.length > 0) assert.deepEqual(others, [], "answered more than once");
  if (first === undefined || !Object.hasOwn(Object(asked), "id")) return;
  assert.notEqual(first.error === undefined, first.result === undefined, "neither an answer nor an error");
  const id: unknown = Reflect.get(Object(asked), "id");
  assert.ok(first.id === id || first.id === null);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Stands for a value that JSON.parse reads and JSON.stringify cannot write: it recurses for objects with integer
 * keys.
 */
const UNWRITABLE = "a value that cannot be written";
const withUnwritable = (line: Uint8Array) =>
  Buffer.from(
    Buffer.from(line)
      .toString()
      .replaceAll(JSON.stringify(UNWRITABLE), `{"0":1,"a":${"[".repeat(8000)}${"]".repeat(8000)}}`),
  );

const json = fc.oneof(
  { weight: 9, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  fc.constant(UNWRITABLE),
  fc.dictionary(fc.nat({ max: 2 }).map(String), fc.constant(UNWRITABLE)),
);
const name = fc.constantFrom("carp0", "carp0", "carp0", "carp1", "carp01", "eth0", "", "carp4294967296");
const variable = fc.constantFrom(
  ...SYSCTL_VARIABLES.map(({ name }) => name),
  ...["net.inet.carp", "net", "", "net.inet.carp.demotion"],
);

/** The ends of ranges, from the engine's own tables; accepted values are checked against bounds.ts. */
const ends = ([least, most]: readonly [number, number]) =>
  fc.constantFrom(least - 1, least, most, most + 1, 2 ** 31, 2 ** 53);
/** One thing in a change: others would be refused for another reason. */
const atAnEnd = fc.oneof(
  ...(["vhid", "advbase", "advskew", "mtu"] as const).map((key) =>
    ends(LIMITS[key]).map((value) => ({ [key]: value })),
  ),
  fc.tuple(ends(LIMITS.vhid), ends(LIMITS.advskew)).map(([vhid, advskew]) => ({
    carpnodes: [
      { vhid: 77, advskew },
      { vhid, advskew: 0 },
    ],
  })),
  ends([0, 32]).map((prefixLength) => ({ addAddresses: [{ ...ipv4("10.0.0.77"), prefixLength }] })),
  ends([0, 128]).map((prefixLength) => ({ addAddresses: [{ ...ipv6("2001:db8::77"), prefixLength }] })),
);
const written = fc.oneof(
  fc
    .constantFrom(...SYSCTL_VARIABLES)
    .chain(({ name, min, max }) => fc.record({ name: fc.constant(name), value: ends([min, max]) })),
  fc.record({ name: variable, value: fc.oneof(fc.integer(), fc.double()) }),
);

const params: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  change: fc.record({ name, change: fc.oneof(change, atAnEnd) }),
  replace: fc.record({ name, change, dryRun: fc.boolean() }),
  create: fc.record({ name }),
  destroy: fc.record({ name }),
  "sysctl-get": fc.record({ names: fc.array(variable, { maxLength: 3 }) }),
  "sysctl-set": fc.record({ writes: fc.array(written, { maxLength: 3 }) }),
  "demote-group": fc.record({
    group: name,
    by: fc.oneof(ends([-128, 128]), fc.integer({ min: -129, max: 129 })),
  }),
  demote: fc.record({ reason: name, by: fc.oneof(ends(LIMITS.demote), fc.integer()) }),
  promote: fc.record({ reason: name }),
};

/** Methods that change most come more often. */
const method = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...Object.keys(methods), "nonsense") },
  { weight: 4, arbitrary: fc.constantFrom("change", "change", "replace", "sysctl-set") },
);

const request = method.chain((method) =>
  fc.record({
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant("2.0") }, json),
    id: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, json),
    method: fc.oneof({ weight: 9, arbitrary: fc.constant(method) }, json),
    params: fc.oneof({ weight: 9, arbitrary: params[method] ?? fc.constant({}) }, json),
  }),
);

const asked = request.map((each) => Buffer.from(JSON.stringify(each)));

export const controlMessages: Target = {
  name: "control-messages",
  sensible: fc
    .oneof({ weight: 3, arbitrary: asked }, { weight: 1, arbitrary: withOneChanged(asked) })
    .map(withUnwritable),
  tokens: [
    ...Object.keys(methods).map((method) => JSON.stringify(method)),
    ...[
      '"2.0"',
      '"params":',
      '"method":',
      '"id":',
      '"jsonrpc":',
      "null",
      "{}",
      "[]",
      "1e999",
      "-1",
      "\\u0000",
    ],
    ...['"__proto__":', '"constructor":', "[[[[", "\n", "\0", "\u2028"],
  ],
  tries: 200,
  open,
};
