/**
 * Arguments of the addon's functions: a value of a wrong type, in any position, throws a TypeError before anything is
 * done. A crash of this file is a failed test.
 */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { nativeBpf } from "../../../src/kernel/data-path/native-bpf.ts";
import { addon } from "../../../src/kernel/native.ts";
import { nativeNetlink } from "../../../src/kernel/netlink/native-netlink.ts";
import { nativePoller } from "../../../src/kernel/polling/native-poller.ts";
import { nativeProcess } from "../../../src/kernel/process/native-process.ts";
import { nativeUnixSockets } from "../../../src/kernel/process/native-unix-sockets.ts";
import { nativeHmac } from "../../../src/kernel/sockets/hmac.ts";
import { nativeNeighbourSocket } from "../../../src/kernel/sockets/native-neighbour-socket.ts";
import { nativeSockets } from "../../../src/kernel/sockets/native-sockets.ts";

const native = addon as object;

type Function = (...given: readonly unknown[]) => unknown;
type Kind = "int32" | "uint32" | "amount" | "text" | "boolean" | "bytes" | "doubles" | "list" | "function";

const NOWHERE = "/nonexistent/carp";
const bytes = (length: number) => new Uint8Array(length);

/** Each call with arguments that it takes, and what kind each of them is. */
const free: Readonly<Record<string, readonly (readonly [Kind, unknown])[]>> = {
  readClocks: [["doubles", new Float64Array(2)]],
  peerCredentials: [["int32", -1]],
  groupId: [["text", "root"]],
  interfaceName: [["uint32", 1]],
  hasRoom: [["int32", -1]],
  isRead: [["int32", -1]],
  scheduleAtOnce: [["int32", -1]],
  createClsact: [["int32", -1]],
  deleteClsact: [["int32", -1]],
  listFilters: [
    ["int32", 1],
    ["boolean", true],
  ],
  listFiltersApart: [
    ["int32", 1],
    ["boolean", true],
  ],
  programName: [["uint32", 1]],
  xdpProgram: [["int32", 1]],
  lockFile: [["int32", -1]],
  listTcx: [
    ["uint32", 1],
    ["boolean", true],
  ],
  listTcxApart: [
    ["uint32", 1],
    ["boolean", true],
  ],
  detachTcx: [
    ["uint32", 1],
    ["uint32", 1],
    ["boolean", true],
  ],
  userId: [["text", "root"]],
  giveUpRoot: [
    ["uint32", 0],
    ["uint32", 0],
    ["list", []],
    ["list", []],
    ["list", []],
    ["list", []],
  ],
  listenUnix: [
    ["text", `${NOWHERE}/socket`],
    ["int32", 1],
  ],
  listenTcp: [
    ["text", NOWHERE],
    ["uint32", 1],
    ["int32", 1],
  ],
  listenerUid: [["text", NOWHERE]],
  acceptUnix: [["int32", -1]],
  receiveBytes: [
    ["int32", -1],
    ["bytes", bytes(1)],
  ],
  sendBytes: [
    ["int32", -1],
    ["bytes", bytes(1)],
  ],
  closeSocket: [["int32", -1]],
  sendDatagram: [
    ["text", NOWHERE],
    ["bytes", bytes(2)],
  ],
};

const ofSockets: typeof free = {
  open: [["int32", -1]],
  close: [["uint32", 1]],
  send: [
    ["uint32", 1],
    ["bytes", bytes(60)],
  ],
  membership: [
    ["uint32", 1],
    ["bytes", bytes(6)],
    ["boolean", true],
  ],
  sendUnicast: [
    ["int32", 4],
    ["text", "127.0.0.1"],
    ["text", "127.0.0.1"],
    ["int32", 0],
    ["int32", 0],
    ["bytes", bytes(36)],
  ],
  setForms: [
    ["text", "carp0"],
    ["list", []],
  ],
  rejoin: [["uint32", 1]],
  latest: [
    ["uint32", 1],
    ["uint32", 1],
  ],
  sendAhead: [
    ["uint32", 1],
    ["uint32", 1],
    ["doubles", new Float64Array([1, 2, 3])],
    ["doubles", new Float64Array([70])],
    ["bytes", bytes(70)],
    ["list", []],
  ],
  recall: [
    ["uint32", 1],
    ["uint32", 1],
  ],
  sendDue: [["amount", 1]],
  fold: [
    ["uint32", 1],
    ["bytes", bytes(70)],
  ],
};

