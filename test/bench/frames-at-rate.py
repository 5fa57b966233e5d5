"""Sends the frames of standard input (hex, a line each) in turns: DEVICE, frames a second, seconds. Prints how many."""

import socket
import sys
import time

# linux/socket.h, linux/if_packet.h
SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20

device, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
frames = [bytes.fromhex(line) for line in sys.stdin.read().split()]
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packets.bind((device, 0))
packets.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
begin = time.monotonic()
sent = 0
while (elapsed := time.monotonic() - begin) < seconds:
    due = int(elapsed * rate)
    while sent < due:
        packets.send(frames[sent % len(frames)])
        sent += 1
    time.sleep(0.001)
print(sent)
