/** The states of carp interfaces as ifstated takes them from one engine after the other. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection, ConnectionOptions } from "../../../src/control/client.ts";
import type { HostEvent } from "../../../src/control/messages.ts";
import { CarpLinks } from "../../../src/ifstated/carp-links.ts";
import { eventually } from "../../hosts/eventually.ts";

type Nodes = Readonly<Record<number, "INIT" | "BACKUP" | "MASTER">>;

/** An engine with these interfaces, which comes and goes. */
class Engine {
  interfaces: Readonly<Record<string, Nodes>> | undefined;
  #listener: ConnectionOptions["onEvent"];
  #end = () => {};

  async connect({ onEvent }: ConnectionOptions): Promise<Connection> {
    if (this.interfaces === undefined) throw new Error("the engine is not running");
    this.#listener = onEvent;
    const closed = new Promise<void>((resolve) => {
      this.#end = resolve;
    });
    const call = async (method: string) =>
      method === "monitor"
        ? {}
        : {
            interfaces: Object.entries(this.interfaces ?? {}).map(([name, nodes]) => ({
              name,
              nodes: Object.entries(nodes).map(([vhid, state]) => ({ vhid: Number(vhid), state })),
            })),
          };
    return { call: call as Connection["call"], warnings: [], closed, close: () => this.#end() };
  }

  tell(event: Partial<HostEvent>): void {
    this.#listener?.({ atMs: 0, times: 1, event: event as HostEvent });
  }

  leave(): void {
    this.interfaces = undefined;
    this.#end();
  }
}

async function followed(interfaces?: Engine["interfaces"], goneAfterMs = 60_000) {
  const engine = new Engine();
  engine.interfaces = interfaces;
  const lines: string[] = [];
  const links = new CarpLinks({
    connect: (options) => engine.connect(options),
    changed: () => {},
    log: (text) => lines.push(text),
    goneAfterMs,
  });
  await links.ready;
  return { engine, links, lines };
}

const until = (isSo: () => boolean) => eventually(async () => isSo(), Boolean);

test("up is MASTER of any node, down is BACKUP, unknown is INIT", async () => {
  const { engine, links } = await followed({
    carp0: { 1: "MASTER" },
    carp1: { 1: "BACKUP", 2: "MASTER" },
    carp2: { 1: "BACKUP", 2: "INIT" },
    carp3: { 1: "INIT" },
    carp4: {},
  });
  const states = () => ["carp0", "carp1", "carp2", "carp3", "carp4", "carp5"].map((name) => links.of(name));
  assert.deepEqual(states(), ["up", "up", "down", "unknown", "unknown", undefined]);
  engine.tell({ kind: "transition", interface: "carp0", vhid: 1, to: "BACKUP" });
  engine.tell({ kind: "transition", interface: "carp1", vhid: 2, to: "BACKUP" });
  engine.tell({ kind: "created", interface: "carp5" });
  engine.tell({ kind: "transition", interface: "carp5", vhid: 9, to: "MASTER" });
  engine.tell({ kind: "destroyed", interface: "carp2" });
  assert.deepEqual(states(), ["down", "down", undefined, "unknown", "unknown", "up"]);
  links.close();
});

test("a vhid that an interface no longer has, and events that were left out, are made good", async () => {
  const { engine, links } = await followed({ carp0: { 1: "MASTER" } });
  engine.interfaces = { carp0: { 2: "BACKUP" } };
  engine.tell({ kind: "transition", interface: "carp0", vhid: 1, to: "INIT" });
  await until(() => links.of("carp0") === "down");
  engine.interfaces = { carp0: { 2: "MASTER" } };
  engine.tell({ kind: "left-out", count: 7 });
  await until(() => links.of("carp0") === "up");
  links.close();
});

test("an engine that comes back leaves the states as they are, one that stays away makes them unknown", async () => {
  const { engine, links, lines } = await followed({ carp0: { 1: "MASTER" } }, 1000);
  engine.leave();
  await until(() => lines.includes("the engine is gone"));
  assert.equal(links.of("carp0"), "up");
  engine.interfaces = { carp0: { 1: "BACKUP" } };
  await until(() => lines.includes("the engine is back"));
  assert.equal(links.of("carp0"), "down");
  engine.leave();
  await until(() => links.of("carp0") === "unknown");
  assert.deepEqual(lines, ["the engine is gone", "the engine is back", "the engine is gone"]);
  links.close();
});

test("without an engine the states are unknown, and that is told once", async () => {
  const { engine, links, lines } = await followed();
  assert.equal(links.of("carp0"), "unknown");
  engine.interfaces = { carp0: { 1: "MASTER" } };
  await until(() => links.of("carp0") === "up");
  assert.deepEqual(lines, ["the engine is not running", "the engine is back"]);
  links.close();
});
