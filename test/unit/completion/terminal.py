"""Types lines in a shell on a terminal of its own, and prints what each came to.

usage: terminal.py SHELL [WORD...], with the lines on standard input. The shell's prompt has to be `READY> `; what is
looked for in the output is what stands behind `RAN: `.
"""

import os
import pty
import re
import select
import signal
import sys
import time

TIMEOUT_S = 30

lines = sys.stdin.read().splitlines()
child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "vt100"
    os.execvp(sys.argv[1], sys.argv[1:])

seen = b""


def wait_for(pattern):
    global seen
    deadline = time.monotonic() + TIMEOUT_S
    while not (match := re.search(pattern, seen)):
        ready = select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]
        try:
            piece = os.read(terminal, 65536) if ready else b""
        except OSError:
            piece = b""
        if not piece:
            sys.exit(f"no {pattern} in {seen.decode(errors='replace')!r}")
        # fish asks what kind of terminal it is on.
        if b"\x1b[c" in piece or b"\x1b[0c" in piece:
            os.write(terminal, b"\x1b[?1;2c")
        seen += piece
    seen = seen[match.end():]
    return match


for line in lines:
    wait_for(rb"READY> ")
    os.write(terminal, line.replace("<Tab>", "\t").encode() + b"\r")
    print(wait_for(rb"RAN: ([^\r\n]*)").group(1).decode().rstrip())

os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
