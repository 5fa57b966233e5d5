/**
 * What the simulator has to notice: the core with one thing wrong, for each invariant, and without what was mended
 * because the simulator had found it. As text to replace, and what has to be violated then.
 */

import type { Invariant } from "./violation.ts";

export interface Mutation {
  readonly title: string;
  /** The run that shows it, in found/: what was left of a seed's plan. */
  readonly plan: string;
  readonly file: string;
  /** There exactly once. */
  readonly text: string;
  readonly by: string;
  readonly violates: Invariant;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    title: "nobody takes over from a master that is silent",
    plan: "nobody-takes-over",
    file: "core/virtual-host.ts",
    text: 'else this.#takeOver("the master is silent", now);',
    by: "else this.#waitForMaster(now.us);",
    violates: "one master",
  },
  {
    title: "nobody gives way to a master that advertises more often",
    plan: "nobody-gives-way",
    file: "core/virtual-host.ts",
    text: "else if (his.intervalUs < ownIntervalUs)",
    by: "else if (his.intervalUs < 0)",
    violates: "cause",
  },
  {
    title: "a BACKUP waits for two intervals only",
    plan: "impatient-backup",
    file: "core/timing.ts",
    text: "return 3 * ownIntervalUs;",
    by: "return 2 * ownIntervalUs;",
    violates: "cause",
  },
  {
    title: "a lease lasts twice as long",
    plan: "long-lease",
    file: "core/timing.ts",
    text: "return Math.max(least, peers);",
    by: "return 2 * Math.max(least, peers);",
    violates: "bounded lease",
  },
  {
    title: "a lease stays although its advertisement did not leave",
    plan: "unsent",
    file: "core/virtual-host.ts",
    text: 'if (this.#state !== "MASTER" || this.#hasAdvertised) return;',
    by: "return;",
    violates: "bounded lease",
  },
  {
    title: "a MASTER that gives way keeps its lease",
    plan: "kept-lease",
    file: "core/virtual-host.ts",
    text: 'if (from === "MASTER") this.#owner.emit({',
    by: 'if (to === "INIT") this.#owner.emit({',
    violates: "bounded lease",
  },
  {
    title: "every host has its nodes in the order they were typed in",
    plan: "unsorted-nodes",
    file: "core/reconfigure.ts",
    text: "[...change.carpnodes].sort((a, b) => a.vhid - b.vhid)",
    by: "[...change.carpnodes]",
    violates: "one accepts",
  },
  {
    title: "a BACKUP preempts although it is told not to",
    plan: "preempting",
    file: "core/virtual-host.ts",
    text: "if (preempt && this.#intervalUs < his.intervalUs",
    by: "if (this.#intervalUs < his.intervalUs",
    violates: "cause",
  },
  {
    title: "every digest is right",
    plan: "any-digest",
    file: "core/input.ts",
    text: "if (!carpInterface.verify(parsed.advertisement))",
    by: "if (false)",
    violates: "no effect",
  },
  {
    title: "a frame's length is not looked at",
    plan: "any-length",
    file: "protocol/frame.ts",
    text: 'if (frame.length < ETHERNET_HEADER_BYTES) return { reason: "truncated" };',
    by: "",
    violates: "no effect",
  },
  {
    title: "a MASTER answers one other master an interval",
    plan: "few-answers",
    file: "core/virtual-host.ts",
    text: "const MAX_ANSWERS_IN_AN_INTERVAL = 8;",
    by: "const MAX_ANSWERS_IN_AN_INTERVAL = 1;",
    violates: "no two leases",
  },
  {
    title: "counters ahead of the clock are forgotten by a stop in order",
    plan: "counters-forgotten",
    file: "engine/counter-floor.ts",
    text: "return floor > BigInt(Math.trunc(now.epochUs));",
    by: "return false;",
    violates: "counters grow",
  },
  {
    title: "counters that are saved do not go on",
    plan: "counters-standing",
    file: "engine/counter-floor.ts",
    text: "counters.upTo + BigInt(Math.ceil(now.us - counters.atUs))",
    by: "counters.upTo",
    violates: "counters grow",
  },
  {
    title: "an engine that cannot run leaves the lease of the one before it",
    plan: "lease-in-init",
    file: "core/carp-interface.ts",
    text: "if (leaseUntilUs(vhid) > now.us) this.emit(",
    by: "if (leaseUntilUs(vhid) < 0) this.emit(",
    violates: "bounded lease",
  },
  {
    title: "an advertisement renews the lease by settings it does not tell of",
    plan: "untold-settings",
    file: "core/virtual-host.ts",
    text: "Math.min(this.#leaseUs, this.#promisedUs)",
    by: "this.#leaseUs",
    violates: "bounded lease",
  },
  {
    title: "a BACKUP does not mind that the master is demoted",
    plan: "deaf-to-demotion",
    file: "core/virtual-host.ts",
    text: 'else if (his.demote > demote) this.#takeOver("the master is demoted", now);',
    by: "",
    violates: "cause",
  },
  {
    title: "demotion raises advskew beyond what others know",
    plan: "too-slow",
    file: "core/demotion.ts",
    text: "const MAX_DEMOTED_ADVSKEW = 240;",
    by: "const MAX_DEMOTED_ADVSKEW = 254;",
    violates: "cause",
  },
  {
    title: "a demoted MASTER does not mind that another one is less so",
    plan: "demoted-master",
    file: "core/virtual-host.ts",
    text: 'if (his.demote < demote) this.#yield("a master is less demoted", his.receivedUs, now);',
    by: "if (false) return;",
    violates: "cause",
  },
  {
    title: "of two equal masters the higher address stays",
    plan: "higher-stays",
    file: "core/virtual-host.ts",
    text: ": order < 0;",
    by: ": order > 0;",
    violates: "cause",
  },
  {
    title: "of a tie with ucarp both make themselves the winner",
    plan: "tie-with-ucarp",
    file: "core/virtual-host.ts",
    text: ": order < 0;",
    by: ": order > 0;",
    violates: "cause",
  },
  {
    title: "strict_replay forgets what it has heard",
    plan: "replayed",
    file: "core/replay.ts",
    text: "if (known.hasTwin || !isTwin(heard, known.first)) return true;",
    by: "",
    violates: "no effect",
  },
  {
    title: "strict_replay knows what it has heard by the address it came from",
    plan: "disguised",
    file: "core/replay.ts",
    text: "const known = this.#heard.get(counter);",
    by: "const heardBefore = this.#heard.get(counter); const known = heardBefore?.first.source === heard.source ? heardBefore : undefined;",
    violates: "no effect",
  },
  {
    title: "strict_replay takes what is old for new",
    plan: "long-ago",
    file: "core/replay.ts",
    text: "if (counter <= this.#floor || counter + WINDOW <= greatest) return true;",
    by: "",
    violates: "no effect",
  },
  {
    title: "with strict_replay counters do not follow each other",
    plan: "not-followed",
    file: "core/carp-interface.ts",
    text: "own?.follow(heard.counter, heard.receivedUs);",
    by: "",
    violates: "no two leases",
  },
  {
    title: "a host does not know its own advertisements when they come back",
    plan: "own-voice",
    file: "core/input.ts",
    text: "if (node.isOwn(counter))",
    by: "if (false)",
    violates: "no effect",
  },
  {
    title: "counters that jump are not saved",
    plan: "counters-unsaved",
    file: "core/host.ts",
    text: "if (this.#counted > 0n && this.#reserve.take(this.#counted, now))",
    by: "if (false)",
    violates: "counters grow",
  },
  {
    title: "a master whose counters are behind is not answered",
    plan: "counters-behind",
    file: "core/virtual-host.ts",
    text: "if (own === undefined || own === heard.source || comparePrecedence(own, heard.source) === 0) return;",
    by: "if (true) return;",
    violates: "no two leases",
  },
];
