"""Python objects of known cost: 20,000 instances, a growing bytearray, 5,000 strings of equal length.

Prints one JSON object: for each function how many blocks of which size are alive at the end, according to sys.getsizeof
(which counts the header of the garbage collector). Each instance and each string is one block.
"""

import json
import sys

from py_truth import leave


class Point:
    __slots__ = ("x", "y")

    def __init__(self):
        self.x = self.y = None


def make_instances():
    return [Point() for _ in range(20_000)]


def grow():
    data = bytearray()
    for _ in range(3_000):
        data.extend(b"x" * 100)
    return data


def make_strings():
    return [("%08d" % i) * 10 for i in range(5_000)]


def main():
    instances = make_instances()
    data = grow()
    strings = make_strings()
    truth = {
        "make_instances": {"count": len(instances), "size": sys.getsizeof(instances[0])},
        "grow": {"count": 1, "size": data.__sizeof__() - bytearray().__sizeof__()},
        "make_strings": {"count": len(strings), "size": sys.getsizeof(strings[0])},
    }
    print(json.dumps(truth))
    leave()


main()
