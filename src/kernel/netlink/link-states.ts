/**
 * The operational state of every network device, from an rtnetlink socket of its own: read once, then as the kernel
 * notifies. Changes nothing.
 */

import { formatMessage, parseMessages } from "netlink/dist/structs.js";
import { attributes, FLAG, MESSAGE, readU32, text } from "./bytes.ts";
import { linkDump } from "./messages.ts";
import { type NetlinkSocket, nativeNetlink } from "./native-netlink.ts";

/** Unknown: the driver does not tell. */
export type OperState = "up" | "down" | "unknown";

const RTNLGRP_LINK = 1;
const RECEIVE_BUFFER_BYTES = 1024 * 1024;
const AGAIN_MS = 100;
const IFLA_IFNAME = 3;
const IFLA_OPERSTATE = 16;
const WANTED: ReadonlySet<number> = new Set([IFLA_IFNAME, IFLA_OPERSTATE]);
/** linux/if.h */
const IF_OPER_UNKNOWN = 0;
const IF_OPER_UP = 6;

interface Device {
  readonly name: string;
  readonly state: OperState;
}

export class LinkStates {
  readonly #changed: () => void;
  /** By index. */
  #devices = new Map<number, Device>();
  #indexes = new Map<string, number>();
  /** Devices in the answer to the request for all of them, until it is whole. */
  #listed: Map<number, Device> | undefined;
  #socket: NetlinkSocket | undefined;
  #isClosed = false;
  readonly #isRead = Promise.withResolvers<void>();

  /** @param changed called after each change, and after all devices were read. Throws where there is no netlink. */
  constructor(changed: () => void) {
    this.#changed = changed;
    this.#open();
  }

  /** Resolves when all devices were read for the first time. */
  get ready(): Promise<void> {
    return this.#isRead.promise;
  }

  /** Undefined: there is no such device. */
  of(name: string): OperState | undefined {
    const index = this.#indexes.get(name);
    return index === undefined ? undefined : this.#devices.get(index)?.state;
  }

  close(): void {
    this.#isClosed = true;
    this.#closeSocket();
  }

  #closeSocket(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #open(): void {
    const socket = new nativeNetlink.NetlinkSocket([RTNLGRP_LINK], RECEIVE_BUFFER_BYTES, (messages) => {
      if (socket !== this.#socket) return;
      if (messages === undefined) this.#openAgain();
      else this.#receive(Buffer.from(messages.buffer));
    });
    this.#socket = socket;
    this.#listed = new Map();
    const { type, flags, body } = linkDump();
    const request = { type, flags: flags | FLAG.REQUEST, seq: 1, port: socket.port(), data: body };
    socket.send(Buffer.concat(formatMessage(request)));
  }

  /** Notifications were lost: all devices are read again. */
  #openAgain(): void {
    this.#closeSocket();
    setTimeout(() => {
      if (this.#isClosed) return;
      try {
        this.#open();
      } catch {
        this.#openAgain();
      }
    }, AGAIN_MS);
  }

  #receive(bytes: Buffer): void {
    let messages: ReturnType<typeof parseMessages>;
    try {
      messages = parseMessages(bytes);
    } catch {
      this.#openAgain();
      return;
    }
    for (const { type, flags, data } of messages) {
      const isListed = this.#listed !== undefined && (flags & FLAG.MULTI) !== 0;
      if (isListed && (flags & FLAG.DUMP_INTERRUPTED) !== 0) {
        this.#openAgain();
        return;
      }
      if (type === MESSAGE.NEWLINK) this.#take(data, isListed);
      else if (type === MESSAGE.DELLINK) this.#remove(data);
      else if (type === MESSAGE.DONE || type === MESSAGE.ERROR) this.#endList(type === MESSAGE.DONE);
    }
  }

  #take(body: Buffer, isListed: boolean): void {
    const found = linkIn(body);
    if (found === undefined) return;
    const { index, device } = found;
    // Notifications between the messages of the list come in the order in which they were true.
    this.#listed?.set(index, device);
    if (isListed) return;
    this.#forget(index);
    this.#devices.set(index, device);
    this.#indexes.set(device.name, index);
    this.#changed();
  }

  #remove(body: Buffer): void {
    if (body.length < 16 || body.readUInt8(0) !== 0) return;
    const index = readU32(body, 4);
    this.#listed?.delete(index);
    if (this.#forget(index)) this.#changed();
  }

  /** Another device may have taken its name. @returns whether it was known */
  #forget(index: number): boolean {
    const name = this.#devices.get(index)?.name;
    if (name !== undefined && this.#indexes.get(name) === index) this.#indexes.delete(name);
    return this.#devices.delete(index);
  }

  #endList(isWhole: boolean): void {
    if (this.#listed === undefined) return;
    if (!isWhole) {
      this.#openAgain();
      return;
    }
    this.#devices = this.#listed;
    this.#indexes = new Map([...this.#devices].map(([index, { name }]) => [name, index]));
    this.#listed = undefined;
    this.#isRead.resolve();
    this.#changed();
  }
}

/** The device of a link message. Undefined: it is about a bridge's port, or about a single event of a driver. */
function linkIn(body: Buffer): { readonly index: number; readonly device: Device } | undefined {
  try {
    if (body.readUInt8(0) !== 0) return undefined;
    const found = attributes(body, 16, WANTED);
    const name = found.get(IFLA_IFNAME);
    const state = found.get(IFLA_OPERSTATE)?.[0];
    if (name === undefined || state === undefined) return undefined;
    return { index: readU32(body, 4), device: { name: text(name), state: operState(state) } };
  } catch {
    return undefined;
  }
}

function operState(state: number): OperState {
  if (state === IF_OPER_UP) return "up";
  return state === IF_OPER_UNKNOWN ? "unknown" : "down";
}
