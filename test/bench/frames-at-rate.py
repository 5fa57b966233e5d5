"""
Sends the frames of standard input (hex, a line each) in turns: DEVICE, frames a second, seconds. Prints how many left,
and in how many seconds.
"""

import ctypes
import socket
import sys
import time

# linux/socket.h, linux/if_packet.h
SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20
AT_ONCE = 64


class Piece(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    """struct msghdr"""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("pieces", ctypes.POINTER(Piece)),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Message(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [("header", Header), ("sent", ctypes.c_uint)]


device, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
frames = [bytes.fromhex(line) for line in sys.stdin.read().split()]
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packets.bind((device, 0))
packets.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
pieces = [Piece(frame, len(frame)) for frame in frames] * (1 + AT_ONCE // len(frames))
messages = (Message * len(pieces))()
for message, piece in zip(messages, pieces):
    message.header.pieces = ctypes.pointer(piece)
    message.header.count = 1
sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

begin = time.monotonic()
sent = 0
while (elapsed := time.monotonic() - begin) < seconds:
    at = sent % len(messages)
    due = min(int(elapsed * rate) - sent, len(messages) - at, AT_ONCE)
    if due <= 0:
        time.sleep(0.0005)
        continue
    left = sendmmsg(packets.fileno(), ctypes.byref(messages, at * ctypes.sizeof(Message)), due, 0)
    # A flood fills the queue: ENOBUFS is expected.
    sent += max(left, 0)
print(sent, f"{elapsed:.3f}")
