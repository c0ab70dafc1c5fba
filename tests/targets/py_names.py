"""Functions whose names are meant to deceive whoever reads a report; each allocates 100,000 bytes and keeps them.

The file of each is its name too. NAMES is what JSON has to give back, to the code point. The program ends without an
interpreter's clean-up, so that everything is alive at the end.
"""

import os

NAMES = [
    "\x1b[31mRED",  # drives a terminal
    "\x9b31m",  # the same as a C1 control
    "\u202egnp.exe",  # reorders what follows
    "in\u200bvisible\ufeff",
    "\U000e0041tag",
    "two\nlines\r\n",
    "a;b,c\"d'e",
    "=1+1",
    "+cmd",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "<script>alert(1)</script>",
    "\udcff.bytes",  # an undecodable byte, as os.fsdecode gives it
    "gr\u00fc\u00df",  # nothing wrong with these two
    "\u4e2d\u6587",
]


def make(name):
    scope = {}
    exec(compile("def f():\n    return bytearray(100_000)\n", name, "exec"), scope)
    changes = {"co_name": name}
    if hasattr(scope["f"].__code__, "co_qualname"):
        changes["co_qualname"] = name
    scope["f"].__code__ = scope["f"].__code__.replace(**changes)
    return scope["f"]


if __name__ == "__main__":
    kept = [make(name)() for name in NAMES]
    os._exit(0)
