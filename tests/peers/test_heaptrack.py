"""heaptrack's tests/manual: small native programs, run by `memtap run`."""

import pathlib
import shutil
import subprocess

import pytest
from programs import peer

import memtap

HERE = pathlib.Path(__file__).resolve().parent


def heaptrack(test, verdict="same", why=""):
    return peer("heaptrack", test, verdict, why)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("native") / "with space"
    folder.mkdir()
    subprocess.run(["g++", "-O2", "-g", "-fno-builtin", "-pthread", HERE / "native.cpp", "-o", folder / "my program", "-ldl"],
                   check=True)
    subprocess.run(["gcc", "-O1", "-g", "-fno-builtin", "-shared", "-fPIC", HERE / "library.c", "-o", folder / "library.so"],
                   check=True)
    return folder / "my program"


@pytest.fixture
def recorded(program, tmp_path):
    """recorded(what, argument…): the trace of the program, which has to end with 0 and say nothing."""

    def record(*arguments):
        command = shutil.which("memtap", path=str(memtap.__path__[0]) + "/_bin")
        done = subprocess.run([command, "run", "-q", "-o", tmp_path / "x.mtap", "--", program, *arguments], capture_output=True,
                              text=True, check=False, timeout=300)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return memtap.open(tmp_path / "x.mtap")

    return record


def leaked(trace):
    """{function: (bytes, count)} of what is left, by the innermost function of the program's own."""
    found = {}
    for row in trace.leaks(native=True, stacks=True):
        name = next((frame["function"] for frame in row["stack"] if "case_" in frame["function"] or "main" in frame["function"]),
                    row["function"])
        old = found.get(name, (0, 0))
        found[name] = (old[0] + row["bytes"], old[1] + row["count"])
    return {name.rpartition("::")[2].partition("(")[0]: amount for name, amount in found.items() if "case_" in name}


@heaptrack("peak.c")
def test_the_peak_is_when_it_was(recorded):
    with recorded("peak") as trace:
        stats = trace.stats()
    library = stats["leaked_bytes"]  # what the C++ library keeps from its start
    assert stats["peak_bytes"] == library + 125
    assert stats["total_allocated_bytes"] == library + 100 + 25 + 25 + 25 + 100


@heaptrack("test_aggregation.cpp")
@heaptrack("callgraph.cpp")
@pytest.mark.parametrize("what, wanted", [
    ("aggregation", {"case_a": (2, 2), "case_b": (4, 2), "case_c": (6, 2), "case_d": (5, 1)}),
    ("callgraph", {"case_a": (6, 6), "case_b": (12, 6), "case_recurse": (12, 6)}),
])
def test_what_is_left_is_told_apart_by_function(recorded, what, wanted):
    with recorded(what) as trace:
        assert leaked(trace) == wanted


@heaptrack("threaded.cpp")
def test_blocks_that_change_threads_are_freed(recorded):
    with recorded("threaded") as trace:
        stats = trace.stats()
        ints = sum(1 for event in trace.records() if event.kind == "alloc" and event.size == 4)
        assert ints == 80_000
        assert not [row for row in trace.table(selection="leaks", by="function", native=True) if row["bytes"] in (4, 8000)]
        assert stats["dropped_events"] == 0 and stats["leaked_bytes"] < 100_000


@heaptrack("inlining.cpp")
def test_inlined_functions_are_frames(recorded):
    with recorded("inlining") as trace:
        (event,) = [event for event in trace.records() if event.kind == "alloc" and event.size == 1234]
        found = [frame.function for frame in trace.stack(event.stack_id)]
        places = [next(i for i, name in enumerate(found) if part in name) for part in ("case_innermost", "case_middle", "inlining", "main")]
        assert places == sorted(set(places))


@heaptrack("dlopen.cpp")
def test_a_deepbound_library_is_seen(recorded, program):
    with recorded("deepbind", program.parent / "library.so") as trace:
        assert len([event for event in trace.records() if event.kind == "alloc" and event.size == 4321]) == 1


@heaptrack("signals.cpp", "better", "no thread of memtap's is in the program")
def test_signals_of_one_thread_reach_it(recorded):
    with recorded("signals") as trace:
        sizes = [event.size for event in trace.records() if event.kind == "alloc"]
        assert 1000 in sizes and 2000 in sizes


@heaptrack("libc_leaks.c")
def test_the_c_librarys_own_memory_is_small_and_named(recorded):
    with recorded("library") as trace:
        assert trace.stats()["dropped_events"] == 0
        assert all(row["function"] for row in trace.leaks(native=True))


@heaptrack("with space/my binary.cpp")
def test_a_path_with_a_space(recorded, program):
    with recorded("peak") as trace:
        assert " " in program.name
        files = {frame.file for event in trace.records() if event.stack_id for frame in trace.stack(event.stack_id)}
        assert any(name.endswith("native.cpp") for name in files)
