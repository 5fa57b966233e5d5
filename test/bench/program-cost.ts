/**
 * The cost of one packet in the program on a carpdev's ingress, by the kernel's own test runs: the same packet again and
 * again, so every cache is warm. To be called in a namespace of its own.
 */

import { join } from "node:path";
import { openDocument } from "../../src/engine/state/document.ts";
import { createDataPath } from "../../src/kernel/data-path/data-path.ts";
import type { DataPathInterface } from "../../src/kernel/kernel.ts";
import { createClock } from "../../src/kernel/process/clock.ts";
import { makeDirectory, removeDirectory } from "../hosts/resources.ts";
import { nodeIndex } from "../oracle/load-sharing.ts";
import { cable } from "../unit/kernel/namespace.ts";
import * as packet from "../unit/kernel/packets.ts";
import { DROP, PASS, Programs } from "../unit/kernel/programs.ts";
import { type Samples, samples } from "./samples.ts";

const CLIENT_MAC = "02:00:00:00:00:09";
const OWN_MAC = "02:00:00:00:00:01";
const SHARED_MAC = "00:00:5e:00:01:0a";
const MULTICAST_MAC = "01:00:5e:00:01:0a";
const ADDRESS = "10.0.0.1";
const ADDRESS6 = "2001:db8::1";
const VHIDS = [10, 11];
const HOUR_US = 3600e6;

const REPEATS = 200_000;
const ROUNDS = 7;

interface Case {
  readonly name: string;
  readonly balancing: DataPathInterface["balancing"];
  readonly frame: Buffer;
  readonly verdict: number;
}

const cases: readonly Case[] = [
  { name: "not ours", balancing: "ip-unicast", frame: udp4(OWN_MAC, clientOf(0)), verdict: PASS },
  { name: "accepted, no balancing", balancing: "none", frame: udp4(SHARED_MAC, clientOf(0)), verdict: PASS },
  {
    name: "accepted, ip-unicast",
    balancing: "ip-unicast",
    frame: udp4(SHARED_MAC, clientOf(0)),
    verdict: PASS,
  },
  { name: "accepted, ip", balancing: "ip", frame: udp4(MULTICAST_MAC, clientOf(0)), verdict: PASS },
  { name: "accepted, ip, IPv6", balancing: "ip", frame: udp6(MULTICAST_MAC, clientOf6(0)), verdict: PASS },
  { name: "dropped by hash", balancing: "ip", frame: udp4(MULTICAST_MAC, clientOf(1)), verdict: DROP },
  { name: "dropped by hash, IPv6", balancing: "ip", frame: udp6(MULTICAST_MAC, clientOf6(1)), verdict: DROP },
];

export interface ProgramCost {
  readonly packet: string;
  readonly ns: Samples;
}

/** @throws Error when a packet does not get the verdict it is measured for. */
export function programCosts(): ProgramCost[] {
  const runDir = makeDirectory("run");
  const [{ index }] = cable("eth0", "peer");
  const complain = (text: string) => {
    throw new Error(text);
  };
  const dataPath = createDataPath({ runDir, record: openDocument(join(runDir, "programs.json")), complain });
  if (dataPath.obstacle !== undefined) throw new Error(dataPath.obstacle);
  const programs = new Programs(runDir);
  try {
    const taken = cases.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [n, { name, balancing, frame, verdict }] of cases.entries()) {
        dataPath.remove("carp0");
        const failed = dataPath.configure(shared(index, balancing));
        if (failed !== undefined) throw new Error(failed);
        dataPath.lease("carp0", VHIDS[0] ?? 0, createClock().now().us + HOUR_US);
        const result = programs.ingress(frame, index, REPEATS);
        if (result.verdict !== verdict) throw new Error(`${name}: verdict ${result.verdict}, not ${verdict}`);
        taken[n]?.push(result.ns);
      }
    }
    return cases.map(({ name }, n) => ({ packet: name, ns: samples(taken[n] ?? []) }));
  } finally {
    programs.close();
    dataPath.shutdown();
    removeDirectory(runDir);
  }
}

function shared(carpdev: number, balancing: DataPathInterface["balancing"]): DataPathInterface {
  return {
    name: "carp0",
    carpdev,
    carpdevMac: OWN_MAC,
    mac: balancing === "ip" ? MULTICAST_MAC : SHARED_MAC,
    realMac: false,
    leaves: false,
    balancing,
    vhids: balancing === "none" ? VHIDS.slice(0, 1) : VHIDS,
    addresses: [
      { family: 4, address: ADDRESS, prefixLength: 24, broadcast: "10.0.0.255" },
      { family: 6, address: ADDRESS6, prefixLength: 64 },
    ],
  };
}

function udp4(mac: string, source: string): Buffer {
  return packet.ethernet(mac, CLIENT_MAC, packet.IPV4, packet.ipv4(source, ADDRESS, 17, packet.udp()));
}

function udp6(mac: string, source: string): Buffer {
  return packet.ethernet(mac, CLIENT_MAC, packet.IPV6, packet.ipv6(source, ADDRESS6, 17, packet.udp()));
}

/** A client whose packets fold to this node. */
function clientOf(node: number): string {
  return ["10.0.0.8", "10.0.0.9"].find((each) => nodeIndex(each, ADDRESS, VHIDS.length) === node) ?? "";
}

function clientOf6(node: number): string {
  return (
    ["2001:db8::8", "2001:db8::9"].find((each) => nodeIndex(each, ADDRESS6, VHIDS.length) === node) ?? ""
  );
}
