"""A random program that starts and stops tracemalloc while it makes, grows and drops blocks, and keeps its own books.

Usage: py_traced.py SEED. Prints {function: [[count, bytes] of blocks up to 512 bytes, the same of larger ones]} of what is
alive at the end by the function that made it: hold() keeps some of its blocks, waste() none; grow() resizes buffers through
every border of Python's allocators. tracemalloc is off in the end, so that its notes on the blocks are gone, but for one
of up to 96 bytes that Python 3.9 to 3.12 lose whenever it stops.
"""

import json
import random
import sys
import tracemalloc

from py_truth import leave

STEPS, SMALL = 4_000, 512


def hold(size):
    return bytes(size)


def waste(size):
    return bytes(size)


def grow(data, size):
    data.extend(b"x" * size)


def shrink(data, size):
    del data[size:]


def step(rng, held, buffers):
    """One thing the program does; most of the time it makes and drops blocks."""
    size = rng.choice((rng.randrange(1, 400), rng.randrange(400, 600), rng.randrange(600, 9000)))
    what = rng.randrange(100)
    if what == 0:
        tracemalloc.start(rng.randrange(1, 6))
    elif what == 1:
        tracemalloc.stop()
    elif what == 2:
        tracemalloc.clear_traces()
    elif what < 40:
        held.append(hold(size))
    elif what < 70:
        waste(size)
    elif what < 80:
        grow(rng.choice(buffers), size)
    elif what < 85:
        shrink(rng.choice(buffers), rng.randrange(1, 700))
    elif held:
        held.pop(rng.randrange(len(held)))


def books(blocks):
    sizes = list(map(sys.getsizeof, blocks))
    small = [size for size in sizes if size <= SMALL]
    return [[len(small), sum(small)], [len(sizes) - len(small), sum(sizes) - sum(small)]]


def play(seed):
    """Plays the program of this seed; returns what is alive, and its books."""
    rng = random.Random(seed)
    held, buffers = [], [bytearray() for _ in range(20)]
    for _ in range(STEPS):
        step(rng, held, buffers)
    tracemalloc.stop()
    return (held, buffers), {"hold": books(held), "waste": books([])}


def main():
    alive, truth = play(int(sys.argv[1]))
    print(json.dumps(truth))
    leave()


if __name__ == "__main__":
    main()
