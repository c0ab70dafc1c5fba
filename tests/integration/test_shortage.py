"""The first allocation that fails: where it was, what was asked for, and what was alive then."""

import json

import pytest

OUT_OF_MEMORY = 8
CASES = {"malloc": "malloc", "calloc": "calloc", "realloc": "realloc", "aligned": "aligned_alloc", "mmap": "mmap", "limit": "malloc"}


def shortages(recording):
    return [mark for mark in recording.trace.marks if mark[2] == OUT_OF_MEMORY]


def held_at(recording, clock):
    """What the independent reader has alive at that clock."""
    live = {}
    for event in recording.trace.events:
        if event.clock <= clock and event.kind == "alloc":
            live[event.addr] = event.size
        elif event.clock <= clock and event.kind == "free":
            live.pop(event.addr, None)
    return sum(live.values())


@pytest.mark.parametrize("case", CASES)
def test_the_first_failure_is_marked_and_nothing_else_changes(record, target, case):
    recording = record(target("shortage"), case)
    truth = json.loads(recording.stdout)
    ((clock, _, _, asked, what, stack),) = shortages(recording)
    assert (asked, what, truth["errno"]) == (truth["asked"], CASES[case], 12)
    assert stack > 0 and held_at(recording, clock) == truth["held"]


def test_where_nothing_fails_there_is_no_mark(record, target):
    assert shortages(record(target("threads"))) == []


PYTHON = """
kept = [bytes(100_003) for _ in range(50)]
try:
    FAIL
except MemoryError:
    kept.clear()
"""


@pytest.mark.parametrize("fail, asked", [("bytearray(1 << 46)", range(1 << 46, (1 << 46) + 2)), ("[0] * (1 << 62)", [0])],
                         ids=["allocation", "product"])
def test_a_memory_error_of_python_is_one(record, python_ends, tmp_path, fail, asked):
    program = tmp_path / "program.py"
    program.write_text(PYTHON.replace("FAIL", fail))
    ((clock, _, _, value, what, stack),) = shortages(record(python_ends, program))
    assert value in asked and what == ("malloc" if value else "MemoryError") and stack > 0
