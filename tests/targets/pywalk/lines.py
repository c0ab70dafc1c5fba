"""Dumps code objects with the interpreter's own account of their lines, for pyline_check.

`python lines.py OUT SEED COUNT`: code objects of COUNT modules of the standard library, chosen by SEED, and generated
functions. Each record: u32 kind, u32 first line, u32 table bytes, u32 rows, the table, rows of (i32 lasti, u32 line)
for every code unit. Where the interpreter says "no line" the first line is expected (the contract of mt_pyline_lookup).
"""
import dis
import glob
import os
import random
import struct
import sys
import sysconfig
import warnings

KIND = 1 if sys.version_info < (3, 10) else 2 if sys.version_info < (3, 11) else 3


def ranges_of(code):
    """(start, end, line or None) in order of addresses."""
    if KIND > 1:
        return list(code.co_lines())
    starts = list(dis.findlinestarts(code)) or [(0, code.co_firstlineno)]
    ends = [start for start, _ in starts[1:]] + [len(code.co_code)]
    return [(start, end, line) for (start, line), end in zip(starts, ends)]


def record(code):
    rows = [(-1, code.co_firstlineno)]
    for start, end, line in ranges_of(code):
        line = line or code.co_firstlineno
        rows += [(lasti, line) for lasti in range(start, end, 2)]
    table = code.co_lnotab if KIND == 1 else code.co_linetable
    head = struct.pack("<4I", KIND, code.co_firstlineno, len(table), len(rows))
    return head + table + b"".join(struct.pack("<iI", *row) for row in rows)


def walk(code):
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_consts"):
            yield from walk(constant)


def generated(rng):
    """Functions with far jumps in lines, long bodies, and statements over many lines."""
    lines = ["def f(x, y=0):"]
    for _ in range(rng.randrange(1, 60)):
        lines += ["" for _ in range(rng.choice((0, 0, 0, 1, 5, 130, 300)))]
        lines += rng.choice((
            ["    y += x"],
            ["    y = (x +", "         y +", "", "         len('a'))"],
            ["    for i in range(3):", "        y += i", "    else:", "        y -= 1"],
            ["    try:", "        y = x[" + "0," * rng.randrange(1, 300) + "]", "    except E as e:", "        pass"],
            ["    with x:", "        y()"],
            ["    while y:", "        if x:", "            continue", "        break"],
            ["    z = [i", "         for i in x", "         if i]"],
        ))
    lines.append("    return y")
    return "\n".join(["\n" * rng.randrange(500)] + lines)


def sources(rng, count):
    folder = sysconfig.get_paths()["stdlib"]
    files = sorted(glob.glob(os.path.join(folder, "*.py")) + glob.glob(os.path.join(folder, "json", "*.py")))
    files = [path for path in files if os.path.isfile(path)]  # no dangling links
    for path in rng.sample(files, min(count, len(files))):
        with open(path, "rb") as file:
            yield file.read(), path
    for _ in range(5 * count):
        yield generated(rng), "<generated>"


def main(out, seed, count):
    warnings.simplefilter("ignore")
    rng = random.Random(int(seed))
    with open(out, "wb") as file:
        for source, path in sources(rng, int(count)):
            for code in walk(compile(source, path, "exec")):
                file.write(record(code))


main(*sys.argv[1:])
