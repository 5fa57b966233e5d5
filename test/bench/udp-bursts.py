"""Sends UDP packets in bursts from one namespace to another and receives each burst before it sends the next, by many
paths in turns: all of it on one processor, so that nothing waits, nothing is lost, and the time of a burst is what its
packets cost from the sender's packet socket through the network to the receiver's recvmmsg(2). Reads one JSON object,
prints another."""

import contextlib, ctypes, gc, json, os, random, socket, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20
MSG_WAITFORONE = 0x10000
PAYLOAD = bytes(18)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Message(ctypes.Structure):
    _fields_ = [("header", Header), ("length", ctypes.c_uint)]


def messages(buffers):
    """An array for sendmmsg(2) and recvmmsg(2), which holds on to its buffers."""
    array = (Message * len(buffers))()
    array.kept = [(buffer, Vector(ctypes.addressof(buffer), len(buffer))) for buffer in buffers]
    for message, (_, vector) in zip(array, array.kept):
        message.header.vectors = ctypes.pointer(vector)
        message.header.vector_count = 1
    return array


def checked(result):
    if result >= 0:
        return result
    error = ctypes.get_errno()
    raise OSError(error, os.strerror(error))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(to_mac, from_mac, source, source_port, destination, port):
    udp = struct.pack("!4H", source_port, port, 8 + len(PAYLOAD), 0) + PAYLOAD
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + ends
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return bytes.fromhex((to_mac + from_mac).replace(":", "")) + b"\x08\x00" + ip + udp


@contextlib.contextmanager
def inside(namespace):
    """Enters a namespace for the sockets that are opened in it; the process returns to its own."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open("/run/netns/" + namespace, os.O_RDONLY)
    checked(libc.setns(other, CLONE_NEWNET))
    try:
        yield
    finally:
        checked(libc.setns(own, CLONE_NEWNET))
        os.close(own)
        os.close(other)


class Path:
    """A path for packets of these flows from a client to a host, or to a switch that drops them."""

    def __init__(self, flows, sender, device, toMac, fromMac, receiver, address, port):
        with inside(sender):
            self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.sender.bind((device, 0))
        self.sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self.frames = [frame(toMac, fromMac, *flow, address, port) for flow in flows]
        self.sent = messages([ctypes.create_string_buffer(each, len(each)) for each in self.frames])
        self.room = messages([ctypes.create_string_buffer(len(PAYLOAD)) for _ in flows])
        self.into = receiver and self.listen(receiver, address, port)

    def listen(self, namespace, address, port):
        with inside(namespace):
            into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            into.bind((address, port))
        into.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        into.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        return into

    def burst(self):
        """Sends and receives one burst. Returns its nanoseconds."""
        began = time.perf_counter_ns()
        done = checked(libc.sendmmsg(self.sender.fileno(), self.sent, len(self.sent), 0))
        if done != len(self.sent):
            raise OSError("only %d of %d frames could be sent" % (done, len(self.sent)))
        got = 0
        while self.into and got < done:
            got += checked(libc.recvmmsg(self.into.fileno(), self.room, done, MSG_WAITFORONE, None))
        return time.perf_counter_ns() - began

    def accepted(self):
        """Sends one packet from every source. Returns the sources whose packet was received."""
        found = []
        for frame in self.frames:
            self.sender.send(frame)
        self.into.settimeout(0.3)
        try:
            while True:
                found.append(self.into.recvfrom(64)[1][0])
        except TimeoutError:
            return found


def bursts_in_turns(paths, seconds):
    """Returns a row for each turn, with the nanoseconds of a burst on each path."""
    # The first packets find cold caches and unknown connections.
    warm = time.monotonic() + seconds / 10
    until = warm + seconds
    order = list(range(len(paths)))
    turns = []
    while time.monotonic() < until:
        # The order changes, because each path leaves the caches in another state.
        random.shuffle(order)
        taken = [0] * len(paths)
        for n in order:
            taken[n] = paths[n].burst()
        if time.monotonic() > warm:
            turns.append(taken)
    return turns


def main():
    wanted = json.load(sys.stdin)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # Keeps other processes off this processor: what they leave in its caches would be measured too.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    paths = [Path(wanted["flows"], **each) for each in wanted["paths"]]
    gc.disable()
    if wanted["what"] == "accepted":
        result = [path.accepted() for path in paths]
    else:
        result = bursts_in_turns(paths, wanted["seconds"])
    json.dump(result, sys.stdout)


main()
