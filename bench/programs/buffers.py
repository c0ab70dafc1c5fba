"""Byte buffers: bytes and bytearrays of 600 B to 64 KiB, sliced, joined, grown."""

import body

SOURCE = bytes(range(256)) * 256


def shuffle_buffers():
    """About 300 buffers, each larger than what pymalloc serves itself."""
    parts = [SOURCE[start : start + 600 + start % 3000] for start in range(0, 50000, 500)]
    joined = b"".join(parts)
    grown = bytearray()
    for part in parts:
        grown += part
    halves = [joined[:1000] + part for part in parts]
    return len(grown) + len(b"".join(halves))


if __name__ == "__main__":
    body.run(shuffle_buffers, 2500)
