/**
 * Transfers through firewalls, as applications see them: a server that sends bytes in an order that can be checked, a
 * client that reads them and notes the longest time without any, and a stream of UDP packets that are answered.
 */

import type { Host } from "../hosts/index.ts";

const PORT = 7000;

/**
 * Sends each TCP client numbered blocks of 64 KiB at the rate that it asks for, in MB/s; one that asks for "quiet" gets
 * one line at once and one after SIGUSR1. Answers UDP packets.
 */
const SERVER = `
import asyncio, signal
told = asyncio.Event()
async def serve(reader, writer):
    try:
        asked = (await reader.readline()).decode().strip()
        if asked == "quiet":
            writer.write(b"first\\n")
            await told.wait()
            writer.write(b"later\\n")
            await writer.drain()
            await reader.read()
            return
        loop = asyncio.get_running_loop()
        begun, block, rate = loop.time(), 0, float(asked) * 1e6
        while True:
            ahead = block * 65536 / rate - (loop.time() - begun)
            # What a stall has held up is not caught up with.
            if ahead < -0.2: begun -= ahead
            elif ahead > 0.002: await asyncio.sleep(ahead)
            writer.write(block.to_bytes(8, "big") * 8192)
            await writer.drain()
            block += 1
    except OSError: pass
    finally: writer.transport.abort()
class Answer(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, source): self.transport.sendto(data, source)
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, told.set)
    # Python's [::] takes no IPv4 connections.
    for address in ("0.0.0.0", "::"): await asyncio.start_server(serve, address, ${PORT})
    await loop.create_datagram_endpoint(Answer, local_addr=("0.0.0.0", ${PORT}))
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
`;

/**
 * Prints "begun" with the first bytes, "goes on" when bytes come after SIGUSR1, with the longest stall in ms since the
 * one before, and a report on SIGINT or when the connection ends.
 */
const CLIENT = `
import json, select, signal, socket, sys, time
kind, target, rate, source = sys.argv[1:]
asked = ended = False
def ask(*_):
    global asked
    asked = True
def end(*_):
    global ended
    ended = True
signal.signal(signal.SIGUSR1, ask)
signal.signal(signal.SIGINT, end)
family = socket.AF_INET6 if ":" in target else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
if source: s.bind((source, 0))
s.connect((target, ${PORT}))
if kind != "udp": s.sendall(rate.encode() + b"\\n")
count, error, left, longest, last = 0, None, b"", 0, None
number = 0
while not ended:
    if kind == "udp":
        number += 1
        try: s.send(number.to_bytes(8, "big"))
        except OSError: pass
        time.sleep(0.01)
    if not select.select([s], [], [], 0 if kind == "udp" else 0.05)[0]: continue
    try: data = s.recv(262144)
    except OSError as e:
        if kind == "udp": continue
        error = str(e)
        break
    if not data:
        error = "the connection was closed"
        break
    now = time.monotonic()
    if last is None: print("begun", flush=True)
    else: longest = max(longest, now - last)
    last = now
    if kind == "tcp":
        whole = left + data
        base = count - len(left)
        position = 0
        while base % 65536 == 0 and position + 65536 <= len(whole):
            if whole[position:position + 65536] != ((base + position) // 65536).to_bytes(8, "big") * 8192:
                error = "bytes are wrong or missing"
                ended = True
                break
            position += 65536
        left = whole[position:]
    count += len(data)
    if asked:
        asked = False
        print("goes on", round(longest * 1000), count, flush=True)
        longest = 0
print(json.dumps({"bytes": count, "error": error}), flush=True)
`;

/** Waits on a quiet connection: prints "first" and "later" as they come, and what ends it. */
const QUIET = `
import socket, sys
s = socket.create_connection((sys.argv[1], ${PORT}))
s.sendall(b"quiet\\n")
try:
    for line in s.makefile(): print(line.strip(), flush=True)
    print("closed", flush=True)
except OSError as e: print(e, flush=True)
`;

