/**
 * Mutations that the simulator has to report: for each invariant and for each fault that the simulator once
 * found, one export of src replaced by one with that fault. The export's type holds the replacement to what
 * src needs.
 */

import type { Silence } from "../../src/core/election/virtual-host.ts";
import type { Invariant } from "./violation.ts";

export interface Mutation {
  readonly title: string;
  /** Name of the shrunk plan in found/ that shows the mutation. */
  readonly name: string;
  readonly violates: Invariant;
  /** Path below src. */
  readonly module: string;
  /** Name of the export. */
  readonly replaces: string;
  // biome-ignore lint/suspicious/noExplicitAny: `mutation` checks the types of each.
  readonly replace: (original: any, module: any) => unknown;
}

/** The modules of src that mutations replace exports of. */
interface Modules {
  "core/counters/counter-reserve.ts": typeof import("../../src/core/counters/counter-reserve.ts");
  "core/counters/own-counters.ts": typeof import("../../src/core/counters/own-counters.ts");
  "core/counters/counter-window.ts": typeof import("../../src/core/counters/counter-window.ts");
  "core/counters/known-hosts.ts": typeof import("../../src/core/counters/known-hosts.ts");
  "core/demotion.ts": typeof import("../../src/core/demotion.ts");
  "core/election/answers.ts": typeof import("../../src/core/election/answers.ts");
  "core/election/preempt-delay.ts": typeof import("../../src/core/election/preempt-delay.ts");
  "core/election/quick-peers.ts": typeof import("../../src/core/election/quick-peers.ts");
  "core/election/rules.ts": typeof import("../../src/core/election/rules.ts");
  "core/election/timing.ts": typeof import("../../src/core/election/timing.ts");
  "core/election/virtual-host.ts": typeof import("../../src/core/election/virtual-host.ts");
  "core/failures.ts": typeof import("../../src/core/failures.ts");
  "core/interface/appearance.ts": typeof import("../../src/core/interface/appearance.ts");
  "core/interface/carp-interface.ts": typeof import("../../src/core/interface/carp-interface.ts");
  "core/interface/link-local-digests.ts": typeof import("../../src/core/interface/link-local-digests.ts");
  "core/interface/reconfigure.ts": typeof import("../../src/core/interface/reconfigure.ts");
  "core/receiver.ts": typeof import("../../src/core/receiver.ts");
  "engine/performer.ts": typeof import("../../src/engine/performer.ts");
  "engine/queue.ts": typeof import("../../src/engine/queue.ts");
  "engine/state/counter-floor.ts": typeof import("../../src/engine/state/counter-floor.ts");
  "protocol/frame.ts": typeof import("../../src/protocol/frame.ts");
}

function mutation<M extends keyof Modules, E extends keyof Modules[M] & string>(
  name: string,
  title: string,
  violates: Invariant,
  module: M,
  replaces: E,
  replace: (original: Modules[M][E], module: Modules[M]) => Modules[M][E],
): Mutation {
  return { title, name, violates, module, replaces, replace };
}

const WINDOW = 10_000_000n;

