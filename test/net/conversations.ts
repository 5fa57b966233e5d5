/**
 * TCP clients with one connection from each of many addresses, which ask every few milliseconds for the name
 * of the server and connect again when a connection is lost: what applications notice of a failover.
 */

import type { Host } from "../hosts/index.ts";

const PORT = 7000;

/** Answers every line with its name, and `get N` with N bytes, on every address of the host. */
const SERVER = `
import asyncio, socket, sys
async def serve(reader, writer):
    try:
        while line := await reader.readline():
            words = line.decode().split()
            writer.write(b"x" * int(words[1]) if words[0] == "get" else sys.argv[1].encode() + b"\\n")
            await writer.drain()
    except OSError: pass
    finally: writer.transport.abort()
async def main():
    # Python's [::] takes no IPv4 connections.
    for address in ("0.0.0.0", "::"): await asyncio.start_server(serve, address, ${PORT}, backlog=200)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
`;

/**
 * Prints "SOURCE HOST" for every connection that got an answer, "all go on" when after SIGUSR1 each source
 * has had five more answers, and a report on SIGINT.
 */
const CLIENT = `
import asyncio, json, signal, sys
target, sources = sys.argv[1], sys.argv[2:]
report = {source: {"answeredBy": [], "exchanges": 0} for source in sources}
goals = {}
def set_goals(): goals.update({source: entry["exchanges"] + 5 for source, entry in report.items()})
async def converse(source):
    entry = report[source]
    while True:
        writer, answered = None, False
        try:
            connecting = asyncio.open_connection(target, ${PORT}, local_addr=(source, 0))
            reader, writer = await asyncio.wait_for(connecting, 2)
            while True:
                writer.write(b"who\\n")
                answer = (await asyncio.wait_for(reader.readline(), 6)).decode().strip()
                if not answer: break
                entry["exchanges"] += 1
                if not answered:
                    answered = True
                    entry["answeredBy"].append(answer)
                    print(source, answer, flush=True)
                if goals and all(report[each]["exchanges"] >= goal for each, goal in goals.items()):
                    goals.clear()
                    print("all go on", flush=True)
                await asyncio.sleep(0.05)
        except (OSError, asyncio.TimeoutError): pass
        finally:
            if writer: writer.transport.abort()
        await asyncio.sleep(0.05)
async def main():
    talking = [asyncio.create_task(converse(source)) for source in sources]
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, set_goals)
    loop.add_signal_handler(signal.SIGINT, ended.set)
    await ended.wait()
    print(json.dumps(report), flush=True)
    for each in talking: each.cancel()
asyncio.run(main())
`;

export interface Conversation {
  /** The name of the server, one for each connection that got an answer. */
  readonly answeredBy: readonly string[];
  readonly exchanges: number;
}

/** Starts a server on every address of the host, present and future. */
export async function answer(host: Host): Promise<void> {
  const server = host.spawn("/usr/bin/python3", ["-ISc", SERVER, host.name]);
  await server.log.waitFor(/ready/);
}

export class Conversations {
  readonly #client;
  readonly #sources: readonly string[];

  constructor(host: Host, target: string, sources: readonly string[]) {
    this.#client = host.spawn("/usr/bin/python3", ["-ISc", CLIENT, target, ...sources]);
    this.#sources = sources;
  }

  /**
   * Resolves when each source has had an answer from a server of that name, on a connection after log line
   * `from`.
   */
  async answered(sources = this.#sources, { by = ".*", from = 0 } = {}): Promise<void> {
    for (const source of sources) {
      const word = source.replaceAll(".", "\\.");
      await this.#client.log.waitFor(new RegExp(`^${word} ${by}$`), { from });
    }
  }

  /** Resolves when each source has had five more answers. */
  async goesOn(): Promise<void> {
    const from = this.#client.log.length;
    this.#client.kill("SIGUSR1");
    await this.#client.log.waitFor(/^all go on$/, { from });
  }

  async stop(): Promise<Map<string, Conversation>> {
    this.#client.kill("SIGINT");
    await this.#client.exited;
    const last = this.#client.log.lines.at(-1)?.text ?? "";
    try {
      return new Map(Object.entries(JSON.parse(last)));
    } catch {
      throw new Error(`no report\n${this.#client.log}`);
    }
  }
}

/** Fetches that many bytes from each source address at once. @returns how many came, by source */
export async function fetchAll(
  host: Host,
  target: string,
  bytes: number,
  sources: readonly string[],
): Promise<Map<string, number>> {
  const words = ["-ISc", FETCH, target, String(bytes), ...sources];
  return new Map(Object.entries(JSON.parse(await host.run("/usr/bin/python3", ...words))));
}

const FETCH = `
import asyncio, json, sys
target, wanted, sources = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
async def fetch(source):
    got = 0
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(target, ${PORT}, local_addr=(source, 0)), 20)
        writer.write(b"get %d\\n" % wanted)
        while got < wanted:
            chunk = await asyncio.wait_for(reader.read(65536), 20)
            if not chunk: break
            got += len(chunk)
        writer.transport.abort()
    except (OSError, asyncio.TimeoutError): pass
    return got
async def main():
    print(json.dumps(dict(zip(sources, await asyncio.gather(*map(fetch, sources))))))
asyncio.run(main())
`;
