"""Like planted.c, in Python: leak, cache, gc. Prints "ready", does it when a line comes, prints "done", and ends when the next one comes."""

import gc
import sys

kept, cache = [], {}


def leak(n):
    kept.append(bytearray(5000 + n % 7))  # PLANTED leak


def cached(n):
    if n % 800 not in cache:
        cache[n % 800] = bytearray(20000)  # PLANTED cache
    return cache[n % 800]


class Node:
    def __init__(self):
        self.me = self
        self.room = bytearray(2000)  # PLANTED gc


def main(fault):
    print("ready", flush=True)
    sys.stdin.readline()
    if fault == "gc":
        gc.disable()
    for n in range(400_000 if fault == "cache" else 4000):
        if fault == "leak":
            leak(n)
        elif fault == "cache":
            cached(n)
        elif fault == "gc":
            _ = [Node() for _ in range(4)]
    print("done", flush=True)
    sys.stdin.readline()


main(sys.argv[1])
