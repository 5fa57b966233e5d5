"""Sends UDP packets in bursts from one namespace and receives each burst in another before it sends the next: all of
it on one processor, so that nothing waits, nothing is lost, and the time of a burst is what its packets cost from
the sender's packet socket through the network to the receiver's recvmmsg(2). Reads one JSON object, prints another."""

import ctypes, json, os, socket, struct, sys, time

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


def receiver(namespace, address, port):
    """A socket of the other namespace; this process stays where it is."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open("/run/netns/" + namespace, os.O_RDONLY)
    checked(libc.setns(other, CLONE_NEWNET))
    try:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind((address, port))
    finally:
        checked(libc.setns(own, CLONE_NEWNET))
    found.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
    return found


def send(sender, sent):
    done = checked(libc.sendmmsg(sender.fileno(), sent, len(sent), 0))
    if done != len(sent):
        raise OSError("only %d of %d frames could be sent" % (done, len(sent)))


def receive(into, room, count):
    got = 0
    while got < count:
        got += checked(libc.recvmmsg(into.fileno(), room, len(room), MSG_WAITFORONE, None))


def accepted(sender, into, asked):
    """The sources, of all that sent one packet, whose packet came through."""
    found = []
    for frame in asked:
        sender.send(frame)
    into.settimeout(0.3)
    try:
        while True:
            found.append(into.recvfrom(64)[1][0])
    except TimeoutError:
        return found


def bursts(sender, into, frames, seconds):
    """How long each burst took, in nanoseconds."""
    sent = messages([ctypes.create_string_buffer(each, len(each)) for each in frames])
    room = messages([ctypes.create_string_buffer(len(PAYLOAD)) for _ in frames])
    taken = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter_ns()
        send(sender, sent)
        if into:
            receive(into, room, len(sent))
        taken.append(time.perf_counter_ns() - began)
    # The first ones find caches cold and connections unknown.
    return taken[len(taken) // 10 :]


def main():
    wanted = json.load(sys.stdin)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((wanted["device"], 0))
    sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    into = receiver(wanted["receiver"], wanted["address"], wanted["port"])
    frames = [
        frame(wanted["toMac"], wanted["fromMac"], source, port, wanted["address"], wanted["port"])
        for source, port in wanted["flows"]
    ]
    if wanted["what"] == "accepted":
        result = accepted(sender, into, frames)
    else:
        result = bursts(sender, into if wanted["what"] == "received" else None, frames, wanted["seconds"])
    json.dump(result, sys.stdout)


main()
