"""memray's test_tracing.py and test_native_tracking.py: whose stack an allocation gets."""

import sys

import pytest
from childprogram import answer
from programs import PRELUDE, all_names, frees_of, memray, names, of_size, recorded

import memtap

THREE = """
def third(size=123456):
    block = blocks.get("valloc", size)
    blocks.put(block)

def second(size=123456):
    third(size)

def first(size=123456):
    second(size)
"""

QUALIFIED = sys.version_info >= (3, 11)  # functions have the names of their classes
THREAD = ["Thread." * QUALIFIED + name for name in ("run", "_bootstrap_inner", "_bootstrap")]


def lines_of(trace, event):
    return [(frame.function, frame.line) for frame in trace.stack(event.stack_id) if frame.is_python]


@memray("test_tracing.py::test_traceback")
@memray("test_tracing.py::test_initial_tracking_frames_are_correctly_populated")
@memray("test_tracing.py::test_traceback_iteration_does_not_depend_on_the_order_of_elements")
@memray("test_tracing.py::test_records_can_be_retrieved_twice")
@memray("test_tracing.py::test_traceback_can_be_retrieved_twice")
@memray("test_tracing.py::test_num_records")
def test_frames_and_their_lines_are_the_same_at_each_look(tmp_path, blocks):
    code = THREE + "here = sys._getframe()\nwith memtap.record(PATH):\n    first()\n"
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 123456)
        found = lines_of(trace, event)
        assert [name for name, _ in found] == ["third", "second", "first", "<module>"]
        base = found[0][1]
        assert [line - base for _, line in found[1:3]] == [4, 7]
        (free,) = frees_of(trace, event)
        assert free.stack_id == 0  # frees have no stack
        again = list(trace.records())
        assert again == list(trace.records()) and found == lines_of(trace, event)
        stats = trace.stats()
        assert sum(event.kind == "alloc" for event in again) == stats["allocations"]
        live, known = set(), 0
        for each in again:
            known += each.kind == "free" and each.address in live
            (live.add if each.kind == "alloc" else live.discard)(each.address)
        assert known == stats["deallocations"]


@memray("test_tracing.py::test_traceback_for_high_watermark")
@memray("test_tracing.py::test_high_watermark_records_can_be_retrieved_twice")
@memray("test_tracing.py::test_traceback_for_high_watermark_records_can_be_retrieved_twice")
def test_the_peak_has_stacks_at_each_look(tmp_path, blocks):
    with recorded(tmp_path, blocks, THREE + "with memtap.record(PATH):\n    first()\n") as trace:
        rows = trace.table(selection="peak")
        top = rows[0]
        assert 123456 <= top["bytes"] < 123456 + 100  # and the number that the address is in Python
        assert [frame["function"] for frame in top["stack"]] == ["third", "second", "first", "<module>"]
        assert trace.table(selection="peak") == rows


@memray("test_tracing.py::test_large_number_of_frame_pops_between_subsequent_allocations")
def test_many_frames_go_between_two_allocations(tmp_path, blocks):
    code = """
        import mmap
        def deep(n):
            return mmap.mmap(-1, 5 << 12) if n <= 1 else deep(n - 1)
        with memtap.record(PATH):
            with deep(20):
                with mmap.mmap(-1, 7 << 12):
                    pass
        """
    with recorded(tmp_path, blocks, code) as trace:
        (inner,) = of_size(trace, 5 << 12, "map")
        (outer,) = of_size(trace, 7 << 12, "map")
        assert names(trace, inner) == ["deep"] * 20 + ["<module>"]
        assert names(trace, outer) == ["<module>"]


@memray("test_tracing.py::test_profile_function_is_restored_after_tracking", "better", "the program's profile function is never touched")
@memray("test_tracing.py::test_allocation_after_unsetting_profile_function", "better", "no profile function is needed")
@memray("test_tracing.py::test_allocation_in_thread_after_unsetting_profile_function", "better", "no profile function is needed")
@memray("test_greenlet.py::test_uninstall_profile_in_greenlet", "better", "no profile function is needed")
def test_the_profile_function_stays_the_programs(tmp_path, blocks):
    found = answer(PRELUDE + THREE + """
def profiler(*arguments): pass
sys.setprofile(profiler)
with memtap.record(PATH):
    inside = sys.getprofile() is profiler
    first(1016)
    sys.setprofile(None)
    first(2040)
    thread = threading.Thread(target=lambda: (sys.setprofile(None), first(4088)))
    thread.start(); thread.join()
say(inside=inside, after=sys.getprofile() is None)
""", tmp_path, blocks)
    assert found == {"inside": True, "after": True}
    with memtap.open(tmp_path / "x.mtap") as trace:
        for size in (1016, 2040, 4088):
            (event,) = of_size(trace, size)
            assert names(trace, event)[:3] == ["third", "second", "first"]