const ofHmac: typeof free = {
  digest: [
    ["bytes", bytes(40)],
    ["bytes", bytes(20)],
  ],
};

const ofNeighbourSocket: typeof free = {
  open: [["int32", -1]],
  send: [["bytes", bytes(42)]],
};

const ofReadiness: typeof free = {
  watch: [
    ["int32", -1],
    ["boolean", true],
    ["boolean", true],
  ],
};

const ofNetlink: typeof free = {
  send: [["bytes", bytes(16)]],
  sendApart: [["bytes", bytes(16)]],
  followRoutes: [["list", []]],
};

const item = [
  ["uint32", 0],
  ["text", "1"],
] as const;
const ofPoller: typeof free = {
  group: [
    ["uint32", 0],
    ["uint32", 1],
  ],
  add: item,
  remove: item,
  doubt: item,
  know: [["bytes", bytes(16)]],
};

const program = ["text", "none"] as const;
const map = ["text", "none"] as const;
const place = [
  ["int32", 1],
  ["boolean", true],
  ["uint32", 1],
  ["uint32", 1],
] as const;
const ofObject: typeof free = {
  load: [["list", []]],
  share: [map],
  read: [
    ["amount", 0],
    ["uint32", 8],
  ],
  write: [
    ["amount", 0],
    ["bytes", bytes(8)],
  ],
  storeUs: [
    ["amount", 0],
    ["amount", 1.5],
  ],
  storeShort: [
    ["amount", 0],
    ["uint32", 1],
  ],
  update: [map, ["bytes", bytes(4)], ["bytes", bytes(4)]],
  remove: [map, ["bytes", bytes(4)]],
  lookup: [map, ["bytes", bytes(4)]],
  entries: [map],
  attach: [program, ...place],
  detach: [program, ...place],
  programId: [program],
  attachTcx: [program, ["uint32", 1], ["boolean", true], ["uint32", 0]],
  run: [program, ["bytes", bytes(60)], ["uint32", 1], ["int32", 1]],
};

const constructors: typeof free = {
  HmacSha1: [["bytes", bytes(20)]],
  Sockets: [["function", () => {}]],
  Readiness: [["function", () => {}]],
  NetlinkSocket: [
    ["list", [1]],
    ["int32", 4096],
    ["function", () => {}],
  ],
  Poller: [
    ["uint32", 3000],
    ["function", () => {}],
  ],
};

const NUMBERS: readonly Kind[] = ["int32", "uint32", "amount"];
const detached = bytes(8);
structuredClone(detached, { transfer: [detached.buffer] });

/** With the kinds that each is right for. */
const values: readonly (readonly [name: string, value: unknown, kinds: readonly Kind[]])[] = [
  ["nothing", undefined, []],
  ["null", null, []],
  ["0", 0, NUMBERS],
  ["-1", -1, ["int32"]],
  ["1.5", 1.5, ["amount"]],
  ["2^32 - 1", 2 ** 32 - 1, ["uint32", "amount"]],
  ["2^32", 2 ** 32, ["amount"]],
  ["2^53", 2 ** 53, []],
  ["NaN", Number.NaN, []],
  ["infinity", Number.POSITIVE_INFINITY, []],
  ["a bigint", 1n, []],
  ["a string", "x", ["text"]],
  ["a symbol", Symbol("x"), []],
  ["true", true, ["boolean"]],
  ["an object", {}, []],
  ["what looks like bytes", { length: 6, byteLength: 6, buffer: new ArrayBuffer(6) }, []],
  ["an empty list", [], ["list"]],
  ["a list's proxy", new Proxy([], { get: () => assert.fail("it was asked") }), []],
  ["a function", () => {}, ["function"]],
  ["bytes", bytes(3), ["bytes"]],
  ["a buffer", Buffer.alloc(3), ["bytes"]],
  ["bytes that are gone", detached, ["bytes"]],
  ["words of 32 bits", new Uint32Array(3), []],
  ["signed bytes", new Int8Array(6), []],
  ["doubles", new Float64Array(2), ["doubles"]],
  ["memory", new ArrayBuffer(8), []],
  ["a view of memory", new DataView(new ArrayBuffer(8)), []],
];