/** As FTP in active mode: the client names a port in its control connection, and the server connects to that. */
const FTP_SERVER = `
import socket
listening = socket.create_server(("::", 21), family=socket.AF_INET6)
print("ready", flush=True)
control, _ = listening.accept()
lines = control.makefile()
control.sendall(b"220 ready\\r\\n")
lines.readline()
control.sendall(b"331 go on\\r\\n")
_, _, address, port, _ = lines.readline().split("|")
control.sendall(b"200 known\\r\\n")
lines.readline()
socket.create_connection((address, int(port)), 20).sendall(b"data\\n")
lines.readline()
`;
const FTP_CLIENT = `
import signal, socket, sys
server, own = sys.argv[1:]
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
control = socket.create_connection((server, 21))
lines = control.makefile()
data = socket.create_server((own, 5000), family=socket.AF_INET6)
for line in ("USER x", f"EPRT |2|{own}|5000|"):
    lines.readline()
    control.sendall(line.encode() + b"\\r\\n")
lines.readline()
print("named", flush=True)
while not told: signal.pause()
control.sendall(b"RETR x\\r\\n")
connection, _ = data.accept()
print("received", connection.makefile().readline(), flush=True)
`;

const python = (host: Host, script: string, ...words: string[]) =>
  host.spawn("/usr/bin/python3", ["-ISc", script, ...words]);

export async function serve(host: Host) {
  const server = python(host, SERVER);
  await server.log.waitFor(/^ready$/);
  return { tellQuiet: () => server.kill("SIGUSR1") };
}

/** A connection without a packet until the server says something. */
export async function waitQuietly(client: Host, target: string) {
  const waiting = python(client, QUIET, target);
  await waiting.log.waitFor(/first/);
  return { told: () => waiting.log.waitFor(/later/), log: waiting.log };
}

/** The client has named a port, to which the server connects when `fetch` is called. */
export async function nameFtpPort(client: Host, server: Host, target: string, own: string) {
  const serving = python(server, FTP_SERVER);
  await serving.log.waitFor(/^ready$/);
  const naming = python(client, FTP_CLIENT, target, own);
  await naming.log.waitFor(/^named$/);
  return {
    fetch: () => {
      naming.kill("SIGUSR1");
      return naming.log.waitFor(/^received data/);
    },
  };
}

export interface TransferOptions {
  readonly kind?: "tcp" | "udp";
  readonly target: string;
  readonly source?: string;
  readonly rate?: number;
}

export class Transfer {
  readonly #client;

  private constructor(client: ReturnType<typeof python>) {
    this.#client = client;
  }

  /** Resolves when the first bytes are there. @param rate of TCP, in MB/s */
  static async start(
    client: Host,
    { kind = "tcp", target, source = "", rate = 10 }: TransferOptions,
  ): Promise<Transfer> {
    const transfer = new Transfer(python(client, CLIENT, kind, target, String(rate), source));
    await transfer.#client.log.waitFor(/^begun$/);
    return transfer;
  }

  /** Resolves when more bytes come. @returns the longest stall since the last call, in ms, and all bytes so far */
  async goesOn(): Promise<{ stallMs: number; bytes: number }> {
    const { log } = this.#client;
    const from = log.length;
    this.#client.kill("SIGUSR1");
    const { text } = await log.waitFor(/^goes on|^\{/, { from });
    const [, stallMs, bytes] = /^goes on (\d+) (\d+)$/.exec(text) ?? [];
    if (bytes === undefined) throw new Error(`the transfer has ended: ${text}`);
    return { stallMs: Number(stallMs), bytes: Number(bytes) };
  }

  /** @returns why the transfer was over before; null when it went on to the end */
  async stop(): Promise<{ bytes: number; error: string | null }> {
    this.#client.kill("SIGINT");
    await this.#client.exited;
    return JSON.parse(this.#client.log.lines.at(-1)?.text ?? "");
  }
}
