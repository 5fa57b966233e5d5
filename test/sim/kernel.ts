/**
 * SimulatedKernel: the kernel of one simulated host, for the shipped loop and performer: sockets, devices,
 * the data path and alarms. Each call can fail or take time. Knows no CARP rule.
 */

import { Folding } from "../../src/cluster/plan/folding.ts";
import type { Performed, Repeated } from "../../src/core/event.ts";
import type { Device, Micros, Transmission } from "../../src/core/model.ts";
import type { Adapters } from "../../src/engine/performer.ts";
import type { Alarms, DataPathInterface } from "../../src/kernel/kernel.ts";
import { CARP_PROTOCOL } from "../../src/protocol/advertisement.ts";
import { EtherType } from "../../src/protocol/ethernet.ts";
import { Ahead } from "./ahead.ts";
import { SignedForms } from "./digests.ts";
import { read } from "./hearing.ts";
import type { Frame } from "./segment.ts";
import type { Station } from "./station.ts";
import type { World } from "./world.ts";

/** The greatest lateness of a timer: it is rounded to milliseconds, and the event loop may be busy. */
const TIMER_LATE_US: Micros = 1_500;
const READ_LATE_US: Micros = 200;
/** The greatest lateness of the thread that sends what was made ahead. */
const SEND_LATE_US: Micros = 100;

/** A frame in a socket's queue. */
export interface Received {
  readonly carpdev: string;
  readonly frame: Frame;
  readonly receivedUs: Micros;
}

/** Frames that were folded: they repeat one another. */
interface Folded {
  readonly repeated: Repeated;
  /** Of the last one. */
  readonly receivedUs: Micros;
}

/** Reports of the kernel to the engine. */
export interface KernelEvents {
  frame(received: Received): void;
  repeated(all: readonly Repeated[]): void;
  /** Runs the engine's reaction to any other thing that the kernel does on its own: what follows here, too. */
  enter(work: () => void): void;
  aheadEnded(): void;
  /** The outcome of putting a part in place, where the adapter reports it and not the performer. */
  performed(performed: Omit<Performed, "kind">): void;
  save(): void;
}

interface Alarm {
  readonly atUs: Micros;
  readonly ring: () => void;
  isSet: boolean;
}

export class SimulatedKernel implements Alarms {
  readonly adapters: Adapters;
  readonly #station: Station;
  readonly #world: World;
  readonly #events: KernelEvents;
  readonly #listening = new Set<string>();
  /** What the engine's receiving thread has read for it. */
  #socket: (Received | Folded)[] = [];
  #willRead = false;
  readonly #folding: Folding<Received> | undefined;
  /** The frames read last whose repetitions may wait. */
  #toFold: { readonly carpdev: string; readonly frame: Uint8Array }[] = [];
  readonly #forms = new SignedForms();
  readonly #ahead: Ahead;
  /** When the thread that sends what was made ahead wakes up. */
  #sendsAtUs = Number.POSITIVE_INFINITY;
  /** Alarms that rang while the engine was stalled. */
  #missed: Alarm[] = [];
  /** Work that waits until the engine is no longer stalled. */
  #postponed: (() => void)[] = [];
  #isStalled = false;
  #isGone = false;