@memray("test_tracing.py::test_restart_tracing_function_gets_correctly_the_frames")
def test_a_second_recording_has_stacks_of_its_own(tmp_path, blocks):
    code = THREE + """
def bar(): first(1016)
with memtap.record(PATH): first(1016)
with memtap.record(PATH, overwrite=True): bar()
"""
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        assert names(trace, event) == ["third", "second", "first", "bar", "<module>"]


@memray("test_tracing.py::test_allocations_in_root_frame_have_correct_line_number")
def test_lines_of_the_outermost_frame(tmp_path, blocks):
    code = """
        import mmap
        with memtap.record(PATH):
            a = mmap.mmap(-1, 5 << 12)
            b = mmap.mmap(-1, 5 << 12)
        """
    with recorded(tmp_path, blocks, code) as trace:
        first, second = of_size(trace, 5 << 12, "map")
        (one,), (two,) = lines_of(trace, first), lines_of(trace, second)
        assert one[0] == two[0] == "<module>" and two[1] - one[1] == 1


@memray("test_tracing.py::test_equal_stack_traces_compare_equal")
@memray("test_tracing.py::test_identical_stack_traces_started_in_different_lines_in_the_root_do_not_compare_equal")
@memray("test_tracing.py::test_identical_stack_traces_started_in_different_lines_in_a_function_do_not_compare_equal")
@pytest.mark.parametrize("where", ["module", "function"])
def test_equal_stacks_are_one_and_others_are_not(tmp_path, blocks, where):
    body = "    for _ in range(2):\n        first(1016)\n        second(1016)\n    first(1016)\n    second(1016)\n"
    code = THREE + ("with memtap.record(PATH):\n" + body if where == "module" else
                    "def caller():\n" + body + "with memtap.record(PATH):\n    caller()\n")
    with recorded(tmp_path, blocks, code) as trace:
        a, b, same_a, same_b, other_a, other_b = of_size(trace, 1016)
        assert a.stack_id == same_a.stack_id and b.stack_id == same_b.stack_id
        assert len({a.stack_id, b.stack_id, other_a.stack_id, other_b.stack_id}) == 4
        assert lines_of(trace, a) == lines_of(trace, same_a) != lines_of(trace, other_a)
        assert lines_of(trace, a)[:3] == lines_of(trace, other_a)[:3]


@memray("test_tracing.py::test_allocation_in_thread_started_before_tracking_starts")
def test_a_thread_older_than_the_recording(tmp_path, blocks):
    code = THREE + """
entered, recording = threading.Event(), threading.Event()
def body():
    entered.set(); recording.wait()
    first(1016)
thread = threading.Thread(target=body)
thread.start(); entered.wait()
with memtap.record(PATH):
    recording.set(); thread.join()
"""
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        assert names(trace, event) == ["third", "second", "first", "body", *THREAD]


@memray("test_tracing.py::test_allocation_in_thread_before_reacquiring_gil_after_tracking_starts", "better", "at any number of threads")
def test_threads_without_the_gil_are_seen(tmp_path, blocks):
    code = """
        def body():
            blocks.storm(1, 50, 1016)
        with memtap.record(PATH):
            threads = [threading.Thread(target=body) for _ in range(4)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        """
    with recorded(tmp_path, blocks, code) as trace:
        found = of_size(trace, 1016)
        assert len(found) == 200
        assert all("allocate" in " ".join(all_names(trace, event)[:2]) for event in found)


@memray("test_tracing.py::test_thread_surviving_multiple_trackers")
@memray("test_tracing.py::test_thread_surviving_multiple_trackers_with_changing_callstack")
def test_a_thread_that_lives_through_two_recordings(tmp_path, blocks):
    found = answer(PRELUDE + THREE + """
steps = [threading.Event() for _ in range(4)]
def one():
    first(1016); steps[0].set(); steps[1].wait()
def two():
    first(1016)
def body():
    one(); steps[2].set(); steps[3].wait(); two()
thread = threading.Thread(target=body)
with memtap.record(PATH):
    thread.start(); steps[0].wait()
steps[1].set(); steps[2].wait()
with memtap.record(PATH + ".2"):
    steps[3].set(); thread.join()
say(done=True)
""", tmp_path, blocks)
    assert found["done"]
    for path, caller in (("x.mtap", "one"), ("x.mtap.2", "two")):
        with memtap.open(tmp_path / path) as trace:
            (event,) = of_size(trace, 1016)
            assert names(trace, event)[3:5] == [caller, "body"]


