/**
 * A carpdev with a data path for tests: starts and ends data paths as engines do, and runs packets for the virtual
 * address through the programs. Made anew for each test of a file.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, beforeEach } from "node:test";
import { openDocument } from "../../../src/engine/state/document.ts";
import { createDataPath } from "../../../src/kernel/data-path/data-path.ts";
import { nativeBpf } from "../../../src/kernel/data-path/native-bpf.ts";
import type { DataPath, DataPathInterface } from "../../../src/kernel/kernel.ts";
import { createClock } from "../../../src/kernel/process/clock.ts";
import { makeDirectory, removeDirectory } from "../../hosts/resources.ts";
import { cable, type End, ip } from "./namespace.ts";
import * as packet from "./packets.ts";
import { Programs } from "./programs.ts";

export const SHARED_MAC = "00:00:5e:00:01:0a";

const LOOPBACK = 1;

/** The hook that this kernel offers: TCX needs Linux 6.6. */
export const HOOK = typeof nativeBpf.listTcx(LOOPBACK, true) === "number" ? "clsact" : "tcx";
/** Skips a test of TCX where the kernel has none. */
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

  start(
    directory = this.runDir,
    hook?: "tcx" | "clsact",
    complain: (text: string) => void = (text) => assert.fail(text),
  ): DataPath {
    const dataPath = createDataPath({
      runDir: directory,
      record: openDocument(join(directory, "programs.json")),
      complain,
      ...(hook && { hook }),
    });
    assert.equal(dataPath.obstacle, undefined);
    this.#open.push(dataPath);
    return dataPath;
  }

  /** Ends it as a kill of its process does. */
  die(dataPath: DataPath): void {
    dataPath.close();
    this.#forget(dataPath);
  }

  /** Ends it in order. */
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
      leaves: false,
      balancing: "none",
      vhids: [10],
      addresses: [{ family: 4, address: "10.0.0.1", prefixLength: 24 }],
      ...change,
    };
  }

  /** The verdict on a packet for the virtual address. */
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

  /** The ids of the programs attached by TCX. */
  byTcx(ingress: boolean): number[] {
    const ids = nativeBpf.listTcx(this.index, ingress);
    return typeof ids === "number" ? [] : ids;
  }

  filters(direction: "ingress" | "egress"): string {
    return tc(`filter show dev eth0 ${direction}`);
  }

  /** The number of carp's programs on it: ingress and egress. */
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
