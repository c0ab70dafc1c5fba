"""Only calls functions: nothing is allocated in the loop, so a profiler of memory has nothing to do."""

import body


def add(a, b):
    """A small integer, which the interpreter keeps."""
    return (a + b) & 127


def chain(a):
    """Three calls."""
    return add(add(a, 1), add(a, 2))


def call():
    """About 4,000 calls."""
    a = 0
    for _ in CALLS:
        a = chain(a)
    return a


CALLS = [None] * 1000

if __name__ == "__main__":
    body.run(call, 2500)