const sockets = new nativeSockets.Sockets(
  () => {},
  () => {},
);
const hmac = new nativeHmac.HmacSha1(bytes(20));
const neighbourSocket = new nativeNeighbourSocket.NeighbourSocket();
const readiness = new nativeUnixSockets.Readiness(() => {});
const netlink = new nativeNetlink.NetlinkSocket([], 4096, () => {});
const poller = new nativePoller.Poller(3000, () => {});
const object = new nativeBpf.BpfObject();
after(() => {
  sockets.shutdown();
  netlink.close();
  poller.close();
  readiness.close();
  neighbourSocket.close();
  object.close();
});

function throwsForWrongTypes(on: object, name: string, right: readonly (readonly [Kind, unknown])[]): void {
  const method: Function = Reflect.get(on, name);
  const isConstructor = name in constructors;
  const call = (given: readonly unknown[]) =>
    isConstructor ? Reflect.construct(method, given) : Reflect.apply(method, on, given);
  for (const [at, [kind]] of right.entries())
    for (const [called, value, kinds] of values) {
      if (kinds.includes(kind)) continue;
      const given = right.map(([, each], n) => (n === at ? value : each));
      const text = `argument ${at + 1}: must be `;
      assert.throws(
        () => call(given),
        (error) => error instanceof TypeError && error.message.startsWith(text),
        `${name}, argument ${at + 1}: ${called}`,
      );
    }
}

test("a form is an object of a number, a key of 20 bytes and a message with room for a counter", () => {
  const right = { vhid: 1, key: bytes(20), message: bytes(8) };
  assert.equal(sockets.setForms("carp0", [right]), true);
  for (const wrong of [
    ...values.filter(([, value]) => !(value instanceof Object)).map(([, value]) => value),
    {},
    { ...right, vhid: "1" },
    { ...right, key: "key" },
    { ...right, key: bytes(19) },
    { ...right, message: bytes(7) },
    { ...right, message: [...bytes(8)] },
  ])
    assert.throws(() => sockets.setForms("carp0", [right, wrong as typeof right]), TypeError);
});

for (const [what, on, methods] of [
  ["the addon's functions", native, free],
  ["its constructors", native, constructors],
  ["packet sockets", sockets, ofSockets],
  ["a key", hmac, ofHmac],
  ["a netlink socket", netlink, ofNetlink],
  ["a socket for neighbours", neighbourSocket, ofNeighbourSocket],
  ["readiness of sockets", readiness, ofReadiness],
  ["a poller", poller, ofPoller],
  ["the data path's programs", object, ofObject],
] as const)
  describe(what, () => {
    for (const [name, right] of Object.entries(methods))
      test(`${name} takes nothing of another type`, () => throwsForWrongTypes(on, name, right));
  });

