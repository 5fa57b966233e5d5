/**
 * Sends questions to a shared address from many client addresses, by UDP and by ping, and tells which host
 * answered each: a numbered host answers with its own hop limit, from any MAC or address.
 */

import { isIPv6 } from "node:net";
import type { Host } from "./host.ts";
import type { Spawned } from "./spawned.ts";

const PORT = 7;

/** The first of the hop limits, which no system uses by default. */
const FIRST_HOP_LIMIT = 101;

/**
 * Sends each datagram back from the address that was asked, also from one that the host gets later. In real time, as the
 * engine: on a busy machine the host would lose the address while questions to it wait to be read.
 */
const RESPONDER = `
import os, select, socket, sys
try: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
except OSError: pass
sockets = []
for address in sys.argv[1:]:
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, 15, 1)
    s.bind((address, ${PORT}))
    sockets.append(s)
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        try: s.sendto(*s.recvfrom(2000))
        except OSError: pass
`;

/** Asks every question once a round, and prints every answer at the end. */
const CLIENT = `
import json, os, select, signal, socket, struct, sys, time
asked = json.loads(sys.argv[1])
pause, rounds = asked["pauseMs"] / 1000, asked["rounds"]
stopped, identifier = False, os.getpid() & 0xffff
def stop(*_):
    global stopped
    stopped = True
signal.signal(signal.SIGTERM, stop)
poll, sockets, answers, open_questions = select.epoll(), {}, [], set()
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff
def message(family, protocol, sequence):
    if protocol == "udp": return struct.pack("!H", sequence)
    if family == socket.AF_INET6: return struct.pack("!BBHHH", 128, 0, 0, identifier, sequence)
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence)
    return head[:2] + struct.pack("!H", checksum(head)) + head[4:]
for number, (source, target) in enumerate(asked["questions"]):
    for protocol in asked["protocols"]:
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        if protocol == "udp": s = socket.socket(family, socket.SOCK_DGRAM)
        elif family == socket.AF_INET: s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        else:
            s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            passed = [0xffffffff] * 8
            passed[129 >> 5] &= ~(1 << (129 & 31))
            s.setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack("@8I", *passed))
        if family == socket.AF_INET: s.setsockopt(socket.IPPROTO_IP, 12, 1)
        else: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        scope = socket.if_nametoindex("eth0") if source.startswith("fe80:") else 0
        s.bind((source, 0) if family == socket.AF_INET else (source, 0, 0, scope))
        sockets[s.fileno()] = (s, number, protocol, family, target)
        poll.register(s, select.EPOLLIN)
def take(fileno):
    s, number, protocol, family, target = sockets[fileno]
    while True:
        try: data, ancillary, _, peer = s.recvmsg(2000, 200)
        except BlockingIOError: return
        except OSError: continue
        if peer[0] != target: continue
        if protocol == "icmp" and family == socket.AF_INET: data = data[(data[0] & 15) * 4:]
        if protocol == "icmp" and (data[0] not in (0, 129) or data[4:6] != struct.pack("!H", identifier)): continue
        sequence = struct.unpack("!H", data[:2] if protocol == "udp" else data[6:8])[0]
        hops = [struct.unpack("@i", value[:4])[0] for _, kind, value in ancillary if kind in (socket.IP_TTL, socket.IPV6_HOPLIMIT)]
        answers.append([number, protocol, sequence, hops[0]])
        open_questions.discard((number, protocol, sequence))
def collect(seconds):
    end = time.monotonic() + seconds
    while True:
        for fileno, _ in poll.poll(max(0, end - time.monotonic())): take(fileno)
        if time.monotonic() >= end: return
print("asking", flush=True)
sequence = 0
while not stopped and (rounds == 0 or sequence < rounds):
    for s, number, protocol, family, target in sockets.values():
        open_questions.add((number, protocol, sequence))
        port = ${PORT} if protocol == "udp" else 0
        try: s.sendto(message(family, protocol, sequence), (target, port))
        except OSError: pass
        collect(pause)
    print("round", sequence, len(open_questions), flush=True)
    sequence += 1
# Late answers, then duplicates.
end = time.monotonic() + asked["patienceMs"] / 1000
while open_questions and time.monotonic() < end: collect(0.02)
collect(0.2)
print("result", json.dumps({"rounds": sequence, "answers": answers}), flush=True)
`;

