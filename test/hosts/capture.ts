/**
 * Captures frames live, by reading tcpdump's output as it grows. When start resolves, the capture has begun;
 * when stop resolves, it holds every frame up to then.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { dissect, type Frame } from "./frames.ts";
import { DEFAULT_TIMEOUT_MS } from "./log.ts";
import type { Namespace } from "./namespace.ts";
import type { Spawned } from "./spawned.ts";

/**
 * The kernel reserves this much for each unread frame; with tcpdump's default the buffer would hold eight
 * frames.
 */
const LONGEST_FRAME_BYTES = 2048;
const BUFFER_KIB = 8192;

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

/** Reads frames from the chunks of a pcap stream (microseconds, this machine's byte order). */
export class PcapReader {
  #rest: Buffer = Buffer.alloc(0);
  #headerSeen = false;

  read(chunk: Buffer): Frame[] {
    let bytes = Buffer.concat([this.#rest, chunk]);
    if (!this.#headerSeen && bytes.length >= FILE_HEADER_BYTES) {
      if (bytes.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error("not a pcap stream of microseconds");
      this.#headerSeen = true;
      bytes = bytes.subarray(FILE_HEADER_BYTES);
    }
    const frames: Frame[] = [];
    while (this.#headerSeen && bytes.length >= RECORD_HEADER_BYTES) {
      const end = RECORD_HEADER_BYTES + bytes.readUInt32LE(8);
      if (bytes.length < end) break;
      const timeUs = bytes.readUInt32LE(0) * 1_000_000 + bytes.readUInt32LE(4);
      frames.push(dissect(Buffer.from(bytes.subarray(RECORD_HEADER_BYTES, end)), timeUs));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
    return frames;
  }
}

/** Number of times tcpdump is asked whether it has written everything, a millisecond or more apart. */
const CATCH_UP_LIMIT = 300;

export class Capture {
  /** The frames so far, in order. */
  readonly frames: Frame[] = [];
  readonly #tcpdump: Spawned;
  readonly #device: string;
  readonly #waiting = new Set<() => void>();

  private constructor(namespace: Namespace, device: string, filter: string) {
    this.#device = device;
    const reader = new PcapReader();
    const words = ["-i", device, "-n", "-U", "--immediate-mode", "-Z", "root"];
    words.push("-s", String(LONGEST_FRAME_BYTES), "-B", String(BUFFER_KIB), "-w", "-", filter);
    this.#tcpdump = namespace.spawn("tcpdump", words, {
      name: `tcpdump ${device} ${filter}`,
      logOf: "stderr",
      onOutput: (bytes) => {
        this.frames.push(...reader.read(bytes));
        for (const look of [...this.#waiting]) look();
      },
    });
  }

  static async start(namespace: Namespace, device: string, filter = ""): Promise<Capture> {
    const capture = new Capture(namespace, device, filter);
    await capture.#tcpdump.log.waitFor(/listening on/);
    return capture;
  }

  /** Waits for a frame. @returns the first, from number `from` on, that satisfies the predicate */
  waitFor(
    predicate: (frame: Frame) => boolean,
    { from = 0, timeoutMs = DEFAULT_TIMEOUT_MS }: { from?: number; timeoutMs?: number } = {},
  ): Promise<Frame> {
    let next = from;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle();
      };
      const look = () => {
        for (; next < this.frames.length; next += 1) {
          const frame = this.frames[next] as Frame;
          if (predicate(frame)) return finish(() => resolve(frame));
        }
      };
      const timer = setTimeout(() => {
        finish(() => reject(new Error(`no such frame within ${timeoutMs} ms:\n${this}`)));
      }, timeoutMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** @returns all frames that the device sent or received from start to now */
  async stop(): Promise<Frame[]> {
    await this.#caughtUp();
    this.#tcpdump.kill("SIGINT");
    await this.#tcpdump.exited;
    return this.frames;
  }

  /**
   * Waits until tcpdump has written every packet that the kernel has for it; it prints both numbers on
   * SIGUSR1. The kernel's number includes packets that tcpdump drops by direction: then this only gives
   * tcpdump time to write.
   */
  async #caughtUp(): Promise<void> {
    const { log } = this.#tcpdump;
    for (let asked = 0; asked < CATCH_UP_LIMIT; asked++) {
      const from = log.length;
      this.#tcpdump.kill("SIGUSR1");
      const { text } = await log.waitFor(/packets? captured.*received by filter/, { from });
      const [written = 0, received = 0, dropped = 0] = text.match(/\d+(?= packet)/g)?.map(Number) ?? [];
      if (dropped > 0) throw new Error(`tcpdump on ${this.#device} dropped ${dropped} packets`);
      // On loopback the kernel counts each packet twice, outgoing and incoming; tcpdump writes one of them.
      if (written >= received || (this.#device === "lo" && written * 2 >= received)) return;
      await sleep(1);
    }
  }

  toString(): string {
    return this.frames.map(summary).join("\n");
  }
}

/** A frame as one line, for messages. */
export function summary(frame: Frame): string {
  const { arp, ipv4, ipv6, carp, icmp, nd } = frame;
  const parts = [`${(frame.timeUs / 1e6).toFixed(6)} ${frame.ethernetSource} > ${frame.ethernetDestination}`];
  if (arp)
    parts.push(`arp ${arp.operation} ${arp.senderAddress} is-at ${arp.senderMac}, for ${arp.targetAddress}`);
  if (ipv4) parts.push(`${ipv4.source} > ${ipv4.destination} protocol ${ipv4.protocol}`);
  if (ipv6) parts.push(`${ipv6.source} > ${ipv6.destination} next header ${ipv6.nextHeader}`);
  if (carp) parts.push(`carp vhid ${carp.vhid} ${carp.advbase}.${carp.advskew} demote ${carp.demote}`);
  if (icmp) parts.push(`icmp type ${icmp.type} sequence ${icmp.sequence}`);
  if (nd) parts.push(`nd ${nd.type} ${nd.target} is-at ${nd.linkLayerAddress ?? "?"}`);
  if (parts.length === 1) parts.push(`type 0x${frame.etherType.toString(16)}, ${frame.bytes.length} bytes`);
  return `  ${parts.join(" ")}`;
}
