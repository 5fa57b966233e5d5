/**
 * Attackers: what users without rights can do to an engine through its control socket, each as a process of its own
 * that goes on until it is killed. They run in the run directory, because only root may go through those above, and at
 * the lowest priority: what a command waits for is the engine, not a processor.
 */

import type { Host } from "../hosts/index.ts";
import type { Spawned } from "../hosts/spawned.ts";

const NOBODY = 65_534;
/** Group `carp` of an attacked host. */
export const CARP_GROUP = 54_321;

const PRELUDE = `
import os, random, select, socket, sys, time
os.chdir(sys.argv[1])
os.setgroups([])
path = "engine.sock"
def member():
    global path
    path = "admin.sock"
    os.setgroups([${CARP_GROUP}]); os.setgid(${NOBODY}); os.setuid(${NOBODY}); os.nice(19)
def unprivileged():
    os.setgid(${NOBODY}); os.setuid(${NOBODY}); os.nice(19)
def connect(blocking=True):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(blocking)
    s.connect(path)
    s.setblocking(False)
    return s
def request(method, params="{}", id="1"):
    return ('{"jsonrpc":"2.0","id":%s,"method":"%s","params":%s}' % (id, method, params)).encode() + b"\\n"
def ask_for_ever(lines, count):
    """Each connection asks, reads the answer, and asks again; one that is closed is opened anew."""
    poll, clients = select.epoll(), {}
    def add():
        try: s = connect(False); s.send(random.choice(lines))
        except OSError: return
        clients[s.fileno()] = s
        poll.register(s, select.EPOLLIN)
    while True:
        if len(clients) < count: add()
        for fd, _ in poll.poll(0 if len(clients) < count else 0.2):
            s = clients[fd]
            try:
                data = s.recv(1 << 20)
                if data and data.endswith(b"\\n"): s.send(random.choice(lines))
            except BlockingIOError: continue
            except OSError: data = b""
            if not data:
                del clients[fd]; s.close()
def deep(n): return "[" * n + "]" * n
`;

const ATTACKS = {
  /** 250 connections that ask for the examination, which costs most. */
  doctor: `
unprivileged()
ask_for_ever([request("doctor")], 250)`,
  /** Every question, also those whose answers are long. */
  questions: `
unprivileged()
methods = ["hello", "interfaces", "groups", "statistics", "packets", "configuration", "demotion", "service-status"]
ask_for_ever([request(m) for m in methods] + [request("sysctl-get", '{"names":["net"]}')], 100)`,
  /** Connects and does nothing else, until there is no room for more; then closes some. */
  connect: `
unprivileged()
held = []
while True:
    try: held.append(connect(False))
    except OSError: time.sleep(0.001)
    if len(held) > 800:
        for s in held[:200]: s.close()
        del held[:200]`,
  /** One connection from each of 300 users. */
  users: `
os.nice(19)
users = {}
while True:
    for uid in range(20000, 20300):
        if uid in users: users.pop(uid).close()
        os.seteuid(uid)
        try:
            users[uid] = connect(False)
            users[uid].send(request("doctor") + request("interfaces"))
        except OSError: time.sleep(0.001)
        os.seteuid(0)`,
  /** Lines that JSON.stringify cannot write, in every place. */
  deep: `
unprivileged()
worst = '{"0":1,"a":' + deep(8000) + "}"
lines = [request("hello", id=worst), request("hello", worst), request("change", '{"name":"carp0","change":%s}' % worst),
         deep(30000).encode() + b"\\n", b'{"jsonrpc":' + worst.encode() + b',"method":"hello","id":1}\\n',
         request("hello", id=deep(8000)), b"x" * 70000, b"\\n" * 1000]
ask_for_ever(lines, 50)`,
  /** Changes that are denied. */
  denied: `
unprivileged()
lines = [request("change", '{"name":"carp0","change":{"up":false}}'), request("destroy", '{"name":"carp0"}'),
         request("sysctl-set", '{"writes":[{"name":"net.inet.carp.allow","value":0}]}'), request("maintenance", '{"on":true}')]
ask_for_ever(lines, 50)`,
  /** Follows the events on many connections and reads none. */
  deaf: `
unprivileged()
held = []
while True:
    try:
        s = connect(False); s.send(request("monitor") + request("interfaces") * 500); held.append(s)
    except OSError: time.sleep(0.01)
    if len(held) > 200: held.pop(0).close()`,
  /** A member of group carp, through the socket that root uses. */
  member: `
member()
questions = [request(m) for m in ["doctor", "interfaces", "configuration", "hello"]]
changes = [request("change", '{"name":"carp98","change":{"description":"%d"}}' % n) for n in range(4)]
ask_for_ever(questions + changes, 300)`,
} as const;

export type Attack = keyof typeof ATTACKS;
export const ALL_ATTACKS = Object.keys(ATTACKS) as Attack[];
/** Attacks of users without any rights. */
export const STRANGERS_ATTACKS = ALL_ATTACKS.filter((kind) => kind !== "member");

/** Starts an attack on the host's engine. */
export function attack(host: Host, kind: Attack): Spawned {
  return host.spawn("/usr/bin/python3", ["-IBSc", PRELUDE + ATTACKS[kind], host.runDirectory]);
}

/** Ends attacks. */
export async function endAttacks(attacks: readonly Spawned[]): Promise<void> {
  for (const each of attacks) each.kill("SIGKILL");
  await Promise.all(attacks.map(({ exited }) => exited));
}
