"""What `memtap top` and `memtap memory` look at: does what each line of its input says, and then says "ok".

First "ready PID". hold N: keeps N bytes at the line of `hold`. drop: gives all of these back. again: executes itself anew. evil: allocates in a function and
a file whose names would drive a terminal. churn N: a thread of its own keeps the last few of ever new blocks of N bytes. end: ends."""

import os
import sys
import threading
import time

kept = []


def hold(size):
    kept.append(bytearray(size))


def churn(size):
    last = [None] * 8
    while True:
        last.append(bytearray(size))
        del last[0]
        time.sleep(0.001)


def evil():
    scope = {}
    exec(compile("def f():\n    return bytearray(3000000)\n", "/app/\x1b[2J\x07evil.py", "exec"), scope)
    kept.append(scope["f"]())


def main():
    print("ready", os.getpid(), flush=True)
    for line in sys.stdin:
        word, *values = line.split()
        if word == "hold":
            hold(int(values[0]))
        elif word == "drop":
            kept.clear()
        elif word == "evil":
            evil()
        elif word == "churn":
            threading.Thread(target=churn, args=(int(values[0]),), daemon=True).start()
        elif word == "again":
            os.execv(sys.executable, [sys.executable, *sys.argv])
        elif word == "end":
            break
        print("ok", flush=True)


main()
