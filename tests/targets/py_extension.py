"""A C extension between Python frames: Python calls C calls Python calls C, which allocates with every allocator.

Usage: py_extension.py FOLDER, where FOLDER holds the module `tapped` built for this interpreter (pyext/tapped.c).
"""

import sys

sys.path.insert(0, sys.argv[1])
import tapped  # noqa: E402

from py_truth import finish, keep  # noqa: E402


def below():
    keep(bytes(60_001))
    tapped.allocate("malloc", 60_011)
    tapped.allocate("raw", 60_013)
    tapped.allocate("mem", 60_015)
    tapped.allocate("object", 60_017)
    tapped.allocate("object", 117)
    tapped.allocate("mem", 119)


def again(depth):
    if depth == 0:
        below()
    else:
        tapped.call(again, depth - 1)


def main():
    tapped.call(again, 3)
    finish()


main()
