"""Python programs that use tracemalloc: random ones that keep their own books, started in any order, in every mode."""

import json
import os
import random

import pytest
from conftest import PYTHON_TARGETS

PROGRAM = PYTHON_TARGETS / "py_traced.py"
STARTS = {"by the program": {}, "before everything": {"PYTHONTRACEMALLOC": "3"}, "over debug hooks": {"PYTHONMALLOC": "debug"}}
SMALL = 512  # what is larger, pymalloc leaves to malloc; tracemalloc's notes on a block are smaller
OBJECT = "pymem object"  # and Python's own notes on code are in the other domain


def seeded():
    seed = random.randrange(1 << 30)
    print("seed", seed)
    return seed


def alive(recording):
    """The program's own form of its books, by the independent reader. Notes are neither large nor Python's."""
    found = {"hold": [[0, 0], [0, 0]], "waste": [[0, 0], [0, 0]]}
    for event in recording.replay.live.values():
        maker = next((name for name in recording.trace.python_stack(event.stack) if name in found), None)
        if maker and (event.size > SMALL or event.allocator == OBJECT):
            row = found[maker][event.size > SMALL]
            row[0] += 1
            row[1] += event.size
    return found


def small_objects(recording, function):
    """[count, bytes] of what pymalloc served, by the reports."""
    rows = [row for row in recording.live_stacks if row["allocator"] == OBJECT and
            any(frame["function"] == function for frame in row["stack"])]  # fmt: skip
    return [sum(row["count"] for row in rows), sum(row["bytes"] for row in rows)]


@pytest.mark.parametrize("start", STARTS)
def test_what_tracemalloc_looked_at_is_seen_to_end(record, python, start):
    recording = record(python, PROGRAM, seeded(), env={**os.environ, **STARTS[start]})
    assert alive(recording) == json.loads(recording.stdout)
    recording.assert_exact()
    recording.assert_stats_follow()


def test_an_aggregate_trace_says_the_same(record, python_ends):
    recording = record(python_ends, PROGRAM, seeded(), options=["--aggregate"])
    truth = json.loads(recording.stdout)
    assert small_objects(recording, "hold") == truth["hold"][0]
    assert small_objects(recording, "waste") == [0, 0]


@pytest.mark.parametrize("start", STARTS)
def test_samples_of_what_is_gone_have_ended(record, python_ends, start):
    recording = record(python_ends, PROGRAM, seeded(), mode="sample", options=["--rate", "2K"],
                       env={**os.environ, **STARTS[start]})  # fmt: skip
    found, truth = alive(recording), json.loads(recording.stdout)
    assert recording.replay.allocations > 500
    assert found["waste"] == truth["waste"]
    assert all(count <= real[0] for (count, _), real in zip(found["hold"], truth["hold"]))


TRACED = """
import json, os, tracemalloc
TRACE
kept = [[i] for i in range(100_000)]
print(json.dumps([tracemalloc.get_traced_memory()[0], tracemalloc.get_tracemalloc_memory()]), flush=True)
os._exit(0)
"""


def pymem_bytes(recording):
    return sum(event.size for event in recording.replay.live.values() if event.allocator.startswith("pymem"))


def test_traced_memory_is_counted_once_beside_the_notes_on_it(record, python):
    """Of its notes tracemalloc counts some only. The program without it: the same objects and no note."""
    traced = record(python, "-c", TRACED.replace("TRACE", "tracemalloc.start()"))
    plain = record(python, "-c", TRACED.replace("TRACE", ""), name="plain.mtap")
    objects, notes = json.loads(traced.stdout)
    assert objects > 6_000_000 and notes > 6_000_000
    assert abs(pymem_bytes(traced) - pymem_bytes(plain)) < 100_000
    assert traced.stats["leaked_bytes"] - plain.stats["leaked_bytes"] > 0.98 * notes
    traced.assert_exact()


WRAPPED = """
import ctypes, json, os, sys
wrapper = ctypes.PyDLL(sys.argv[1])

def hold(count):
    kept = []
    for i in range(count):
        kept.append(bytes(i % 900))
    return kept

before = hold(1_000)
wrapper.python_wrapper_start()
inside = hold(4_000)
dropped = hold(4_000)
del dropped
if len(sys.argv) > 2:
    wrapper.python_wrapper_stop()
after = hold(4_000)
sizes = [sys.getsizeof(block) for block in before + inside + after if len(block) > 1]
print(json.dumps([len(sizes), sum(sizes)]), flush=True)
os._exit(0)
"""


def held(recording):
    """[count, bytes] of the bytes objects; notes are 40 bytes of malloc's, the lists grow in the other domain."""
    rows = [event.size for event in recording.replay.live.values()
            if "hold" in recording.trace.python_stack(event.stack) and event.size > 34 and
            (event.allocator == OBJECT or 512 < event.size < 2000)]  # fmt: skip
    return [len(rows), sum(rows)]


@pytest.mark.parametrize("end", [(), ("stop",)])
def test_a_wrapper_that_cannot_be_seen_through_changes_no_number(record, python_ends, target, end):
    recording = record(python_ends, "-c", WRAPPED, target("plugins/libpython_wrapper.so"), *end)
    truth = json.loads(recording.stdout)
    assert held(recording) == truth
    recording.assert_exact()


def test_samples_are_taken_once_below_such_a_wrapper(record, any_python, target):
    """At this rate a block of 35 bytes or more is a sample but for one in e ** 35."""
    sampled = record(any_python, "-c", WRAPPED, target("plugins/libpython_wrapper.so"), mode="sample", options=["--rate", "1"])
    assert held(sampled) == json.loads(sampled.stdout)
    sampled.assert_exact()
