/**
 * The loop over a kernel that reports at once in every call, with each of its calls failing once: nothing
 * re-enters the core or the performer, and effects reach the kernel in the order in which the core asked for
 * them.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Command } from "../../../src/core/command.ts";
import type { Effect } from "../../../src/core/effect.ts";
import type { Event } from "../../../src/core/event.ts";
import { Host } from "../../../src/core/host.ts";
import type { InterfaceChange } from "../../../src/core/interface/configuration.ts";
import type { Instant, Link } from "../../../src/core/model.ts";
import { Loop } from "../../../src/engine/loop.ts";
import type { Adapters } from "../../../src/engine/performer.ts";
import type { AheadEnded } from "../../../src/kernel/kernel.ts";
import { advertisement } from "../core/peer.ts";

const ETH0: Link = {
  name: "eth0",
  index: 2,
  mac: "02:00:00:00:00:10",
  mtu: 1500,
  up: true,
  carrier: true,
  addresses: [{ family: 4, address: "10.0.0.2", prefixLength: 24 }],
};

const ADDRESS = { family: 4, address: "10.0.0.1", prefixLength: 24, alias: true } as const;
const PLAIN: InterfaceChange = { carpdev: "eth0", vhid: 1, addAddresses: [ADDRESS] };
const BALANCED: InterfaceChange = {
  carpdev: "eth0",
  carpnodes: [
    { vhid: 1, advskew: 0 },
    { vhid: 2, advskew: 100 },
  ],
  balancing: "ip",
  addAddresses: [ADDRESS],
};

/** The kernel call that an effect needs, as one word; undefined: it needs none. */
function asked(effect: Effect): string | undefined {
  switch (effect.kind) {
    case "device":
    case "filter":
    case "listen":
    case "ignore":
    case "expect-digests":
    case "save":
    case "transition":
    case "announce":
      return effect.kind;
    case "advertise":
      return `advertise ${effect.vhid}`;
    case "lease":
      return `lease ${effect.vhid} ${effect.untilUs === 0 ? "taken" : "given"}`;
    default:
      return undefined;
  }
}

const SECOND = 1e6;

class Station {
  readonly host = new Host({ balancing: true, sendsAhead: true });
  /** Number of kernel calls so far that could have failed. */
  calls = 0;
  /** The calls that the core asked for, and the calls that reached the kernel, in order. */
  readonly asked: string[] = [];
  readonly done: string[] = [];
  readonly events: string[] = [];
  readonly loop: Loop;
  #nowUs = 1e9;
  #inCore = false;
  #alarms: { readonly atUs: number; readonly ring: () => void }[] = [];
  reports = true;
  /** What happens to what is sent ahead, in order. */
  readonly ahead: string[] = [];
  /** Whether the wire and the data path take it. */
  takesAhead = { wire: true, dataPath: true };
  #ended: AheadEnded[] = [];
  /** What arrives in the socket, and is read when a timer asks for it. */
  readonly arrived: Uint8Array[] = [];
  /** The counters of the advertisements that were sent or refused, by vhid, in order. */
  readonly counters = new Map<number, bigint[]>();
  readonly #failing: number;
  readonly #slowDeviceUs: number;

  /**
   * @param failing number of the call that fails; the first is 1
   * @param slowDeviceUs how long the kernel takes for a device; its failure is reported at the end
   */
  constructor(failing: number, slowDeviceUs = 0) {
    this.#failing = failing;
    this.#slowDeviceUs = slowDeviceUs;
    this.loop = new Loop({ handle: (event, now) => this.#handle(event, now) }, this.#adapters(), {
      set: (atUs, ring) => {
        const alarm = { atUs, ring };
        this.#alarms.push(alarm);
        return () => {
          this.#alarms = this.#alarms.filter((each) => each !== alarm);
        };
      },
    });
  }

