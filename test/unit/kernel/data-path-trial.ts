/**
 * Shared by the data path's tests: one carp interface, frames to and from it, and checks of verdict and frame.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before } from "node:test";
import { openDocument } from "../../../src/engine/state/document.ts";
import { createDataPath } from "../../../src/kernel/data-path/data-path.ts";
import type { DataPath, DataPathInterface } from "../../../src/kernel/kernel.ts";
import { createClock } from "../../../src/kernel/process/clock.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { fold } from "../../oracle/load-sharing.ts";
import { cable, enterNamespace } from "./namespace.ts";
import * as packet from "./packets.ts";
import { DROP, PASS, Programs } from "./programs.ts";

export { DROP, PASS } from "./programs.ts";

const clock = createClock();

export const CLIENT_MAC = "02:00:00:00:00:09";
export const OWN_MAC = "02:00:00:00:00:01";
export const SHARED_MAC = "00:00:5e:00:01:0a";
export const MULTICAST_MAC = "01:00:5e:00:01:0a";
export const REAL_MAC = "02:00:00:00:00:01";
export const CLIENT = "10.0.0.9";
export const VIRTUAL = "10.0.0.1";
export const BROADCAST = "10.0.0.255";
export const CLIENT6 = "2001:db8::9";
export const VIRTUAL6 = "2001:db8::1";
export const OUTSIDE = "198.51.100.7";
export const OUTSIDE6 = "2001:db8:ffff::7";

let runDir: string;
export let dataPath: DataPath;
export let programs: Programs;
export let index: number;

/** First of a test file: it runs in a namespace of its own, with a data path on one end of a cable. */
export function enterWithDataPath(file: string): void {
  enterNamespace(file);
  before(openDataPath);
  after(() => {
    programs.close();
    dataPath.shutdown();
    removeDirectory(runDir);
  });
}

function openDataPath(): void {
  runDir = makeDirectory("run");
  [{ index }] = cable("eth0", "peer");
  const complaints: string[] = [];
  dataPath = createDataPath({
    runDir,
    record: openDocument(join(runDir, "programs.json")),
    complain: (text) => complaints.push(text),
  });
  assert.equal(dataPath.obstacle, undefined);
  assert.deepEqual(complaints, []);
  programs = new Programs(runDir);
}

const addresses = [
  { family: 4, address: VIRTUAL, prefixLength: 24, broadcast: BROADCAST },
  { family: 6, address: VIRTUAL6, prefixLength: 64 },
] as const;

export function plain(change: Partial<DataPathInterface> = {}): DataPathInterface {
  return {
    name: "carp0",
    carpdev: index,
    carpdevMac: OWN_MAC,
    mac: SHARED_MAC,
    realMac: false,
    leaves: false,
    balancing: "none",
    vhids: [10],
    addresses,
    ...change,
  };
}

export function balanced(
  balancing: "ip" | "ip-unicast" | "ip-stealth",
  change: Partial<DataPathInterface> = {},
): DataPathInterface {
  return plain({
    balancing,
    mac: balancing === "ip" ? MULTICAST_MAC : SHARED_MAC,
    vhids: [10, 11, 12],
    ...change,
  });
}

/** Leases a minute long for these nodes, none for the others. */
export function lease(...held: number[]): void {
  for (const vhid of [10, 11, 12]) dataPath.lease("carp0", vhid, held.includes(vhid) ? soonUs() : 0);
}

export function soonUs(): number {
  return clock.now().us + 60_000_000;
}

export function configure(wanted: DataPathInterface): void {
  dataPath.remove("carp0");
  assert.equal(dataPath.configure(wanted), undefined);
}

export const to = (mac: string, type: number, payload: Buffer, tags: number[] = []) =>
  packet.ethernet(mac, CLIENT_MAC, type, payload, tags);
export const from = (mac: string, type: number, payload: Buffer) =>
  packet.ethernet(CLIENT_MAC, mac, type, payload);
export const udp4 = (source: string, destination: string, options: packet.Ipv4Options = {}) =>
  packet.ipv4(source, destination, 17, packet.udp(), options);
export const udp6 = (source: string, destination: string, options: packet.Ipv6Options = {}) =>
  packet.ipv6(source, destination, 17, packet.udp(), options);

export function withDestination(frame: Buffer, mac: string): Buffer {
  return Buffer.concat([packet.hex(mac), frame.subarray(6)]);
}

export function withSource(frame: Buffer, mac: string): Buffer {
  return Buffer.concat([frame.subarray(0, 6), packet.hex(mac), frame.subarray(12)]);
}

/** The frame goes in; it is passed as the second one says, or dropped when there is none. */
export function expectIngress(frame: Buffer, out: Buffer | undefined): void {
  const result = programs.ingress(frame, index);
  assert.equal(result.verdict, out === undefined ? DROP : PASS);
  if (out !== undefined) assert.equal(Buffer.from(result.frame).toString("hex"), out.toString("hex"));
}

export function expectEgress(frame: Buffer, out: Buffer | undefined): void {
  const result = programs.egress(frame, index);
  assert.equal(result.verdict, out === undefined ? DROP : PASS);
  if (out !== undefined) assert.equal(Buffer.from(result.frame).toString("hex"), out.toString("hex"));
}

/** A client whose packets to the virtual address fold to this node. */
export function clientOf(node: number, destination = VIRTUAL): string {
  for (let host = 2; host < 250; host++) {
    const client = `10.0.0.${host}`;
    if (fold(client, destination) % 3 === node) return client;
  }
  throw new Error("no such client");
}

export function clientOf6(node: number, destination = VIRTUAL6): string {
  for (let host = 2; host < 250; host++) {
    const client = `2001:db8::${host.toString(16)}`;
    if (fold(client, destination) % 3 === node) return client;
  }
  throw new Error("no such client");
}
