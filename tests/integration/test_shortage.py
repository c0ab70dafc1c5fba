"""The first allocation that fails: where it was, what was asked for, and what was alive then."""

import json

import pytest
from conftest import MEMTAP, memtap, memtap_json, run

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


@pytest.mark.parametrize("case", ["malloc", "mmap", "limit"])
def test_reports_say_what_failed_where_and_what_was_alive_then(record, target, case):
    recording = record(target("shortage"), case)
    truth = json.loads(recording.stdout)
    found = recording.stats["out_of_memory"]
    assert (found["allocator"], found["requested_bytes"], found["alive_bytes"]) == (CASES[case], truth["asked"], truth["held"])
    assert found["function"] == f"case_{case}" and found["file"].endswith("shortage.c") and found["stack"][-1]["function"] == "main"
    assert [mark["kind"] for mark in recording.stats["marks"]] == ["out-of-memory"]
    words = f"failed at shortage.c:{found['line']} case_{case}, 1.91 MiB alive then"
    assert words in memtap("stats", recording.path).stdout.decode()
    assert words in memtap("summary", recording.path).stdout.decode()
    for form in (["table", "--at", "oom"], ["leaks"], ["tree"]):
        rows = memtap_json(*form, recording.path if "--at" in form else f"{recording.path}@oom")
        assert max(row["bytes"] for row in rows) == truth["held"]


def test_the_closing_lines_of_a_run_say_it(target, tmp_path):
    done = run([MEMTAP, "run", "-o", tmp_path / "x.mtap", target("shortage"), "malloc"])
    assert b"  failure  malloc of 32.0 TiB failed at shortage.c:" in done.stderr


def test_where_nothing_failed_there_is_no_such_moment(record, target):
    recording = record(target("threads"))
    assert (recording.stats["out_of_memory"], recording.stats["marks"]) == (None, [])
    done = memtap("table", "--at", "oom", recording.path, check=False)
    assert done.returncode == 2 and b"no allocation failed" in done.stderr
    done = memtap("table", f"{recording.path}@mark:2", check=False)
    assert done.returncode == 2 and b"the recording has 0 snapshots" in done.stderr