@memray("test_tracing.py::TestMmap::test_mmap")
@memray("test_tracing.py::TestMmap::test_mmap_in_thread")
@pytest.mark.parametrize("threaded", [False, True])
def test_a_mapping_has_a_stack(tmp_path, blocks, threaded):
    code = f"""
        import mmap
        def work():
            with mmap.mmap(-1, 5 << 12): pass
        with memtap.record(PATH):
            if {threaded}:
                thread = threading.Thread(target=work)
                thread.start(); thread.join()
            else:
                work()
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 5 << 12, "map")
        assert names(trace, event)[0] == "work"
        assert [gone.address for gone in trace.records() if gone.kind == "unmap" and gone.size == 5 << 12] == [event.address]


# ---- native ------------------------------------------------------------------------------------------------------


def index_of(functions, *parts):
    """Positions of the parts, in order, in a stack of names."""
    at, found = -1, []
    for part in parts:
        at = next(i for i in range(at + 1, len(functions)) if part in functions[i])
        found.append(at)
    return found


@memray("test_native_tracking.py::test_simple_call_chain_with_native_tracking")
@memray("test_native_tracking.py::test_inlined_call_chain_with_native_tracking")
@memray("test_native_tracking.py::test_hybrid_stack_in_pure_python")
def test_inlined_functions_are_frames_between_python_and_the_allocator(tmp_path, blocks):
    code = """
        def caller():
            blocks.inlined(1016)
        with memtap.record(PATH, native=True):
            caller()
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        index_of(all_names(trace, event), "allocate", "case_here", "case_inlined", "case_outer", "caller", "<module>")


@memray("test_native_tracking.py::test_deep_call_chain_with_native_tracking")
@pytest.mark.parametrize("depth", [50, 700])
def test_deep_native_chains(tmp_path, blocks, depth):
    with recorded(tmp_path, blocks, f"with memtap.record(PATH, native=True): blocks.deep({depth}, 1016)") as trace:
        (event,) = of_size(trace, 1016)
        assert sum("case_deep" in name for name in all_names(trace, event)) == depth + 1
        assert trace.stats()["truncated_stacks"] == 0


@memray("test_native_tracking.py::test_hybrid_stack_in_pure_python_with_callbacks")
@memray("test_native_tracking.py::test_hybrid_stack_in_recursive_python_c_call")
def test_python_and_c_call_each_other(tmp_path, blocks):
    code = """
        def leaf(_): blocks.get("valloc", 1016)
        def down(n): blocks.call(down, n - 1) if n else leaf(n)
        with memtap.record(PATH, native=True):
            down(3)
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        found = all_names(trace, event)
        index_of(found, "leaf", "down", "case_call", "down", "case_call", "down", "case_call", "down", "<module>")
        assert names(trace, event) == ["leaf", "down", "down", "down", "down", "<module>"]
        assert not [name for name in found if "_PyEval_EvalFrameDefault" in name]


@memray("test_native_tracking.py::test_hybrid_stack_of_allocations_inside_ceval")
def test_allocations_of_the_interpreter_itself(tmp_path, blocks):
    code = """
        def caller(): return [bytes(70001) for _ in range(3)]
        with memtap.record(PATH, native=True):
            kept = caller()
        """
    with recorded(tmp_path, blocks, code) as trace:
        found = [event for event in trace.records() if event.kind == "alloc" and event.size == 70001 + 33]
        assert len(found) == 3
        assert all("caller" in names(trace, event) for event in found)


@memray("test_native_tracking.py::test_hybrid_stack_in_a_thread")
@memray("test_native_tracking.py::test_hybrid_stack_of_python_thread_starts_with_native_frames")
def test_below_a_threads_first_python_frame_are_native_ones(tmp_path, blocks):
    code = """
        def body(): blocks.get("valloc", 1016)
        with memtap.record(PATH, native=True):
            thread = threading.Thread(target=body)
            thread.start(); thread.join()
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        stack = trace.stack(event.stack_id)
        assert names(trace, event) == ["body", *THREAD]
        assert not stack[-1].is_python and not stack[0].is_python


@memray("test_native_tracking.py::test_native_tracing_header")
@pytest.mark.parametrize("native", [True, False])
def test_native_frames_only_when_asked_for(tmp_path, blocks, native):
    with recorded(tmp_path, blocks, f"with memtap.record(PATH, native={native}): blocks.deep(5, 1016)") as trace:
        (event,) = of_size(trace, 1016)
        assert any("case_deep" in name for name in all_names(trace, event)) == native
