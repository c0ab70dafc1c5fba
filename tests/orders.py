"""Runs random programs of threads, and of processes, under memtap and compares the peak with their own books.

    orders.py [RUNS [SEED]]      `make test-order`: 1,000 runs of each kind, a line in the end; exit 1 when one was wrong

The programs of threads (targets/order.c, targets/py_order.py) hand blocks over by mutex, condition, semaphore, barrier, pipe,
eventfd, spinning, futex, rwlock, create and join, and by Python's locks and queues; those of processes (targets/family.c,
targets/py_pool.py) are forked, executed, executed anew, pooled and recycled. Which, the seed says.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))
import conftest  # noqa: E402

SEED = 20261  # of the programs that `make test` runs
# Sizes of blocks are multiples of these; all that is allocated for threads, or for the objects of blocks, is less.
C_UNIT, PYTHON_UNIT, POOL_UNIT = 16 * 1024, 64 * 1024, 16 * 1024 * 1024


def c_programs(count, seed):
    """(what, command) of count programs of order.c."""
    chance = random.Random(seed)
    for _ in range(count):
        arguments = [str(chance.randrange(1, 2**32)), str(chance.choice((20, 60, 150))), str(chance.randrange(2, 9))]
        yield [str(conftest.TARGETS / "order"), *arguments]


def python_programs(interpreter, count, seed):
    chance = random.Random(seed)
    for _ in range(count):
        arguments = [str(chance.randrange(1, 2**32)), "40", str(chance.randrange(2, 6))]
        yield [str(interpreter), str(conftest.PYTHON_TARGETS / "py_order.py"), *arguments]


def families(count, seed):
    chance = random.Random(seed)
    for _ in range(count):
        yield [str(conftest.TARGETS / "family"), str(chance.randrange(1, 2**32))]


def pools(interpreter, count, seed):
    chance = random.Random(seed)
    for _ in range(count):
        arguments = [str(chance.randrange(1, 2**32)), "20", str(chance.randrange(2, 5))]
        yield [str(interpreter), str(conftest.PYTHON_TARGETS / "py_pool.py"), *arguments]


def said(*argv):
    return subprocess.run([str(conftest.MEMTAP), *argv], check=True, capture_output=True, text=True).stdout


def peak_of(command, trace):
    """The peak as memtap has it: of a tree of processes to the byte; else in whole units, of the whole program, or of the blocks
    that a Python program takes."""
    if command[0].endswith(("order", "family")):
        unit = C_UNIT if command[0].endswith("order") else 1
        return json.loads(said("stats", "-f", "json", trace))["peak_bytes"] // unit * unit
    case, unit = ("case_pool_take", POOL_UNIT) if command[1].endswith("py_pool.py") else ("case_order_take", PYTHON_UNIT)
    rows = json.loads(said("table", "-f", "json", "-n", "0", trace))
    return sum(row["bytes"] for row in rows if case in str(row["function"])) // unit * unit


def failure(command, folder, options):
    """None, or a line that says what was wrong."""
    trace = str(folder / "order.mtap")
    run = subprocess.run([str(conftest.MEMTAP), "run", "-q", "-f", "-o", trace, *options, "--", *command],
                         capture_output=True, text=True, timeout=conftest.TIMEOUT_S)
    if run.returncode != 0:
        return f"{command}: exit {run.returncode}: {run.stderr.strip()}"
    right, peak = int(run.stdout.split()[1]), peak_of(command, trace)
    return None if peak == right else f"{command}: peak {peak}, right is {right}"


def failures(programs, folder, *options):
    return [line for line in (failure(command, folder, options) for command in programs) if line is not None]


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    python = conftest.find_interpreter("debian") or sys.executable
    python_runs = runs // 20
    kinds = {
        "order": (c_programs(runs - python_runs, seed), python_programs(python, python_runs, seed)),
        "processes": (families(runs - python_runs, seed), pools(python, python_runs, seed)),
    }
    all_wrong = 0
    for kind, programs in kinds.items():
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            wrong = [line for group in programs for line in failures(group, pathlib.Path(folder))]
        print(*wrong, sep="\n", end="\n" if wrong else "")
        print(f"{kind}: {runs} runs (seed {seed}, {python_runs} of Python), {len(wrong)} wrong, in {time.monotonic() - started:.0f} s",
              flush=True)
        all_wrong += len(wrong)
    return 1 if all_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
