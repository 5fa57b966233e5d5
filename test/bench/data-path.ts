/**
 * The data path: nanoseconds a packet in its program, and UDP packets a second that reach a program on one of two
 * balanced hosts, against no data path and against xt_cluster. Word: the number of rounds, each with new hosts
 * (default `16x`).
 */

import { join } from "node:path";
import { execa } from "execa";
import { type Deciding, deciding } from "./balanced-host.ts";
import type { Measured } from "./data-path-turns.ts";
import type { Line } from "./line.ts";
import { type Samples, withSpread } from "./samples.ts";

const TURNS = join(import.meta.dirname, "data-path-turns.ts");
const AIMS: Readonly<Record<string, number>> = { "ip-unicast none": 0.97, "ip cluster": 1.1 };

export default async function dataPath(words: readonly string[]): Promise<Line[]> {
  const rounds = words.find((word) => /^\d+x$/.test(word))?.slice(0, -1) ?? "16";
  const { stdout } = await execa(process.execPath, [TURNS, rounds], { stderr: "inherit" });
  const { programs, udp, comparisons }: Measured = JSON.parse(stdout);
  const nsOf = (by: Deciding) => udp.find((each) => each.by === by)?.ns as Samples;
  return [
    ...programs.map(({ packet, ns }) => ({
      what: `data path, a packet ${packet}`,
      ours: `${withSpread(ns)} ns`,
      beside: "",
      aim: "",
      isMet: true,
      values: { medianNs: ns.median },
    })),
    ...comparisons.map(({ of, against, ratio, ratioOfReceiving }) => {
      const aim = AIMS[`${of} ${against}`];
      return {
        what: `packets a second, ${deciding[of]} : ${deciding[against]}`,
        ours: `${withSpread(ratio, 3)}; without sending ${ratioOfReceiving.median.toFixed(3)}`,
        beside: `${withSpread(nsOf(of))} : ${withSpread(nsOf(against))} ns a packet`,
        aim: aim === undefined ? "" : `at least ${aim}`,
        isMet: ratio.median >= (aim ?? 0),
        values: { ratio: ratio.median, ofReceiving: ratioOfReceiving.median },
      };
    }),
  ];
}
