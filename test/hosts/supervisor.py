"""Starts a program again and again, as a service manager does by the unit in carpd(8): supervisor.py SOCKET WATCHDOG_MS
PROGRAM WORD... Prints `started PID`, `ready`, `watchdog` and `exited STATUS`. SIGTERM stops the program and ends it."""

import os
import select
import signal
import socket
import subprocess
import sys
import time

path, watchdog_s, command = sys.argv[1], int(sys.argv[2]) / 1000, sys.argv[3:]
notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notifications.bind(path)
os.chmod(path, 0o666)
environment = {**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(watchdog_s * 1e6))}
child = None
stopping = False


def say(*words):
    # In one piece: print() writes the line's end by itself, and a line of the program may come between.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def stop(*_):
    global stopping
    stopping = True
    child.terminate()


signal.signal(signal.SIGTERM, stop)
while not stopping:
    child = subprocess.Popen(command, env=environment)
    say("started", child.pid)
    heard = None
    while child.poll() is None:
        if select.select([notifications], [], [], 0.02)[0]:
            text = notifications.recv(4096).decode()
            if "READY=1" in text:
                say("ready")
            heard = time.monotonic()
        elif heard is not None and time.monotonic() - heard > watchdog_s:
            say("watchdog")
            child.kill()
            child.wait()
    say("exited", child.returncode)
    time.sleep(0.1)