  command(command: Command): void {
    this.loop.run((now) =>
      this.#core(() => {
        const outcome = this.host.command(command, now);
        assert.ok("effects" in outcome);
        return outcome.effects;
      }),
    );
  }

  hear(bytes: Uint8Array): void {
    this.loop.handle({ kind: "frame", carpdev: "eth0", bytes, receivedUs: this.#nowUs });
  }

  run(forUs: number): void {
    const untilUs = this.#nowUs + forUs;
    for (;;) {
      const [next] = this.#alarms.sort((a, b) => a.atUs - b.atUs);
      if (next === undefined || next.atUs > untilUs) break;
      this.#alarms.shift();
      this.#nowUs = Math.max(this.#nowUs, next.atUs);
      next.ring();
    }
    this.#nowUs = untilUs;
  }

  /** The one of this time does not leave. */
  end(atUs: number): void {
    this.#ended.push({ kind: "ahead-ended", interface: "carp0", vhid: 1, atUs, inPart: false });
  }

  get us(): number {
    return this.#nowUs;
  }

  #handle(event: Event, now: Instant): readonly Effect[] {
    this.ahead.push(event.kind);
    this.events.push(event.kind);
    return this.#core(() => this.host.handle(event, now));
  }

  /** The effects before must have reached the kernel whole by the time the core is asked again. */
  #core(work: () => readonly Effect[]): readonly Effect[] {
    assert.equal(this.#inCore, false, "the core was entered twice");
    if (this.#slowDeviceUs === 0)
      assert.deepEqual(this.done, this.asked, "the core was asked while effects were being performed");
    this.#inCore = true;
    const effects = work();
    this.#inCore = false;
    this.asked.push(...effects.flatMap((effect) => asked(effect) ?? []));
    return effects;
  }

  #fails(): boolean {
    return ++this.calls === this.#failing;
  }

  #noteCounter(frame: Buffer): void {
    const [vhid = 0, counter] = [frame.at(-35), frame.readBigUInt64BE(frame.length - 28)];
    this.counters.set(vhid, [...(this.counters.get(vhid) ?? []), counter]);
  }

  #report(event: Event): void {
    this.loop.handle(event);
  }

  #adapters(): Adapters {
    const note = (what: string) => {
      this.done.push(what);
      if (!this.reports) return;
      // Every kernel call reports further events before it returns.
      this.#report({ kind: "forwarding", ipv6: true });
      this.#report({ kind: "link", link: { ...ETH0, mtu: 1500 - (this.done.length % 2) } });
    };
    return {
      clock: { now: () => ({ us: this.#nowUs, epochUs: this.#nowUs + 1.7e15 }) },
      log: () => {},
      explain: () => {},
      tell: (news) => void (news.kind === "transition" && note("transition")),
      save: () => {
        note("save");
        const errors = this.#fails() ? ["ENOSPC"] : [];
        this.#report({ kind: "performed", part: { kind: "saved-state" }, errors });
      },
      wire: {
        open: () => {
          note("listen");
          return this.#fails() ? "EMFILE" : undefined;
        },
        close: () => note("ignore"),
        join: () => (this.#fails() ? "ENOBUFS" : undefined),
        leave: () => {},
        mtuChanged: () => {},
        expectDigests: () => note("expect-digests"),
        unreached: () => undefined,
        send: (_, transmission) => {
          const bytes = "frame" in transmission ? transmission.frame : transmission.payload;
          const isAnnouncement = bytes.length === 42;
          note(isAnnouncement ? "announce" : `advertise ${bytes[bytes.length - 35]}`);
          if (!isAnnouncement) this.#noteCounter(Buffer.from(bytes));
          return this.#fails() ? "ENOBUFS" : undefined;
        },
        neighbours: () => [],
        resolved: () => {},
        fold: () => {},
        unfold: () => {},
        latest: () => undefined,
        sendAhead: (_, advertisements) => {
          if (!this.takesAhead.wire) return false;
          this.ahead.push(`${advertisements.length} ahead`);
          return true;
        },
        recall: () => void this.ahead.push("recall"),
        hold: () => void this.ahead.push("hold"),
        sendDue: (us) => {
          assert.equal(us, this.#nowUs);
          this.ahead.push("due");
          return this.#ended.splice(0);
        },
        release: () => void this.ahead.push("release"),
        drain: () => {
          for (const bytes of this.arrived.splice(0)) this.hear(bytes);
        },
        shutdown: () => {},
      },
      links: {
        start: async () => {},
        apply: (name, _, done) => {
          note("device");
          this.#report({ kind: "device", interface: name, index: 7 });
          const errors = this.#fails() ? ["no device can be made on eth0 (EBUSY)"] : [];
          const finish = () => {
            this.#report({ kind: "performed", part: { kind: "device", interface: name }, errors });
            done();
          };
          if (this.#slowDeviceUs === 0) finish();
          else this.#alarms.push({ atUs: this.#nowUs + this.#slowDeviceUs, ring: finish });
        },
        prepareCarpdev: () => {},
        restoreCarpdev: () => {},
        removeLeftovers: async () => {},
        carriers: () => () => [],
        caughtUp: async () => {},
        resolve: () => {},
        close: () => {},
      },
      dataPath: {
        obstacle: undefined,
        configure: () => {
          note("filter");
          return this.#fails() ? "the data path holds no more carp interfaces" : undefined;
        },
        remove: () => note("filter"),
        lease: (_, vhid, untilUs) => note(`lease ${vhid} ${untilUs === 0 ? "taken" : "given"}`),
        leaseMemory: () => (this.takesAhead.dataPath ? [] : undefined),
        leaseUntilUs: () => 0,
        counts: () => undefined,
        watch: () => {},
        repair: async () => [],
        overruled: () => ({ before: [], xdp: 0 }),
        removeLeftovers: () => {},
        close: () => {},
        shutdown: () => {},
      },
    };
  }
}

/** Runs a host through its states: configured, MASTER, demoted, contested, changed, taken down. */
function live(configured: InterfaceChange, failing: number, slowDeviceUs = 0): Station {
  const station = new Station(failing, slowDeviceUs);
  station.loop.handle({ kind: "link", link: ETH0 });
  station.command({ kind: "change", name: "carp0", change: configured });
  station.run(4e6);
  station.command({ kind: "change", name: "carp0", change: { state: "master" } });
  station.command({ kind: "demote-group", group: "carp", by: 1 });
  station.hear(advertisement({ vhid: 1, advskew: 200 }));
  station.command({ kind: "change", name: "carp0", change: { lladdr: "02:00:00:00:01:01" } });
  station.run(3e6);
  station.command({ kind: "change", name: "carp0", change: { up: false } });
  station.run(2e6);
  return station;
}

const LIVES = [
  { title: "one node", configured: PLAIN, words: ["announce", "lease 1 given"] },
  { title: "two balanced nodes", configured: BALANCED, words: ["lease 2 given", "advertise 2"] },
];

for (const { title, configured, words } of LIVES)
  describe(`a kernel that reports at once in every call, for an interface with ${title}`, () => {
    const calls = live(configured, 0).calls;

    it("gets every kind of kernel call", () => {
      const { asked: all, done, events } = live(configured, 0);
      assert.deepEqual(done, all);
      assert.ok(calls > 10, `${calls} calls`);
      const always = [
        "device",
        "filter",
        "listen",
        "ignore",
        "expect-digests",
        "save",
        "transition",
        "advertise 1",
      ];
      for (const word of [...always, ...words]) assert.ok(all.includes(word), word);
      for (const event of ["advertised", "performed", "timer", "frame"])
        assert.ok(events.includes(event), event);
    });

    it("gets the effects in order and re-enters nothing, with each of its calls failing once", () => {
      for (let failing = 1; failing <= calls; failing++) {
        const { asked: all, done, events } = live(configured, failing);
        assert.deepEqual(done, all, `call ${failing}`);
        assert.ok(events.includes("performed"));
      }
    });

    for (const { what, slowDeviceUs } of [
      { what: "that fails", slowDeviceUs: 0 },
      { what: "that fails, while each device takes 0.3 s", slowDeviceUs: 0.3e6 },
    ])
      it(`never sends an older advertisement after a newer one, whatever the call ${what}`, () => {
        for (let failing = 1; failing <= calls; failing++) {
          const { counters } = live(configured, failing, slowDeviceUs);
          assert.ok(counters.size > 0);
          for (const [vhid, sent] of counters)
            assert.deepEqual(
              sent,
              sent.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)),
              `vhid ${vhid}, call ${failing}`,
            );
        }
      });
  });

describe("a takeover from a master that answers", () => {
  /** A host that has preempted one, whose device takes so long. */
  function relieving(slowDeviceUs: number): Station {
    const station = new Station(0, slowDeviceUs);
    station.loop.handle({ kind: "link", link: ETH0 });
    station.command({ kind: "set-sysctl", writes: [{ name: "net.inet.carp.preempt", value: 1 }] });
    station.command({ kind: "change", name: "carp0", change: { ...PLAIN, advskew: 100 } });
    station.run(SECOND);
    station.hear(advertisement({ vhid: 1, advskew: 200 }));
    return station;
  }
  const announced = ({ done }: Station) => done.filter((what) => what === "announce").length;

  it("is announced once more 3 and 20 ms after its advertisement has left, however long the device took", () => {
    for (const slowDeviceUs of [0, 50_000]) {
      const station = relieving(slowDeviceUs);
      station.run(slowDeviceUs);
      const counts = [2_999, 1, 16_999, 1, 0.5 * SECOND].map((us) => {
        station.run(us);
        return announced(station);
      });
      assert.deepEqual(counts, [1, 2, 2, 3, 3], `a device that takes ${slowDeviceUs} us`);
    }
  });

  it("is announced no more once the advertisement of its own successor has arrived", () => {
    const station = relieving(0);
    station.arrived.push(advertisement({ vhid: 1, advskew: 0 }));
    station.run(30_000);
    assert.equal(announced(station), 1);
  });
});

describe("advertisements that are made ahead", () => {
  /** A MASTER that nothing has happened to for so long. */
  function quiet(forUs: number, takesAhead = { wire: true, dataPath: true }): Station {
    const station = new Station(0);
    station.takesAhead = takesAhead;
    station.reports = false;
    station.loop.handle({ kind: "link", link: ETH0 });
    station.command({ kind: "change", name: "carp0", change: PLAIN });
    station.command({ kind: "change", name: "carp0", change: { state: "master" } });
    station.run(forUs);
    return station;
  }
  const made = ({ ahead }: Station) => ahead.filter((what) => what.endsWith(" ahead"));

  it("do not leave while the core is asked, but for those that are due, which it takes for sent", () => {
    const station = quiet(5 * SECOND);
    assert.deepEqual(made(station), ["10 ahead"]);
    station.ahead.length = 0;
    station.end(station.us);
    station.loop.handle({ kind: "forwarding", ipv6: true });
    assert.deepEqual(station.ahead.slice(0, 5), ["hold", "due", "ahead-ended", "recall", "forwarding"]);
    assert.equal(station.ahead.filter((what) => what === "release").length, 1);
    station.loop.aheadEnded();
    assert.deepEqual(station.ahead.slice(-3), ["hold", "due", "release"]);
  });

  it("are released when the core throws an error", () => {
    const station = quiet(5 * SECOND);
    station.ahead.length = 0;
    assert.throws(() =>
      station.loop.run(() => {
        throw new Error("broken");
      }),
    );
    assert.deepEqual(station.ahead, ["hold", "due", "release"]);
  });

  for (const takesAhead of [
    { wire: false, dataPath: true },
    { wire: true, dataPath: false },
  ])
    it(`are sent as any other where they cannot be: ${JSON.stringify(takesAhead)}`, () => {
      const station = quiet(20 * SECOND, takesAhead);
      assert.deepEqual(made(station), []);
      const advertised = station.done.filter((what) => what === "advertise 1").length;
      assert.ok(advertised >= 20, `${advertised} advertisements`);
    });
});