  constructor(station: Station, events: KernelEvents) {
    this.#station = station;
    this.#world = station.world;
    this.#events = events;
    this.#folding = station.folds ? new Folding((each) => this.#isIntact(each)) : undefined;
    this.#ahead = new Ahead((of, advertisement) => {
      const { frames, leaseUntilUs } = advertisement;
      for (const [at, frame] of frames.entries()) {
        if (this.#send(of.carpdev, frame) !== undefined) return at;
        if (at === 0) station.madeAhead(of, advertisement);
      }
      if (leaseUntilUs > station.leaseUntilUs(of.interface, of.vhid))
        station.setLease(of.interface, of.vhid, leaseUntilUs);
      return frames.length;
    });
    this.adapters = this.#makeAdapters();
  }

  get isStalled(): boolean {
    return this.#isStalled;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  isListening(carpdev: string): boolean {
    return this.#listening.has(carpdev);
  }

  /** The engine is killed, or has ended. */
  die(): void {
    this.#isGone = true;
    this.#socket = [];
    this.#folding?.end();
  }

  stall(): void {
    this.#isStalled = true;
  }

  /** Ends a stall. Alarms ring before the socket is read, unless the event loop was just about to read it. */
  resume(framesFirst: boolean): void {
    if (!this.#isStalled || this.#isGone) return;
    this.#isStalled = false;
    this.#sendAhead();
    if (framesFirst) this.#read();
    const missed = this.#missed;
    this.#missed = [];
    for (const alarm of missed.sort((a, b) => a.atUs - b.atUs)) this.#ring(alarm);
    this.#read();
    const postponed = this.#postponed;
    this.#postponed = [];
    for (const work of postponed) if (!this.#isGone) work();
  }

  /** Runs the work now, or when the engine runs again. */
  whenRunning(work: () => void): void {
    if (this.#isStalled) this.#postponed.push(work);
    else if (!this.#isGone) work();
  }

  // Alarms.

  set(atUs: Micros, ring: () => void): () => void {
    const alarm = { atUs, ring, isSet: true };
    const ringsAtUs = this.#station.clock.worldTimeOf(atUs) + this.#station.random.next() * TIMER_LATE_US;
    this.#world.at(ringsAtUs, () => this.#ring(alarm));
    return () => {
      alarm.isSet = false;
    };
  }

  #ring(alarm: Alarm): void {
    if (!alarm.isSet || this.#isGone) return;
    if (this.#isStalled) {
      this.#missed.push(alarm);
      return;
    }
    alarm.isSet = false;
    this.#events.enter(alarm.ring);
  }

  // Sockets.

  /** A frame reaches the socket. */
  receive(carpdev: string, frame: Frame): void {
    if (!this.#listening.has(carpdev)) return;
    const received = { carpdev, frame, receivedUs: this.#station.us };
    if (this.#folding !== undefined) {
      const before = this.#folding.take(carpdev, frame.bytes, received);
      if (before === undefined) return;
      this.#queue(before);
    }
    const { said } = read(frame);
    if (said !== undefined && !this.#ahead.isEmpty && this.#forms.areOf(said))
      this.#ahead.heard(carpdev, said.vhid);
    if (this.#ahead.hasEnded) this.#wakeUp();
    this.#socket.push(received);
    this.#wakeUp();
  }

  /** The device went away, and its socket with it. */
  unplug(carpdev: string): void {
    this.#listening.delete(carpdev);
    this.#folding?.forget(carpdev);
  }

  /** Delivers all that has arrived so far. */
  drain(): void {
    if (this.#folding !== undefined) this.#queue(this.#folding.flush());
    this.#read();
  }

  #wakeUp(): void {
    if (this.#willRead || this.#isStalled) return;
    this.#willRead = true;
    this.#world.at(this.#world.us + this.#station.random.next() * READ_LATE_US, this.#wokenUp);
  }

  /** One for all times: a function that is made here would cost every frame memory. */
  readonly #wokenUp = (): void => {
    this.#willRead = false;
    if (this.#isStalled || this.#isGone) return;
    this.#tellEnded();
    this.#read();
  };

  /** Queues what was folded among the other frames, by the time of the last one. */
  #queue(all: readonly Repeated[]): void {
    const socket = this.#socket;
    for (const repeated of all) {
      const receivedUs = repeated.copies.at(-1)?.receivedUs ?? 0;
      let place = socket.length;
      while (place > 0 && (socket[place - 1] as Received | Folded).receivedUs > receivedUs) place--;
      socket.splice(place, 0, { repeated, receivedUs });
    }
  }

  #read(): void {
    while (this.#socket.length > 0) {
      const heard = this.#socket;
      this.#socket = [];
      let together: Repeated[] = [];
      for (let i = 0; i < heard.length; i++) {
        const each = heard[i] as Received | Folded;
        if ("frame" in each) this.#events.frame(each);
        else {
          together.push(each.repeated);
          const next = heard[i + 1];
          if (next !== undefined && "repeated" in next) continue;
          const all = together;
          together = [];
          this.#events.repeated(all);
        }
      }
    }
    for (const { carpdev, frame } of this.#toFold)
      if (this.#listening.has(carpdev)) this.#folding?.fold(carpdev, frame);
    this.#toFold = [];
  }

  #fold(carpdev: string, frame: Uint8Array): void {
    if (this.#folding !== undefined) this.#toFold.push({ carpdev, frame });
  }

  #unfold(): void {
    this.#toFold = [];
    if (this.#folding === undefined) return;
    this.#queue(this.#folding.end());
    if (this.#socket.length > 0) this.#wakeUp();
  }

  #isIntact({ frame }: Received): boolean {
    const { said } = read(frame);
    return said !== undefined && this.#forms.areOf(said);
  }

  #open(carpdev: string): string | undefined {
    const { faults } = this.#station;
    this.#station.notePlaced(`listening ${carpdev}`, !faults.has("listen-fails"));
    if (faults.has("listen-fails")) return "socket: EMFILE";
    this.#listening.add(carpdev);
    return undefined;
  }

  #send(carpdev: string, transmission: Transmission): string | undefined {
    if (!this.#listening.has(carpdev)) return "ENODEV";
    if ("frame" in transmission && !isCarp(transmission.frame)) return this.#station.sendFailure();
    return this.#station.send(carpdev, transmission);
  }

  /** The thread wakes up when the next one of those that were made ahead is due. */
  #planSends(): void {
    const { nextUs } = this.#ahead;
    if (nextUs === undefined || nextUs >= this.#sendsAtUs) return;
    this.#sendsAtUs = nextUs;
    const lateUs = this.#station.random.next() * SEND_LATE_US;
    this.#world.at(this.#station.clock.worldTimeOf(nextUs) + lateUs, () => {
      if (this.#sendsAtUs === nextUs) this.#sendAhead();
    });
  }

  #sendAhead(): void {
    this.#sendsAtUs = Number.POSITIVE_INFINITY;
    if (this.#isStalled || this.#isGone) return;
    this.#ahead.sendDue(this.#station.us);
    this.#planSends();
    this.#tellEnded();
  }

  #tellEnded(): void {
    if (this.#ahead.hasEnded) this.#events.enter(() => this.#events.aheadEnded());
  }

  // Devices and the data path.

  #apply(name: string, device: Device | null, done: () => void): void {
    const takesUs = this.#station.changeDevice();
    this.#world.at(this.#world.us + takesUs, () =>
      this.whenRunning(() =>
        this.#events.enter(() => {
          this.#events.performed(this.#placed(name, device));
          done();
        }),
      ),
    );
  }

  #placed(name: string, device: Device | null): Omit<Performed, "kind"> {
    const { faults } = this.#station;
    const isRefused = device?.active === true && faults.has("address-refused");
    const isMissing = device !== null && faults.has("device-fails");
    this.#station.notePlaced(`device ${name}`, !isMissing && !isRefused);
    return {
      part: { kind: "device", interface: name },
      errors: [
        ...(isMissing ? ["no device can be made on eth0 (EBUSY)"] : []),
        ...(isRefused ? ["address cannot be added (EADDRINUSE)"] : []),
      ],
      harm: !isMissing && device !== null && device.addresses.length > 1 ? "some" : "all",
      whileActive: device?.active === true && !isMissing,
    };
  }

  #configure(wanted: DataPathInterface): string | undefined {
    const { name, ...filter } = wanted;
    const isFull = this.#station.faults.has("filter-full");
    this.#station.notePlaced(`filter ${name}`, !isFull);
    this.#station.setFilter(name, isFull ? null : filter);
    return isFull ? "the data path holds no more carp interfaces" : undefined;
  }

  #makeAdapters(): Adapters {
    const station = this.#station;
    const nothing = () => {};
    return {
      clock: {
        now: () => station.now,
      },
      log: nothing,
      tell: nothing,
      // What is found out changes nothing but what people are told.
      explain: nothing,
      save: () => this.#events.save(),
      wire: {
        open: (carpdev) => this.#open(carpdev),
        close: (carpdev) => {
          station.notePlaced(`listening ${carpdev}`, true);
          this.unplug(carpdev);
        },
        join: () => undefined,
        leave: nothing,
        mtuChanged: nothing,
        expectDigests: (name, forms) => this.#forms.expect(name, forms),
        unreached: () => undefined,
        send: (carpdev, transmission) => this.#send(carpdev, transmission),
        sendAhead: (of, advertisements) => {
          if (!this.#listening.has(of.carpdev)) return false;
          this.#ahead.add(of, advertisements);
          this.#planSends();
          return true;
        },
        recall: (name, vhid) => this.#ahead.recall(name, vhid),
        hold: nothing,
        sendDue: (us) => {
          this.#ahead.sendDue(us);
          return this.#ahead.takeEnded();
        },
        release: nothing,
        neighbours: () => [],
        resolved: nothing,
        fold: (carpdev, frame) => this.#fold(carpdev, frame),
        unfold: () => this.#unfold(),
        latest: (carpdev, vhid) => this.#folding?.latest(carpdev, vhid),
        drain: () => this.drain(),
        shutdown: nothing,
      },
      links: {
        start: async () => {},
        apply: (name, device, done) => this.#apply(name, device, done),
        prepareCarpdev: nothing,
        restoreCarpdev: nothing,
        removeLeftovers: async () => {},
        carriers: () => () => [],
        caughtUp: async () => {},
        resolve: nothing,
        close: nothing,
      },
      dataPath: {
        obstacle: undefined,
        configure: (wanted) => this.#configure(wanted),
        remove: (name) => {
          station.notePlaced(`filter ${name}`, true);
          station.setFilter(name, null);
        },
        lease: (name, vhid, untilUs) => station.setLease(name, vhid, untilUs),
        leaseMemory: () => [],
        leaseUntilUs: station.leaseUntilUs,
        counts: () => undefined,
        watch: nothing,
        repair: async () => [],
        overruled: () => ({ before: [], xdp: 0 }),
        removeLeftovers: nothing,
        close: nothing,
        shutdown: nothing,
      },
    };
  }
}

/** Whether a frame is an advertisement and not an announcement. */
function isCarp(frame: Uint8Array): boolean {
  const etherType = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  if (etherType === EtherType.ipv4) return frame[23] === CARP_PROTOCOL;
  return etherType === EtherType.ipv6 && frame[20] === CARP_PROTOCOL;
}
