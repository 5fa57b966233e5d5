/**
 * A data path on one carpdev of this namespace, engines that come and go, and what a packet for its virtual address
 * meets. Made anew for each test of the file that asks for it.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach } from "node:test";
import { createClock } from "../../../src/kernel/clock.ts";
import { createDataPath } from "../../../src/kernel/data-path.ts";
import type { DataPath, DataPathInterface } from "../../../src/kernel/kernel.ts";
import { native } from "../../../src/kernel/native.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { cable, type End, ip } from "./namespace.ts";
import * as packet from "./packets.ts";
import { Programs } from "./programs.ts";

export const SHARED_MAC = "00:00:5e:00:01:0a";

const LOOPBACK = 1;

/** What this kernel has programs put on devices by: TCX needs Linux 6.6. */
export const HOOK = typeof native.listTcx(LOOPBACK, true) === "number" ? "clsact" : "tcx";
/** For a test of TCX itself. */
export const OF_TCX = { skip: HOOK === "tcx" ? false : "this kernel has no TCX" };

const clock = createClock();

export class Carpdev {
  runDir = "";
  #eth0: End | undefined;
  #open: DataPath[] = [];

  constructor() {
    beforeEach(() => {
      this.runDir = makeDirectory("run");
      [this.#eth0] = cable("eth0", "peer");
      this.#open = [];
    });
    afterEach(() => {
      for (const each of this.#open) each.shutdown();
      ip("link delete eth0");
      removeDirectory(this.runDir);
    });
  }

  get index(): number {
    return this.#eth0?.index ?? 0;
  }

  start(directory = this.runDir, hook?: "tcx" | "clsact"): DataPath {
    const dataPath = createDataPath({
      runDir: directory,
      complain: (text) => assert.fail(text),
      ...(hook && { hook }),
    });
    assert.equal(dataPath.obstacle, undefined);
    this.#open.push(dataPath);
    return dataPath;
  }

  /** As when its process is gone. */
  die(dataPath: DataPath): void {
    dataPath.close();
    this.#forget(dataPath);
  }

  /** As when it is ended in order. */
  stop(dataPath: DataPath): void {
    dataPath.shutdown();
    this.#forget(dataPath);
  }

  #forget(dataPath: DataPath): void {
    this.#open = this.#open.filter((each) => each !== dataPath);
  }

  plain(change: Partial<DataPathInterface> = {}): DataPathInterface {
    return {
      name: "carp0",
      carpdev: this.index,
      carpdevMac: "02:00:00:00:00:01",
      mac: SHARED_MAC,
      realMac: false,
      balancing: "none",
      vhids: [10],
      addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
      ...change,
    };
  }

  /** What becomes of a packet for the virtual address. */
  verdict(mac = SHARED_MAC, directory = this.runDir): number {
    const programs = new Programs(directory);
    const payload = packet.ipv4("10.0.0.9", "10.0.0.1", 17, packet.udp());
    const { verdict } = programs.ingress(
      packet.ethernet(mac, "02:00:00:00:00:09", packet.IPV4, payload),
      this.index,
    );
    programs.close();
    return verdict;
  }

  /** The ids of the programs that TCX asks. */
  byTcx(ingress: boolean): number[] {
    const ids = native.listTcx(this.index, ingress);
    return typeof ids === "number" ? [] : ids;
  }

  filters(direction: "ingress" | "egress"): string {
    return tc(`filter show dev eth0 ${direction}`);
  }

  /** How many of carp's programs are on it: for what comes in and for what goes out. */
  count(hook: "tcx" | "clsact"): [number, number] {
    if (hook === "tcx") return [this.byTcx(true).length, this.byTcx(false).length];
    const ours = (direction: "ingress" | "egress") =>
      this.filters(direction).match(/ carp_\w+:\[\d+\] /g)?.length ?? 0;
    return [ours("ingress"), ours("egress")];
  }

  get hasClsact(): boolean {
    return tc("qdisc show dev eth0").includes("clsact");
  }
}

export const soonUs = () => clock.now().us + 60_000_000;

export function tc(words: string): string {
  return execFileSync("tc", words.split(" "), { encoding: "utf8" });
}