export interface Question {
  readonly source: string;
  readonly target: string;
}

export type EchoProtocol = "udp" | "icmp";

export interface Asked extends Question {
  readonly protocol: EchoProtocol;
  /** The number of its round. */
  readonly sequence: number;
  /** The number of the answering host, one for each answer, in order. */
  readonly by: readonly number[];
}

export interface AskingOptions {
  readonly protocols?: readonly EchoProtocol[];
  /** Pause after each question. */
  readonly pauseMs?: number;
}

/** Sets the hop limit of a host, by which its answers are recognised. */
export async function number(host: Host, number: number, device = "eth0"): Promise<void> {
  const hopLimit = FIRST_HOP_LIMIT + number;
  await host.namespace.sysctl({
    "ipv4/ip_default_ttl": hopLimit,
    "ipv6/conf/default/hop_limit": hopLimit,
    [`ipv6/conf/${device}/hop_limit`]: hopLimit,
  });
}

/** The number of the host that a TTL or hop limit belongs to. */
export const numberOf = (hopLimit: number): number => hopLimit - FIRST_HOP_LIMIT;

/** Answers UDP on these addresses while the host has them, until the host is destroyed. */
export async function respond(host: Host, addresses: readonly string[]): Promise<void> {
  const responder = host.spawn("/usr/bin/python3", ["-ISc", RESPONDER, ...addresses]);
  await responder.log.waitFor(/ready/);
}

/** Asks each question once, waits for the answer, and a moment longer for duplicates. */
export async function ask(
  client: Host,
  questions: readonly Question[],
  options: AskingOptions = {},
): Promise<Asked[]> {
  return new Asking(client, questions, { ...options, rounds: 1 }).result();
}

/** Asks until the question is answered: the client then has the MAC in its cache. */
export async function reach(client: Host, question: Question): Promise<void> {
  await client.run(
    "ping",
    isIPv6(question.target) ? "-6" : "-4",
    ..."-n -c 1 -i 0.05 -W 0.05 -w 30 -I".split(" "),
    question.source,
    question.target,
  );
}

/** Asks all questions again and again until it is stopped. */
export class Asking {
  readonly #process: Spawned;
  readonly #questions: readonly Question[];
  readonly #protocols: readonly EchoProtocol[];

  constructor(
    client: Host,
    questions: readonly Question[],
    { protocols = ["udp", "icmp"], pauseMs = 0.5, rounds = 0 }: AskingOptions & { rounds?: number } = {},
  ) {
    this.#questions = questions;
    this.#protocols = protocols;
    const asked = {
      questions: questions.map(({ source, target }) => [source, target]),
      protocols,
      pauseMs,
      rounds,
      // A client that asks on and on may leave questions unanswered on purpose.
      patienceMs: rounds > 0 ? 20_000 : 500,
    };
    this.#process = client.spawn("/usr/bin/python3", ["-ISc", CLIENT, JSON.stringify(asked)]);
  }

  /** Resolves after the current round and `count` more. @returns the number of the last */
  async rounds(count: number): Promise<number> {
    let text = "";
    for (let n = 0; n <= count; n += 1)
      ({ text } = await this.#process.log.waitFor(/^round /, { from: this.#process.log.length }));
    return Number(text.split(" ")[1]);
  }

  async stop(): Promise<Asked[]> {
    this.#process.kill("SIGTERM");
    return this.result();
  }

  /** All questions that were asked, in order of rounds. */
  async result(): Promise<Asked[]> {
    const { text } = await this.#process.log.waitFor(/^result /);
    const result: Result = JSON.parse(text.slice("result ".length));
    const answered = new Map<string, number[]>();
    for (const [question, protocol, sequence, hopLimit] of result.answers) {
      const key = `${question} ${protocol} ${sequence}`;
      answered.set(key, [...(answered.get(key) ?? []), numberOf(hopLimit)]);
    }
    return Array.from({ length: result.rounds }, (_, sequence) =>
      this.#questions.flatMap((question, n) =>
        this.#protocols.map((protocol) => {
          const by = answered.get(`${n} ${protocol} ${sequence}`) ?? [];
          return { ...question, protocol, sequence, by };
        }),
      ),
    ).flat();
  }
}

interface Result {
  readonly rounds: number;
  readonly answers: readonly (readonly [number, EchoProtocol, number, number])[];
}
