"""What a recorded file says of itself: the state in its header, and the numbers of `memtap stats`."""

import struct

import memtap

ENDED, FILE_FULL = 2, 4  # the header's state, docs/formats/trace.md 1.1


def state(path):
    with open(path, "rb") as file:
        return struct.unpack_from("<I", file.read(84), 80)[0]


def stats(path):
    with memtap.open(path) as trace:
        return trace.stats()