test("every call of the addon that takes anything is tried here", () => {
  const takesNothing = [
    ...["bpfLayout", "interfaceIndexes", "clockIsSynchronised", "giveBackMemory", "unlimitLockedMemory"],
    ...[
      "openRaw",
      "closeRaw",
      "take",
      "wake",
      "unfold",
      "hold",
      "release",
      "memory",
      "ready",
      "drain",
      "shutdown",
      "port",
      "close",
      "constructor",
      "BpfObject",
      "NeighbourSocket",
      "receive",
      "adopted",
    ],
  ];
  const all = [native, sockets, hmac, netlink, neighbourSocket, readiness, poller, object].flatMap((each) => [
    ...Object.keys(each),
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(each)),
  ]);
  const tried = [
    free,
    constructors,
    ofSockets,
    ofHmac,
    ofNetlink,
    ofNeighbourSocket,
    ofReadiness,
    ofPoller,
    ofObject,
  ].flatMap((each) => Object.keys(each));
  const objects = Object.getOwnPropertyNames(Object.prototype);
  const untried = all.filter((name) => ![...tried, ...takesNothing, ...objects].includes(name));
  assert.deepEqual(untried, []);
});

test("a key and a digest have 20 bytes", () => {
  for (const length of [0, 19, 21]) {
    assert.throws(() => new nativeHmac.HmacSha1(bytes(length)), { message: "key must have 20 bytes" });
    assert.equal(hmac.digest(bytes(40), bytes(length)), false);
  }
});

test("elements of a list are checked", () => {
  const groups = (list: readonly unknown[]) =>
    Reflect.construct(nativeNetlink.NetlinkSocket, [list, 4096, () => {}]);
  assert.throws(() => groups([1, "x"]), { name: "TypeError", message: /^a group: must be / });
  assert.throws(() => groups(new Array(3)), { name: "TypeError", message: /^a group: must be / });
  const former = (list: readonly unknown[]) => Reflect.apply(Reflect.get(object, "load"), object, [list]);
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ["x", /^a program of an earlier engine: must be an array$/],
    [["x", []], /^the id of a program: must be /],
    [[1], /^the maps of a program: must be an array$/],
    [[1, [2]], /^the name of a map: must be /],
  ];
  for (const [element, message] of wrong)
    assert.throws(() => former([element]), { name: "TypeError", message });
  for (const [at, what] of [
    [2, "a group"],
    [3, "a capability"],
    [4, "a path"],
    [5, "a path"],
  ] as const) {
    const given: unknown[] = [0, 0, [], [], [], []];
    given[at] = [{}];
    assert.throws(() => Reflect.apply(Reflect.get(native, "giveUpRoot"), native, given), {
      name: "TypeError",
      message: new RegExp(`^${what}: must be `),
    });
  }
  const throwing = Object.defineProperty([0], 0, {
    get: () => {
      throw new RangeError("a getter's own");
    },
  });
  assert.throws(() => former([throwing]), { name: "RangeError", message: "a getter's own" });
  assert.throws(() => groups(throwing), { name: "RangeError", message: "a getter's own" });
});

test("arrays that are too short and offsets outside a map are refused, and never read or written", () => {
  const two = { name: "TypeError", message: "argument 1: must have two elements" };
  assert.throws(() => nativeProcess.readClocks(new Float64Array(1)), two);
  for (const length of [0, 5, 7]) assert.notEqual(sockets.membership(1, bytes(length), true), 0);
  const outside = { name: "RangeError", message: "outside the shared map" };
  assert.throws(() => object.read(0, 1), outside);
  assert.throws(() => object.write(0, bytes(1)), outside);
  assert.throws(() => object.storeUs(0, 1), outside);
  assert.throws(() => object.storeShort(0, 1), outside);
});

test("a closed object refuses every call", () => {
  const closed = new nativeSockets.Sockets(
    () => {},
    () => {},
  );
  closed.shutdown();
  assert.ok(typeof closed.open(1) === "object" && closed.openRaw() !== undefined);
  assert.notEqual(closed.send(1, bytes(60)), 0);
  assert.equal(closed.drain().frames.length, 0);
  closed.fold(1, bytes(70));
  closed.unfold();
  assert.equal(closed.latest(1, 1), 0);
  closed.ready();
  closed.shutdown();
  const silent = new nativeNetlink.NetlinkSocket([], 4096, () => {});
  silent.close();
  silent.send(bytes(16));
  silent.sendApart(bytes(16));
  silent.close();
});
