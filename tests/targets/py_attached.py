"""Programs for `memtap attach`. Each allocates a known amount when a line has come, and prints what it computed.

busy: four threads allocate all the time until then. c-call: the first thread is in C with the GIL for long.
asleep, locked, joining, queued: every thread waits, in sleep, for a lock, for another thread, or for a queue; the one that waits for
the line does so in readv, a call in which nobody is borrowed."""

import hashlib
import os
import queue
import re
import sys
import threading
import time

came = threading.Event()
lock = threading.Lock()
lines = queue.Queue()
ROUNDS = 300
LONG = "a" * 20 + "b"  # a second or so of (a+)+$


def churn(number):
    return sum(len(str(i * number)) for i in range(50))


def allocate_after(number):
    kept = [bytearray(1000 + i) for i in range(ROUNDS)]
    return sum(len(block) for block in kept) * number


def until_came(action):
    while not came.is_set():
        action()


def locked():
    with lock:
        pass


WAYS = {
    "busy": lambda number: until_came(lambda: churn(number)),
    "c-call": lambda number: until_came(lambda: re.match("(a+)+$", LONG) if number == 1 else came.wait()),
    "asleep": lambda number: until_came(lambda: time.sleep(0.5)),
    "locked": lambda number: locked(),
    "joining": lambda number: came.wait(),
    "queued": lambda number: lines.get(),
}


def work(number, way, results):
    WAYS[way](number)
    results[number] = allocate_after(number)


def wait_for_line():
    byte = bytearray(1)
    while os.readv(0, [byte]) == 1 and byte != b"\n":
        pass
    came.set()
    lock.release()
    for _ in range(5):
        lines.put(None)


def main():
    results = {}
    way = sys.argv[1]
    lock.acquire()
    reader = threading.Thread(target=wait_for_line)
    reader.start()
    threads = [threading.Thread(target=work, args=(n, way, results)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    os.write(1, b"ready\n")
    if way == "asleep":
        until_came(lambda: time.sleep(0.5))
    for thread in threads:
        thread.join()
    print(hashlib.sha256(repr(sorted(results.items())).encode()).hexdigest(), flush=True)


main()