export const MUTATIONS: readonly Mutation[] = [
  mutation(
    "nobody-takes-over",
    "no BACKUP takes over from a master that is silent",
    "one master",
    "core/election/timing.ts",
    "masterDownUs",
    () => () => Number.MAX_SAFE_INTEGER / 2,
  ),
  mutation(
    "nobody-gives-way",
    "no MASTER gives way to one that advertises more often",
    "cause",
    "core/election/rules.ts",
    "decideAsMaster",
    (decide) => (own, other) => {
      const decision = decide(own, other);
      return decision === "other-more-frequent" ? "answer" : decision;
    },
  ),
  mutation(
    "impatient-backup",
    "a BACKUP takes over after two intervals",
    "cause",
    "core/election/timing.ts",
    "masterDownUs",
    () => (intervalUs) => 2 * intervalUs,
  ),
  mutation(
    "quick-peer-unheeded",
    "a peer that advertises more often does not shorten the lease",
    "bounded lease",
    "core/election/quick-peers.ts",
    "QuickPeers",
    (QuickPeers) =>
      class extends QuickPeers {
        override shortestUs() {
          return undefined;
        }
      },
  ),
  mutation(
    "long-lease",
    "a lease lasts twice as long",
    "bounded lease",
    "core/election/timing.ts",
    "leaseUs",
    (leaseUs) =>
      (...settings) =>
        2 * leaseUs(...settings),
  ),
  mutation(
    "unsent",
    "a lease stays although its advertisement did not leave",
    "bounded lease",
    "core/election/virtual-host.ts",
    "VirtualHost",
    (VirtualHost) =>
      class extends VirtualHost {
        override advertisementFailed() {}
      },
  ),
  mutation(
    "kept-lease",
    "a MASTER that gives way keeps its lease",
    "bounded lease",
    "core/interface/carp-interface.ts",
    "CarpInterface",
    (CarpInterface) =>
      class extends CarpInterface {
        override emit(effect: Parameters<InstanceType<typeof CarpInterface>["emit"]>[0]) {
          if (effect.kind !== "lease" || effect.untilUs > 0) super.emit(effect);
        }
      },
  ),
  mutation(
    "unsorted-nodes",
    "each host keeps its nodes in the order in which they were given",
    "one accepts",
    "core/interface/reconfigure.ts",
    "applyChange",
    (applyChange) => (present, change, surroundings, before) => {
      const after = applyChange(present, change, surroundings, before);
      return "error" in after || change.carpnodes === undefined
        ? after
        : { ...after, nodes: change.carpnodes };
    },
  ),
  mutation(
    "preempting",
    "a BACKUP preempts although preempt is off",
    "cause",
    "core/election/rules.ts",
    "decideAsBackup",
    (decide) => (own, other) => decide({ ...own, preempt: true }, other),
  ),
  mutation(
    "no-patience",
    "a host whose demotion has ended preempts before its preemptdelay is over",
    "cause",
    "core/election/preempt-delay.ts",
    "PreemptDelay",
    (PreemptDelay) =>
      class extends PreemptDelay {
        override demoted() {}
      },
  ),
  mutation(
    "any-digest",
    "every digest is accepted",
    "no effect",
    "core/interface/appearance.ts",
    "Appearance",
    (Appearance) =>
      class extends Appearance {
        override verify() {
          return { linkLocals: "none", secret: { pass: "", addresses: [] } } as const;
        }
      },
  ),
  mutation(
    "any-length",
    "a frame that is too short makes the engine fail",
    "no effect",
    "protocol/frame.ts",
    "parseCarpFrame",
    (parse) => (frame) => {
      if (frame.length < 14) throw new RangeError("out of bounds");
      return parse(frame);
    },
  ),
  mutation(
    "few-answers",
    "a MASTER answers only one other master in an interval",
    "no two leases",
    "core/election/answers.ts",
    "Answers",
    (Answers) =>
      class extends Answers {
        #answeredUs = Number.NEGATIVE_INFINITY;
        override to(...[other, intervalUs, nowUs]: Parameters<InstanceType<typeof Answers>["to"]>) {
          if (nowUs - this.#answeredUs < intervalUs) return { kind: "none" } as const;
          this.#answeredUs = nowUs;
          return super.to(other, intervalUs, nowUs);
        }
      },
  ),
  mutation(
    "counters-forgotten",
    "saved counters leave out what is ahead of the clock",
    "counters grow",
    "engine/state/counter-floor.ts",
    "countersNow",
    (countersNow) => (_, now) => countersNow(0n, now),
  ),
  mutation(
    "lease-in-init",
    "an interface that cannot run keeps the lease of the earlier engine",
    "bounded lease",
    "core/interface/carp-interface.ts",
    "CarpInterface",
    (CarpInterface) =>
      class extends CarpInterface {
        override emit(effect: Parameters<InstanceType<typeof CarpInterface>["emit"]>[0]) {
          const isTaken = effect.kind === "lease" && effect.untilUs === 0;
          if (!isTaken || this.isRunning) super.emit(effect);
        }
      },
  ),
  mutation(
    "untold-settings",
    "an advertisement renews the lease by settings that it does not hold",
    "bounded lease",
    "core/election/timing.ts",
    "renewedLeaseUs",
    () => (presentUs) => presentUs,
  ),
  mutation(
    "deaf-to-demotion",
    "a BACKUP does not take over from a demoted master",
    "cause",
    "core/election/rules.ts",
    "decideAsBackup",
    (decide) => (own, other) => {
      const decision = decide(own, other);
      return decision === "master-demoted" ? "wait" : decision;
    },
  ),
  mutation(
    "too-slow",
    "demotion raises advskew above 240",
    "cause",
    "core/demotion.ts",
    "Demotion",
    (Demotion) =>
      class extends Demotion {
        override effective(advskew: number, groups: readonly string[]) {
          const effective = super.effective(advskew, groups);
          const raised = Math.min(254, Math.max(0, advskew + this.global));
          return this.global === 0 ? effective : { ...effective, advskew: raised };
        }
      },
  ),
  mutation(
    "demoted-master",
    "a demoted MASTER does not give way to one that is less demoted",
    "cause",
    "core/election/rules.ts",
    "decideAsMaster",
    (decide) => (own, other) => {
      const decision = decide(own, other);
      return decision === "other-less-demoted" ? "answer" : decision;
    },
  ),
  mutation(
    "higher-stays",
    "of two equal masters the higher address stays",
    "cause",
    "core/election/rules.ts",
    "staysAfterTie",
    (stays) => (own, other) => !stays(own, other),
  ),
  mutation(
    "tie-with-ucarp",
    "in a tie with ucarp the higher address stays",
    "cause",
    "core/election/rules.ts",
    "staysAfterTie",
    (stays) => (own, other) => !stays(own, other),
  ),
  mutation(
    "replayed",
    "strict_replay forgets the counters that it has heard",
    "no effect",
    "core/counters/counter-window.ts",
    "CounterWindow",
    (CounterWindow) =>
      class extends CounterWindow {
        #greatest = 0n;
        override judge(...[heard, reader]: Parameters<InstanceType<typeof CounterWindow>["judge"]>) {
          const { counter } = heard;
          if (!reader.defence.strict) return super.judge(heard, reader);
          if (counter + WINDOW <= this.#greatest) return { refusal: "old" };
          if (counter > this.#greatest) this.#greatest = counter;
          return { followUs: counter };
        }
      },
  ),
  mutation(
    "disguised",
    "strict_replay remembers counters by source address",
    "no effect",
    "core/counters/counter-window.ts",
    "CounterWindow",
    (CounterWindow) =>
      class extends CounterWindow {
        readonly #windows = new Map<string, InstanceType<typeof CounterWindow>>();
        override judge(...[heard, reader]: Parameters<InstanceType<typeof CounterWindow>["judge"]>) {
          if (!reader.defence.strict) return super.judge(heard, reader);
          const window = this.#windows.get(heard.source) ?? new CounterWindow(undefined, 0n, () => {});
          this.#windows.set(heard.source, window);
          return window.judge(heard, reader);
        }
      },
  ),
  mutation(
    "long-ago",
    "strict_replay accepts counters that are far behind",
    "no effect",
    "core/counters/counter-window.ts",
    "CounterWindow",
    (CounterWindow) =>
      class extends CounterWindow {
        readonly #heard = new Set<string>();
        override judge(...[heard, reader]: Parameters<InstanceType<typeof CounterWindow>["judge"]>) {
          if (!reader.defence.strict) return super.judge(heard, reader);
          const key = `${heard.counter} ${heard.family}`;
          if (this.#heard.has(key)) return { refusal: "heard" };
          this.#heard.add(key);
          return { followUs: heard.counter };
        }
      },
  ),
  mutation(
    "recorded",
    "what a host of ours said long ago is believed",
    "no effect",
    "core/counters/counter-window.ts",
    "CounterWindow",
    (CounterWindow) =>
      class extends CounterWindow {
        override judge(...[heard, reader]: Parameters<InstanceType<typeof CounterWindow>["judge"]>) {
          const verdict = super.judge(heard, reader);
          return "refusal" in verdict && !reader.defence.strict ? {} : verdict;
        }
      },
  ),
  mutation(
    "changed-header",
    "with signed_header a changed advertisement is believed",
    "no effect",
    "core/counters/counter-window.ts",
    "CounterWindow",
    (CounterWindow) =>
      class extends CounterWindow {
        override judge(...[heard, reader]: Parameters<InstanceType<typeof CounterWindow>["judge"]>) {
          return super.judge(heard, { ...reader, defence: { ...reader.defence, signed: false } });
        }
      },
  ),
  mutation(
    "recorded-before-start",
    "an engine that starts knows nothing of what was said before",
    "no effect",
    "core/counters/counter-window.ts",
    "CounterWindow",
    (CounterWindow) =>
      class extends CounterWindow {
        constructor(...[, , changed]: ConstructorParameters<typeof CounterWindow>) {
          super(undefined, 0n, changed);
        }
      },
  ),
  mutation(
    "nobody-known",
    "no host is known to be one of ours, however often it was heard",
    "no effect",
    "core/counters/known-hosts.ts",
    "KnownHosts",
    (KnownHosts) =>
      class extends KnownHosts {
        override learn() {
          return false;
        }
      },
  ),
  mutation(
    "all-ours",
    "every counter that could be a time of day is taken for one of ours",
    "cause",
    "core/counters/known-hosts.ts",
    "KnownHosts",
    (KnownHosts) =>
      class extends KnownHosts {
        override has() {
          return true;
        }
      },
  ),
  mutation(
    "not-followed",
    "with strict_replay a host's counters do not follow its peers'",
    "no two leases",
    "core/counters/own-counters.ts",
    "OwnCounters",
    (OwnCounters) =>
      class extends OwnCounters {
        override follow() {}
      },
  ),
  mutation(
    "own-voice",
    "a host does not recognise its own advertisements when they come back",
    "no effect",
    "core/counters/own-counters.ts",
    "OwnCounters",
    (OwnCounters) =>
      class extends OwnCounters {
        override has() {
          return false;
        }
      },
  ),
  mutation(
    "counters-unsaved",
    "counters that jump ahead are not saved",
    "counters grow",
    "core/counters/counter-reserve.ts",
    "CounterReserve",
    (CounterReserve) =>
      class extends CounterReserve {
        override take() {
          return false;
        }
      },
  ),
  mutation(
    "not-retried",
    "a part that could not be put in place is not tried again",
    "serves",
    "core/failures.ts",
    "Failures",
    (Failures) =>
      class extends Failures {
        override retry() {
          return [];
        }
      },
  ),
  mutation(
    "not-in-place",
    "an interface runs without the parts that it needs",
    "serves",
    "core/failures.ts",
    "Failures",
    (Failures) =>
      class extends Failures {
        override of() {
          return { problems: [], harm: "none" as const };
        }
      },
  ),
  mutation(
    "one-digest",
    "a host signs as OpenBSD does, whatever its peers understand",
    "one master",
    "core/interface/link-local-digests.ts",
    "LinkLocalDigests",
    (LinkLocalDigests) =>
      class extends LinkLocalDigests {
        override heard() {
          return { texts: [], formChanged: false };
        }
      },
  ),
  mutation(
    "re-entered",
    "an outcome is handled while other effects are being performed",
    "counters grow",
    "engine/queue.ts",
    "EventQueue",
    (EventQueue) =>
      class<E extends object> extends EventQueue<E> {
        readonly #handled: (event: E) => void;
        constructor(handle: (event: E) => void) {
          super(handle);
          this.#handled = handle;
        }
        override push(event: E) {
          this.#handled(event);
        }
        override run(work: () => void) {
          work();
        }
      },
  ),
  mutation(
    "one-of-several",
    "of advertisements of a virtual host that are told together, only the first is heard",
    "cause",
    "core/receiver.ts",
    "Receiver",
    (Receiver) =>
      class extends Receiver {
        override repeated(...[all, now]: Parameters<InstanceType<typeof Receiver>["repeated"]>) {
          const of = ({ carpdev, vhid }: (typeof all)[number]) => `${carpdev} ${vhid}`;
          const seen = new Set<string>();
          super.repeated(
            all.filter((each) => !seen.has(of(each)) && seen.add(of(each))),
            now,
          );
        }
      },
  ),
  mutation(
    "folds-all",
    "a host has advertisements wait that it would act on",
    "cause",
    "core/election/virtual-host.ts",
    "VirtualHost",
    (VirtualHost) =>
      class extends VirtualHost {
        override silenceAfter(): Silence {
          return { timer: { kind: "master-down", interface: "carp0", vhid: this.vhid }, waitUs: 3_000_000 };
        }
      },
  ),
  mutation(
    "not-called-back",
    "advertisements that were made ahead leave whatever happens",
    "bounded lease",
    "engine/performer.ts",
    "Performer",
    (Performer) =>
      class extends Performer {
        override perform(...[effects]: Parameters<InstanceType<typeof Performer>["perform"]>) {
          super.perform(effects.filter(({ kind }) => kind !== "recall"));
        }
      },
  ),
];
